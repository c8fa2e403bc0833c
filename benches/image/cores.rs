//! The time of an image by the number of cores.

use std::path::Path;
use std::thread;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use serde_json::json;

use crate::closure::ROOM;
use crate::common::page::{Bound, Expectation, Section, publish};
use crate::common::{machine, median, rounds, target_directory};
use crate::measure::{self, Measured, medians};
use crate::methods::Method;
use crate::place::Place;
use crate::shape::Shape;
use crate::tree::{self, Counts};

/// Ours, and what limits it.
const METHODS: [Method; 3] = [Method::Ours, Method::Read, Method::Write];

/// From how many cores on the bounds of the largest number of cores apply.
const MANY: usize = 16;

/// Measures a small NixOS with the tree and the image in memory.
pub fn to_memory(scratch: &Path) {
    let store = scratch.join("store");
    let counts = tree::make(&store, &Shape::small_nixos());
    let table = Table {
        name: "cores",
        order: 22,
        title: "By cores, to memory",
        text: "Tree and output are in memory (tmpfs).",
        most: Some(0.35),
        cores: by_cores(),
    };
    table.measure(&Place::memory(&store, scratch), &counts);
}

/// Measures many small files with the tree and the image in memory, on one core and on all.
pub fn many_files(scratch: &Path) {
    let store = scratch.join("store");
    let counts = tree::make(&store, &Shape::small_files(1_000_000));
    let table = Table {
        name: "cores-files",
        order: 23,
        title: "Small files by cores, to memory",
        text: "Files of at most 4 KiB. Tree and output are in memory (tmpfs).",
        most: Some(0.25),
        cores: [1].into_iter().chain(by_cores().pop()).collect(),
    };
    table.measure(&Place::memory(&store, scratch), &counts);
}

/// Measures a small NixOS with the tree in memory and the image on disk.
pub fn to_disk(scratch: &Path) {
    let store = scratch.join("store");
    let counts = tree::make(&store, &Shape::small_nixos());
    let disk = tempfile::tempdir_in(target_directory()).unwrap();
    assert!(
        machine::free(disk.path()) >= ROOM,
        "not enough space in target"
    );
    let table = Table {
        name: "cores-disk",
        order: 24,
        title: "By cores, to disk",
        text: "The tree is in memory, all output is on disk. \"Sync\" is the part of the time after the \
               program has ended, until the whole image is on the disk (`fdatasync`).",
        most: None,
        cores: by_cores(),
    };
    table.measure(&Place::disk(&store, disk.path()), &counts);
}

/// 1, 2, 4, and so on, up to the number of cores.
fn by_cores() -> Vec<usize> {
    let all = thread::available_parallelism().unwrap().get();
    let powers = (0..usize::BITS).map(|power| 1 << power);
    let mut cores: Vec<usize> = powers.take_while(|&cores| cores < all).collect();
    cores.push(all);
    cores
}

/// Lets this process and its children run on the first `cores` of `allowed` only.
fn limit(allowed: &CpuSet, cores: usize) {
    let mut first = CpuSet::new();
    let all = (0..CpuSet::count()).filter(|cpu| allowed.is_set(*cpu).unwrap());
    all.take(cores).for_each(|cpu| first.set(cpu).unwrap());
    sched_setaffinity(Pid::from_raw(0), &first).unwrap();
}

struct Table {
    name: &'static str,
    order: u32,
    title: &'static str,
    text: &'static str,
    /// The largest part of the time on one core that it may take on many.
    most: Option<f64>,
    cores: Vec<usize>,
}

/// The runs on one number of cores, for each of [`METHODS`].
type Runs = [Vec<Measured>; METHODS.len()];

impl Table {
    fn measure(&self, place: &Place, counts: &Counts) {
        println!("\n{}: {counts}", self.title);
        let allowed = sched_getaffinity(Pid::from_raw(0)).unwrap();
        let mut all: Vec<Runs> = vec![Runs::default(); self.cores.len()];
        for _ in 0..rounds() {
            for (&cores, runs) in self.cores.iter().zip(&mut all) {
                limit(&allowed, cores);
                for (method, runs) in METHODS.into_iter().zip(runs) {
                    let measured = measure::run(method, place, counts.bytes);
                    println!(
                        "{cores:3} cores {:7.2} s  {}",
                        measured.seconds,
                        method.name()
                    );
                    runs.push(measured);
                }
            }
        }
        sched_setaffinity(Pid::from_raw(0), &allowed).unwrap();
        publish(self.section(&all, counts));
    }

    fn section(&self, all: &[Runs], counts: &Counts) -> Section {
        let of_one = |runs: &Runs| ratio(&runs[0], &all[0][0]);
        let (mut cells, mut rows) = (Vec::new(), Vec::new());
        for (cores, runs) in self.cores.iter().zip(all) {
            let [ours, read, write] = runs.each_ref().map(|runs| medians(runs));
            let seconds = [
                ours.seconds,
                ours.sync,
                of_one(runs),
                ours.cpu,
                read.seconds,
                write.seconds,
            ];
            let mut row = vec![cores.to_string()];
            row.extend(seconds.map(|figure| format!("{figure:.2}")));
            row.push((ours.peak >> 20).to_string());
            cells.push(row);
            rows.push(json!({
                "name": format!("{cores} cores"),
                "ours": ours.seconds,
                "ours_sync": ours.sync,
                "ours_cpu": ours.cpu,
                "of_one_core": of_one(runs),
                "read": read.seconds,
                "write": write.seconds,
                "ours_peak_mib": ours.peak >> 20,
                "runs": runs[0].len(),
            }));
        }
        Section {
            table: self.name.to_owned(),
            order: self.order,
            title: self.title.to_owned(),
            text: format!(
                "{counts}. {} Each method may use only so many cores (sched_setaffinity(2)). \"Of one \
                 core\" is our time divided by that on one core. \"Reading\" is the time of reading all \
                 files and writing nothing, \"`pwrite`\" that of writing as many bytes to one file and \
                 reading nothing, both on as many cores. Medians of {} rounds.",
                self.text,
                rounds()
            ),
            columns: [
                "cores",
                "ours, s",
                "of which sync",
                "of one core",
                "CPU s",
                "reading, s",
                "`pwrite`, s",
                "peak MiB",
            ]
            .map(str::to_owned)
            .to_vec(),
            cells,
            expectations: self.expectations(all),
            rows,
        }
    }

    fn expectations(&self, all: &[Runs]) -> Vec<Expectation> {
        let (first, last) = (&all[0], &all[all.len() - 1]);
        let most = self.cores[self.cores.len() - 1];
        let peak = |runs: &Runs| medians(&runs[0]).peak as f64 / f64::from(1 << 20);
        let steps = all.windows(2).map(|two| ratio(&two[1][0], &two[0][0]));
        let mut expectations = vec![
            Expectation {
                name: "the worst ratio of our time to that on fewer cores".to_owned(),
                figure: steps.fold(0.0, f64::max),
                bound: Bound::AtMost(1.05),
                unit: String::new(),
            },
            Expectation {
                name: "memory for each further core".to_owned(),
                figure: (peak(last) - peak(first)) / (most - 1).max(1) as f64,
                bound: Bound::AtMost(4.0),
                unit: " MiB".to_owned(),
            },
        ];
        if let Some(bound) = self.most
            && most >= MANY
        {
            expectations.push(Expectation {
                name: format!("our time on {most} cores / on one"),
                figure: ratio(&last[0], &first[0]),
                bound: Bound::AtMost(bound),
                unit: String::new(),
            });
        }
        expectations
    }
}

/// Returns the median of the ratios of the time of `these` to that of `those` in each round.
fn ratio(these: &[Measured], those: &[Measured]) -> f64 {
    let rounds = these.iter().zip(those);
    median(rounds.map(|(these, those)| these.seconds / those.seconds))
}
