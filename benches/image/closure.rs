//! The tree of a small NixOS, with each method.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::common::page::{Bound, Expectation, Section, publish};
use crate::common::{machine, rounds, target_directory};
use crate::measure::{self, Measured, medians, paired_ratio};
use crate::methods::{METHODS, Method};
use crate::place::Place;
use crate::shape::Shape;
use crate::tree::{self, Counts};

/// The maximum disk usage: an image and two copies of its files.
pub const ROOM: u64 = 14 << 30;

/// Measures with the tree and the image in memory.
pub fn to_memory(scratch: &Path) {
    let store = scratch.join("store");
    let counts = tree::make(&store, &Shape::small_nixos());
    let place = Place::memory(&store, scratch);
    let table = Table {
        name: "memory",
        order: 10,
        title: "A small NixOS, to memory",
        output: "Tree and output are in memory (tmpfs).",
        expectations: |all, counts| {
            let ours = runs_of(all, Method::Ours);
            let mut expectations = vec![Expectation {
                name: "ours / reading and writing on all cores".to_owned(),
                figure: paired_ratio(ours, runs_of(all, Method::ParallelFloor)),
                bound: Bound::AtMost(0.9),
                unit: String::new(),
            }];
            expectations.extend(self::expectations(all, counts, [8.0, 3.0]));
            expectations
        },
    };
    table.measure(&place, &counts);
}

/// Measures with the tree in memory and the image on disk.
pub fn to_disk(scratch: &Path) {
    let store = scratch.join("store");
    let counts = tree::make(&store, &Shape::small_nixos());
    let disk = tempfile::tempdir_in(target_directory()).unwrap();
    let room = machine::free(disk.path());
    assert!(
        room >= ROOM,
        "not enough space in target: {} GiB needed, {} GiB available",
        ROOM >> 30,
        room >> 30
    );
    let place = Place::disk(&store, disk.path());
    let table = Table {
        name: "disk",
        order: 20,
        title: "A small NixOS, to disk",
        output: "The tree is in memory, all output is on disk, and the time includes writing the whole \
                 image to the disk (`fdatasync`).",
        expectations: |all, counts| expectations(all, counts, [4.0, 1.4]),
    };
    table.measure(&place, &counts);
}

/// A method and its runs.
type Row = (Method, Vec<Measured>);

struct Table {
    name: &'static str,
    order: u32,
    title: &'static str,
    output: &'static str,
    expectations: fn(&[Row], &Counts) -> Vec<Expectation>,
}

impl Table {
    fn measure(&self, place: &Place, counts: &Counts) {
        let rounds = rounds();
        println!("\n{}: {counts}", self.title);
        // A first run of our method determines the length of the image and warms the caches for all methods.
        let _ = measure::run(Method::Ours, place, 0);
        let length = fs::metadata(Method::Ours.image(place)).unwrap().len();
        println!("image: {} MiB; {rounds} rounds", length >> 20);
        let mut all: Vec<Row> = METHODS.map(|method| (method, Vec::new())).to_vec();
        for _ in 0..rounds {
            for (method, runs) in &mut all {
                let measured = measure::run(*method, place, length);
                println!("{:7.2} s  {}", measured.seconds, method.name());
                runs.push(measured);
            }
        }
        publish(self.section(&all, counts));
    }

    fn section(&self, all: &[Row], counts: &Counts) -> Section {
        let ours = &all[0].1;
        let mut cells = Vec::new();
        let mut rows = Vec::new();
        for (method, runs) in all {
            cells.push(cells_of(*method, ours, runs));
            if *method != Method::Ours {
                rows.push(row(*method, ours, runs));
            }
        }
        let columns = [
            "method",
            "seconds",
            "of which sync",
            "ratio",
            "CPU seconds",
            "peak MiB",
            "read MiB",
            "written MiB",
        ];
        Section {
            table: self.name.to_owned(),
            order: self.order,
            title: self.title.to_owned(),
            text: format!(
                "{counts}. This is the size and shape of 207 packages and of a directory of links to all \
                 of them. {} Each method runs once in each of {} rounds, one after the other; figures are \
                 medians. The ratio is our time divided by the time of the method: the median of the \
                 ratios of all rounds. All memory is used once in advance and not returned to the host of \
                 a virtual machine, so no method spends time on getting it from the host. The two methods \
                 that only read and write make no file system and are a lower bound. The first of them is \
                 {:.2} times as fast as mke2fs -d and {:.2} times as fast as mkext4; a slow disk lowers \
                 these factors, and limits our advantage over both in the same way. \"Peak\" is the memory \
                 of the largest process.",
                self.output,
                ours.len(),
                paired_ratio(runs_of(all, Method::Mke2fs), runs_of(all, Method::Floor)),
                paired_ratio(runs_of(all, Method::Mkext4), runs_of(all, Method::Floor)),
            ),
            columns: columns.map(str::to_owned).to_vec(),
            cells,
            expectations: (self.expectations)(all, counts),
            rows,
        }
    }
}

fn cells_of(method: Method, ours: &[Measured], runs: &[Measured]) -> Vec<String> {
    let median = medians(runs);
    vec![
        method.name(),
        format!("{:.2}", median.seconds),
        format!("{:.2}", median.sync),
        format!("{:.2}", paired_ratio(ours, runs)),
        format!("{:.2}", median.cpu),
        (median.peak >> 20).to_string(),
        (median.read >> 20).to_string(),
        (median.written >> 20).to_string(),
    ]
}

fn row(method: Method, ours: &[Measured], runs: &[Measured]) -> serde_json::Value {
    let paired = paired_ratio(ours, runs);
    let (ours, peer) = (medians(ours), medians(runs));
    json!({
        "name": method.name(),
        "ours": ours.seconds,
        "peer": peer.seconds,
        "ratio": ours.seconds / peer.seconds,
        "paired_ratio": paired,
        "ours_sync": ours.sync,
        "peer_sync": peer.sync,
        "ours_cpu": ours.cpu,
        "peer_cpu": peer.cpu,
        "cpu_ratio": ours.cpu / peer.cpu,
        "ours_peak_mib": ours.peak >> 20,
        "peer_peak_mib": peer.peak >> 20,
        "ours_bytes_read": ours.read,
        "ours_bytes_written": ours.written,
        "peer_bytes_read": peer.read,
        "peer_bytes_written": peer.written,
        "runs": runs.len(),
    })
}

fn runs_of(all: &[Row], wanted: Method) -> &[Measured] {
    let found = all.iter().find(|(method, _)| *method == wanted);
    &found.unwrap().1
}

/// `factors` are how many times as fast as mke2fs -d and mkext4 our method should be.
fn expectations(all: &[Row], counts: &Counts, factors: [f64; 2]) -> Vec<Expectation> {
    let ours = runs_of(all, Method::Ours);
    let ratio = |method: Method| paired_ratio(ours, runs_of(all, method));
    let faster = |name: &str, method: Method, bound: f64| Expectation {
        name: format!("{name} / ours"),
        figure: 1.0 / ratio(method),
        bound: Bound::AtLeast(bound),
        unit: String::new(),
    };
    vec![
        Expectation {
            name: "ours / reading and writing on one core".to_owned(),
            figure: ratio(Method::Floor),
            bound: Bound::AtMost(1.25),
            unit: String::new(),
        },
        faster("mke2fs -d", Method::Mke2fs, factors[0]),
        faster("mkext4", Method::Mkext4, factors[1]),
        memory(&medians(ours), counts.files),
    ]
}

/// Expects a peak of at most 64 MiB, plus 300 bytes for each regular file.
pub fn memory(measured: &Measured, files: u64) -> Expectation {
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    Expectation {
        name: format!("peak memory with {files} files"),
        figure: mib(measured.peak),
        bound: Bound::AtMost(mib((64 << 20) + 300 * files)),
        unit: " MiB".to_owned(),
    }
}
