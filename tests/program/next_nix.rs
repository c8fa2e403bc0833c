//! Our function and program with the Nix of Debian 13.

use std::path::Path;

use crate::common::nix::{self, Build};
use crate::common::{cache, next, scratch, stdout};

/// The image must not depend on the version of Nix. This one has another sandbox and writes
/// `.attrs.json` to another place with other keys.
#[test]
fn the_nix_of_the_next_debian_builds_the_same_bytes() {
    let arguments = r#"partitionTableType = "efi"; format = "qcow2"; installBootLoader = false;"#;
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
    let out = stdout(
        next::program("usr/bin/nix-build")
            .env("NIX_CONFIG", configuration)
            .env_remove("NIX_REMOTE")
            .env_remove("NIX_PATH")
            .arg("--store")
            .arg(store.path())
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
