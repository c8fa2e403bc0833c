//! The guest stage of an image with a large closure: its time without that of QEMU, the kernel and the
//! image's own programs.
//!
//! `cargo bench --bench stage` builds images of the fixture's system with a tree of 104,000 files in
//! its closure, several times, and takes the times from the program's log. The activation of the system
//! does little, and its boot loader does nothing. Needs root and 8 GiB of memory.

// A benchmark that cannot continue panics, like a test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../common/mod.rs"]
mod common;
#[path = "../../tests/common/mod.rs"]
mod fixture;
mod image;
#[path = "../image/shape.rs"]
#[allow(dead_code, reason = "only one of its shapes is used here")]
mod shape;
mod times;
#[path = "../image/tree.rs"]
#[allow(dead_code, reason = "only one of its trees is used here")]
mod tree;

use std::path::Path;

use fixture::program::Attributes;
use serde_json::json;

use common::page::{Bound, Expectation, Section, publish};
use common::{machine, median, rounds};
use shape::Shape;
use times::Times;

/// The maximum memory usage: the tree and an image.
const ROOM: u64 = 8 << 30;

fn main() {
    // cargo bench passes --bench; cargo test does not.
    if !std::env::args().any(|argument| argument == "--bench") {
        println!("this is a benchmark; run it with cargo bench");
        return;
    }
    let memory = Path::new("/dev/shm");
    let room = machine::free(memory).min(machine::memory("MemAvailable"));
    assert!(
        room >= ROOM,
        "not enough memory in /dev/shm: {} GiB needed, {} GiB available",
        ROOM >> 30,
        room >> 30
    );
    let scratch = tempfile::tempdir_in(memory).unwrap();
    let store = scratch.path().join("store");
    let counts = tree::make(&store, &Shape::small_nixos());
    let attributes = Attributes::with_guest(r#"loader = "none"; copyChannel = false;"#);
    println!("\n{TITLE}: {counts}");
    let mut all = Vec::new();
    for round in 0..rounds() {
        let times = image::build(&attributes, &store, scratch.path(), round == 0);
        println!("{:7.2} s  of {:.2} s", times.ours(), times.whole());
        all.push(times);
    }
    publish(section(&counts, &all));
}

const TITLE: &str = "The guest stage";

/// A row of the table.
struct Line {
    /// The key in `bench.json`.
    key: &'static str,
    label: &'static str,
    seconds: fn(&Times) -> f64,
}

const fn line(key: &'static str, label: &'static str, seconds: fn(&Times) -> f64) -> Line {
    Line {
        key,
        label,
        seconds,
    }
}

const LINES: [Line; 8] = [
    line(
        "plan",
        "planning its disk and generating the metadata",
        |t| t.plan,
    ),
    line(
        "guest",
        "initrd, mounts, finding changes, report",
        Times::guest,
    ),
    line("merge", "merging the changes into the tree", |t| t.merge),
    line("again", "planning the disk again", |t| t.again),
    line("ours", "total of this program", Times::ours),
    line("boot", "QEMU and the kernel, until init starts", |t| t.boot),
    line("programs", "the image's own programs", |t| t.programs),
    line("whole", "the whole stage", Times::whole),
];

fn section(counts: &tree::Counts, all: &[Times]) -> Section {
    let figure = |seconds: fn(&Times) -> f64| median(all.iter().map(seconds));
    let ours = figure(Times::ours);
    let mut row = json!({ "name": "guest stage", "runs": all.len() });
    let mut cells = Vec::new();
    for line in LINES {
        let seconds = figure(line.seconds);
        row[line.key] = json!(seconds);
        cells.push(vec![line.label.to_owned(), format!("{seconds:.2}")]);
    }
    Section {
        table: "stage".to_owned(),
        order: 90,
        title: TITLE.to_owned(),
        text: format!(
            "An image of a small system with this tree in its closure, in memory: {counts}. In the guest \
             stage, the image's own system runs in a virtual machine. The table shows the time of this \
             program separately from the boot of the kernel and from the image's own programs (in this \
             image, little activation and no boot loader). The files of the closure are not copied for \
             the guest. The processor of the guest is {}. Medians of {} rounds, from the program's log, \
             for each row separately.",
            accelerator(all),
            all.len()
        ),
        columns: ["step", "seconds"].map(str::to_owned).to_vec(),
        cells,
        expectations: vec![Expectation {
            name: "time of this program".to_owned(),
            figure: ours,
            bound: Bound::AtMost(1.0),
            unit: " s".to_owned(),
        }],
        rows: vec![row],
    }
}

fn accelerator(all: &[Times]) -> &'static str {
    match all.iter().any(|times| times.emulated) {
        true => "emulated, which makes everything in it several times slower",
        false => "the machine's own (KVM)",
    }
}
