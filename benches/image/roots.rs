//! Every type of root file system, against its own tools.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde_json::json;

use crate::common::page::{Bound, Expectation, Section, publish};
use crate::common::rounds;
use crate::measure::{self, Measured, medians, paired_ratio};
use crate::methods::{Method, Root, Tool};
use crate::packages;
use crate::place::Place;
use crate::tree::Counts;

/// Our writer and the tools that do the same.
struct Pair {
    ours: Method,
    tool: Method,
    /// The same with a staging directory, where a builder needs one to get the owners right.
    staged: Method,
}

macro_rules! pair {
    ($name:literal, $kind:literal, $options:literal, $tool:literal, $script:literal) => {
        Pair {
            ours: Method::Root(&Root {
                name: $name,
                kind: $kind,
                options: $options,
            }),
            tool: Method::Tool(&Tool {
                name: $tool,
                script: $script,
                staged: false,
            }),
            staged: Method::Tool(&Tool {
                name: $tool,
                script: $script,
                staged: true,
            }),
        }
    };
}

const PLAIN: [Pair; 6] = [
    pair!(
        "btrfs",
        "btrfs",
        "{}",
        "mkfs.btrfs --rootdir",
        r#"truncate -s "$2K" "$1"; run usr/sbin/mkfs.btrfs -q -L nixos --rootdir "$stage" "$1""#
    ),
    pair!(
        "xfs",
        "xfs",
        "{}",
        "mkfs.xfs -p",
        r#"sed -i "s| $0/| $stage/|" "$3/proto"; truncate -s "$2K" "$1"
run usr/sbin/mkfs.xfs -q -L nixos -p "slashes_are_spaces=1,$3/proto" "$1""#
    ),
    pair!(
        "f2fs",
        "f2fs",
        "{}",
        "mkfs.f2fs, sload.f2fs -f",
        r#"truncate -s "$2K" "$1"; run usr/sbin/mkfs.f2fs -q -l nixos "$1"; run usr/sbin/sload.f2fs -P -f "$stage" "$1" >/dev/null"#
    ),
    pair!(
        "erofs",
        "erofs",
        "{}",
        "mkfs.erofs",
        r#"run usr/bin/mkfs.erofs --quiet -T1 "$1" "$stage""#
    ),
    pair!(
        "ext2",
        "ext2",
        "{}",
        "mke2fs -t ext2 -d",
        r#"truncate -s "$2K" "$1"; run usr/sbin/mkfs.ext2 -q -F -b 4096 -L nixos -d "$stage" "$1""#
    ),
    pair!(
        "ext3",
        "ext3",
        "{}",
        "mke2fs -t ext3 -d",
        r#"truncate -s "$2K" "$1"; run usr/sbin/mkfs.ext3 -q -F -b 4096 -L nixos -d "$stage" "$1""#
    ),
];

const COMPRESSED: [Pair; 4] = [
    pair!(
        "btrfs, zstd",
        "btrfs",
        r#"{"compression":"zstd"}"#,
        "mkfs.btrfs --compress zstd --rootdir",
        r#"truncate -s "$2K" "$1"; run usr/sbin/mkfs.btrfs -q -L nixos --compress zstd:3 --rootdir "$stage" "$1""#
    ),
    pair!(
        "erofs, lz4",
        "erofs",
        r#"{"compression":"lz4"}"#,
        "mkfs.erofs -zlz4 -C65536",
        r#"run usr/bin/mkfs.erofs --quiet -T1 -zlz4 -C65536 "$1" "$stage""#
    ),
    pair!(
        "erofs, zstd",
        "erofs",
        r#"{"compression":"zstd"}"#,
        "mkfs.erofs -zzstd,3 -C65536",
        r#"run usr/bin/mkfs.erofs --quiet -T1 -zzstd,level=3 -C65536 "$1" "$stage""#
    ),
    pair!(
        "squashfs",
        "squashfs",
        "{}",
        "mksquashfs -comp zstd -Xcompression-level 15 -b 1M",
        r#"run usr/bin/mksquashfs "$stage" "$1" -quiet -no-progress -comp zstd -Xcompression-level 15 -b 1M -all-time 1 -mkfs-time 1"#
    ),
];

/// Measures those that are not compressed.
pub fn plain(scratch: &Path) {
    measure(scratch, "roots", 29, "Root file systems", 3 << 30, &PLAIN);
}

/// Measures those that are.
pub fn compressed(scratch: &Path) {
    let title = "Compressed root file systems";
    measure(scratch, "roots-compressed", 30, title, 1 << 30, &COMPRESSED);
}

/// A method with its runs and the space that its image takes, in bytes.
struct Result {
    method: Method,
    runs: Vec<Measured>,
    space: u64,
}

fn measure(scratch: &Path, table: &str, order: u32, title: &str, bytes: u64, pairs: &[Pair]) {
    let store = scratch.join("store");
    let counts = packages::make(&store, bytes);
    let place = Place::memory(&store, scratch);
    println!("\n{title}: {counts}");
    // Enough for every type.
    let length =
        (counts.bytes + 8192 * (counts.files + counts.links + counts.directories) + (1 << 30))
            .next_multiple_of(1 << 20);
    let methods = pairs.iter().map(|pair| [pair.ours, pair.tool, pair.staged]);
    let mut results: Vec<[Result; 3]> = methods
        .map(|methods| {
            methods.map(|method| Result {
                method,
                runs: Vec::new(),
                space: 0,
            })
        })
        .collect();
    for _ in 0..rounds() {
        for result in results.iter_mut().flatten() {
            let measured = measure::run(result.method, &place, length);
            let image = fs::metadata(result.method.image(&place)).unwrap();
            result.space = image.blocks() * 512;
            println!(
                "{:7.2} s  {:5} MiB  {}",
                measured.seconds,
                result.space >> 20,
                result.method.name()
            );
            result.runs.push(measured);
        }
    }
    publish(section(table, order, title, &counts, &results));
}

fn section(
    table: &str,
    order: u32,
    title: &str,
    counts: &Counts,
    results: &[[Result; 3]],
) -> Section {
    let columns = [
        "method",
        "seconds",
        "ours / this",
        "CPU seconds",
        "peak MiB",
        "written MiB",
        "file MiB",
    ];
    let mut cells = Vec::new();
    let mut rows = Vec::new();
    let mut expectations = Vec::new();
    for group in results {
        let [ours, tool, _] = group;
        for result in group {
            let median = medians(&result.runs);
            let ratio = paired_ratio(&ours.runs, &result.runs);
            cells.push(vec![
                result.method.name(),
                format!("{:.2}", median.seconds),
                format!("{ratio:.2}"),
                format!("{:.2}", median.cpu),
                (median.peak >> 20).to_string(),
                (median.written >> 20).to_string(),
                (result.space >> 20).to_string(),
            ]);
            rows.push(json!({
                "name": result.method.name(),
                "seconds": median.seconds,
                "ours_of_this": ratio,
                "cpu": median.cpu,
                "peak_mib": median.peak >> 20,
                "bytes_written": median.written,
                "file_bytes": result.space,
                "runs": result.runs.len(),
            }));
        }
        let Method::Root(root) = ours.method else {
            continue;
        };
        let at_most = |name: String, figure: f64, most: f64| Expectation {
            name,
            figure,
            bound: Bound::AtMost(most),
            unit: String::new(),
        };
        expectations.push(at_most(
            format!("{} / its own tool", root.name),
            paired_ratio(&ours.runs, &tool.runs),
            1.1,
        ));
        expectations.push(at_most(
            format!("{}: size / its own tool's", root.name),
            ours.space as f64 / tool.space as f64,
            1.1,
        ));
    }
    Section {
        table: table.to_owned(),
        order,
        title: title.to_owned(),
        text: format!(
            "{counts}: the files of the fixture's Debian packages, repeated. Everything is in memory (tmpfs). \
             The tools are those of Debian 13, with their defaults. A tool that reads a directory takes the \
             owners from it, so in a sandbox it needs a staging directory with the right ones; the third \
             row of each type includes the copying (`rsync -a`). `mkfs.xfs` gets a finished protofile, which \
             has no times and no hard links. Each method runs once in each of {} \
             rounds, one after the other; figures are medians, and \"ours / this\" is the median of the \
             ratios of all rounds. \"File\" is the space that the image takes.",
            rounds(),
        ),
        columns: columns.map(str::to_owned).to_vec(),
        cells,
        expectations,
        rows,
    }
}
