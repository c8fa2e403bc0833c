//! Logs that nobody reads, that are full, or gone.

use std::time::{Duration, Instant};

use super::{ATTRIBUTES, job};
use crate::common::program::{Attributes, Job, Running};

/// Lines for more than a pipe and what may wait for it.
const MUCH: &str = "for i in $(seq 30000); do echo $i; printf %0100d\\\\n; done";

/// With `NIX_LOG_FD` a phase is told; that used to panic.
#[test]
fn a_failing_log_is_not_an_error() {
    let full = "exec \"$@\" 2>/dev/full";
    // The reader is gone when something is written.
    let gone = "exec \"$@\" 2> >(exec true)";
    let closed = "exec \"$@\" 2>&- >&-";
    for script in [full, gone, closed] {
        let mut job = job();
        job.environment.insert("NIX_LOG_FD", "2".into());
        job.post_vm("echo said; echo more >&2");
        job.wrapped(&["bash", "-c", script, "bash"]);
        job.run().image("nixos.qcow2");
    }
}

/// What is read of the log comes in its order, all of it.
#[test]
fn a_log_that_is_read_gets_every_line() {
    let mut job = job();
    job.environment.insert("NIX_LOG_FD", "2".into());
    job.post_vm(MUCH);
    let ended = job.run();
    ended.image("nixos.qcow2");
    let said = ended.said();
    let numbers = said.lines().filter_map(|line| line.parse::<u32>().ok());
    let numbers = numbers.filter(|&number| number > 0);
    assert!(numbers.eq(1..=30_000), "{} bytes", said.len());
    let phases: Vec<_> = said
        .lines()
        .filter(|line| line.starts_with("@nix "))
        .collect();
    assert_eq!(phases.len(), 4, "{phases:?}");
}

/// Waits for the end without reading anything.
fn unread(mut running: Running, patience: Duration) -> Option<i32> {
    let begin = Instant::now();
    loop {
        if let Some(status) = running.child.try_wait().unwrap() {
            return status.code();
        }
        if begin.elapsed() > patience {
            running.end_by("TERM");
            panic!("it goes on after {patience:?}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn an_unread_log_does_not_block_a_build() {
    let mut job = job();
    job.post_vm(MUCH);
    assert_eq!(unread(job.start(), Duration::from_secs(60)), Some(0));
}

#[test]
fn an_unread_log_does_not_block_a_signal() {
    let mut job: Job = ATTRIBUTES.job();
    let mark = job.place().join("reached");
    job.post_vm(format!("touch {}; {MUCH}; sleep 1000", mark.display()));
    let mut running = job.start();
    running.wait_for(|running| running.build().with_file_name("reached").exists());
    std::thread::sleep(Duration::from_secs(1));
    let begin = Instant::now();
    let ended = running.end_by("TERM");
    ended.assert_nothing_left(Duration::from_secs(20));
    assert!(
        begin.elapsed() < Duration::from_secs(20),
        "{:?}",
        begin.elapsed()
    );
}

/// A guest talks into a log that nobody reads, and has no more time than in any other.
#[test]
fn an_unread_log_does_not_extend_the_time_limit_of_the_guest() {
    let mut job = Attributes::with_guest(
        r#"additionalSpace = "0M"; partitionTableType = "none"; copyChannel = false;
           guestTimeout = 3;"#,
    )
    .job();
    let qemu = job.place().join("qemu");
    let script = format!(
        "#!/bin/bash\nPATH=/usr/bin:/bin\nwhile [ \"$1\" != -initrd ]; do shift; done\n\
         token=$(grep -ao '\"token\":\"[0-9a-f]*\"' \"$2\" | cut -d '\"' -f 4)\n\
         echo MAKE-DISK-IMAGE $token started\n{MUCH}\nsleep 1000\n"
    );
    super::script(&qemu, &script);
    job.json["guest"]["qemu"] = qemu.to_str().unwrap().into();
    assert_eq!(unread(job.start(), Duration::from_secs(60)), Some(1));
}
