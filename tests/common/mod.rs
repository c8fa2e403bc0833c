//! Test helpers: building with Nix, booting with QEMU, and the oracles that check images. A failing
//! helper panics with the tool's output.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "each test uses a part; a test that cannot go on panics"
)]

pub mod inspect;
pub mod listing;
pub mod markdown;
pub mod mount;
pub mod next;
pub mod nix;
pub mod oracles;
pub mod program;
pub mod qemu;
pub mod record;
pub mod roots;
pub mod runner;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use make_disk_image::scheme::PartitionTable;

/// The values of `partitionTableType`.
pub fn tables() -> [&'static str; 7] {
    PartitionTable::ALL.map(PartitionTable::name)
}

/// The repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The text of a file of the repository.
pub fn read_from_repository(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(repository().join(path)).unwrap()
}

/// The directory that `tests/setup` fills.
pub fn cache() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| repository().join("target"), PathBuf::from);
    let cache = repository().join(target).join("fixture");
    assert!(
        cache.join("bootstrap/busybox").exists(),
        "{} is not filled: run `make setup` (as root) first",
        cache.display()
    );
    cache
}

/// The fixture's programs, in `bin`, and its OVMF. `tests/with-fixture` puts `bin` first in PATH
/// when cargo runs a test.
pub fn programs() -> PathBuf {
    cache().join("programs")
}

/// A directory for one test's files, removed when dropped. It is below `target`, because images
/// are large and `/tmp` may be memory.
pub fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("making a scratch directory")
}

/// A command in the C locale that also finds programs in `/sbin`. The fixture's programs come
/// first: see [`programs`].
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new(program);
    command
        .env("PATH", format!("{path}:/usr/sbin:/sbin"))
        .env("LC_ALL", "C")
        .stdin(Stdio::null());
    command
}

/// Runs a command to its end and returns its status and output.
pub fn run(command: &mut Command) -> Output {
    command
        .output()
        .unwrap_or_else(|error| panic!("starting {command:?}: {error}"))
}

/// Both output streams of a finished command, for a message.
pub fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Runs a command that has to succeed and returns its standard output.
pub fn stdout(command: &mut Command) -> String {
    let output = run(command);
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}",
        output.status,
        said(&output)
    );
    String::from_utf8(output.stdout).expect("a tool's output is UTF-8")
}
