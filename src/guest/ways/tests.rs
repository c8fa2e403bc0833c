//! Runs with a QEMU that is a shell script, for what real guests do rarely.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::thread;
use std::time::Instant;

use super::*;
use crate::guest::qemu::Accelerator;
use crate::guest::tests::{job, machine};
use crate::image::{Image, LazyImage};

const TOKEN: &str = "t0ken";
const STARTED: &str = "MAKE-DISK-IMAGE t0ken started";
const EXIT: &str = "MAKE-DISK-IMAGE t0ken exit ";
const FAILED: &str = "MAKE-DISK-IMAGE t0ken failed: ";

/// Longer than any test may wait for what is to end by itself.
const LONG: Duration = Duration::from_secs(60);

/// For what is to be ended.
const SHORT: Duration = Duration::from_millis(100);

/// Runs `script` as QEMU, under KVM and then emulated; `$*` has the arguments.
fn run_with(script: &str, timeout: Duration, patience: Patience) -> Result<()> {
    let directory = tempfile::tempdir().unwrap();
    let qemu = directory.path().join("qemu");
    {
        let mut options = fs::OpenOptions::new();
        let mut file = options
            .write(true)
            .create(true)
            .mode(0o755)
            .open(&qemu)
            .unwrap();
        write!(file, "#!/bin/sh\n{script}\n").unwrap();
    }
    let ways = [Accelerator::Kvm, Accelerator::Tcg].map(Way::Qemu);
    run_qemu(&qemu, directory.path(), timeout, &ways, patience)
}

/// Runs `qemu`, with files in `directory` and a disk of a MiB of zeros.
fn run_qemu(
    qemu: &Path,
    directory: &Path,
    timeout: Duration,
    ways: &[Way],
    patience: Patience,
) -> Result<()> {
    let image = Image {
        length: 1 << 20,
        parts: Vec::new(),
    };
    let mut machine = machine();
    machine.timeout = timeout;
    machine.qemu.program = qemu.to_owned();
    machine.qemu.modules = directory.to_owned();
    let run = Run {
        machine: &machine,
        job: &job(TOKEN),
        disk: &LazyImage::new(image, &directory.join("disk")).unwrap(),
        init: Path::new("/dev/null"),
        directory,
    };
    attempts(&run, ways, patience).map(drop)
}

/// Runs what is to end by itself.
fn run_long(script: &str) -> Result<()> {
    let patience = Patience {
        first: LONG,
        off: LONG,
    };
    run_with(script, LONG, patience)
}

fn message(script: &str) -> String {
    format!("{:#}", run_long(script).unwrap_err())
}

#[test]
fn a_guest_that_hangs_under_kvm_is_emulated() {
    let patience = Patience {
        first: SHORT,
        off: LONG,
    };
    for hang in [
        "sleep 600",
        "echo no kvm >&2; exit 1",
        "echo '[ 0.1] x'; sleep 600",
    ] {
        let script =
            format!("case $* in *accel=kvm*) {hang};; *) echo '{STARTED}'; echo '{EXIT}0';; esac");
        run_with(&script, LONG, patience).unwrap();
    }
}

#[test]
fn a_guest_that_works_under_kvm_is_not_started_again() {
    let script =
        format!("case $* in *accel=kvm*) echo '{STARTED}'; echo '{EXIT}0';; *) exit 1;; esac");
    run_long(&script).unwrap();
    let script = format!(
        "case $* in *accel=kvm*) echo '{STARTED}'; echo '{FAILED}the script'; echo '{EXIT}1';; esac"
    );
    let error = message(&script);
    assert!(
        error.starts_with("the guest failed: the script\n"),
        "{error}"
    );
}

#[test]
fn what_the_machine_says_is_kept_and_a_signal_is_an_end() {
    assert_eq!(
        message("echo 'cannot set up guest memory' >&2; exit 1"),
        "the guest ended after 0 s without having finished\n\
         QEMU said: cannot set up guest memory\nits console had nothing"
    );
    assert_eq!(
        message(&format!("echo '{STARTED}'; echo work; kill -9 $$")),
        "the guest ended after 0 s without having finished\nits console ended:\n  work"
    );
}

#[test]
fn what_a_guest_started_ends_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let pid = directory.path().join("pid");
    let script = format!(
        "sleep 600 & echo $! >{}; echo '{STARTED}'; echo '{EXIT}0'; wait",
        pid.display()
    );
    let patience = Patience {
        first: LONG,
        off: SHORT,
    };
    run_with(&script, LONG, patience).unwrap();
    let pid = fs::read_to_string(pid).unwrap();
    let stat = || fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    // A zombie is gone but for the one who should have waited for it.
    let gone = |stat: &str| stat.is_empty() || stat.contains(") Z ");
    // Of what was killed only the child itself has been waited for.
    let killed = Instant::now();
    while !gone(&stat()) && killed.elapsed() < LONG {
        thread::sleep(Duration::from_millis(10));
    }
    assert!(gone(&stat()), "{}", stat());
}

#[test]
fn a_missing_qemu_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let ways = [Way::Qemu(Accelerator::Tcg)];
    let qemu = Path::new("/nonexistent/qemu");
    let error = run_qemu(qemu, directory.path(), LONG, &ways, Patience::USUAL).unwrap_err();
    let text = format!("{error:#}");
    assert!(
        text.starts_with(
            "starting the guest that installs the boot loader: starting /nonexistent/qemu -nodefaults"
        ) && text.ends_with("No such file or directory (os error 2)"),
        "{text}"
    );
}

#[test]
fn what_qemu_leaves_does_not_keep_the_disk() {
    // In a process group of its own, with the socket.
    let script = format!("setsid sleep 30 <&0 >/dev/null 2>&1 & echo '{STARTED}'; echo '{EXIT}0'");
    let begin = Instant::now();
    run_long(&script).unwrap();
    assert!(begin.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_disk_that_can_not_be_read_is_the_error_whatever_the_guest_says() {
    // A client of the disk, in place of a guest; the disk's metadata is cut before.
    let read = "truncate -s 4096 \"$TMPDIR/disk\"; qemu-img convert -O raw --image-opts \
                driver=nbd,server.type=fd,server.str=0,export=rustnbd \"$TMPDIR/copy\"";
    for script in [
        format!("{read}; sleep 600"),
        format!("echo '{STARTED}'; {read}; echo '{EXIT}0'"),
    ] {
        let begin = Instant::now();
        let error = message(&script);
        let expected = "/disk ends at byte 4096 and was longer when it was listed: it was changed \
                        during the build\n\
                        the guest can't go on without that, and was ended\n\
                        its console had nothing";
        assert!(error.ends_with(expected), "{error}");
        assert!(begin.elapsed() < LONG / 2, "{:?}", begin.elapsed());
    }
}

/// The limit acted only when there was nothing to read, and all of it was kept.
#[test]
fn a_flood_does_not_keep_a_guest_from_its_limit() {
    let patience = Patience {
        first: LONG,
        off: SHORT,
    };
    for flood in ["yes", "cat /dev/zero", "yes >&2"] {
        let begin = Instant::now();
        let error = run_with(&format!("echo '{STARTED}'; {flood}"), 2 * SHORT, patience);
        assert!(begin.elapsed() < LONG / 2, "{:?}", begin.elapsed());
        let error = format!("{:#}", error.unwrap_err());
        // On a busy machine the script may not have begun by then, and is started twice.
        let expected = "the guest did not ";
        assert!(error.starts_with(expected), "{error}");
        assert!(error.len() < 64 << 10, "{}", error.len());
    }
    // Nor one that has ended from going.
    let begin = Instant::now();
    let script = format!("echo '{STARTED}'; echo '{EXIT}0'; yes");
    run_with(&script, LONG, patience).unwrap();
    assert!(begin.elapsed() < LONG / 2, "{:?}", begin.elapsed());
}

/// The guest had an I/O error on its disk.
#[test]
fn what_can_not_be_stored_is_told_as_qemu_tells_it() {
    // The descriptor of the monitor is the one that the arguments name.
    let script = format!(
        r#"echo '{STARTED}'
           for word; do case $word in socket,id=monitor,fd=*) fd=${{word##*=}};; esac; done
           event='{{"event": "BLOCK_IO_ERROR", "data": {{"operation": "write", "nospace": true,
                   "reason": "No space left on device"}}}}'
           # A plain sh has no numbers above 9.
           fd=$fd event=$event bash -c 'echo $event >&$fd'; sleep 600"#
    );
    let begin = Instant::now();
    let error = message(&script);
    assert!(begin.elapsed() < LONG / 2, "{:?}", begin.elapsed());

    let (directory, rest) = error
        .split_once(" does not take what the guest writes: ")
        .unwrap();
    assert!(directory.starts_with('/'), "{error}");
    assert!(
        rest.starts_with("No space left on device; ") && rest.contains("up to 2097152: "),
        "{error}"
    );
}
