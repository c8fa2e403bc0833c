//! Time and memory for each file, from ten thousand to a million.

use std::path::Path;

use crate::closure::memory;
use crate::common::page::{Section, publish};
use crate::common::rounds;
use crate::growth::{self, Size};
use crate::measure::medians;
use crate::shape::Shape;
use crate::tree;

pub const FILES: [usize; 3] = [10_000, 100_000, 1_000_000];

/// Trees of small files, in memory.
pub fn measure(scratch: &Path) {
    println!("\nTime for each file");
    let sizes = FILES.map(|files| Size {
        label: files,
        count: files,
        make: Box::new(move |store| {
            println!("{}", tree::make(store, &Shape::small_files(files)));
        }),
    });
    let grown = growth::measure(scratch, &sizes);
    let mut expectations = vec![growth::expectation("file", &grown)];
    for (files, grown) in FILES.into_iter().zip(&grown) {
        expectations.push(memory(&medians(&grown.runs[0]), files as u64));
    }
    publish(Section {
        table: "files".to_owned(),
        order: 30,
        title: "Time for each file".to_owned(),
        text: format!(
            "Trees of 10,000 to 1,000,000 regular files of at most 4 KiB, with links and \
             directories in proportion (42 and 14 for each 100 files), in memory and to memory, \
             whole images. The time is that of a run less that of an image of one file, divided \
             by the number of regular files; medians of {} rounds, in each of which small trees \
             are measured several times. The floor reads all files and writes one of that size \
             on one core: what it grows by is the kernel's, which finds each file again among \
             more and more. Growth is against the first line, the median of the ratios in each \
             round.",
            rounds()
        ),
        columns: growth::columns("files"),
        cells: growth::cells(&grown),
        expectations,
        rows: growth::rows("files", &grown),
    });
}
