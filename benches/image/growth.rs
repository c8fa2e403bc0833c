//! How time grows with a tree: rounds over trees of different sizes, ours and the floor.

use std::path::Path;

use serde_json::json;

use crate::common::page::{Bound, Expectation};
use crate::common::{median, rounds};
use crate::measure::{self, Measured};
use crate::place::Place;
use crate::ways::Way;

/// The ways that are measured.
const WAYS: [Way; 2] = [Way::Ours, Way::Floor];

/// One size.
pub struct Size {
    /// How large it is, in what the time is divided by to tell sizes apart.
    pub label: usize,
    /// What the time is divided by.
    pub count: usize,
    /// Makes the tree.
    pub make: Box<dyn Fn(&Path)>,
}

/// What was measured of one size: microseconds for each of `count`, round by round, ours first.
pub struct Grown {
    pub label: usize,
    pub micros: [Vec<f64>; 2],
    pub runs: [Vec<Measured>; 2],
}

/// Measures all of `sizes`. Start-up is measured with an almost empty tree between the runs and
/// subtracted.
pub fn measure(scratch: &Path, sizes: &[Size]) -> Vec<Grown> {
    let store = |size: &Size| scratch.join(format!("store-{}", size.label));
    for size in sizes {
        (size.make)(&store(size));
    }
    let empty = scratch.join("empty");
    crate::tree::make_large_directories(&empty, 1, 1);
    let places: Vec<Place> = sizes
        .iter()
        .map(|size| {
            let work = scratch.join(format!("work-{}", size.label));
            std::fs::create_dir(&work).unwrap();
            Place::memory(&store(size), &work)
        })
        .collect();
    let empty = Place::memory(&empty, scratch);
    let mut grown: Vec<Grown> = sizes
        .iter()
        .map(|size| Grown {
            label: size.label,
            micros: Default::default(),
            runs: Default::default(),
        })
        .collect();
    for _ in 0..rounds() {
        for (at, way) in WAYS.into_iter().enumerate() {
            let round = round(way, sizes, &places, &empty);
            for ((size, grown), (micros, measured)) in sizes.iter().zip(&mut grown).zip(round) {
                println!("{:8} {micros:8.2} us  {}", size.label, way.name());
                grown.micros[at].push(micros);
                grown.runs[at].push(measured);
            }
        }
    }
    grown
}

/// What is smaller than this takes less than seconds, and one run of that says little.
const LARGE: usize = 1_000_000;

/// How many times it is gone instead: an odd number, so that the median is one of them.
const TURNS: usize = 5;

/// For each size, the median of as many runs as it needs. Sizes take turns, so that what else the
/// machine does meets all of them.
fn round(way: Way, sizes: &[Size], places: &[Place], empty: &Place) -> Vec<(f64, Measured)> {
    let mut all: Vec<Vec<Measured>> = sizes.iter().map(|_| Vec::new()).collect();
    let mut starts = Vec::new();
    for turn in 0..TURNS {
        for ((size, place), runs) in sizes.iter().zip(places).zip(&mut all) {
            if turn == 0 || size.count < LARGE {
                runs.push(measure::run(way, place, 0));
                place.clear();
            }
        }
        starts.push(measure::run(way, empty, 0).seconds);
    }
    let start = median(starts);
    let each = |(size, runs): (&Size, &Vec<Measured>)| {
        let measured = measure::medians(runs);
        let seconds = measured.seconds - start;
        (seconds * 1e6 / size.count as f64, measured)
    };
    sizes.iter().zip(&all).map(each).collect()
}

/// How much more the last size takes than the first, each time: at most 1.2 times.
pub fn expectation(what: &str, grown: &[Grown]) -> Expectation {
    Expectation {
        what: format!(
            "time of ours for each {what}, {} / {}",
            grown[grown.len() - 1].label,
            grown[0].label
        ),
        figure: growth(grown, grown.len() - 1, 0),
        bound: Bound::AtMost(1.2),
        unit: String::new(),
    }
}

/// The median of the ratios in each round of the size `at` to the first.
fn growth(grown: &[Grown], at: usize, way: usize) -> f64 {
    let (first, this) = (&grown[0].micros[way], &grown[at].micros[way]);
    median(this.iter().zip(first).map(|(this, first)| this / first))
}

pub fn columns(what: &str) -> Vec<String> {
    [
        what,
        "ours, us",
        "growth",
        "floor, us",
        "growth",
        "ours / floor",
        "ours, peak MiB",
    ]
    .map(str::to_owned)
    .to_vec()
}

pub fn cells(grown: &[Grown]) -> Vec<Vec<String>> {
    let micros = |grown: &Grown, way: usize| median(grown.micros[way].iter().copied());
    let cells = |(at, this): (usize, &Grown)| {
        let ours = measure::medians(&this.runs[0]);
        vec![
            this.label.to_string(),
            format!("{:.2}", micros(this, 0)),
            format!("{:.2}", growth(grown, at, 0)),
            format!("{:.2}", micros(this, 1)),
            format!("{:.2}", growth(grown, at, 1)),
            format!("{:.2}", measure::paired_ratio(&this.runs[0], &this.runs[1])),
            (ours.peak >> 20).to_string(),
        ]
    };
    grown.iter().enumerate().map(cells).collect()
}

pub fn rows(what: &str, grown: &[Grown]) -> Vec<serde_json::Value> {
    let row = |this: &Grown| {
        let [ours, floor] = this.runs.each_ref().map(|runs| measure::medians(runs));
        let [ours_micros, floor_micros] = this
            .micros
            .each_ref()
            .map(|all| median(all.iter().copied()));
        json!({
            "name": format!("{} {what}", this.label),
            "peer_name": WAYS[1].name(),
            "ours": ours.seconds,
            "peer": floor.seconds,
            "ratio": ours.seconds / floor.seconds,
            "paired_ratio": measure::paired_ratio(&this.runs[0], &this.runs[1]),
            "ours_micros": ours_micros,
            "peer_micros": floor_micros,
            "ours_peak_mib": ours.peak >> 20,
            "peer_peak_mib": floor.peak >> 20,
            "runs": this.runs[0].len(),
        })
    };
    grown.iter().map(row).collect()
}
