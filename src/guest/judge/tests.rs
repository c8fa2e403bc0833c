use std::io::Cursor;
use std::time::Duration;

use anyhow::anyhow;

use super::*;
use crate::guest::console::Console;
use crate::guest::marker::Marker;
use crate::guest::tests::machine;

const TOKEN: &str = "t0ken";

/// Returns a guest that printed `console` and ended, and whose machine printed `messages`.
fn ended(console: &str, messages: &str) -> Ended {
    let mut console = Console::new(Cursor::new(console.to_owned()), TOKEN);
    let end = console.follow(Duration::from_secs(60), Duration::from_secs(60));
    Ended {
        console,
        end,
        machine: "QEMU",
        messages: messages.to_owned(),
        time: Duration::from_secs(2),
        failure: None,
        efi_variables: None,
    }
}

/// Returns the error of a machine with `memory` MiB.
fn message(run: &Ended, memory: u64) -> String {
    let machine = Machine {
        memory,
        ..machine()
    };
    judge(&machine, run).unwrap_err().to_string()
}

fn started(rest: &str) -> String {
    format!("{}\n{rest}", Marker::Started.line(TOKEN))
}

fn done() -> String {
    format!("{}\n", Marker::Exit(0).line(TOKEN))
}

fn failed(reason: &str) -> String {
    let failed = Marker::Failed(reason.to_owned()).line(TOKEN);
    format!("{failed}\n{}\n", Marker::Exit(1).line(TOKEN))
}

#[test]
fn accepts_a_guest_that_did_its_tasks() {
    let run = ended(&started(&done()), "warning: x");
    judge(&machine(), &run).unwrap();
}

#[test]
fn each_kind_of_end_has_a_message() {
    let timeout = ": if the machine is just slow, set a larger guestTimeout (in seconds)";
    let late = |end, console: &str| Ended {
        end,
        ..ended(console, "")
    };
    for (run, memory, expected) in [
        (
            ended("", ""),
            1024,
            "the guest ended after 2 s without finishing\nno console output".to_owned(),
        ),
        (
            ended("", "cannot set up guest memory"),
            1024,
            "the guest ended after 2 s without finishing\n\
             last output of QEMU: cannot set up guest memory\nno console output"
                .to_owned(),
        ),
        (
            ended(&started("work"), ""),
            1024,
            "the guest ended after 2 s without finishing\nlast console output:\n  work".to_owned(),
        ),
        (
            ended(&started(&failed("the script")), ""),
            1024,
            "the guest failed: the script\nno console output".to_owned(),
        ),
        (
            ended(&started("Kernel panic - not syncing"), ""),
            1024,
            "the guest's kernel panicked (not syncing)\nlast console output:\n  \
             Kernel panic - not syncing"
                .to_owned(),
        ),
        (
            ended(&started("Kernel panic - Out of memory: x"), ""),
            64,
            "the guest's kernel panicked (Out of memory: x): 64 MiB of memory is not enough: set \
             memSize to at least 1024\nlast console output:\n  Kernel panic - Out of memory: x"
                .to_owned(),
        ),
        (
            ended(&started("Kernel panic - not syncing: Kernel mode signal 7"), ""),
            1024,
            "the guest's kernel panicked (not syncing: Kernel mode signal 7): the file system with the \
             guest's memory is full: free space in /dev/shm and TMPDIR, or set guestMachine to \
             \"tcg\"\nlast console output:\n  Kernel panic - not syncing: Kernel mode signal 7"
                .to_owned(),
        ),
        (
            ended("", ""),
            64,
            "the guest ended after 2 s without finishing: 64 MiB of memory is not enough: set \
             memSize to at least 1024\nno console output"
                .to_owned(),
        ),
        (
            late(End::Late, &started("waiting")),
            1024,
            format!(
                "the guest did not finish within 2 s and was stopped{timeout}\n\
                 last console output:\n  waiting"
            ),
        ),
        (
            late(End::NotStarted, ""),
            1024,
            format!("the guest did not start within 2 s{timeout}\nno console output"),
        ),
        (
            ended(
                &started(&format!("cp: No space left on device\n{}", failed("x"))),
                "",
            ),
            1024,
            "the guest failed: x: a file system is full: if it is the image's, set a larger diskSize \
             (root file system) or bootSize (boot partitions); if it is the guest's ($HOME, /run), \
             set a larger memSize\nlast console output:\n  cp: No space left on device"
                .to_owned(),
        ),
    ] {
        assert_eq!(message(&run, memory), expected);
    }
}

#[test]
fn errors_of_the_host_take_precedence() {
    let mut run = ended(&started(&done()), "");
    run.failure = Some(Failure::Unwritable(Unwritable {
        directory: "/work".into(),
        reason: "No space left on device".to_owned(),
        free: (Some(7), None),
        needed: 9,
    }));
    assert_eq!(
        message(&run, 1024),
        "storing the guest's writes in /work: No space left on device; 7 bytes were free there when \
         the guest started, and ? when it failed; the guest can need up to 9: free space there, or \
         set TMPDIR to a directory with more space\nno console output"
    );
    run.failure = Some(Failure::Unreadable(anyhow!("reading /file")));
    assert_eq!(
        message(&run, 1024),
        "reading /file\nthe guest cannot continue and was stopped\nno console output"
    );
    let code = |run: &Ended| Code::added_to(&judge(&machine(), run).unwrap_err());
    assert_eq!(code(&run), Some(Code::Guest));
    let changed = Code::ChangedFile.error("/file was changed");
    run.failure = Some(Failure::Unreadable(changed));
    assert_eq!(code(&run), Some(Code::ChangedFile));
}
