//! Compares an onlyNixStore image with other methods of writing the same files: time, memory, bytes.
//!
//! `cargo bench` creates a tree of the size of a small NixOS and runs each method on it in turn, several
//! times, to memory and to disk. It then measures trees with increasing numbers of files, and of entries
//! in one directory. It prints medians and writes them to `target/bench.json` and
//! `docs/performance.md`. MAKE_DISK_IMAGE_BENCH_RUNS sets the number of rounds (5).
//! MAKE_DISK_IMAGE_BENCH_TABLES is a comma-separated list of the tables to measure; the others keep
//! their figures. `cargo bench --bench image -- prepare DIRECTORY [FILES]` creates a tree for a
//! profiler, and `-- warm` keeps memory ready until it is killed.

// A benchmark that cannot continue panics, like a test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod closure;
#[path = "../common/mod.rs"]
mod common;
mod cores;
mod entries;
mod files;
mod formats;
mod growth;
mod measure;
mod methods;
mod packages;
mod place;
mod roots;
mod shape;
mod tree;
mod writer;

use std::ffi::OsString;
use std::path::Path;

/// The maximum memory usage: the tree, an image, and two copies of its files.
const ROOM: u64 = 14 << 30;

/// Measures a table. Files that have to be in memory go to the directory.
type Measure = fn(&Path);

/// All tables.
const TABLES: [(&str, Measure); 14] = [
    ("files", files::measure),
    ("writer", writer::measure),
    ("entries", entries::measure),
    ("memory", closure::to_memory),
    ("disk", closure::to_disk),
    ("cores", cores::to_memory),
    ("cores-files", cores::many_files),
    ("cores-disk", cores::to_disk),
    ("formats", formats::to_memory),
    ("formats-disk", formats::to_disk),
    ("compressed", formats::compressed_to_memory),
    ("compressed-disk", formats::compressed_to_disk),
    ("roots", roots::plain),
    ("roots-compressed", roots::compressed),
];

fn main() {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    match arguments.first().and_then(|first| first.to_str()) {
        Some("measure") => measure::child(&arguments[1..]),
        Some("prepare") => prepare(&arguments[1..]),
        Some("warm") => {
            let _warm = common::warm::up();
            println!("ready");
            std::thread::sleep(std::time::Duration::MAX);
        }
        Some("method") => methods::child(&arguments[1..]),
        // cargo bench passes --bench after all other arguments; cargo test does not.
        Some(_) if arguments.iter().any(|argument| argument == "--bench") => bench(),
        _ => println!("this is a benchmark; run it with cargo bench"),
    }
}

/// Creates a tree for a profiler in a directory, with a number of small files or like a small NixOS, and
/// prints the command that makes an image of it.
fn prepare(arguments: &[OsString]) {
    let [directory, files @ ..] = arguments else {
        panic!("prepare: expected a directory")
    };
    let directory = Path::new(directory);
    std::fs::create_dir(directory).unwrap();
    let shape = match files {
        // cargo bench appends --bench.
        [files, ..] if files != "--bench" => {
            shape::Shape::small_files(files.to_str().unwrap().parse().unwrap())
        }
        _ => shape::Shape::small_nixos(),
    };
    let store = directory.join("store");
    println!("{}", tree::make(&store, &shape));
    let place = place::Place::memory(&store, directory);
    println!("{:?}", methods::Method::Ours.command(&place, 0));
    std::mem::forget(place);
}

fn bench() {
    let wanted = std::env::var("MAKE_DISK_IMAGE_BENCH_TABLES").ok();
    let memory = Path::new("/dev/shm");
    // A memory file system may have more free space than the machine has memory.
    let room = common::machine::free(memory).min(common::machine::memory("MemAvailable"));
    assert!(
        room >= ROOM,
        "not enough memory in /dev/shm: {} GiB needed, {} GiB available",
        ROOM >> 30,
        room >> 30
    );
    let _warm = common::warm::up();
    for (name, measure) in TABLES {
        let all = wanted.as_ref();
        if all.is_none_or(|wanted| wanted.split(',').any(|wanted| wanted == name)) {
            let scratch = tempfile::tempdir_in(memory).unwrap();
            measure(scratch.path());
        }
    }
}
