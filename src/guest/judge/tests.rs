use std::io::Cursor;
use std::time::Duration;

use anyhow::anyhow;

use super::*;
use crate::guest::console::Console;
use crate::guest::marker::Marker;
use crate::guest::tests::machine;

const TOKEN: &str = "t0ken";

/// A guest that said `console` and ended; its machine said `said`.
fn ended(console: &str, said: &str) -> Ended {
    let mut console = Console::new(Cursor::new(console.to_owned()), TOKEN);
    let end = console.follow(Duration::from_secs(60), Duration::from_secs(60));
    Ended {
        console,
        end,
        machine: "QEMU",
        said: said.to_owned(),
        time: Duration::from_secs(2),
        served: Ok(()),
        unwritable: None,
        efi_variables: None,
    }
}

/// Of a machine with `memory` MiB.
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
fn a_guest_that_did_all_it_should_is_no_error() {
    let run = ended(&started(&done()), "warning: x");
    judge(&machine(), &run).unwrap();
}

#[test]
fn every_end_has_its_message() {
    let timeout = ": set guestTimeout to a larger number of seconds if the machine is only slow";
    let late = |end, console: &str| Ended {
        end,
        ..ended(console, "")
    };
    for (run, memory, expected) in [
        (
            ended("", ""),
            1024,
            "the guest ended after 2 s without having finished\nits console had nothing".to_owned(),
        ),
        (
            ended("", "cannot set up guest memory"),
            1024,
            "the guest ended after 2 s without having finished\n\
             QEMU said: cannot set up guest memory\nits console had nothing"
                .to_owned(),
        ),
        (
            ended(&started("work"), ""),
            1024,
            "the guest ended after 2 s without having finished\nits console ended:\n  work"
                .to_owned(),
        ),
        (
            ended(&started(&failed("the script")), ""),
            1024,
            "the guest failed: the script\nits console had nothing".to_owned(),
        ),
        (
            ended(&started("Kernel panic - not syncing"), ""),
            1024,
            "the guest's kernel panicked (not syncing)\nits console ended:\n  \
             Kernel panic - not syncing"
                .to_owned(),
        ),
        (
            ended(&started("Kernel panic - Out of memory: x"), ""),
            64,
            "the guest's kernel panicked (Out of memory: x): 64 MiB of memory were too little: set \
             memSize to at least 1024\nits console ended:\n  Kernel panic - Out of memory: x"
                .to_owned(),
        ),
        (
            ended("", ""),
            64,
            "the guest ended after 2 s without having finished: 64 MiB of memory were too little: \
             set memSize to at least 1024\nits console had nothing"
                .to_owned(),
        ),
        (
            late(End::Late, &started("waiting")),
            1024,
            format!(
                "the guest did not finish within 2 s, and was ended{timeout}\nits console ended:\n  \
                 waiting"
            ),
        ),
        (
            late(End::NotStarted, ""),
            1024,
            format!("the guest did not start within 2 s{timeout}\nits console had nothing"),
        ),
        (
            ended(
                &started(&format!("cp: No space left on device\n{}", failed("x"))),
                "",
            ),
            1024,
            "the guest failed: x: a file system was full: of the image, set a larger diskSize (the \
             root file system) or bootSize (the boot partitions); of the guest ($HOME, /run), set a \
             larger memSize\nits console ended:\n  cp: No space left on device"
                .to_owned(),
        ),
    ] {
        assert_eq!(message(&run, memory), expected);
    }
}

#[test]
fn what_the_host_could_not_do_is_the_error_whatever_the_guest_says() {
    let mut run = ended(&started(&done()), "");
    run.unwritable = Some(Unwritable {
        directory: "/work".into(),
        reason: "No space left on device".to_owned(),
        free: (Some(7), None),
        needed: 9,
    });
    assert_eq!(
        message(&run, 1024),
        "/work does not take what the guest writes: No space left on device; 7 bytes were free \
         there when the guest began, and ? when it could not go on; it can take up to 9: make room \
         there, or set TMPDIR to a directory that has more\nits console had nothing"
    );
    run.served = Err(anyhow!("reading /file"));
    assert_eq!(
        message(&run, 1024),
        "reading /file\nthe guest can't go on without that, and was ended\nits console had nothing"
    );
}
