//! Time and memory per file, for ten thousand to a million files.

use std::path::Path;

use crate::closure::memory;
use crate::common::page::{Section, publish};
use crate::common::rounds;
use crate::growth::{self, Size};
use crate::measure::medians;
use crate::shape::Shape;
use crate::tree;

pub const FILES: [usize; 3] = [10_000, 100_000, 1_000_000];

/// Measures trees of small files, in memory.
pub fn measure(scratch: &Path) {
    println!("\nTime per file");
    let sizes = FILES.map(|files| Size {
        label: files,
        count: files,
        make: Box::new(move |store| {
            println!("{}", tree::make(store, &Shape::small_files(files)));
        }),
    });
    let series = growth::measure(scratch, &sizes);
    let mut expectations = vec![growth::expectation("file", &series)];
    for (files, series) in FILES.into_iter().zip(&series) {
        expectations.push(memory(&medians(&series.runs[0]), files as u64));
    }
    publish(Section {
        table: "files".to_owned(),
        order: 30,
        title: "Time per file".to_owned(),
        text: format!(
            "Trees of 10,000 to 1,000,000 regular files of at most 4 KiB, with links and directories in \
             proportion (42 and 14 for each 100 files). Trees and images are in memory, and each run \
             makes a whole image. The time is that of a run minus that of an image with one file, divided \
             by the number of regular files; medians of {} rounds, in each of which small trees are \
             measured several times. The floor reads all files and writes one file of the same size on \
             one core; it grows because the kernel has to look up each file among more files. Growth is \
             relative to the first row: the median of the ratios of all rounds.",
            rounds()
        ),
        columns: growth::columns("files"),
        cells: growth::cells(&series),
        expectations,
        rows: growth::rows("files", &series),
    });
}
