//! A closure of a few files in this machine's Nix store, and a root installed from it.

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use make_disk_image::spec::{Installation, PathInfo, StorePath, Tools};
use sha2::{Digest, Sha256};

/// Evaluation creates the closure; nothing is built.
const EXPRESSION: &str = r#"
    let library = builtins.toFile "library" "used by the others\n"; in {
      system = builtins.toFile "nixos-system" "runs ${library}\n";
      channel = builtins.toFile "nixos-channel" "{ }\n";
      derivation = (derivation {
        name = "package"; system = "any"; builder = "/bin/sh"; args = [ library ];
        outputs = [ "out" "dev" ];
      }).drvPath;
    }
"#;

pub struct Closure {
    pub system: StorePath,
    pub channel: StorePath,
    pub derivation: StorePath,
    pub paths: Vec<PathInfo>,
    /// The output of `nix-store --dump-db` for it, sorted.
    pub dump: String,
}

pub fn store_path(text: &str) -> StorePath {
    StorePath::new(text, "/nix/store").unwrap()
}

/// The standard output of `command`, run without the machine's substituters.
pub fn said(command: &mut Command) -> String {
    let mut config = "substituters =\n".to_owned();
    if nix::unistd::geteuid().is_root() {
        config.push_str("build-users-group =\n");
    }
    let output = command
        .env("NIX_CONFIG", config)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}: {errors}");
    assert!(!errors.contains("error:"), "{command:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

impl Closure {
    pub fn make() -> Closure {
        let json = said(
            Command::new("nix-instantiate")
                .args(["--eval", "--strict", "--json", "--read-write-mode", "-E"])
                .arg(EXPRESSION),
        );
        let names: BTreeMap<String, String> = serde_json::from_str(&json).unwrap();
        let requisites = said(
            Command::new("nix-store")
                .args(["--query", "--requisites"])
                .args(names.values()),
        );
        let mut paths: Vec<&str> = requisites.lines().collect();
        paths.sort_unstable();
        let dump: String = paths
            .iter()
            .map(|path| said(Command::new("nix-store").arg("--dump-db").arg(path)))
            .collect();
        let named = |name: &str| store_path(&names[name]);
        Closure {
            system: named("system"),
            channel: named("channel"),
            derivation: named("derivation"),
            paths: parse(&dump),
            dump,
        }
    }

    pub fn installation(&self, with_channel: bool) -> Installation {
        Installation {
            toplevel: self.system.clone(),
            channel: with_channel.then(|| self.channel.clone()),
            contents: Vec::new(),
            config_file: None,
        }
    }
}

/// The paths in a dump of Nix's database. Results of `builtins.toFile` are content-addressed, which
/// the format does not record.
pub fn parse(dump: &str) -> Vec<PathInfo> {
    let mut lines = dump.lines();
    let mut paths = Vec::new();
    while let Some(path) = lines.next() {
        let hash = lines.next().unwrap();
        let nar_size = lines.next().unwrap().parse().unwrap();
        assert_eq!(lines.next(), Some(""));
        let count = lines.next().unwrap().parse().unwrap();
        let references = lines.by_ref().take(count).map(store_path).collect();
        let text = Sha256::digest(fs::read(path).unwrap());
        paths.push(PathInfo {
            path: store_path(path),
            nar_hash: std::array::from_fn(|at| {
                u8::from_str_radix(&hash[2 * at..2 * at + 2], 16).unwrap()
            }),
            nar_size,
            references,
            content_address: Some(format!("text:sha256:{}", nix_base32::to_nix_base32(&text))),
        });
    }
    paths
}

/// The machine's programs and `nixos_install`.
pub fn tools(nixos_install: &Path) -> Tools {
    let path: Vec<PathBuf> = env::split_paths(&env::var_os("PATH").unwrap()).collect();
    let find = |name: &str| {
        let found = path.iter().map(|directory| directory.join(name));
        let found = found.into_iter().find(|program| program.exists());
        found.unwrap_or_else(|| panic!("{name} is not in PATH"))
    };
    Tools {
        bash: find("bash"),
        mkfs_fat: "/nonexistent/mkfs.fat".into(),
        nix_store: find("nix-store"),
        nixos_install: Some(nixos_install.to_owned()),
        qemu_img: None,
        sqfstar: None,
        path,
        environment: BTreeMap::new(),
    }
}

pub fn nixos_install() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/library/store/nixos-install")
}

/// A directory that every user can enter, with such a subdirectory for each of `names`.
pub fn open_directory(names: &[&str]) -> tempfile::TempDir {
    let top = tempfile::tempdir().unwrap();
    fs::set_permissions(top.path(), Permissions::from_mode(0o755)).unwrap();
    for name in names {
        fs::create_dir(top.path().join(name)).unwrap();
    }
    top
}

/// Every file below `root`: type, mode, path, and target or size. Sizes of databases are left out.
pub fn listing(root: &Path, closure: &Closure) -> String {
    let others = "%y %m /%P\n";
    let found = said(
        Command::new("find")
            .arg(root)
            .args(["-type", "l", "-printf", "%y %m /%P -> %l\n", "-o"])
            .args(["-name", "db.sqlite", "-printf", others, "-o"])
            .args(["-type", "f", "-printf", "%y %m /%P %s\n", "-o"])
            .args(["-printf", others]),
    );
    by_path(
        &found
            .replace(closure.system.as_str(), "SYSTEM")
            .replace(closure.channel.as_str(), "CHANNEL"),
    )
}

/// The lines of a listing in the order of their paths.
pub fn by_path(listing: &str) -> String {
    let mut lines: Vec<&str> = listing.lines().collect();
    lines.sort_by_key(|line| line.split_once('/').map(|(_, path)| path));
    lines.join("\n") + "\n"
}
