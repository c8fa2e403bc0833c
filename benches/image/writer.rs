//! The ext4 writer alone: lays out a tree that is already in memory and generates its metadata.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use make_disk_image::fs::{Ext4, Format, Options};
use make_disk_image::stage::scan::{self, Policy};
use make_disk_image::tree::{Timestamp, Tree};
use serde_json::json;

use crate::common::page::{Bound, Expectation, Section, publish};
use crate::common::{median, rounds};
use crate::files::FILES;
use crate::shape::Shape;
use crate::tree;

/// Short measurements are repeated until they have processed as many files as the longest, so that other
/// load on the machine affects all of them equally.
const WEIGHT: usize = FILES[2];

/// Microseconds per file.
#[derive(Clone, Copy)]
struct Micros {
    plan: f64,
    metadata: f64,
}

impl Micros {
    fn both(&self) -> f64 {
        self.plan + self.metadata
    }
}

/// Measures trees of small files, of which only names and metadata have been read, in advance.
pub fn measure(scratch: &Path) {
    println!("\n{TITLE}");
    let trees = FILES.map(|files| {
        let store = scratch.join(files.to_string());
        println!("{}", tree::make(&store, &Shape::small_files(files)));
        let read = scan::root(&store, Policy::CLOSURE).unwrap();
        std::fs::remove_dir_all(&store).unwrap();
        (files, Arc::new(read))
    });
    let mut all: [Vec<Micros>; FILES.len()] = Default::default();
    for _ in 0..rounds() {
        for ((files, tree), micros) in trees.iter().zip(&mut all) {
            let found = once(*files, tree);
            println!("{files:8} {:8.2} us", found.both());
            micros.push(found);
        }
    }
    publish(section(&all));
}

/// Finds the automatic size, as for most images, plans a file system of that size, and generates it.
fn once(files: usize, tree: &Arc<Tree>) -> Micros {
    let options = Options {
        uuid: uuid::Uuid::from_bytes([7; 16]),
        label: "nixos".to_owned(),
        time: Timestamp::STORE,
    };
    let repeats = WEIGHT.div_ceil(files);
    let (mut planning, mut writing) = (0.0, 0.0);
    for _ in 0..repeats {
        let begin = Instant::now();
        let counted = Ext4.count(tree, &options).unwrap();
        let plan = counted.plan(counted.smallest(512 << 20).unwrap()).unwrap();
        planning += begin.elapsed().as_secs_f64();
        let begin = Instant::now();
        let mut emit = |offset: u64, bytes: &[u8]| {
            black_box((offset, bytes));
            Ok(())
        };
        plan.metadata(&mut emit).unwrap();
        writing += begin.elapsed().as_secs_f64();
    }
    let each = 1e6 / (repeats * files) as f64;
    Micros {
        plan: planning * each,
        metadata: writing * each,
    }
}

const TITLE: &str = "The ext4 writer alone";

fn section(all: &[Vec<Micros>; FILES.len()]) -> Section {
    let figure = |runs: &[Micros], of: fn(&Micros) -> f64| median(runs.iter().map(of));
    let ratio = |runs: &[Micros], first: &[Micros]| {
        let rounds = runs.iter().zip(first);
        median(rounds.map(|(this, first)| this.both() / first.both()))
    };
    let growth = |runs: &[Micros]| ratio(runs, &all[0]);
    let mut cells = Vec::new();
    let mut rows = Vec::new();
    for (files, runs) in FILES.iter().zip(all) {
        let both = figure(runs, Micros::both);
        let [plan, metadata] = [figure(runs, |m| m.plan), figure(runs, |m| m.metadata)];
        let mut row = vec![files.to_string()];
        row.extend([plan, metadata, both, growth(runs)].map(|figure| format!("{figure:.2}")));
        cells.push(row);
        rows.push(json!({
            "name": format!("{files} files, the writer alone"),
            "plan_micros": plan,
            "metadata_micros": metadata,
            "ours_micros": both,
            "growth": growth(runs),
            "runs": runs.len(),
        }));
    }
    Section {
        table: "writer".to_owned(),
        order: 35,
        title: TITLE.to_owned(),
        text: format!(
            "The same trees, read in advance. \"Plan\" is the time for finding the smallest size and \
             planning a file system of that size, \"metadata\" the time for generating all metadata, both \
             on one core and per regular file. No files are read, so only the writer can cause growth. A \
             tree of 10,000 files fits into the processor's caches and larger trees do not, which \
             explains the first step; beyond that, the time should not grow. Medians of {} rounds.",
            rounds()
        ),
        columns: ["files", "plan, us", "metadata, us", "both, us", "growth"]
            .map(str::to_owned)
            .to_vec(),
        cells,
        expectations: vec![Expectation {
            name: format!("time of the writer per file, {} / {}", FILES[2], FILES[1]),
            figure: ratio(&all[2], &all[1]),
            bound: Bound::AtMost(1.2),
            unit: String::new(),
        }],
        rows,
    }
}
