//! What one way took, measured by a small process around it.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use serde::{Deserialize, Serialize};

use crate::ways::{self, Way};

/// What a process and its children took.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Measured {
    /// From start to end, in seconds.
    pub seconds: f64,
    /// Seconds of all processors together, the kernel's work for it included; what else the
    /// machine does changes them little.
    pub cpu: f64,
    /// The largest resident memory of one process, in bytes.
    pub peak: u64,
    /// Bytes of all reads, cached ones too.
    pub read: u64,
    /// Bytes of all writes.
    pub written: u64,
}

/// Runs `way` once and removes what an earlier run left, which takes no part in the time.
pub fn run(way: Way, store: &Path, image: &Path, length: u64) -> Measured {
    let _ = fs::remove_file(image);
    let stage = image.with_extension("stage");
    for directory in [&stage, &ways::out(store)] {
        if directory.exists() {
            fs::remove_dir_all(directory).unwrap();
        }
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .arg("measure")
        .args(way.command(store, image, &stage, length))
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}: {}", way.name(), output.status);
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Runs a command, whose output goes to standard error, and prints what it took.
pub fn child(command: &[OsString]) {
    let begin = Instant::now();
    let status = Command::new(&command[0])
        .args(&command[1..])
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .status()
        .unwrap_or_else(|error| panic!("starting {:?}: {error}", command[0]));
    let seconds = begin.elapsed().as_secs_f64();
    assert!(status.success(), "{command:?}: {status}");
    // The kernel adds to ours what children had that we waited for (proc(5), getrusage(2)).
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
    let cpu = [usage.user_time(), usage.system_time()].map(seconds_of);
    let io = fs::read_to_string("/proc/self/io").unwrap();
    let field = |name: &str| {
        io.lines()
            .find_map(|line| line.strip_prefix(name))
            .map_or(0, |number| number.trim().parse().unwrap())
    };
    let measured = Measured {
        seconds,
        cpu: cpu.iter().sum(),
        peak: u64::try_from(usage.max_rss()).unwrap() << 10,
        read: field("rchar:"),
        written: field("wchar:"),
    };
    println!("{}", serde_json::to_string(&measured).unwrap());
}

fn seconds_of(time: TimeVal) -> f64 {
    Duration::new(
        u64::try_from(time.tv_sec()).unwrap(),
        u32::try_from(time.tv_usec()).unwrap() * 1000,
    )
    .as_secs_f64()
}

/// The median of each figure by itself.
pub fn medians(runs: &[Measured]) -> Measured {
    let middle = |figure: &dyn Fn(&Measured) -> u64| {
        let mut figures: Vec<u64> = runs.iter().map(figure).collect();
        figures.sort_unstable();
        figures[figures.len() / 2]
    };
    Measured {
        seconds: median(runs.iter().map(|run| run.seconds)),
        cpu: median(runs.iter().map(|run| run.cpu)),
        peak: middle(&|run| run.peak),
        read: middle(&|run| run.read),
        written: middle(&|run| run.written),
    }
}

/// The median of our time divided by theirs in each round. The two ran one soon after the other, so
/// a machine that others slow down for a while slows down both.
pub fn paired_ratio(ours: &[Measured], theirs: &[Measured]) -> f64 {
    let rounds = ours.iter().zip(theirs);
    median(rounds.map(|(ours, theirs)| ours.seconds / theirs.seconds))
}

fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
