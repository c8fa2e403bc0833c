//! The same installation by another user, in another place and environment, leaves the same files.

use std::env;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use make_disk_image::store;

use super::fixture::{
    self, Closure, by_path, listing, nixos_install, open_directory, said, store_path, tools,
};
use super::{OF_A_CHANNEL, WITHOUT_CHANNEL};

/// Runs the installation described by `SURROUNDINGS_*` and writes what it observes.
/// [`Surroundings`] runs it as another process.
#[test]
#[ignore = "run by other tests as another process"]
fn install_in_these_surroundings() {
    let variable = |name: &str| env::var(format!("SURROUNDINGS_{name}")).unwrap();
    let mut closure = Closure {
        system: store_path(&variable("SYSTEM")),
        channel: store_path(&variable("CHANNEL")),
        derivation: store_path(&variable("DERIVATION")),
        dump: fs::read_to_string(variable("DUMP")).unwrap(),
        paths: Vec::new(),
    };
    closure.paths = fixture::parse(&closure.dump);
    if variable("REVERSED") == "yes" {
        closure.paths.reverse();
    }
    fs::create_dir_all(variable("WORK")).unwrap();
    let root = store::install(
        &closure.installation(true),
        &closure.paths,
        &tools(Path::new(&variable("NIXOS_INSTALL"))),
        Path::new(&variable("WORK")),
        1,
    )
    .unwrap();
    let lists = said(Command::new("getfacl").arg("-sR").arg(&root));
    assert_eq!(lists, "", "inherited access control lists");
    let out = Path::new(&variable("OUT")).to_owned();
    fs::create_dir(&out).unwrap();
    fs::write(out.join("listing"), listing(&root, &closure)).unwrap();
    for file in ["db.sqlite", "schema"] {
        fs::copy(root.join("nix/var/nix/db").join(file), out.join(file)).unwrap();
    }
    let uid = fs::metadata(root.join("etc/NIXOS")).unwrap().uid();
    fs::write(out.join("uid"), uid.to_string()).unwrap();
}

const INSTALL: [&str; 3] = [
    "--exact",
    "store::surroundings::install_in_these_surroundings",
    "--ignored",
];

/// The test program and its input, where other users can reach them.
struct Surroundings {
    closure: Closure,
    top: tempfile::TempDir,
}

impl Surroundings {
    fn make() -> Surroundings {
        let closure = Closure::make();
        let top = open_directory(&["plain", "strange"]);
        fs::copy(env::current_exe().unwrap(), top.path().join("tests")).unwrap();
        fs::copy(nixos_install(), top.path().join("nixos-install")).unwrap();
        fs::write(top.path().join("dump"), &closure.dump).unwrap();
        Surroundings { closure, top }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.top.path().join(name)
    }

    /// The variables of [`install_in_these_surroundings`]; directories may be relative.
    fn variables(&self, work: &str, out: &str, reversed: bool) -> Vec<(&'static str, String)> {
        let at = |name: &str| self.at(name).to_str().unwrap().to_owned();
        vec![
            ("SURROUNDINGS_SYSTEM", self.closure.system.to_string()),
            ("SURROUNDINGS_CHANNEL", self.closure.channel.to_string()),
            (
                "SURROUNDINGS_DERIVATION",
                self.closure.derivation.to_string(),
            ),
            ("SURROUNDINGS_DUMP", at("dump")),
            ("SURROUNDINGS_NIXOS_INSTALL", at("nixos-install")),
            ("SURROUNDINGS_WORK", work.to_owned()),
            ("SURROUNDINGS_OUT", out.to_owned()),
            (
                "SURROUNDINGS_REVERSED",
                if reversed { "yes" } else { "no" }.to_owned(),
            ),
        ]
    }

    /// Runs `command` with the test program as its last arguments, in the directory `name`.
    fn run(&self, command: &mut Command, name: &str, reversed: bool) -> PathBuf {
        let report = said(
            command
                .arg(self.at("tests"))
                .args(INSTALL)
                .current_dir(self.at(name))
                .envs(self.variables(".", "out", reversed))
                .env_remove("NIX_BUILD_TOP"),
        );
        assert!(report.contains("1 passed"), "{report}");
        self.at(name).join("out")
    }

    fn plain(&self) -> PathBuf {
        self.run(&mut Command::new("env"), "plain", false)
    }

    /// Builds a derivation whose builder is the test program. It sees the programs of the fixture and
    /// of the machine, and `top`.
    fn build(&self, sandbox: bool) -> PathBuf {
        let programs = programs();
        let closure = self.closure.paths.iter().map(|info| info.path.to_string());
        let inputs: Vec<String> = programs
            .iter()
            .map(|directory| directory.display().to_string())
            .chain(closure)
            .map(|path| format!("(builtins.storePath {path})"))
            .collect();
        let path: String = programs
            .iter()
            .map(|directory| format!("{}/bin:", directory.display()))
            .collect();
        let variables = self.variables("work", "OUT", true);
        let variables: Vec<String> = variables
            .iter()
            .map(|(name, value)| match value.as_str() {
                "OUT" => format!("{name} = placeholder \"out\";"),
                value => format!("{name} = \"{value}\";"),
            })
            .collect();
        let expression = format!(
            "derivation {{ name = \"surroundings-{sandbox}\"; system = builtins.currentSystem; \
             builder = \"{}\"; args = [ {} ]; PATH = \"{path}/usr/bin:/usr/sbin\"; \
             inputs = [ {} ]; {} }}",
            self.at("tests").display(),
            INSTALL.map(|word| format!("\"{word}\"")).join(" "),
            inputs.join(" "),
            variables.join(" ")
        );
        let out = said(
            Command::new("nix-build")
                .args(["--no-out-link", "--expr", &expression])
                .args(["--option", "sandbox", &sandbox.to_string()])
                .args(["--option", "sandbox-paths"])
                .arg(format!("/usr /lib /lib64 {}", self.top.path().display())),
        );
        PathBuf::from(out.trim())
    }
}

/// The store paths in `PATH`.
fn programs() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap();
    env::split_paths(&path)
        .filter(|directory| directory.starts_with("/nix/store"))
        .map(|directory| directory.components().take(4).collect())
        .collect()
}

/// Compares the results of two installations.
fn assert_equal(a: &Path, b: &Path) {
    let listing = |out: &Path| fs::read_to_string(out.join("listing")).unwrap();
    assert_eq!(
        listing(a),
        by_path(&(WITHOUT_CHANNEL.to_owned() + OF_A_CHANNEL))
    );
    assert_eq!(listing(a), listing(b));
    for file in ["db.sqlite", "schema"] {
        let [a, b] = [a, b].map(|out| fs::read(out.join(file)).unwrap());
        assert!(a == b, "{file} differs");
    }
}

#[test]
fn surroundings_leave_no_trace() {
    let surroundings = Surroundings::make();
    let home = surroundings.at("strange");
    // The second time as another user: an ordinary user if this is root, else root.
    let (other, uid) = if nix::unistd::geteuid().is_root() {
        let uid = "54321"; // in no passwd
        said(Command::new("chown").arg(uid).arg(&home));
        let words = vec!["setpriv", "--reuid", uid, "--regid", uid, "--clear-groups"];
        (words, uid)
    } else {
        (vec!["unshare", "--user", "--map-root-user"], "0")
    };
    said(
        Command::new("setfacl")
            .args(["-m", "default:user:4321:rwx"])
            .arg(&home),
    );
    fs::set_permissions(&home, Permissions::from_mode(0o2755)).unwrap();

    let plain = surroundings.plain();
    // Nix's times have a resolution of seconds.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let mut strange = Command::new("sh");
    strange
        .args(["-c", "umask 077; exec \"$@\"", "sh"])
        .args(other)
        .envs([
            ("TZ", "Pacific/Kiritimati"),
            ("LC_ALL", "tr_TR.UTF-8"),
            ("HOME", "/nonexistent"),
            ("USER", "mallory"),
            ("NIX_REMOTE", "daemon"),
            ("NIX_STATE_DIR", "/nonexistent"),
            ("NIX_USER_CONF_FILES", "/nonexistent"),
            ("BASH_ENV", "/nonexistent"),
        ]);
    let strange = surroundings.run(&mut strange, "strange", true);
    assert_equal(&plain, &strange);
    let user = fs::read_to_string(strange.join("uid")).unwrap();
    assert_eq!(user, uid);
}

#[test]
fn a_build_with_or_without_sandbox_leaves_no_trace() {
    let surroundings = Surroundings::make();
    let plain = surroundings.plain();
    for sandbox in [true, false] {
        let out = surroundings.build(sandbox);
        assert_equal(&plain, &out);
        let user = fs::read_to_string(out.join("uid")).unwrap();
        assert_eq!(user == "1000", sandbox, "built by {user}");
    }
}
