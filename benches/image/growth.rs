//! How the time grows with the size of a tree, for our program and for the floor.

use std::path::Path;

use serde_json::json;

use crate::common::page::{Bound, Expectation};
use crate::common::{median, rounds};
use crate::measure::{self, Measured};
use crate::methods::Method;
use crate::place::Place;

/// The measured methods.
const METHODS: [Method; 2] = [Method::Ours, Method::Floor];

/// A size of tree.
pub struct Size {
    /// The number that identifies the size in the output.
    pub label: usize,
    /// The number by which the time is divided.
    pub count: usize,
    /// Creates the tree.
    pub make: Box<dyn Fn(&Path)>,
}

/// The measurements of one size: microseconds per item in each round, our program first.
pub struct Series {
    pub label: usize,
    pub micros: [Vec<f64>; 2],
    pub runs: [Vec<Measured>; 2],
}

/// Measures all `sizes`. The start-up time is measured with an almost empty tree between the runs and
/// subtracted.
pub fn measure(scratch: &Path, sizes: &[Size]) -> Vec<Series> {
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
    let mut series: Vec<Series> = sizes
        .iter()
        .map(|size| Series {
            label: size.label,
            micros: Default::default(),
            runs: Default::default(),
        })
        .collect();
    for _ in 0..rounds() {
        for (at, method) in METHODS.into_iter().enumerate() {
            let round = round(method, sizes, &places, &empty);
            for ((size, series), (micros, measured)) in sizes.iter().zip(&mut series).zip(round) {
                println!("{:8} {micros:8.2} us  {}", size.label, method.name());
                series.micros[at].push(micros);
                series.runs[at].push(measured);
            }
        }
    }
    series
}

/// A run of a smaller tree takes less than a second, which is too short for one measurement.
const LARGE: usize = 1_000_000;

/// The number of runs for smaller trees. It is odd, so that the median is one of them.
const TURNS: usize = 5;

/// Returns the medians of the runs for each size. Runs of different sizes alternate, so that other load
/// on the machine affects all of them.
fn round(method: Method, sizes: &[Size], places: &[Place], empty: &Place) -> Vec<(f64, Measured)> {
    let mut all: Vec<Vec<Measured>> = sizes.iter().map(|_| Vec::new()).collect();
    let mut starts = Vec::new();
    for turn in 0..TURNS {
        for ((size, place), runs) in sizes.iter().zip(places).zip(&mut all) {
            if turn == 0 || size.count < LARGE {
                runs.push(measure::run(method, place, 0));
                place.clear();
            }
        }
        starts.push(measure::run(method, empty, 0).seconds);
    }
    let start = median(starts);
    let each = |(size, runs): (&Size, &Vec<Measured>)| {
        let measured = measure::medians(runs);
        let seconds = measured.seconds - start;
        (seconds * 1e6 / size.count as f64, measured)
    };
    sizes.iter().zip(&all).map(each).collect()
}

/// Expects the time per item of the last size to be at most 1.2 times that of the first.
pub fn expectation(item: &str, series: &[Series]) -> Expectation {
    Expectation {
        name: format!(
            "our time per {item}, {} / {}",
            series[series.len() - 1].label,
            series[0].label
        ),
        figure: growth(series, series.len() - 1, 0),
        bound: Bound::AtMost(1.2),
        unit: String::new(),
    }
}

/// Returns the median of the ratios of the size `at` to the first size in each round.
fn growth(series: &[Series], at: usize, method: usize) -> f64 {
    let (first, this) = (&series[0].micros[method], &series[at].micros[method]);
    median(this.iter().zip(first).map(|(this, first)| this / first))
}

pub fn columns(items: &str) -> Vec<String> {
    [
        items,
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

pub fn cells(series: &[Series]) -> Vec<Vec<String>> {
    let micros = |series: &Series, method: usize| median(series.micros[method].iter().copied());
    let cells = |(at, this): (usize, &Series)| {
        let ours = measure::medians(&this.runs[0]);
        vec![
            this.label.to_string(),
            format!("{:.2}", micros(this, 0)),
            format!("{:.2}", growth(series, at, 0)),
            format!("{:.2}", micros(this, 1)),
            format!("{:.2}", growth(series, at, 1)),
            format!("{:.2}", measure::paired_ratio(&this.runs[0], &this.runs[1])),
            (ours.peak >> 20).to_string(),
        ]
    };
    series.iter().enumerate().map(cells).collect()
}

pub fn rows(items: &str, series: &[Series]) -> Vec<serde_json::Value> {
    let row = |this: &Series| {
        let [ours, floor] = this.runs.each_ref().map(|runs| measure::medians(runs));
        let [ours_micros, floor_micros] = this
            .micros
            .each_ref()
            .map(|all| median(all.iter().copied()));
        json!({
            "name": format!("{} {items}", this.label),
            "peer_name": METHODS[1].name(),
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
    series.iter().map(row).collect()
}
