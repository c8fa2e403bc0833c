//! Our function and program with the Nix of Debian 13.

use std::fs::File;
use std::path::Path;

use crate::common::nix::{self, Build};
use crate::common::{cache, next, scratch, stdout};

/// The image must not depend on the version of Nix. This one has another sandbox and writes
/// `.attrs.json` to another place with other keys.
#[test]
fn the_nix_of_the_next_debian_builds_the_same_bytes() {
    let arguments = r#"partitionTableType = "efi"; format = "qcow2"; loader = "systemd-boot";
                       copyChannel = false; additionalSpace = "64M"; guestMachine = "uml";"#;
    let first = Build::image(arguments).run();

    // It gets its own store: the store of this machine belongs to this machine's Nix.
    let store = scratch();
    let configuration = format!(
        "substituters =\n\
         build-hook =\n\
         build-users-group =\n\
         sandbox = true\n\
         sandbox-fallback = false\n\
         sandbox-paths = /bin/sh={}/bootstrap/busybox\n",
        cache().display()
    );
    let of_next = |program: &str| {
        let mut command = next::program(&format!("usr/bin/{program}"));
        command
            .env("NIX_CONFIG", &configuration)
            .env_remove("NIX_REMOTE")
            .env_remove("NIX_PATH")
            .arg("--store")
            .arg(store.path());
        command
    };
    // The kernel takes minutes to compile.
    let kernel = nix::evaluate("toString (fixture.pkgs.callPackage ./nix/uml-kernel.nix { })");
    let closure = nix::store(&["--query", "--requisites", &kernel]);
    let exported = store.path().join("kernel");
    let file = File::create(&exported).unwrap();
    let export = nix::nix("nix-store", true)
        .arg("--export")
        .args(closure)
        .stdout(file)
        .status();
    assert!(export.unwrap().success());
    stdout(
        of_next("nix-store")
            .arg("--import")
            .stdin(File::open(&exported).unwrap()),
    );
    let out = stdout(
        of_next("nix-build")
            .args(["--no-out-link", "-E"])
            .arg(nix::with_fixture(&format!(
                "fixture.makeDiskImage {{ {arguments} }}"
            ))),
    );
    let out = Path::new(out.trim_end());
    assert_eq!(out, first.out, "not the same derivation");
    let there = store.path().join(out.strip_prefix("/").unwrap());
    let compared = stdout(
        crate::common::command("diff")
            .args(["--recursive", "--report-identical-files"])
            .arg(&first.out)
            .arg(&there),
    );
    assert!(
        compared.contains("nixos.qcow2") && !compared.contains("differ"),
        "{compared}"
    );
}
