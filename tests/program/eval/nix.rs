//! Nix with its own store in a temporary directory.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

/// A store that is removed when the value is dropped.
pub struct Nix {
    home: TempDir,
}

/// The repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

impl Nix {
    /// An empty store.
    pub fn new() -> Nix {
        Nix {
            home: tempfile::tempdir().unwrap(),
        }
    }

    /// A directory for files of the test.
    pub fn directory(&self) -> &Path {
        self.home.path()
    }

    /// Runs a program of Nix.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Output {
        Command::new(program)
            .args(arguments)
            .current_dir(self.home.path())
            .env("HOME", self.home.path())
            .env("NIX_REMOTE", self.home.path().join("store"))
            .env(
                "NIX_CONFIG",
                "substituters =\nflake-registry =\nbuild-users-group =\n\
                 experimental-features = nix-command flakes\n",
            )
            .env_remove("NIX_PATH")
            .output()
            .unwrap_or_else(|error| panic!("{program} (Debian: nix-bin) does not run: {error}"))
    }

    /// Runs a program of Nix that must succeed, and returns its output.
    pub fn output(&self, program: &str, arguments: &[&str]) -> String {
        let output = self.run(program, arguments);
        assert!(
            output.status.success(),
            "{program} {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// The value of an expression, evaluated in the scope of tests/fixtures/eval/scope.nix.
    pub fn eval(&self, expression: &str) -> Value {
        let printed = self.output("nix-instantiate", &strictly(&in_scope(expression)));
        serde_json::from_str(&printed).unwrap()
    }

    /// The message of an expression that must not evaluate.
    pub fn error(&self, expression: &str) -> String {
        let output = self.run("nix-instantiate", &strictly(&in_scope(expression)));
        assert!(!output.status.success(), "{expression} evaluates");
        String::from_utf8(output.stderr).unwrap()
    }

    /// The text of the .drv file of an expression.
    pub fn derivation(&self, expression: &str) -> String {
        let path = self.output("nix-instantiate", &["--expr", &in_scope(expression)]);
        let file = self.real_path(path.trim_end());
        std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
    }

    /// Where a store path is on this machine.
    pub fn real_path(&self, path: &str) -> PathBuf {
        self.home
            .path()
            .join("store")
            .join(path.trim_start_matches('/'))
    }

    /// The structured attributes of an expression: what becomes .attrs.json.
    pub fn attributes(&self, expression: &str) -> Value {
        structured_attributes(&self.derivation(expression))
    }
}

/// Arguments of nix-instantiate that evaluate `expression` completely and print it as JSON.
fn strictly(expression: &str) -> [&str; 5] {
    ["--eval", "--strict", "--json", "--expr", expression]
}

/// `expression` in the scope of tests/fixtures/eval/scope.nix.
pub fn in_scope(expression: &str) -> String {
    let scope = repository().join("tests/fixtures/eval/scope.nix");
    format!("with import {}; {expression}", scope.display())
}

/// The value of `__json` in a .drv file, unquoted.
fn structured_attributes(derivation: &str) -> Value {
    let start = "(\"__json\",\"";
    let from = derivation.find(start).expect("structured attributes") + start.len();
    let mut text = String::new();
    let mut characters = derivation[from..].chars();
    loop {
        match characters.next().expect("an end of the string") {
            '"' => break,
            '\\' => match characters.next().expect("an escaped character") {
                'n' => text.push('\n'),
                't' => text.push('\t'),
                'r' => text.push('\r'),
                other => text.push(other),
            },
            other => text.push(other),
        }
    }
    serde_json::from_str(&text).unwrap()
}
