//! The figures of README are not better than those of docs/performance.md.

use crate::common::read_from_repository as read;

/// The seconds of `method` in a section of docs/performance.md.
fn seconds(page: &str, section: &str, method: &str) -> f64 {
    let (_, section) = page.split_once(&format!("\n## {section}\n")).unwrap();
    let start = format!("| {method} |");
    let row = section.lines().find_map(|line| line.strip_prefix(&start));
    let row = row.unwrap_or_else(|| panic!("no {method}"));
    row.split('|').next().unwrap().trim().parse().unwrap()
}

/// The number of a cell such as "4.8 times".
fn number(cell: &str) -> f64 {
    cell.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn readme_does_not_exaggerate() {
    let (readme, page) = (read("README.md"), read("docs/performance.md"));
    let ours = "make-disk-image, raw, onlyNixStore";
    let small = ["A small NixOS, to memory", "A small NixOS, to disk"];
    let compressed = [
        "Compressed formats, to memory",
        "Compressed formats, to disk",
    ];
    let mut checked = 0;
    for (start, sections, ours, other) in [
        (
            "| making the raw image | `mke2fs -d` |",
            small,
            ours,
            "mke2fs -d",
        ),
        (
            "| | systemd-repart of Debian 13 |",
            small,
            ours,
            "systemd-repart of Debian 13",
        ),
        (
            "| | reading all files and writing one, on one core |",
            small,
            ours,
            "read all files, write one file of the same size",
        ),
        (
            "| making a compressed qcow2 | `qemu-img convert -c` from a finished raw disk |",
            compressed,
            "make-disk-image, qcow2-compressed",
            "qemu-img convert -O qcow2 -c",
        ),
    ] {
        let row = readme.lines().find_map(|line| line.strip_prefix(start));
        let row = row.unwrap_or_else(|| panic!("no {start}"));
        let cells: Vec<&str> = row.trim().trim_matches('|').split('|').collect();
        for (cell, section) in cells.iter().zip(sections) {
            let measured = seconds(&page, section, other) / seconds(&page, section, ours);
            assert!(
                number(cell) <= measured * 1.05,
                "{start} {cell}: {measured:.2}"
            );
            checked += 1;
        }
    }
    assert_eq!(checked, 8);
    guest_stage(&readme, &page);
    closure(&readme, &page);
}

fn guest_stage(readme: &str, page: &str) {
    let row = "| installing the boot loader without KVM ([in a guest](docs/guest.md)) | the same in an \
               emulated machine |";
    let claimed = readme.lines().find_map(|line| line.strip_prefix(row));
    let claimed = number(claimed.unwrap().split('|').next().unwrap());
    let (_, section) = page
        .split_once("\n## The guest stage of the example\n")
        .unwrap();
    let row = "| the whole stage |";
    let cells = section.lines().find_map(|line| line.strip_prefix(row));
    let cells: Vec<&str> = cells.unwrap().trim_end_matches('|').split('|').collect();
    let [ours, emulated] = [0, 1].map(|at| number(cells[at]));
    assert!(claimed <= emulated / ours * 1.05, "{claimed}: {cells:?}");
}

/// The size of the closure is that of the section.
fn closure(readme: &str, page: &str) {
    let (_, section) = page
        .split_once("\n## A small NixOS, to memory\n\n")
        .unwrap();
    let words: Vec<&str> = section.split_whitespace().take(4).collect();
    let [files, "files", "with", mebibytes] = words[..] else {
        panic!("{words:?}");
    };
    let gibibytes = mebibytes.parse::<f64>().unwrap() / 1024.0;
    let (thousands, rest) = files.split_at(files.len() - 3);
    let claim = format!("a closure of {thousands},{rest} files and {gibibytes:.0} GiB");
    assert!(readme.replace('\n', " ").contains(&claim), "{claim}");
}
