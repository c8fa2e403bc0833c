//! From a closure to a clean root, with the Nix of this machine and its store.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;
#[path = "store/fixture.rs"]
mod fixture;

use std::env;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use fixture::{Closure, by_path, listing, nixos_install, open_directory, said, store_path, tools};
use make_disk_image::spec::Tools;
use make_disk_image::store;

const WITHOUT_CHANNEL: &str = "\
d 755 /
d 755 /etc
f 644 /etc/NIXOS 0
d 755 /nix
d 755 /nix/store
d 755 /nix/store/.links
d 755 /nix/var
d 755 /nix/var/nix
d 755 /nix/var/nix/db
f 600 /nix/var/nix/db/big-lock 0
f 644 /nix/var/nix/db/db.sqlite
f 644 /nix/var/nix/db/schema 2
f 600 /nix/var/nix/gc.lock 0
d 755 /nix/var/nix/gcroots
d 755 /nix/var/nix/gcroots/auto
d 755 /nix/var/nix/gcroots/per-user
d 755 /nix/var/nix/profiles
d 755 /nix/var/nix/profiles/per-user
l 777 /nix/var/nix/profiles/system -> system-1-link
l 777 /nix/var/nix/profiles/system-1-link -> SYSTEM
d 755 /nix/var/nix/temproots
";

const OF_A_CHANNEL: &str = "\
d 755 /nix/var/nix/profiles/per-user/root
l 777 /nix/var/nix/profiles/per-user/root/channels -> channels-1-link
l 777 /nix/var/nix/profiles/per-user/root/channels-1-link -> CHANNEL
d 755 /root
d 700 /root/.nix-defexpr
l 777 /root/.nix-defexpr/channels -> /nix/var/nix/profiles/per-user/root/channels
";

#[test]
fn a_registration_is_what_nix_dumps() {
    let closure = Closure::make();
    let registration = store::registration(&closure.paths);
    assert_eq!(String::from_utf8(registration).unwrap(), closure.dump);
    store::check(&closure.paths).unwrap();
}

#[test]
fn what_is_left_is_what_nixos_install_leaves_without_traces_of_the_build() {
    let closure = Closure::make();
    for (channel, expected) in [
        (false, WITHOUT_CHANNEL.to_owned()),
        (true, by_path(&(WITHOUT_CHANNEL.to_owned() + OF_A_CHANNEL))),
    ] {
        let work = open_directory(&[]);
        let root = store::install(
            &closure.installation(channel),
            &closure.paths,
            &tools(&nixos_install()),
            work.path(),
            1,
        )
        .unwrap();
        assert_eq!(listing(&root, &closure), expected);
    }
}

/// The machine's programs but for Nix, which is that of Debian 13.
fn tools_of_the_next_debian(directory: &Path) -> Tools {
    for name in ["nix-store", "nix-env"] {
        let program = common::next::program(&format!("usr/bin/{name}"));
        let words: Vec<_> = [program.get_program()]
            .into_iter()
            .chain(program.get_args())
            .map(|word| format!("'{}'", word.to_str().unwrap()))
            .collect();
        let script = format!("#!/bin/sh\nexec {} \"$@\"\n", words.join(" "));
        let path = directory.join(name);
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    }
    let mut tools = tools(&nixos_install());
    tools.nix_store = directory.join("nix-store");
    tools.path.insert(0, directory.to_owned());
    tools
}

#[test]
fn the_nix_of_the_next_debian_leaves_the_same() {
    let closure = Closure::make();
    let programs = open_directory(&[]);
    let tools = tools_of_the_next_debian(programs.path());
    let version = said(Command::new(&tools.nix_store).arg("--version"));
    assert!(version.contains(" 2.26."), "{version}");
    let install = || {
        let work = open_directory(&[]);
        let root = store::install(
            &closure.installation(true),
            &closure.paths,
            &tools,
            work.path(),
            1,
        )
        .unwrap();
        let database = fs::read(root.join("nix/var/nix/db/db.sqlite")).unwrap();
        (work, root, database)
    };
    let (_work, root, database) = install();
    let expected = by_path(&(WITHOUT_CHANNEL.to_owned() + OF_A_CHANNEL));
    assert_eq!(listing(&root, &closure), expected);

    let nix = |arguments: &[&str]| {
        let mut command = Command::new(&tools.nix_store);
        said(command.arg("--store").arg(&root).args(arguments))
    };
    let system = closure.system.as_str();
    let requisites = nix(&["--query", "--requisites", system]);
    assert_eq!(requisites.lines().count(), 2, "the system and its library");
    let roots = nix(&["--gc", "--print-roots"]);
    assert!(
        roots.contains(system) && roots.contains(closure.channel.as_str()),
        "profiles keep their paths: {roots}"
    );

    let (_work, _, again) = install();
    assert!(database == again, "the database is not the same again");
}

#[test]
fn nix_accepts_the_database() {
    let closure = Closure::make();
    let work = open_directory(&[]);
    let root = store::install(
        &closure.installation(true),
        &closure.paths,
        &tools(&nixos_install()),
        work.path(),
        1,
    )
    .unwrap();
    let nix = |arguments: &[&str]| {
        said(
            Command::new("nix-store")
                .arg("--store")
                .arg(&root)
                .args(arguments),
        )
    };
    for info in &closure.paths {
        let name = info.path.as_str();
        let copied = said(
            Command::new("cp")
                .args(["-a", name])
                .arg(root.join("nix/store")),
        );
        assert_eq!(copied, "");
        let hash = nix(&["--query", "--hash", name]);
        let expected = nix_base32::to_nix_base32(&info.nar_hash);
        assert_eq!(hash.trim(), format!("sha256:{expected}"));
    }
    nix(&["--verify", "--check-contents"]);
    let dumped: String = closure
        .paths
        .iter()
        .map(|info| nix(&["--dump-db", info.path.as_str()]))
        .collect();
    assert_eq!(dumped, closure.dump);
    let system = closure.system.as_str();
    assert_eq!(
        nix(&["--query", "--requisites", system]).lines().count(),
        2,
        "the system and its library"
    );
    let outputs = nix(&["--query", "--outputs", closure.derivation.as_str()]);
    assert_eq!(outputs.lines().count(), 2);
    let roots = nix(&["--gc", "--print-roots"]);
    assert!(
        roots.contains(system) && roots.contains(closure.channel.as_str()),
        "profiles keep their paths: {roots}"
    );
}

#[test]
fn content_addresses_are_those_of_the_graph() {
    let closure = Closure::make();
    let work = open_directory(&[]);
    let root = store::install(
        &closure.installation(false),
        &closure.paths,
        &tools(&nixos_install()),
        work.path(),
        1,
    )
    .unwrap();
    let info = said(
        Command::new("nix")
            .args(["--extra-experimental-features", "nix-command", "path-info"])
            .args(["--json", "--store"])
            .arg(&root)
            .arg(closure.system.as_str()),
    );
    let expected = closure
        .paths
        .iter()
        .find(|info| info.path == closure.system)
        .and_then(|info| info.content_address.clone())
        .unwrap();
    assert!(info.contains(&format!("\"{expected}\"")), "{info}");
}

/// Does the installation that `SURROUNDINGS_*` ask for and leaves what it sees of it;
/// [`Surroundings`] run it as another process.
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

const INSTALL: [&str; 3] = ["--exact", "install_in_these_surroundings", "--ignored"];

/// Our own program and its input where others can reach them.
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

    /// What [`install_in_these_surroundings`] wants to know; directories may be relative.
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

    /// Runs `command` with our program as its last words, in the directory `name`.
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

    /// Makes our program the builder of a derivation, and builds that. It sees the machine's
    /// programs, which it needs, and `top`.
    fn build(&self, sandbox: bool) -> PathBuf {
        let inputs: Vec<String> = self
            .closure
            .paths
            .iter()
            .map(|info| format!("(builtins.storePath {})", info.path))
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
             builder = \"{}\"; args = [ {} ]; PATH = \"/usr/bin:/usr/sbin\"; \
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

/// Compares what two installations left.
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
    // The second time as somebody else: an ordinary user for root, and root for an ordinary user.
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
    // Nix counts time in seconds.
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

/// Writes a nixos-install that runs the real one and `more` after it.
fn and_then(directory: &Path, more: &str) -> PathBuf {
    let program = directory.join("nixos-install");
    let real = nixos_install();
    let script = format!(
        "#!/usr/bin/env bash\nset -e\n{} \"$@\"\nroot=$2 system=$6\n{more}\n",
        real.display()
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
    program
}

#[test]
fn copies_of_the_closure_are_deleted() {
    let closure = Closure::make();
    let top = open_directory(&["work"]);
    let program = and_then(
        top.path(),
        "mkdir -p $root/nix/store/.links; cp -a $system $root/nix/store; \
         ln $root/nix/store/*-nixos-system $root/nix/store/.links/0",
    );
    let root = store::install(
        &closure.installation(false),
        &closure.paths,
        &tools(&program),
        &top.path().join("work"),
        1,
    )
    .unwrap();
    assert_eq!(listing(&root, &closure), WITHOUT_CHANNEL);
}

#[test]
fn an_installation_that_went_wrong_is_no_root() {
    let closure = Closure::make();
    for (more, message) in [
        (
            "echo no such user >&2; exit 7",
            "failed with exit status: 7; it said last:\n",
        ),
        (
            "touch $root/nix/store/stranger",
            "nixos-install put stranger into the image's store, and that is not in the closure: \
             add it to additionalPaths",
        ),
        (
            "echo root=$root > $root/etc/conf",
            "/root/etc/conf (contents); have nixos-install write paths that begin at the new root",
        ),
        (
            "ln -s $root/etc $root/old",
            "/root/old (target of the link); have nixos-install",
        ),
        (
            "rm $root/nix/var/nix/db/db.sqlite",
            "db.sqlite is missing: nix-store --load-db should have made it",
        ),
    ] {
        let top = open_directory(&["work"]);
        let error = store::install(
            &closure.installation(false),
            &closure.paths,
            &tools(&and_then(top.path(), more)),
            &top.path().join("work"),
            1,
        )
        .unwrap_err();
        let error = format!("{error:#}");
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn what_is_not_in_the_closure_is_not_installed() {
    let closure = Closure::make();
    let without = |path: &make_disk_image::spec::StorePath| {
        let mut paths = closure.paths.clone();
        paths.retain(|info| info.path != *path);
        paths
    };
    for (paths, message) in [
        (
            without(&closure.system),
            format!(
                "the system {} is not in the closure of 3 paths",
                closure.system
            ),
        ),
        (
            without(&closure.channel),
            format!(
                "the channel {} is not in the closure of 3 paths",
                closure.channel
            ),
        ),
        (
            Vec::new(),
            format!(
                "the system {} is not in the closure of 0 paths",
                closure.system
            ),
        ),
    ] {
        let work = open_directory(&[]);
        let error = store::install(
            &closure.installation(true),
            &paths,
            &tools(&nixos_install()),
            work.path(),
            1,
        )
        .unwrap_err()
        .to_string();
        assert_eq!(
            error,
            format!("{message}: name it in exportReferencesGraph.closure of the derivation")
        );
    }
}
