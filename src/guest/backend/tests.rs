//! Runs with a shell script as QEMU, for what real guests rarely do.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use super::*;
use crate::guest::tests::{job, machine};
use crate::image::{Image, LazyImage};
use crate::spec::Uml;

const TOKEN: &str = "t0ken";
const STARTED: &str = "MAKE-DISK-IMAGE t0ken started";
const EXIT: &str = "MAKE-DISK-IMAGE t0ken exit ";
const FAILED: &str = "MAKE-DISK-IMAGE t0ken failed: ";

/// For scripts that end by themselves: longer than any test may wait.
const LONG: Duration = Duration::from_secs(60);

/// For scripts that are to be stopped.
const SHORT: Duration = Duration::from_millis(100);

/// Runs `script` as QEMU, with KVM and then TCG; `$*` are QEMU's arguments.
fn run_with(script: &str, timeout: Duration, timeouts: Timeouts) -> Result<()> {
    let directory = tempfile::tempdir().unwrap();
    let qemu = script_in(directory.path(), script);
    let backends = [MachineKind::Kvm, MachineKind::Tcg];
    run_qemu(&qemu, directory.path(), timeout, &backends, timeouts)
}

/// Makes a program of `script` in `directory`.
fn script_in(directory: &Path, script: &str) -> PathBuf {
    let program = directory.join("machine");
    let mut options = fs::OpenOptions::new();
    let options = options.write(true).create(true).truncate(true).mode(0o755);
    let mut file = options.open(&program).unwrap();
    write!(file, "#!/bin/sh\n{script}\n").unwrap();
    program
}

/// Runs `qemu`, which is also the kernel of User-Mode Linux, with its files in `directory` and a disk of 1 MiB of zeros.
fn run_qemu(
    qemu: &Path,
    directory: &Path,
    timeout: Duration,
    backends: &[MachineKind],
    timeouts: Timeouts,
) -> Result<()> {
    let image = Image {
        length: 1 << 20,
        parts: Vec::new(),
    };
    let mut machine = machine();
    machine.timeout = timeout;
    machine.qemu.program = qemu.to_owned();
    machine.qemu.modules = directory.to_owned();
    machine.uml = Some(Uml {
        kernel: qemu.to_owned(),
    });
    let run = Run {
        machine: &machine,
        job: &job(TOKEN),
        disk: &Arc::new(LazyImage::new(image, &directory.join("disk")).unwrap()),
        init: Path::new("/dev/null"),
        directory,
    };
    attempts(&run, backends, timeouts).map(drop)
}

/// Runs a script that ends by itself.
fn run_long(script: &str) -> Result<()> {
    let timeouts = Timeouts {
        first: LONG,
        off: LONG,
    };
    run_with(script, LONG, timeouts)
}

fn message(script: &str) -> String {
    format!("{:#}", run_long(script).unwrap_err())
}

/// Returns the choice on a builder where only some machines can be used.
fn chosen(
    only: Option<MachineKind>,
    possible: &[MachineKind],
) -> Result<(Vec<MachineKind>, String)> {
    let usable = |kind| match kind {
        kind if possible.contains(&kind) => Ok(()),
        MachineKind::Kvm => Err("/dev/kvm: Permission denied (os error 13)".to_owned()),
        _ => Err("User-Mode Linux has no EFI variables".to_owned()),
    };
    choose(only, usable)
}

#[test]
fn all_machines_that_the_builder_can_run_are_tried() {
    use MachineKind::{Kvm, Tcg, Uml};
    for (only, possible, expected, line) in [
        (
            None,
            &[Kvm, Uml, Tcg][..],
            &[Kvm, Uml, Tcg][..],
            "the guest runs under KVM",
        ),
        (
            None,
            &[Uml, Tcg],
            &[Uml, Tcg],
            "the guest runs in User-Mode Linux: /dev/kvm: Permission denied (os error 13)",
        ),
        (
            None,
            &[Tcg],
            &[Tcg],
            "the guest is emulated: /dev/kvm: Permission denied (os error 13); User-Mode Linux has no \
             EFI variables",
        ),
        (
            Some(Kvm),
            &[Kvm, Uml, Tcg],
            &[Kvm],
            "the guest runs under KVM (guestMachine = \"kvm\")",
        ),
        (
            Some(Uml),
            &[Kvm, Uml, Tcg],
            &[Uml],
            "the guest runs in User-Mode Linux (guestMachine = \"uml\")",
        ),
        (
            Some(Tcg),
            &[Kvm, Uml, Tcg],
            &[Tcg],
            "the guest is emulated (guestMachine = \"tcg\")",
        ),
    ] {
        assert_eq!(
            chosen(only, possible).unwrap(),
            (expected.to_vec(), line.to_owned())
        );
    }
}

#[test]
fn no_other_machine_is_tried_if_the_only_one_wanted_cannot_be_used() {
    let error = chosen(Some(MachineKind::Kvm), &[MachineKind::Tcg]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "guestMachine = \"kvm\" cannot be used: /dev/kvm: Permission denied (os error 13); give builds \
         access to it, use another builder, or set guestMachine = null, which uses the first machine \
         that works"
    );
}

#[test]
fn emulates_a_guest_that_hangs_under_kvm() {
    let timeouts = Timeouts {
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
        run_with(&script, LONG, timeouts).unwrap();
    }
}

/// QEMU's messages are those of a QEMU that was built without seccomp, of a kernel that refuses the filter,
/// and of a kernel without seccomp.
#[test]
fn qemu_runs_without_its_sandbox_if_it_cannot_confine_itself() {
    for refusal in [
        "echo 'qemu: -sandbox support is not enabled in this QEMU binary' >&2",
        "echo 'qemu: failed to load seccomp syscall filter in kernel: Invalid argument' >&2",
        "echo \"qemu: -sandbox on,...: There is no option group 'sandbox'\" >&2",
    ] {
        let script = format!(
            "case $* in
               *-sandbox\\ on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny*)
                 {refusal}; exit 1;;
               *accel=kvm*) echo '{STARTED}'; echo '{EXIT}0';;
             esac"
        );
        run_long(&script).unwrap();
    }
}

/// Otherwise, what stopped it could weaken its sandbox.
#[test]
fn qemu_keeps_its_sandbox_if_it_ends_for_another_reason() {
    for (end, expected) in [
        (
            "echo 'cannot set up guest memory' >&2",
            "last output of QEMU: cannot set up guest memory",
        ),
        (
            "echo '[ 0.1] Kernel panic - test'",
            "the guest's kernel panicked (test)",
        ),
    ] {
        let script =
            format!("case $* in *-sandbox*) {end};; *) echo '{STARTED}'; echo '{EXIT}0';; esac");
        let error = message(&script);
        assert!(error.contains(expected), "{error}");
    }
}

/// As on a processor that User-Mode Linux does not know, or on a builder that forbids what it needs.
#[test]
fn emulates_a_guest_if_user_mode_linux_does_not_start() {
    let timeouts = Timeouts {
        first: SHORT,
        off: LONG,
    };
    let directory = tempfile::tempdir().unwrap();
    for hang in ["echo odd >&2; exit 1", "kill -SEGV $$", "sleep 600"] {
        let script =
            format!("case $* in *virtio_uml*) {hang};; *) echo '{STARTED}'; echo '{EXIT}0';; esac");
        let program = script_in(directory.path(), &script);
        let backends = [MachineKind::Uml, MachineKind::Tcg];
        run_qemu(&program, directory.path(), LONG, &backends, timeouts).unwrap();
    }
}

#[test]
fn does_not_restart_a_guest_that_works_under_kvm() {
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
fn reports_the_messages_of_a_machine_that_ends_early() {
    assert_eq!(
        message("echo 'cannot set up guest memory' >&2; exit 1"),
        "the guest ended after 0 s without finishing\n\
         last output of QEMU: cannot set up guest memory\nno console output"
    );
    assert_eq!(
        message(&format!("echo '{STARTED}'; echo work; kill -9 $$")),
        "the guest ended after 0 s without finishing\nlast console output:\n  work"
    );
}

#[test]
fn kills_processes_that_qemu_started() {
    let directory = tempfile::tempdir().unwrap();
    let pid = directory.path().join("pid");
    let script = format!(
        "sleep 600 & echo $! >{}; echo '{STARTED}'; echo '{EXIT}0'; wait",
        pid.display()
    );
    let timeouts = Timeouts {
        first: LONG,
        off: SHORT,
    };
    run_with(&script, LONG, timeouts).unwrap();
    let pid = fs::read_to_string(pid).unwrap();
    let stat = || fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    // A zombie was killed, although its parent has not waited for it.
    let gone = |stat: &str| stat.is_empty() || stat.contains(") Z ");
    // The run waits only for its direct child, so this process may take a moment to end.
    let killed = Instant::now();
    while !gone(&stat()) && killed.elapsed() < LONG {
        thread::sleep(Duration::from_millis(10));
    }
    assert!(gone(&stat()), "{}", stat());
}

#[test]
fn reports_the_path_of_a_missing_qemu() {
    let directory = tempfile::tempdir().unwrap();
    let backends = [MachineKind::Tcg];
    let qemu = Path::new("/nonexistent/qemu");
    let error = run_qemu(qemu, directory.path(), LONG, &backends, Timeouts::USUAL).unwrap_err();
    let text = format!("{error:#}");
    assert!(
        text.starts_with("starting the guest: starting /nonexistent/qemu -nodefaults")
            && text.ends_with("No such file or directory (os error 2)"),
        "{text}"
    );
}

#[test]
fn does_not_wait_for_processes_that_qemu_leaves() {
    // A process in its own session that keeps the pipe of its messages open.
    let script = format!("setsid sleep 30 >/dev/null & echo '{STARTED}'; echo '{EXIT}0'");
    let begin = Instant::now();
    run_long(&script).unwrap();
    assert!(begin.elapsed() < Duration::from_secs(20));
}

/// Endless output must not delay the time limit or be kept in full.
#[test]
fn time_limits_apply_during_endless_output() {
    let timeouts = Timeouts {
        first: LONG,
        off: SHORT,
    };
    for flood in ["yes", "cat /dev/zero", "yes >&2"] {
        let begin = Instant::now();
        let error = run_with(&format!("echo '{STARTED}'; {flood}"), 2 * SHORT, timeouts);
        assert!(begin.elapsed() < LONG / 2, "{:?}", begin.elapsed());
        let error = format!("{:#}", error.unwrap_err());
        // On a busy builder, the script may not print anything in time, and is then run a second time.
        let expected = "the guest did not ";
        assert!(error.starts_with(expected), "{error}");
        assert!(error.len() < 64 << 10, "{}", error.len());
    }
    // The same for a guest that has ended, but whose machine keeps printing.
    let begin = Instant::now();
    let script = format!("echo '{STARTED}'; echo '{EXIT}0'; yes");
    run_with(&script, LONG, timeouts).unwrap();
    assert!(begin.elapsed() < LONG / 2, "{:?}", begin.elapsed());
}
