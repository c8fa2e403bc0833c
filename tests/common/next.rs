//! Programs of the next Debian (13, trixie), which `tests/setup` unpacked.

use std::path::Path;
use std::process::Command;

use super::{cache, command};

/// A program of Debian 13 by its path there, such as `usr/bin/nix-store`. It runs with the loader
/// and libraries of Debian 13 and without a chroot, so it sees this machine's files.
///
/// # Panics
/// If `tests/setup` did not unpack it.
pub fn program(path: &str) -> Command {
    let root = cache().join("trixie");
    let program = root.join(path);
    assert!(
        program.exists(),
        "there is no {}: run `make setup` (as root) first",
        program.display()
    );
    let libraries = root.join("usr/lib/x86_64-linux-gnu");
    // nix-store and e2fsck are names of multi-call programs.
    let name = Path::new(path).file_name().expect("a program has a name");
    let mut command = command(libraries.join("ld-linux-x86-64.so.2"));
    command
        .arg("--argv0")
        .arg(name)
        .arg("--library-path")
        .arg(libraries)
        .arg(program);
    command
}
