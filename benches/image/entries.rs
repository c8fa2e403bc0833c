//! Time for each entry of a directory, however many it has.

use std::path::Path;

use crate::common::page::{Section, publish};
use crate::common::rounds;
use crate::growth::{self, Size};
use crate::tree;

/// Directories and entries of each: all trees have about as many entries.
const SIZES: [(usize, usize); 4] = [(240, 1_000), (24, 10_000), (4, 50_000), (2, 120_000)];

/// Directories of empty files, in memory.
pub fn measure(scratch: &Path) {
    println!("\nTime for each entry of a directory");
    let sizes = SIZES.map(|(directories, entries)| Size {
        label: entries,
        count: directories * entries,
        make: Box::new(move |store| tree::make_large_directories(store, directories, entries)),
    });
    let grown = growth::measure(scratch, &sizes);
    publish(Section {
        table: "entries".to_owned(),
        order: 40,
        title: "Time for each entry of a directory".to_owned(),
        text: format!(
            "Directories of empty files, in memory and to memory, whole images: 240 of 1,000 \
             entries, 24 of 10,000, 4 of 50,000, 2 of 120,000. The time is that of a run less \
             that of an image of one file, divided by the number of all entries; medians of {} \
             rounds. Growth is against the first line, the median of the ratios in each round.",
            rounds()
        ),
        columns: growth::columns("entries"),
        cells: growth::cells(&grown),
        expectations: vec![growth::expectation("entry", &grown)],
        rows: growth::rows("entries", &grown),
    });
}
