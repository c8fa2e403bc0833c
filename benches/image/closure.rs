//! The tree of a small NixOS, by every way.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::common::page::{Bound, Expectation, Section, publish};
use crate::common::{machine, rounds, target_directory};
use crate::measure::{self, Measured, medians, paired_ratio};
use crate::place::Place;
use crate::shape::Shape;
use crate::tree::{self, Made};
use crate::ways::{WAYS, Way};

/// What is on disk when it is most: an image and two copies of its files.
const ROOM: u64 = 14 << 30;

/// Tree and image in memory.
pub fn to_memory(scratch: &Path) {
    let store = scratch.join("store");
    let made = tree::make(&store, &Shape::small_nixos());
    let place = Place::memory(&store, scratch);
    let table = Table {
        name: "memory",
        order: 10,
        title: "A small NixOS, to memory",
        output: "Tree and output are in memory (tmpfs).",
    };
    table.measure(&place, &made);
}

/// The tree in memory, the image on disk.
pub fn to_disk(scratch: &Path) {
    let store = scratch.join("store");
    let made = tree::make(&store, &Shape::small_nixos());
    let disk = tempfile::tempdir_in(target_directory()).unwrap();
    let room = machine::free(disk.path());
    assert!(room >= ROOM, "{} GiB are needed in target", ROOM >> 30);
    let place = Place::disk(&store, disk.path());
    let table = Table {
        name: "disk",
        order: 20,
        title: "A small NixOS, to disk",
        output: "The tree is in memory, everything that is written is on disk, and the time ends \
                 when all of the image is there (`fdatasync`).",
    };
    table.measure(&place, &made);
}

struct Table {
    name: &'static str,
    order: u32,
    title: &'static str,
    output: &'static str,
}

impl Table {
    fn measure(&self, place: &Place, made: &Made) {
        let rounds = rounds();
        println!("\n{}: {made}", self.title);
        // A first run of ours says how long the image is, and warms the caches for all.
        let _ = measure::run(Way::Ours, place, 0);
        let length = fs::metadata(Way::Ours.image(place)).unwrap().len();
        println!("image of {} MiB; {rounds} rounds", length >> 20);
        let mut all: Vec<(Way, Vec<Measured>)> = WAYS.map(|way| (way, Vec::new())).to_vec();
        for _ in 0..rounds {
            for (way, runs) in &mut all {
                let measured = measure::run(*way, place, length);
                println!("{:7.2} s  {}", measured.seconds, way.name());
                runs.push(measured);
            }
        }
        publish(self.section(&all, made));
    }

    fn section(&self, all: &[(Way, Vec<Measured>)], made: &Made) -> Section {
        let ours = &all[0].1;
        let mut cells = Vec::new();
        let mut rows = Vec::new();
        for (way, runs) in all {
            cells.push(cells_of(*way, ours, runs));
            if *way != Way::Ours {
                rows.push(row(*way, ours, runs));
            }
        }
        let columns = [
            "way",
            "seconds",
            "of that sync",
            "ours / it",
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
                "{made}: the sizes and the shape of 207 packages and of a directory of links to \
                 all of them. {} Every way is gone once in each of {} rounds, one after the other; \
                 figures are medians. \"ours / it\" is the median of the ratios in each round. \
                 All memory was used before, and is kept from going back to the host of a virtual \
                 machine, so that no way pays for getting it from there. \
                 The two ways that only read and write make no file system: less can't be done. \
                 The first of them is {:.2} times as fast as mke2fs -d here and {:.2} times as fast \
                 as mkext4: where that is the disk's doing, so is what is missing in the ratios to \
                 these. Peak is the memory of the largest process.",
                self.output,
                ours.len(),
                paired_ratio(runs_of(all, Way::Mke2fs), runs_of(all, Way::Floor)),
                paired_ratio(runs_of(all, Way::Mkext4), runs_of(all, Way::Floor)),
            ),
            columns: columns.map(str::to_owned).to_vec(),
            cells,
            expectations: expectations(all, made),
            rows,
        }
    }
}

fn cells_of(way: Way, ours: &[Measured], runs: &[Measured]) -> Vec<String> {
    let median = medians(runs);
    vec![
        way.name().to_owned(),
        format!("{:.2}", median.seconds),
        format!("{:.2}", median.sync),
        format!("{:.2}", paired_ratio(ours, runs)),
        format!("{:.2}", median.cpu),
        (median.peak >> 20).to_string(),
        (median.read >> 20).to_string(),
        (median.written >> 20).to_string(),
    ]
}

fn row(way: Way, ours: &[Measured], runs: &[Measured]) -> serde_json::Value {
    let paired = paired_ratio(ours, runs);
    let (ours, peer) = (medians(ours), medians(runs));
    json!({
        "name": way.name(),
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

fn runs_of(all: &[(Way, Vec<Measured>)], wanted: Way) -> &[Measured] {
    let found = all.iter().find(|(way, _)| *way == wanted);
    &found.unwrap().1
}

fn expectations(all: &[(Way, Vec<Measured>)], made: &Made) -> Vec<Expectation> {
    let ours = runs_of(all, Way::Ours);
    let ratio = |way: Way| paired_ratio(ours, runs_of(all, way));
    let faster = |what: &str, way: Way, bound: f64| Expectation {
        what: format!("{what} / ours"),
        figure: 1.0 / ratio(way),
        bound: Bound::AtLeast(bound),
        unit: String::new(),
    };
    vec![
        Expectation {
            what: "ours / reading and writing on one core".to_owned(),
            figure: ratio(Way::Floor),
            bound: Bound::AtMost(1.25),
            unit: String::new(),
        },
        faster("mke2fs -d", Way::Mke2fs, 4.0),
        faster("mkext4", Way::Mkext4, 1.4),
        memory(&medians(ours), made.files),
    ]
}

/// 64 MiB, and 300 bytes for each regular file.
pub fn memory(measured: &Measured, files: u64) -> Expectation {
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    Expectation {
        what: format!("peak memory with {files} files"),
        figure: mib(measured.peak),
        bound: Bound::AtMost(mib((64 << 20) + 300 * files)),
        unit: " MiB".to_owned(),
    }
}
