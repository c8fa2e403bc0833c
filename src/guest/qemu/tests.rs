//! Runs with a QEMU that is a shell script, for what real guests do rarely.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::accelerate::Accelerator;
use super::attempt::{Files, GRACE, attempts};
use crate::guest::job::EARLIEST;
use crate::image::{Image, LazyImage};
use crate::spec::Guest;

const TOKEN: &str = "t0ken";
const STARTED: &str = "MAKE-DISK-IMAGE t0ken started";
const EXIT: &str = "MAKE-DISK-IMAGE t0ken exit ";
const FAILED: &str = "MAKE-DISK-IMAGE t0ken failed: ";

const PATIENCE: Duration = Duration::from_millis(500);

/// Runs `script` as QEMU, with two accelerators; `$*` has the arguments.
fn run_with(script: &str, memory: u64, timeout: Duration) -> Result<()> {
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
    let disk = disk(directory.path());
    let files = Files {
        directory: directory.path().to_owned(),
        initrd: directory.path().join("initrd"),
        token: TOKEN.to_owned(),
        disk: &disk,
        report: directory.path().join("report"),
        report_length: 1 << 20,
        time: EARLIEST,
        efi_variables: None,
    };
    let guest = Guest {
        qemu,
        memory,
        timeout,
        ..crate::guest::tests::guest()
    };
    attempts(
        &guest,
        &files,
        &[Accelerator::Kvm, Accelerator::Tcg],
        PATIENCE,
    )
}

/// A disk of a MiB of zeros.
fn disk(directory: &Path) -> LazyImage {
    let image = Image {
        length: 1 << 20,
        parts: Vec::new(),
    };
    LazyImage::new(image, &directory.join("disk")).unwrap()
}

fn message(script: &str, memory: u64) -> String {
    let timeout = Duration::from_secs(2);
    format!("{:#}", run_with(script, memory, timeout).unwrap_err())
}

#[test]
fn a_guest_that_hangs_under_kvm_is_emulated() {
    for hang in [
        "sleep 600",
        "echo no kvm >&2; exit 1",
        "echo '[ 0.1] x'; sleep 600",
    ] {
        let script =
            format!("case $* in *accel=kvm*) {hang};; *) echo '{STARTED}'; echo '{EXIT}0';; esac");
        run_with(&script, 1024, Duration::from_secs(60)).unwrap();
    }
}

#[test]
fn a_guest_that_works_under_kvm_is_not_started_again() {
    let script =
        format!("case $* in *accel=kvm*) echo '{STARTED}'; echo '{EXIT}0';; *) exit 1;; esac");
    run_with(&script, 1024, Duration::from_secs(60)).unwrap();
    let script = format!(
        "case $* in *accel=kvm*) echo '{STARTED}'; echo '{FAILED}the script'; echo '{EXIT}1';; esac"
    );
    let error = message(&script, 1024);
    assert!(
        error.starts_with("the guest failed: the script\n"),
        "{error}"
    );
}

#[test]
fn every_end_has_its_message() {
    let started = format!("echo '{STARTED}'");
    for (script, memory, expected) in [
        (
            "exit 1".to_owned(),
            1024,
            "the guest ended after 0 s without having finished\nits console had nothing",
        ),
        (
            "echo 'cannot set up guest memory' >&2; exit 1".to_owned(),
            1024,
            "the guest ended after 0 s without having finished\n\
             QEMU said: cannot set up guest memory\nits console had nothing",
        ),
        (
            format!("{started}; echo work; kill -9 $$"),
            1024,
            "the guest ended after 0 s without having finished\nits console ended:\n  work",
        ),
        (
            format!("{started}; echo 'Kernel panic - not syncing'; exit 0"),
            1024,
            "the guest's kernel panicked (not syncing)\nits console ended:\n  Kernel panic - not syncing",
        ),
        (
            format!("{started}; echo 'Kernel panic - Out of memory: x'"),
            64,
            "the guest's kernel panicked (Out of memory: x): 64 MiB of memory were too little: set \
             memSize to at least 1024\nits console ended:\n  Kernel panic - Out of memory: x",
        ),
        (
            "exit 0".to_owned(),
            64,
            "the guest ended after 0 s without having finished: 64 MiB of memory were too little: \
             set memSize to at least 1024\nits console had nothing",
        ),
        (
            format!("{started}; echo waiting; sleep 600"),
            1024,
            "the guest did not finish within 2 s, and was ended: set guestTimeout to a larger \
             number of seconds if the machine is only slow\nits console ended:\n  waiting",
        ),
        (
            "sleep 600".to_owned(),
            1024,
            "the guest did not start within 2 s: set guestTimeout to a larger number of seconds \
             if the machine is only slow\nits console had nothing",
        ),
        (
            format!(
                "{started}; echo 'cp: No space left on device'; echo '{FAILED}x'; echo '{EXIT}1'"
            ),
            1024,
            "the guest failed: x: a file system was full: of the image, set a larger diskSize (the \
             root file system) or bootSize (the boot partitions); of the guest ($HOME, /run), set a \
             larger memSize\nits console ended:\n  \
             cp: No space left on device",
        ),
    ] {
        assert_eq!(message(&script, memory), expected);
    }
}

#[test]
fn what_a_guest_started_ends_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let pid = directory.path().join("pid");
    let script = format!(
        "sleep 600 & echo $! >{}; echo '{STARTED}'; echo '{EXIT}0'; wait",
        pid.display()
    );
    let begin = Instant::now();
    run_with(&script, 1024, Duration::from_secs(60)).unwrap();
    assert!(begin.elapsed() < GRACE * 2);
    let pid = fs::read_to_string(pid).unwrap();
    let stat = || fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    // A zombie is gone but for the one who should have waited for it.
    let gone = |stat: &str| stat.is_empty() || stat.contains(") Z ");
    // Of what was killed only the child itself has been waited for.
    let killed = Instant::now();
    while !gone(&stat()) && killed.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(gone(&stat()), "{}", stat());
}

#[test]
fn a_missing_qemu_is_named() {
    let guest = Guest {
        qemu: "/nonexistent/qemu".into(),
        ..crate::guest::tests::guest()
    };
    let directory = tempfile::tempdir().unwrap();
    let disk = disk(directory.path());
    let files = Files {
        directory: directory.path().to_owned(),
        initrd: "/i".into(),
        token: TOKEN.to_owned(),
        disk: &disk,
        report: directory.path().join("report"),
        report_length: 1,
        time: EARLIEST,
        efi_variables: None,
    };
    let error = attempts(&guest, &files, &[Accelerator::Tcg], PATIENCE).unwrap_err();
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
    run_with(&script, 1024, Duration::from_secs(60)).unwrap();
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
        let error = run_with(&script, 1024, Duration::from_secs(60)).unwrap_err();
        let error = format!("{error:#}");
        let expected = "/disk ends at byte 4096 and was longer when it was listed: it was changed \
                        during the build\n\
                        the guest can't go on without that, and was ended\n\
                        its console had nothing";
        assert!(error.ends_with(expected), "{error}");
        assert!(
            begin.elapsed() < Duration::from_secs(30),
            "{:?}",
            begin.elapsed()
        );
    }
}

/// It was believed, and what was in the report by then was taken.
#[test]
fn a_program_that_writes_the_end_is_not_init() {
    let script = format!("echo '{STARTED}'; echo 'MAKE-DISK-IMAGE exit 0'; sleep 600");
    let error = message(&script, 1024);
    assert!(
        error.starts_with("the guest did not finish within 2 s, and was ended: "),
        "{error}"
    );
}

/// The limit acted only when there was nothing to read, and all of it was kept.
#[test]
fn a_flood_does_not_keep_a_guest_from_its_limit() {
    for flood in ["yes", "cat /dev/zero", "yes >&2"] {
        let begin = Instant::now();
        let error = message(&format!("echo '{STARTED}'; {flood}"), 1024);
        assert!(begin.elapsed() < GRACE, "{:?}", begin.elapsed());
        let expected = "the guest did not finish within 2 s, and was ended: ";
        assert!(error.starts_with(expected), "{error}");
        assert!(error.len() < 64 << 10, "{}", error.len());
    }
    // Nor one that has ended from going.
    let begin = Instant::now();
    run_with(
        &format!("echo '{STARTED}'; echo '{EXIT}0'; yes"),
        1024,
        Duration::from_secs(60),
    )
    .unwrap();
    assert!(begin.elapsed() < 2 * GRACE, "{:?}", begin.elapsed());
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
    let error = message(&script, 1024);
    assert!(begin.elapsed() < GRACE, "{:?}", begin.elapsed());

    let (directory, rest) = error
        .split_once(" does not take what the guest writes: ")
        .unwrap();
    assert!(directory.starts_with('/'), "{error}");
    assert!(
        rest.starts_with("No space left on device; ") && rest.contains("up to 2097152: "),
        "{error}"
    );
}
