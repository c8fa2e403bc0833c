//! Code shared by the benchmarks: the machine that they run on, and the page with their figures.

pub mod machine;
pub mod page;

use std::fs;
use std::path::{Path, PathBuf};

/// Returns the root of the repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns `target` of the repository, even if cargo builds in a subdirectory for the platform.
pub fn target_directory() -> PathBuf {
    let target = repository().join("target");
    fs::create_dir_all(&target).unwrap();
    target
}

/// Returns the number of rounds: MAKE_DISK_IMAGE_BENCH_RUNS, or 5.
pub fn rounds() -> usize {
    let rounds = std::env::var("MAKE_DISK_IMAGE_BENCH_RUNS").map_or(5, |rounds| {
        rounds
            .parse()
            .expect("MAKE_DISK_IMAGE_BENCH_RUNS must be a number")
    });
    assert!(rounds > 0, "MAKE_DISK_IMAGE_BENCH_RUNS must not be 0");
    rounds
}

/// Returns the median of `figures`.
pub fn median(figures: impl IntoIterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.into_iter().collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
