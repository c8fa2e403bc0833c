//! An onlyNixStore image beside other ways to the same files: time, memory, bytes.
//!
//! `cargo bench` makes a tree the size of a small NixOS, runs every way on it in turn, several
//! times, and prints and writes to `target/bench.json` the medians; beside the ratios of
//! medians stand the medians of the ratios in each round. MAKE_DISK_IMAGE_BENCH_RUNS sets
//! how many times (5). Tree and images are in memory where there is room for them.

// A benchmark that can't go on panics, as a test does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod measure;
mod tree;
mod ways;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use measure::Measured;
use ways::{WAYS, Way};

/// What tree, image and staged copy take together, and room to spare.
const ROOM: u64 = 14 << 30;

fn main() {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    match arguments.first().and_then(|first| first.to_str()) {
        Some("measure") => measure::child(&arguments[1..]),
        Some("way") => ways::child(&arguments[1..]),
        // What cargo bench says, in that order; cargo test says nothing.
        Some(_) if arguments.iter().any(|argument| argument == "--bench") => bench(),
        _ => println!("this measures: run it with cargo bench"),
    }
}

fn bench() {
    let runs: usize = std::env::var("MAKE_DISK_IMAGE_BENCH_RUNS")
        .map_or(5, |runs| runs.parse().expect("a number of runs"));
    assert!(runs > 0, "MAKE_DISK_IMAGE_BENCH_RUNS is 0");
    let target = target_directory();
    let scratch = tempfile::tempdir_in(place(&target)).unwrap();
    let store = scratch.path().join("store");
    let made = tree::make(&store);
    println!("{made}, in {}", store.display());

    // A first run of ours says how long the image is, and warms the caches for all.
    let image = scratch.path().join("image");
    let _ = measure::run(Way::Ours, &store, &image, 0);
    let ours = ways::out(&store).join("nixos.img");
    let length = fs::metadata(ours).unwrap().len();
    println!("image of {} MiB; medians of {runs} runs", length >> 20);
    let mut all: Vec<Vec<Measured>> = vec![Vec::new(); WAYS.len()];
    for _ in 0..runs {
        for (way, results) in WAYS.into_iter().zip(&mut all) {
            results.push(measure::run(way, &store, &image, length));
        }
    }
    report(&all, &target.join("bench.json"));
}

/// Memory, if there is enough of it, or else below the target directory.
fn place(target: &Path) -> PathBuf {
    let memory = Path::new("/dev/shm");
    let free = |path: &Path| {
        nix::sys::statvfs::statvfs(path)
            .map_or(0, |found| found.blocks_available() * found.fragment_size())
    };
    // A memory file system has room that the machine may not have.
    let available = fs::read_to_string("/proc/meminfo")
        .unwrap()
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:")?.strip_suffix("kB"))
        .map_or(0, |kib| kib.trim().parse::<u64>().unwrap() << 10);
    if free(memory).min(available) > ROOM {
        return memory.to_owned();
    }
    assert!(
        free(target) > ROOM,
        "{} GiB are needed in /dev/shm or {}",
        ROOM >> 30,
        target.display()
    );
    target.to_owned()
}

/// The repository's `target`, also where cargo makes one for each platform below it.
fn target_directory() -> PathBuf {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    fs::create_dir_all(&target).unwrap();
    target
}

fn report(all: &[Vec<Measured>], json: &Path) {
    let ours = measure::medians(&all[0]);
    println!(
        "{:44} {:>8} {:>8} {:>8} {:>8} {:>8} {:>9} {:>9} {:>9}",
        "", "seconds", "ours/it", "paired", "CPU s", "ours/it", "peak MiB", "read MiB", "write MiB"
    );
    let mut rows = Vec::new();
    for (way, runs) in WAYS.into_iter().zip(all) {
        let median = measure::medians(runs);
        let ratio = ours.seconds / median.seconds;
        let paired = measure::paired_ratio(&all[0], runs);
        let cpu_ratio = ours.cpu / median.cpu;
        println!(
            "{:44} {:8.2} {ratio:8.2} {paired:8.2} {:8.2} {cpu_ratio:8.2} {:9} {:9} {:9}",
            way.name(),
            median.seconds,
            median.cpu,
            median.peak >> 20,
            median.read >> 20,
            median.written >> 20,
        );
        if way == Way::Ours {
            continue;
        }
        rows.push(serde_json::json!({
            "name": way.name(),
            "ours": ours.seconds,
            "peer": median.seconds,
            "ratio": ratio,
            "paired_ratio": paired,
            "ours_cpu": ours.cpu,
            "peer_cpu": median.cpu,
            "cpu_ratio": cpu_ratio,
            "ours_peak_mib": ours.peak >> 20,
            "peer_peak_mib": median.peak >> 20,
            "ours_bytes_read": ours.read,
            "ours_bytes_written": ours.written,
            "peer_bytes_read": median.read,
            "peer_bytes_written": median.written,
            "runs": runs.len(),
        }));
    }
    let text = serde_json::to_string_pretty(&rows).unwrap();
    fs::write(json, format!("{text}\n")).unwrap();
}
