//! An onlyNixStore image beside other ways to the same files: time, memory, bytes.
//!
//! `cargo bench` makes a tree the size of a small NixOS, runs every way on it in turn, several
//! times, to memory and to disk; then trees of more and more files, and of more and more entries
//! in one directory. It prints medians and writes them to `target/bench.json` and
//! `docs/performance.md`. MAKE_DISK_IMAGE_BENCH_RUNS sets how many rounds there are (5).
//! MAKE_DISK_IMAGE_BENCH_TABLES names the tables that are measured, with commas between them;
//! the others stay as they are. `cargo bench --bench image -- prepare DIRECTORY [FILES]` makes a
//! tree for a profiler, and `-- warm` keeps memory ready meanwhile, until it is ended.

// A benchmark that can't go on panics, as a test does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod closure;
#[path = "../common/mod.rs"]
mod common;
mod entries;
mod files;
mod growth;
mod measure;
mod place;
mod shape;
mod tree;
mod warm;
mod ways;
mod writer;

use std::ffi::OsString;
use std::path::Path;

/// What is in memory when it is most: the tree, an image, and two copies of its files.
const ROOM: u64 = 14 << 30;

/// Measures a table; what it needs in memory goes to the directory.
type Measure = fn(&Path);

/// What there is to measure.
const TABLES: [(&str, Measure); 5] = [
    ("files", files::measure),
    ("writer", writer::measure),
    ("entries", entries::measure),
    ("memory", closure::to_memory),
    ("disk", closure::to_disk),
];

fn main() {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    match arguments.first().and_then(|first| first.to_str()) {
        Some("measure") => measure::child(&arguments[1..]),
        Some("prepare") => prepare(&arguments[1..]),
        Some("warm") => {
            let _warm = warm::up();
            println!("ready");
            std::thread::sleep(std::time::Duration::MAX);
        }
        Some("way") => ways::child(&arguments[1..]),
        // What cargo bench says, in that order; cargo test says nothing.
        Some(_) if arguments.iter().any(|argument| argument == "--bench") => bench(),
        _ => println!("this measures: run it with cargo bench"),
    }
}

/// For profilers: makes a tree in a directory, of a number of small files or of a small NixOS, and
/// prints the command that makes an image of it.
fn prepare(arguments: &[OsString]) {
    let [directory, files @ ..] = arguments else {
        panic!("a directory is needed")
    };
    let directory = Path::new(directory);
    std::fs::create_dir(directory).unwrap();
    let shape = match files {
        // cargo bench adds a word of its own.
        [files, ..] if files != "--bench" => {
            shape::Shape::small_files(files.to_str().unwrap().parse().unwrap())
        }
        _ => shape::Shape::small_nixos(),
    };
    let store = directory.join("store");
    println!("{}", tree::make(&store, &shape));
    let place = place::Place::memory(&store, directory);
    println!("{:?}", ways::Way::Ours.command(&place, 0));
    std::mem::forget(place);
}

fn bench() {
    let wanted = std::env::var("MAKE_DISK_IMAGE_BENCH_TABLES").ok();
    let memory = Path::new("/dev/shm");
    // A memory file system has room that the machine may not have.
    let room = common::machine::free(memory).min(common::machine::memory("MemAvailable"));
    assert!(
        room >= ROOM,
        "{} GiB are needed in /dev/shm and there are {}",
        ROOM >> 30,
        room >> 30
    );
    let _warm = warm::up();
    for (name, measure) in TABLES {
        let all = wanted.as_ref();
        if all.is_none_or(|wanted| wanted.split(',').any(|wanted| wanted == name)) {
            let scratch = tempfile::tempdir_in(memory).unwrap();
            measure(scratch.path());
        }
    }
}
