//! Damaged and hostile images: each is described, or refused with the reason, within 2 seconds and 200
//! MiB.

mod containers;
mod damage;
mod file_systems;
mod tables;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use crate::common::nix::PROGRAM;
use crate::common::{command, run, said, scratch};
use crate::inspect::script;

/// The longest time that a description may take. Other tests run at the same time.
const LIMIT: Duration = Duration::from_secs(2);

/// Runs a command of the program with these arguments in 200 MiB of address space. Returns the exit status,
/// and the output or the error.
fn limited(name: &str, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> (i32, String) {
    let line = r#"ulimit -v 204800; exec "$0" "$@""#;
    let mut bash = command("bash");
    bash.args(["-c", line, PROGRAM, name]).args(arguments);
    let begin = Instant::now();
    let output = run(&mut bash);
    let text = said(&output);
    assert!(begin.elapsed() < LIMIT, "{:?}: {text}", begin.elapsed());
    let code = output
        .status
        .code()
        .unwrap_or_else(|| panic!("{}: {text}", output.status));
    assert!(!text.contains("panicked") && text.len() < 20_000, "{text}");
    (code, text)
}

/// The output of `inspect` for the bytes, or its error.
fn describe(bytes: &[u8]) -> Result<String, String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), bytes).unwrap();
    match limited("inspect", [file.path()]) {
        (0, text) => Ok(text),
        (_, error) => Err(error),
    }
}

#[test]
fn absurd_lengths_take_no_time() {
    let directory = scratch();
    let image = directory.path().join("image");
    for script_text in [
        r#"truncate -s 7E "$1""#,
        r#"qemu-img create -q -f qcow2 -o cluster_size=2M "$1" 1E"#,
        r#"qemu-img create -q -f qcow2 "$1" 64T; truncate -s 1E "$1""#,
        r#"qemu-img create -q -f vhdx -o block_size=1M "$1" 64T"#,
        r#"qemu-img create -q -f vmdk "$1" 2T"#,
        r#"qemu-img create -q -f vdi "$1" 100T"#,
        r#"qemu-img create -q -f vpc -o force_size=on "$1" 2040G"#,
    ] {
        let _ = fs::remove_file(&image);
        let mut bash = command("bash");
        let made = run(bash.args(["-c", script_text, "bash"]).arg(&image));
        // The file system under the test may have a lower limit.
        if !made.status.success() {
            continue;
        }
        let (code, text) = limited("inspect", [&image]);
        assert!(
            code == 0 && text.contains("no partition table"),
            "{script_text}: {text}"
        );
    }
}

#[test]
fn a_disk_without_data_is_looked_through_once() {
    let directory = scratch();
    let [empty, full] = ["empty", "full"].map(|name| directory.path().join(name));
    script(
        r#"qemu-img create -q -f vdi "$1" 64G
        truncate -s 64G "$2"
        head -c 16M /dev/zero | tr '\0' x | dd of="$2" bs=1M conv=notrunc status=none"#,
        &[&empty, &full],
    );
    let (code, text) = limited("diff", [&empty, &full]);
    let found = "16777216 bytes differ, the first is byte 0";
    assert!(code == 1 && text.contains(found), "{text}");
}

#[test]
fn paths_that_are_neither_files_nor_disks_are_rejected_immediately() {
    let directory = tempfile::tempdir().unwrap();
    let (fifo, socket) = (
        directory.path().join("fifo"),
        directory.path().join("socket"),
    );
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let _listener = UnixListener::bind(&socket).unwrap();
    let missing = directory.path().join("missing");
    for (path, message) in [
        (
            fifo.as_path(),
            "it is a FIFO: only files and block devices can be inspected",
        ),
        (directory.path(), "it is a directory: only files"),
        ("/dev/zero".as_ref(), "it is a character device: only files"),
        (socket.as_path(), "No such device or address"),
        (
            missing.as_path(),
            "opening the image: No such file or directory",
        ),
    ] {
        let (code, error) = limited("inspect", [path]);
        assert!(code == 1 && error.contains(message), "{error}");
    }
}
