//! The guest stage of an image with a large closure: what it takes beside QEMU, the kernel and the
//! image's own programs.
//!
//! `cargo bench --bench stage` builds images of the fixture's system with a tree of 104,000 files in
//! its closure, several times, and takes the times from the program's own log. The system's
//! activation does little and its boot loader nothing. Takes root, and 8 GiB in memory.

// A benchmark that can't go on panics, as a test does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../common/mod.rs"]
mod common;
#[path = "../../tests/common/mod.rs"]
mod fixture;
mod image;
#[path = "../image/shape.rs"]
#[allow(dead_code, reason = "only one of its shapes is wanted here")]
mod shape;
mod times;
#[path = "../image/tree.rs"]
#[allow(dead_code, reason = "only one of its trees is wanted here")]
mod tree;

use std::path::Path;

use fixture::program::Attributes;
use serde_json::json;

use common::page::{Bound, Expectation, Section, publish};
use common::{machine, median, rounds};
use shape::Shape;
use times::Times;

/// What is in memory when it is most: the tree and an image.
const ROOM: u64 = 8 << 30;

fn main() {
    // What cargo bench says; cargo test says nothing.
    if !std::env::args().any(|argument| argument == "--bench") {
        println!("this measures: run it with cargo bench");
        return;
    }
    let memory = Path::new("/dev/shm");
    let room = machine::free(memory).min(machine::memory("MemAvailable"));
    assert!(
        room >= ROOM,
        "{} GiB are needed in /dev/shm and there are {}",
        ROOM >> 30,
        room >> 30
    );
    let scratch = tempfile::tempdir_in(memory).unwrap();
    let store = scratch.path().join("store");
    let made = tree::make(&store, &Shape::small_nixos());
    let attributes = Attributes::with_guest(r#"loader = "none"; copyChannel = false;"#);
    println!("\n{TITLE}: {made}");
    let mut all = Vec::new();
    for round in 0..rounds() {
        let times = image::build(&attributes, &store, scratch.path(), round == 0);
        println!("{:7.2} s  of {:.2} s", times.ours(), times.whole());
        all.push(times);
    }
    publish(section(&made, &all));
}

const TITLE: &str = "The guest stage";

/// A line of the table.
struct Line {
    /// In `bench.json`.
    key: &'static str,
    what: &'static str,
    of: fn(&Times) -> f64,
}

const fn line(key: &'static str, what: &'static str, of: fn(&Times) -> f64) -> Line {
    Line { key, what, of }
}

const LINES: [Line; 8] = [
    line("plan", "planning its disk, and the metadata on it", |t| {
        t.plan
    }),
    line(
        "guest",
        "initrd, mounts, looking for changes, report",
        Times::guest,
    ),
    line("merge", "putting the changes into the tree", |t| t.merge),
    line("again", "planning the disk again", |t| t.again),
    line("ours", "all that is ours", Times::ours),
    line("boot", "QEMU and the kernel, to init", |t| t.boot),
    line("programs", "the image's own programs", |t| t.programs),
    line("whole", "the whole stage", Times::whole),
];

fn section(made: &tree::Made, all: &[Times]) -> Section {
    let figure = |of: fn(&Times) -> f64| median(all.iter().map(of));
    let ours = figure(Times::ours);
    let mut row = json!({ "name": "guest stage", "runs": all.len() });
    let mut cells = Vec::new();
    for line in LINES {
        let seconds = figure(line.of);
        row[line.key] = json!(seconds);
        cells.push(vec![line.what.to_owned(), format!("{seconds:.2}")]);
    }
    Section {
        table: "stage".to_owned(),
        order: 90,
        title: TITLE.to_owned(),
        text: format!(
            "An image of a small system with this tree in its closure, in memory: {made}. What is \
             ours of the stage in which the image's own system runs in a virtual machine, beside \
             what the boot of a kernel takes and what the image's programs do there (of this one: \
             little activation, no boot loader). The files of the closure are not copied for it. \
             The processor of the guest is {}. Medians of {} rounds, from the program's log; each \
             line by itself.",
            accelerator(all),
            all.len()
        ),
        columns: ["what", "seconds"].map(str::to_owned).to_vec(),
        cells,
        expectations: vec![Expectation {
            what: "what is ours".to_owned(),
            figure: ours,
            bound: Bound::AtMost(1.0),
            unit: " s".to_owned(),
        }],
        rows: vec![row],
    }
}

fn accelerator(all: &[Times]) -> &'static str {
    match all.iter().any(|times| times.emulated) {
        true => "emulated, which makes all that is done in it several times as slow",
        false => "the machine's own (KVM)",
    }
}
