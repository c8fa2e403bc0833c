//! What one way took, measured by a small process around it.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use serde::{Deserialize, Serialize};

use crate::common::median;
use crate::place::Place;
use crate::ways::Way;

/// What a process and its children took.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Measured {
    /// From start to end, in seconds, until what was written is on disk where that is asked for.
    pub seconds: f64,
    /// How much of that was waiting for the disk after the end.
    pub sync: f64,
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

/// Goes `way` once, from the store of `place` to an image of `length` bytes, which some ways have to
/// be told. What an earlier run left is removed first, which takes no part in the time.
pub fn run(way: Way, place: &Place, length: u64) -> Measured {
    place.clear();
    let sync = match place.syncs() {
        true => way.image(place),
        false => PathBuf::new(),
    };
    // In a process of its own: the memory of who starts a program counts as the program's.
    let output = Command::new(std::env::current_exe().unwrap())
        .arg("measure")
        .arg(sync)
        .args(way.command(place, length))
        .stderr(File::create(place.log()).unwrap())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}: {}\n{}",
        way.name(),
        output.status,
        String::from_utf8_lossy(&fs::read(place.log()).unwrap())
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A file to sync or nothing, and a command: runs the command, whose output goes to
/// standard error, and prints what it took.
pub fn child(arguments: &[OsString]) {
    let [sync, command @ ..] = arguments else {
        panic!("a file and a command are needed")
    };
    let begin = Instant::now();
    let status = Command::new(&command[0])
        .args(&command[1..])
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .status()
        .unwrap_or_else(|error| panic!("starting {:?}: {error}", command[0]));
    let ended = Instant::now();
    assert!(status.success(), "{command:?}: {status}");
    if !sync.is_empty() {
        File::open(Path::new(sync)).unwrap().sync_data().unwrap();
    }
    let seconds = begin.elapsed().as_secs_f64();
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
        sync: ended.elapsed().as_secs_f64(),
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
        sync: median(runs.iter().map(|run| run.sync)),
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
