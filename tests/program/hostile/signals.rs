//! Signals in every phase.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::libc;

use super::{ALONE, job, qed};
use crate::common::program::{Job, Running, send};

/// The time limit for short operations on a busy machine.
const TIME_LIMIT: Duration = Duration::from_secs(20);

/// A script that reports where it is, starts a child, and runs forever.
const SLEEP: &str = "sleep 1000 & touch \"$(dirname \"$0\")/reached\"; sleep 1000";

/// Phase, how to make it last, and whether it has been reached.
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
    (
        "conversion",
        |job| {
            qed(job);
            job.tool("qemuImg", SLEEP);
        },
        reached,
    ),
    (
        "postVM",
        |job| {
            let mark = job.place().join("reached");
            job.post_vm(format!("sleep 1000 & touch {}; sleep 1000", mark.display()));
        },
        reached,
    ),
];

#[test]
fn a_signal_stops_everything_and_nothing_is_left() {
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
            ended.assert_nothing_left(TIME_LIMIT);
            assert!(
                start.elapsed() < TIME_LIMIT,
                "{phase}: {:?}",
                start.elapsed()
            );
        }
    }
}

/// Each of these terminates a process by default.
#[test]
fn every_fatal_signal_cleans_up() {
    let signals = [
        ("QUIT", libc::SIGQUIT),
        ("ILL", libc::SIGILL),
        ("TRAP", libc::SIGTRAP),
        ("ABRT", libc::SIGABRT),
        ("BUS", libc::SIGBUS),
        ("FPE", libc::SIGFPE),
        ("USR1", libc::SIGUSR1),
        ("SEGV", libc::SIGSEGV),
        ("USR2", libc::SIGUSR2),
        ("ALRM", libc::SIGALRM),
        ("STKFLT", libc::SIGSTKFLT),
        ("XCPU", libc::SIGXCPU),
        ("XFSZ", libc::SIGXFSZ),
        ("VTALRM", libc::SIGVTALRM),
        ("PROF", libc::SIGPROF),
        ("IO", libc::SIGIO),
        ("PWR", libc::SIGPWR),
        ("SYS", libc::SIGSYS),
        ("RTMIN", libc::SIGRTMIN()),
        ("RTMAX", libc::SIGRTMAX()),
    ];
    for (name, number) in signals {
        let running = at_post_vm();
        // kill(1) does not know all of the names.
        let ended = running.end_by(&number.to_string());
        let signal = ended.output.status.signal();
        assert_eq!(signal, Some(number), "{name}");
        ended.assert_nothing_left(TIME_LIMIT);
    }
}

/// A build whose postVM runs forever.
fn at_post_vm() -> Running {
    let mut job = ALONE.job();
    let mark = job.place().join("reached");
    job.post_vm(format!("touch {}; sleep 1000", mark.display()));
    let mut running = job.start();
    running.wait_for(reached);
    running
}

/// signal to the worker, exit status and signal of the supervisor, parts of the message
type Sent = (
    &'static str,
    Option<i32>,
    Option<i32>,
    &'static [&'static str],
);

/// The kernel kills the process with the most memory, and sends SIGXCPU to the one that uses the
/// processor.
#[test]
fn a_signal_to_the_worker_alone_cleans_up_and_is_reported() {
    let cases: [Sent; 5] = [
        (
            "KILL",
            Some(1),
            None,
            &[
                "error[terminated]: the build was killed (SIGKILL), probably due to a lack of memory on the \
                 machine or in its control group; its largest process used ",
                " MiB of memory: provide more",
            ],
        ),
        (
            "ABRT",
            Some(1),
            None,
            &[
                "error[terminated]: the build could not continue (SIGABRT), probably due to a lack of memory; ",
                " MiB of memory: provide more",
            ],
        ),
        (
            "ILL",
            Some(1),
            None,
            &["error[terminated]: the build was terminated by SIGILL"],
        ),
        (
            "XCPU",
            None,
            Some(24),
            &["terminated by SIGXCPU: it exceeded its CPU time limit (ulimit -t); raise the limit"],
        ),
        (
            "TERM",
            None,
            Some(15),
            &["error[terminated]: the build was terminated by SIGTERM"],
        ),
    ];
    for (name, code, signal, words) in cases {
        let running = at_post_vm();
        let worker = descendants(running.child.id()).remove(0);
        send(name, worker);
        let ended = running.wait();
        assert_eq!(ended.output.status.code(), code, "{name}");
        assert_eq!(ended.output.status.signal(), signal, "{name}");
        ended.assert_nothing_left(TIME_LIMIT);
        let log = ended.said();
        for word in words {
            assert!(log.contains(word), "{name}: no {word:?} in {log}");
        }
    }
}

/// Nix starts a builder as the first process of a PID namespace, for which signals have no default
/// action. After the cleanup, the program has to exit by itself.
#[test]
fn a_signal_stops_the_program_as_pid_1() {
    let mut job = job();
    let mark = job.place().join("reached");
    job.post_vm(format!("touch {}; sleep 1000", mark.display()));
    job.wrapped(&["unshare", "--fork", "--pid", "--mount-proc"]);
    let mut running = job.start();
    running.wait_for(reached);
    let first = descendants(running.child.id()).remove(0);
    send("TERM", first);
    let ended = running.wait();
    assert_eq!(ended.output.status.code(), Some(128 + 15));
    ended.assert_nothing_left(TIME_LIMIT);
}

/// A parent may ignore SIGCHLD. If that is inherited, the kernel discards the status of our own
/// children.
#[test]
fn an_ignored_sigchld_does_not_matter() {
    let mut job = job();
    job.wrapper = vec!["env".into(), "--ignore-signal=CHLD".into()];
    job.run().image("nixos.qcow2");
}

/// A program that cleaned up after an ignored signal would hang, since the signal that it sends to
/// itself would be ignored, too.
#[test]
fn ignored_signals_do_not_stop_the_build() {
    for signal in ["HUP", "INT"] {
        let mut job = job();
        let mark = job.place().join("reached");
        job.post_vm(format!("touch {}; sleep 1", mark.display()));
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
            // The signal came too late. A slower machine reaches more of the steps.
            ended.image("nixos.qcow2");
            continue;
        }
        assert_eq!(ended.output.status.signal(), Some(15), "{delay} ms");
        ended.assert_nothing_left(TIME_LIMIT);
    }
}

/// Nothing can be cleaned up then, but our direct children are killed.
#[test]
fn sigkill_of_the_supervisor_stops_its_direct_children() {
    for (phase, change, reached) in PHASES {
        let mut job = job();
        change(&mut job);
        let mut running = job.start();
        running.wait_for(reached);
        // The worker, and the tool that it runs.
        let mut children = descendants(running.child.id());
        children.truncate(2);
        let expected = if phase == "writing" { 1 } else { 2 };
        assert_eq!(children.len(), expected, "{phase}: {children:?}");
        let ended = running.end_by("KILL");
        assert_eq!(ended.output.status.signal(), Some(9), "{phase}");
        let start = Instant::now();
        while children.iter().any(|child| is_alive(child)) {
            assert!(start.elapsed() < TIME_LIMIT, "{phase}: {children:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
        // We cannot see what the children started. Nix kills a builder's remaining processes.
        stop_grandchildren(&ended.build());
    }
}

/// All descendants of a process, parents first.
fn descendants(id: u32) -> Vec<String> {
    let mut found = vec![id.to_string()];
    let mut next = 0;
    while let Some(id) = found.get(next) {
        let tasks = std::fs::read_dir(format!("/proc/{id}/task"));
        let children: Vec<String> = tasks
            .into_iter()
            .flatten()
            .map(|task| task.unwrap().path().join("children"))
            .flat_map(|file| {
                let text = std::fs::read_to_string(file).unwrap_or_default();
                text.split_whitespace()
                    .map(str::to_owned)
                    .collect::<Vec<_>>()
            })
            .collect();
        found.extend(children);
        next += 1;
    }
    found.remove(0);
    found
}

/// Whether a process exists and is not a zombie.
fn is_alive(id: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    // "id (name) state ...", where the name may contain any byte.
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// Kills the sleeping processes whose working directory is below the build directory.
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
