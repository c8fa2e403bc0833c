//! Signals in every phase.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::time::{Duration, Instant};

use super::common::program::{Job, Running};
use super::job;

/// A script that says where it is, has a child of its own, and goes on for ever.
const SLEEP: &str = "sleep 1000 & touch \"$(dirname \"$0\")/reached\"; sleep 1000";

/// Phase, what to change so that it lasts, and whether it is reached.
type Phase = (&'static str, fn(&mut Job), fn(&Running) -> bool);

fn reached(running: &Running) -> bool {
    running.build().with_file_name("reached").exists()
}

const PHASES: [Phase; 6] = [
    (
        "registration",
        |job| _ = job.tool("nixStore", SLEEP),
        reached,
    ),
    (
        "nixos-install",
        |job| _ = job.tool("nixosInstall", SLEEP),
        reached,
    ),
    (
        "boot partitions",
        |job| _ = job.tool("mkfsFat", SLEEP),
        reached,
    ),
    (
        "writing",
        |job| _ = job.image("format", "raw"),
        |running| running.out().join(".nixos.img.part").exists(),
    ),
    ("conversion", |job| _ = job.tool("qemuImg", SLEEP), reached),
    (
        "postVM",
        |job| {
            let mark = job.place().join("reached");
            job.image(
                "postVM",
                format!("sleep 1000 & touch {}; sleep 1000", mark.display()),
            );
        },
        reached,
    ),
];

#[test]
fn a_signal_ends_everything_and_leaves_nothing() {
    for (signal, number) in [("TERM", 15), ("INT", 2), ("HUP", 1)] {
        for (phase, change, reached) in PHASES {
            let mut job = job();
            change(&mut job);
            let mut running = job.start();
            running.wait_for(reached);
            let start = Instant::now();
            let ended = running.end_by(signal);
            assert_eq!(
                ended.output.status.signal(),
                Some(number),
                "{phase}: {}",
                ended.output.status
            );
            ended.assert_nothing_left(Duration::from_secs(1));
            assert!(
                start.elapsed() < Duration::from_secs(2),
                "{phase}: {:?}",
                start.elapsed()
            );
        }
    }
}

/// An ignored signal was waited for and cleaned up after, and then the program hung: its own end was
/// ignored, too.
#[test]
fn what_nohup_ignores_does_not_end_the_build() {
    for signal in ["HUP", "INT"] {
        let mut job = job();
        let mark = job.place().join("reached");
        job.json["postVM"] = format!("touch {}; sleep 1", mark.display()).into();
        job.wrapper = vec!["env".into(), format!("--ignore-signal={signal}")];
        let mut running = job.start();
        running.wait_for(reached);
        let ended = running.end_by(signal);
        assert!(ended.output.status.success(), "{:?}", ended.output);
        ended.image("nixos.qcow2");
    }
}

#[test]
fn a_signal_at_any_moment_leaves_nothing() {
    for delay in (0..800).step_by(20) {
        let running = job().start();
        std::thread::sleep(Duration::from_millis(delay));
        let ended = running.end_by("TERM");
        if ended.output.status.success() {
            // It came too late; a slower machine takes more of the steps.
            ended.image("nixos.qcow2");
            continue;
        }
        assert_eq!(ended.output.status.signal(), Some(15), "{delay} ms");
        ended.assert_nothing_left(Duration::from_secs(1));
    }
}

/// Nothing can be cleaned up then, but the children that we started go with us.
#[test]
fn a_kill_ends_the_direct_children() {
    for (phase, change, reached) in PHASES {
        let mut job = job();
        change(&mut job);
        let mut running = job.start();
        running.wait_for(reached);
        let children = children(running.child.id());
        assert_eq!(
            children.is_empty(),
            phase == "writing",
            "{phase}: {children:?}"
        );
        let ended = running.end_by("KILL");
        assert_eq!(ended.output.status.signal(), Some(9), "{phase}");
        let start = Instant::now();
        while children.iter().any(|child| is_alive(child)) {
            assert!(
                start.elapsed() < Duration::from_secs(1),
                "{phase}: {children:?}"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        // What the children started is not ours to see; a builder's leftovers Nix kills.
        stop_grandchildren(&ended.build());
    }
}

fn children(id: u32) -> Vec<String> {
    let mut found = Vec::new();
    for task in std::fs::read_dir(format!("/proc/{id}/task")).unwrap() {
        let text =
            std::fs::read_to_string(task.unwrap().path().join("children")).unwrap_or_default();
        found.extend(text.split_whitespace().map(str::to_owned));
    }
    found
}

/// Whether a process is there and no zombie.
fn is_alive(id: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    // "id (name) state ...", where the name may hold anything.
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// Ends the sleeping processes whose working directory is below the build directory.
fn stop_grandchildren(build: &Path) {
    for process in std::fs::read_dir("/proc").unwrap() {
        let process = process.unwrap();
        let inside =
            std::fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(build));
        if let Ok(id) = process.file_name().to_string_lossy().parse::<i32>()
            && inside
        {
            let _ =
                nix::sys::signal::kill(nix::unistd::Pid::from_raw(id), nix::sys::signal::SIGKILL);
        }
    }
}
