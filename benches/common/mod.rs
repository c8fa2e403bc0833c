//! What the benchmarks share: the machine they run on, and the page their figures go to.

pub mod machine;
pub mod page;

use std::fs;
use std::path::{Path, PathBuf};

/// The repository, where `docs` is.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The repository's `target`, also where cargo makes one for each platform below it.
pub fn target_directory() -> PathBuf {
    let target = repository().join("target");
    fs::create_dir_all(&target).unwrap();
    target
}

/// How many rounds are measured: MAKE_DISK_IMAGE_BENCH_RUNS, or 5.
pub fn rounds() -> usize {
    let rounds = std::env::var("MAKE_DISK_IMAGE_BENCH_RUNS")
        .map_or(5, |rounds| rounds.parse().expect("a number of runs"));
    assert!(rounds > 0, "MAKE_DISK_IMAGE_BENCH_RUNS is 0");
    rounds
}

/// The middle one of `figures`.
pub fn median(figures: impl IntoIterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.into_iter().collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
