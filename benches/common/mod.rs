//! Code shared by the benchmarks: the machine that they run on, its memory, and the page with their
//! figures.

pub mod machine;
pub mod page;
pub mod warm;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::resource::Usage;
use nix::sys::time::TimeVal;

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

/// Returns the CPU time of `usage` in seconds, in user and kernel mode.
pub fn cpu(usage: &Usage) -> f64 {
    seconds(usage.user_time()) + seconds(usage.system_time())
}

fn seconds(time: TimeVal) -> f64 {
    Duration::new(
        u64::try_from(time.tv_sec()).unwrap(),
        u32::try_from(time.tv_usec()).unwrap() * 1000,
    )
    .as_secs_f64()
}
