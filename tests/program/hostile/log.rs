//! Logs that are not read, that are full, or that are closed.

use std::time::{Duration, Instant};

use super::{ATTRIBUTES, job};
use crate::common::program::{Attributes, Job, Running};

/// More lines than fit into a pipe and the queue.
const MUCH: &str = "for i in $(seq 30000); do echo $i; printf %0100d\\\\n; done";

/// With `NIX_LOG_FD`, phases are written to the log, too.
#[test]
fn a_failing_log_is_not_an_error() {
    let full = "exec \"$@\" 2>/dev/full";
    // The reader closes the log before something is written.
    let gone = "exec \"$@\" 2> >(exec true)";
    let closed = "exec \"$@\" 2>&- >&-";
    for script in [full, gone, closed] {
        let mut job = job();
        job.environment.insert("NIX_LOG_FD", "2".into());
        job.post_vm("echo one; echo two >&2");
        job.wrapped(&["bash", "-c", script, "bash"]);
        job.run().image("nixos.qcow2");
    }
}

/// The log arrives complete and in order.
#[test]
fn a_log_that_is_read_gets_every_line() {
    let mut job = job();
    job.environment.insert("NIX_LOG_FD", "2".into());
    job.post_vm(MUCH);
    let ended = job.run();
    ended.image("nixos.qcow2");
    let log = ended.said();
    let numbers = log.lines().filter_map(|line| line.parse::<u32>().ok());
    let numbers = numbers.filter(|&number| number > 0);
    assert!(numbers.eq(1..=30_000), "{} bytes", log.len());
    let phases: Vec<_> = log
        .lines()
        .filter(|line| line.starts_with("@nix "))
        .collect();
    assert_eq!(phases.len(), 4, "{phases:?}");
}

/// Waits for the exit without reading anything.
fn wait_without_reading(mut running: Running, patience: Duration) -> Option<i32> {
    let begin = Instant::now();
    loop {
        if let Some(status) = running.child.try_wait().unwrap() {
            return status.code();
        }
        if begin.elapsed() > patience {
            running.end_by("TERM");
            panic!("still running after {patience:?}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn an_unread_log_does_not_block_a_build() {
    let mut job = job();
    job.post_vm(MUCH);
    assert_eq!(
        wait_without_reading(job.start(), Duration::from_secs(60)),
        Some(0)
    );
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

/// A guest that floods an unread log gets no additional time.
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
    job.on("tcg");
    job.json["guest"]["qemu"] = qemu.to_str().unwrap().into();
    assert_eq!(
        wait_without_reading(job.start(), Duration::from_secs(60)),
        Some(1)
    );
}
