//! Time per directory entry, for directories of different sizes.

use std::path::Path;

use crate::common::page::{Section, publish};
use crate::common::rounds;
use crate::growth::{self, Size};
use crate::tree;

/// Number of directories, and of entries in each. All trees have about the same number of entries.
const SIZES: [(usize, usize); 4] = [(240, 1_000), (24, 10_000), (4, 50_000), (2, 120_000)];

/// Measures directories of empty files, in memory.
pub fn measure(scratch: &Path) {
    println!("\nTime per directory entry");
    let sizes = SIZES.map(|(directories, entries)| Size {
        label: entries,
        count: directories * entries,
        make: Box::new(move |store| tree::make_large_directories(store, directories, entries)),
    });
    let series = growth::measure(scratch, &sizes);
    publish(Section {
        table: "entries".to_owned(),
        order: 40,
        title: "Time per directory entry".to_owned(),
        text: format!(
            "Directories of empty files: 240 with 1,000 entries, 24 with 10,000, 4 with 50,000, 2 with \
             120,000. Trees and images are in memory, and each run makes a whole image. The time is that \
             of a run minus that of an image with one file, divided by the total number of entries; \
             medians of {} rounds. Growth is relative to the first row: the median of the ratios of all \
             rounds.",
            rounds()
        ),
        columns: growth::columns("entries"),
        cells: growth::cells(&series),
        expectations: vec![growth::expectation("entry", &series)],
        rows: growth::rows("entries", &series),
    });
}
