//! The resource usage of a method, measured by a small process that runs it.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};
use serde::{Deserialize, Serialize};

use crate::common::{cpu, median};
use crate::methods::Method;
use crate::place::Place;

/// The resource usage of a process and its children.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Measured {
    /// Seconds from start to end; if the output has to be synced, until it is on disk.
    pub seconds: f64,
    /// The part of `seconds` that was spent waiting for the disk after the process ended.
    pub sync: f64,
    /// Seconds of CPU time on all processors, in user and kernel mode. Other load on the machine has
    /// little influence on it.
    pub cpu: f64,
    /// The maximum resident memory of one process, in bytes.
    pub peak: u64,
    /// Bytes of all reads, including cached ones.
    pub read: u64,
    /// Bytes of all writes.
    pub written: u64,
}

/// Runs `method` once, from the store of `place` to an image of `length` bytes, which only some methods
/// use. The output of an earlier run is removed first, which does not count as time of the run.
pub fn run(method: Method, place: &Place, length: u64) -> Measured {
    place.clear();
    let sync = match place.syncs() && method != Method::Read {
        true => method.image(place),
        false => PathBuf::new(),
    };
    // In a separate process, because the memory of the parent counts as memory of the program.
    let output = Command::new(std::env::current_exe().unwrap())
        .arg("measure")
        .arg(sync)
        .args(method.command(place, length))
        .stderr(File::create(place.log()).unwrap())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}: {}\n{}",
        method.name(),
        output.status,
        String::from_utf8_lossy(&fs::read(place.log()).unwrap())
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Runs a command with its output on standard error, syncs a file unless its path is empty, and prints
/// the resource usage. The arguments are the file and the command.
pub fn child(arguments: &[OsString]) {
    let [sync, command @ ..] = arguments else {
        panic!("measure: expected a file and a command")
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
    // These include the children that this process has waited for (proc(5), getrusage(2)).
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
    let io = fs::read_to_string("/proc/self/io").unwrap();
    let field = |name: &str| {
        io.lines()
            .find_map(|line| line.strip_prefix(name))
            .map_or(0, |number| number.trim().parse().unwrap())
    };
    let measured = Measured {
        seconds,
        sync: ended.elapsed().as_secs_f64(),
        cpu: cpu(&usage),
        peak: u64::try_from(usage.max_rss()).unwrap() << 10,
        read: field("rchar:"),
        written: field("wchar:"),
    };
    println!("{}", serde_json::to_string(&measured).unwrap());
}

/// Returns the median of each figure separately.
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

/// Returns the median of our time divided by their time in each round. Both run shortly after each other,
/// so a temporary load on the machine slows down both.
pub fn paired_ratio(ours: &[Measured], theirs: &[Measured]) -> f64 {
    let rounds = ours.iter().zip(theirs);
    median(rounds.map(|(ours, theirs)| ours.seconds / theirs.seconds))
}
