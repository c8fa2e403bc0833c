//! Real `nix-build`s of the fixture, offline, sandboxed or not.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::{cache, command, repository, run, said, stdout};

/// The binary under test, as cargo built it for this test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_make-disk-image");

/// A build that has not run: a Nix expression in which `fixture` is the value of `tests/fixtures`.
pub struct Build {
    expression: String,
    sandbox: bool,
    large: bool,
    options: Vec<String>,
}

/// A finished build. The result is a garbage collector root until this is dropped. Images are large
/// and are deleted from the store then, unless something else still uses them.
pub struct Built {
    /// `$out`.
    pub out: PathBuf,
    /// The output of the builder and Nix.
    pub log: String,
    /// How long the whole `nix-build` took.
    pub time: Duration,
    large: bool,
    root: tempfile::TempDir,
}

impl Drop for Built {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(self.root.path().join("result"));
        if self.large {
            let _ = run(nix("nix-store", true).arg("--delete").arg(&self.out));
        }
    }
}

impl Build {
    /// A build of any expression, such as `fixture.config.system.build.toplevel`.
    pub fn expression(expression: &str) -> Self {
        Self {
            expression: expression.to_owned(),
            sandbox: true,
            large: false,
            options: Vec::new(),
        }
    }

    /// A build of our function with the fixture's `pkgs`, `lib` and `config` and these arguments:
    /// the inside of an attribute set, such as `format = "qcow2";`.
    pub fn image(arguments: &str) -> Self {
        Self {
            large: true,
            ..Self::expression(&format!("fixture.makeDiskImage {{ {arguments} }}"))
        }
    }

    /// Whether to build in Nix's sandbox (the default) or without it.
    pub fn sandbox(mut self, sandbox: bool) -> Self {
        self.sandbox = sandbox;
        self
    }

    /// Rebuilds what has been built; Nix fails if the results differ.
    pub fn again(mut self) -> Self {
        self.options.push("--check".to_owned());
        self
    }

    /// Adds an option of `nix-build`.
    pub fn option(mut self, option: &str) -> Self {
        self.options.push(option.to_owned());
        self
    }

    /// Builds it.
    ///
    /// # Panics
    /// If it fails, with the log.
    pub fn run(self) -> Built {
        let root = super::scratch();
        let start = Instant::now();
        let (success, path, log) = self.start(Some(&root.path().join("result")));
        assert!(success, "nix-build of {}\n{log}", self.expression);
        Built {
            out: PathBuf::from(path.trim_end()),
            log,
            time: start.elapsed(),
            large: self.large,
            root,
        }
    }

    /// Runs a build that must fail, and returns the log.
    ///
    /// # Panics
    /// If it succeeds.
    pub fn fails(self) -> String {
        let (success, path, log) = self.start(None);
        assert!(!success, "{} gave {path}\n{log}", self.expression);
        log
    }

    fn start(&self, link: Option<&Path>) -> (bool, String, String) {
        let mut build = nix("nix-build", self.sandbox);
        match link {
            Some(link) => build.arg("--out-link").arg(link),
            None => build.arg("--no-out-link"),
        };
        build
            .args(&self.options)
            .args(["-E", &with_fixture(&self.expression)]);
        let output = run(&mut build);
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
            said(&output),
        )
    }
}

/// Evaluates an expression to a string, with `fixture` as in [`Build`].
pub fn evaluate(expression: &str) -> String {
    let json = stdout(nix("nix-instantiate", true).args([
        "--eval",
        "--strict",
        "--json",
        "-E",
        &with_fixture(expression),
    ]));
    serde_json::from_str(&json).expect("nix-instantiate prints a JSON string")
}

/// The output lines of `nix-store <arguments>`.
pub fn store(arguments: &[&str]) -> Vec<String> {
    stdout(nix("nix-store", true).args(arguments))
        .lines()
        .map(str::to_owned)
        .collect()
}

/// The expression with `fixture` as in [`Build`], for programs that evaluate it themselves.
pub fn with_fixture(expression: &str) -> String {
    format!(
        "let fixture = import {} {{ cache = {}; program = {PROGRAM}; }}; in {expression}",
        repository().join("tests/fixtures").display(),
        cache().display(),
    )
}

/// A Nix command with the tests' configuration instead of the user's: no network, build users, and
/// a static `/bin/sh` in the sandbox.
pub fn nix(program: &str, sandbox: bool) -> Command {
    let mut command = command(program);
    command
        .env(
            "NIX_CONFIG",
            format!(
                "substituters =\n\
                 sandbox = {sandbox}\n\
                 sandbox-fallback = false\n\
                 sandbox-paths = /bin/sh={}/bootstrap/busybox\n\
                 build-users-group = nixbld\n\
                 max-jobs = 2\n\
                 cores = 0\n\
                 experimental-features = nix-command flakes\n",
                cache().display()
            ),
        )
        .env("PAGER", "cat")
        .env_remove("NIX_REMOTE")
        .env_remove("NIX_PATH");
    command
}
