//! From a closure to a clean root, with the Nix of this machine and its store.

mod fixture;
mod surroundings;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use fixture::{Closure, by_path, listing, nixos_install, open_directory, said, tools};
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
fn the_registration_matches_what_nix_dumps() {
    let closure = Closure::make();
    let registration = store::registration(&closure.paths);
    assert_eq!(String::from_utf8(registration).unwrap(), closure.dump);
    store::check(&closure.paths).unwrap();
}

#[test]
fn the_root_is_what_nixos_install_leaves_without_traces_of_the_build() {
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

/// The machine's programs, with the Nix of Debian 13.
fn tools_of_the_next_debian(directory: &Path) -> Tools {
    for name in ["nix-store", "nix-env"] {
        let program = crate::common::next::program(&format!("usr/bin/{name}"));
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

/// Writes a nixos-install that runs the real one, then `more`.
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
fn the_default_store_of_nixos_install_has_the_closure() {
    let closure = Closure::make();
    let top = open_directory(&["work"]);
    let paths: Vec<_> = closure
        .paths
        .iter()
        .map(|info| info.path.as_str())
        .collect();
    // Fails if one is not registered.
    let program = and_then(
        top.path(),
        &format!("nix-store --check-validity {}", paths.join(" ")),
    );
    let installed = store::install(
        &closure.installation(true),
        &closure.paths,
        &tools(&program),
        &top.path().join("work"),
        1,
    );
    installed.unwrap();
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
fn a_failed_installation_is_rejected() {
    let closure = Closure::make();
    for (more, message) in [
        (
            "echo no such user >&2; exit 7",
            "failed with exit status: 7; last output:\n",
        ),
        (
            "touch $root/nix/store/stranger",
            "nixos-install added stranger to the image's store, but it is not in the closure; \
             add it to additionalPaths",
        ),
        (
            "echo root=$root > $root/etc/conf",
            "/root/etc/conf (contents); make nixos-install write paths relative to the new root",
        ),
        (
            "ln -s $root/etc $root/old",
            "/root/old (link target); make nixos-install",
        ),
        (
            "rm $root/nix/var/nix/db/db.sqlite",
            "nix-store --load-db did not create ",
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
fn paths_outside_the_closure_are_not_installed() {
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
            format!("{message}; add it to exportReferencesGraph.closure of the derivation")
        );
    }
}
