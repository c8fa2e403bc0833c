//! The figures of README are not better than those of docs/performance.md.

use crate::common::markdown::{Table, section, tables};
use crate::common::read_from_repository as read;

/// A table of README has this head, with the figures in the last two columns.
const HEAD: [&str; 4] = ["", "against", "in memory", "to disk"];

/// The cells to the right of `first` in the table of a section, as numbers.
fn row(page: &str, title: &str, first: &str) -> Vec<f64> {
    let [table] = &tables(section(page, title))[..] else {
        panic!("{title}: not one table")
    };
    let row = table.iter().find(|row| row[0] == first);
    let row = row.unwrap_or_else(|| panic!("{title}: no row {first}"));
    row[1..].iter().map(|cell| number(cell)).collect()
}

/// The number at the start of a cell, for example "4.8 times".
fn number(cell: &str) -> f64 {
    let word = cell.split_whitespace().next();
    word.and_then(|word| word.parse().ok()).expect(cell)
}

/// What a row of README says, and the sections and methods with which it compares ours.
struct Claim {
    against: &'static str,
    sections: &'static [&'static str],
    ours: &'static str,
    other: &'static str,
}

const SMALL: &[&str] = &["A small NixOS, to memory", "A small NixOS, to disk"];

const RAW: &str = "make-disk-image, raw, onlyNixStore";

const CLAIMS: [Claim; 4] = [
    Claim {
        against: "`mke2fs -d`",
        sections: SMALL,
        ours: RAW,
        other: "mke2fs -d",
    },
    Claim {
        against: "systemd-repart of Debian 13",
        sections: SMALL,
        ours: RAW,
        other: "systemd-repart of Debian 13",
    },
    Claim {
        against: "reading all files and writing one, on one core",
        sections: SMALL,
        ours: RAW,
        other: "read all files, write one file of the same size",
    },
    Claim {
        against: "`qemu-img convert -c` from a finished raw disk",
        sections: &[
            "Compressed formats, to memory",
            "Compressed formats, to disk",
        ],
        ours: "make-disk-image, qcow2-compressed",
        other: "qemu-img convert -O qcow2 -c",
    },
];

#[test]
fn readme_does_not_exaggerate() {
    let (readme, page) = (read("README.md"), read("docs/performance.md"));
    let table = tables(&readme).into_iter().find(|table| table[0] == HEAD);
    let table: Table = table.expect("no table of figures");
    // Each row is in the list, except the last, which the guest's stage has in one table.
    assert_eq!(table.len(), 1 + CLAIMS.len() + 1);
    for (row, claim) in table[1..].iter().zip(&CLAIMS) {
        assert_eq!(row[1], claim.against);
        for (cell, title) in row[2..].iter().zip(claim.sections) {
            let seconds = |method| self::row(&page, title, method)[0];
            check(cell, seconds(claim.other) / seconds(claim.ours));
        }
    }
    let stage = row(&page, "The guest stage of the example", "the whole stage");
    let [ours, emulated] = stage[..] else {
        panic!("{stage:?}")
    };
    let last = table.last().unwrap();
    assert_eq!(last[1], "the same in an emulated machine");
    check(&last[2], emulated / ours);
    closure(&readme, section(&page, SMALL[0]));
}

/// A claim may be above the measured ratio by rounding only.
fn check(claim: &str, measured: f64) {
    assert!(
        number(claim) <= measured * 1.05,
        "{claim}: measured {measured:.2}"
    );
}

/// The size of the closure is that of the section.
fn closure(readme: &str, section: &str) {
    let words: Vec<&str> = section.split_whitespace().take(4).collect();
    let [files, "files", "with", mebibytes] = words[..] else {
        panic!("{words:?}");
    };
    let gibibytes = mebibytes.parse::<f64>().unwrap() / 1024.0;
    let (thousands, rest) = files.split_at(files.len() - 3);
    let claim = format!("a closure of {thousands},{rest} files and {gibibytes:.0} GiB");
    assert!(readme.replace('\n', " ").contains(&claim), "{claim}");
}
