//! Every format, against `qemu-img` with a finished raw disk.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde_json::json;

use crate::common::page::{Bound, Expectation, Section, publish};
use crate::common::{rounds, target_directory};
use crate::measure::{self, Measured, medians, paired_ratio};
use crate::methods::{Conversion, Format, Method, raw_disk};
use crate::packages;
use crate::place::Place;
use crate::tree::Counts;

const RAW: Method = Method::Format(&Format {
    name: "raw",
    file: "nixos.img",
    image: &[("format", "raw")],
});
const QCOW2: Method = Method::Format(&Format {
    name: "qcow2",
    file: "nixos.qcow2",
    image: &[("format", "qcow2")],
});
const VDI: Method = Method::Format(&Format {
    name: "vdi",
    file: "nixos.vdi",
    image: &[("format", "vdi")],
});
const VPC: Method = Method::Format(&Format {
    name: "vpc",
    file: "nixos.vhd",
    image: &[("format", "vpc")],
});
const VMDK: Method = Method::Format(&Format {
    name: "vmdk",
    file: "nixos.vmdk",
    image: &[("format", "vmdk")],
});
const VHDX: Method = Method::Format(&Format {
    name: "vhdx",
    file: "nixos.vhdx",
    image: &[("format", "vhdx")],
});
const ZLIB: Method = Method::Format(&Format {
    name: "qcow2-compressed",
    file: "nixos.qcow2",
    image: &[("format", "qcow2-compressed"), ("compression", "zlib")],
});
const ZSTD: Method = Method::Format(&Format {
    name: "qcow2-compressed with zstd",
    file: "nixos.qcow2",
    image: &[("format", "qcow2-compressed"), ("compression", "zstd")],
});
const RAW_ZSTD: Method = Method::Format(&Format {
    name: "raw, compressImage = \"zstd\"",
    file: "nixos.img.zst",
    image: &[("format", "raw"), ("compressImage", "zstd")],
});

const QEMU_QCOW2: Method = Method::Conversion(&Conversion {
    arguments: &["-O", "qcow2"],
});
const QEMU_VDI: Method = Method::Conversion(&Conversion {
    arguments: &["-O", "vdi"],
});
const QEMU_VPC: Method = Method::Conversion(&Conversion {
    arguments: &["-O", "vpc", "-o", "force_size=on"],
});
const QEMU_VMDK: Method = Method::Conversion(&Conversion {
    arguments: &["-O", "vmdk"],
});
const QEMU_VHDX: Method = Method::Conversion(&Conversion {
    arguments: &["-O", "vhdx"],
});
const QEMU_ZLIB: Method = Method::Conversion(&Conversion {
    arguments: &["-O", "qcow2", "-c"],
});
const QEMU_ZLIB_PARALLEL: Method = Method::Conversion(&Conversion {
    arguments: &["-O", "qcow2", "-c", "-W", "-m", "16"],
});
const QEMU_ZSTD: Method = Method::Conversion(&Conversion {
    arguments: &["-O", "qcow2", "-c", "-o", "compression_type=zstd"],
});
const QEMU_ZSTD_PARALLEL: Method = Method::Conversion(&Conversion {
    arguments: &[
        "-O",
        "qcow2",
        "-c",
        "-o",
        "compression_type=zstd",
        "-W",
        "-m",
        "16",
    ],
});

const PLAIN: [Method; 13] = [
    RAW,
    Method::ParallelFloor,
    QCOW2,
    QEMU_QCOW2,
    VDI,
    QEMU_VDI,
    VPC,
    QEMU_VPC,
    VMDK,
    QEMU_VMDK,
    VHDX,
    QEMU_VHDX,
    Method::Floor,
];

const COMPRESSED: [Method; 9] = [
    RAW,
    ZLIB,
    QEMU_ZLIB,
    QEMU_ZLIB_PARALLEL,
    ZSTD,
    QEMU_ZSTD,
    QEMU_ZSTD_PARALLEL,
    RAW_ZSTD,
    Method::ParallelFloor,
];

/// Measures the formats that are not compressed, in memory.
pub fn to_memory(scratch: &Path) {
    plain(scratch, false);
}

/// Measures the formats that are not compressed, on disk.
pub fn to_disk(scratch: &Path) {
    plain(scratch, true);
}

/// Measures the compressed formats, in memory.
pub fn compressed_to_memory(scratch: &Path) {
    compressed(scratch, false);
}

/// Measures the compressed formats, on disk.
pub fn compressed_to_disk(scratch: &Path) {
    compressed(scratch, true);
}

fn plain(scratch: &Path, disk: bool) {
    Table {
        name: if disk { "formats-disk" } else { "formats" },
        order: if disk { 26 } else { 25 },
        title: "Formats",
        bytes: 3 << 30,
        methods: &PLAIN,
        expectations: &plain_expectations,
    }
    .measure(scratch, disk);
}

fn compressed(scratch: &Path, disk: bool) {
    Table {
        name: if disk {
            "compressed-disk"
        } else {
            "compressed"
        },
        order: if disk { 28 } else { 27 },
        title: "Compressed formats",
        bytes: 1 << 30,
        methods: &COMPRESSED,
        expectations: &compressed_expectations,
    }
    .measure(scratch, disk);
}

/// A table of methods on the same files.
struct Table {
    name: &'static str,
    order: u32,
    title: &'static str,
    /// The size of the files, in bytes.
    bytes: u64,
    methods: &'static [Method],
    expectations: &'static dyn Fn(&Results) -> Vec<Expectation>,
}

/// The runs of every method, and the length of its image in bytes without holes.
struct Results(Vec<(Method, Vec<Measured>, u64)>);

impl Results {
    fn of(&self, wanted: Method) -> (&[Measured], u64) {
        let found = self.0.iter().find(|(method, ..)| *method == wanted);
        let (_, runs, length) = found.unwrap();
        (runs, *length)
    }

    /// The time of `ours` divided by that of `theirs`.
    fn ratio(&self, ours: Method, theirs: Method) -> f64 {
        paired_ratio(self.of(ours).0, self.of(theirs).0)
    }

    fn size_ratio(&self, ours: Method, theirs: Method) -> f64 {
        self.of(ours).1 as f64 / self.of(theirs).1 as f64
    }

    /// The faster of two methods.
    fn best(&self, one: Method, other: Method) -> Method {
        match self.ratio(one, other) <= 1.0 {
            true => one,
            false => other,
        }
    }
}

impl Table {
    fn measure(&self, scratch: &Path, disk: bool) {
        let store = scratch.join("store");
        let counts = packages::make(&store, self.bytes);
        let on_disk = disk.then(|| tempfile::tempdir_in(target_directory()).unwrap());
        let place = match &on_disk {
            Some(directory) => Place::disk(&store, directory.path()),
            None => Place::memory(&store, scratch),
        };
        let title = format!(
            "{}, to {}",
            self.title,
            if disk { "disk" } else { "memory" }
        );
        println!("\n{title}: {counts}");
        let _ = measure::run(RAW, &place, 0);
        fs::copy(RAW.image(&place), raw_disk(&place)).unwrap();
        let mut results = Results(
            self.methods
                .iter()
                .map(|method| (*method, Vec::new(), 0))
                .collect(),
        );
        for _ in 0..rounds() {
            for (method, runs, length) in &mut results.0 {
                let measured = measure::run(*method, &place, 0);
                *length = fs::metadata(method.image(&place)).unwrap().blocks() * 512;
                println!(
                    "{:7.2} s  {:5} MiB  {}",
                    measured.seconds,
                    *length >> 20,
                    method.name()
                );
                runs.push(measured);
            }
        }
        publish(self.section(title, &results, &counts, disk));
    }

    fn section(&self, title: String, results: &Results, counts: &Counts, disk: bool) -> Section {
        let columns = [
            "method",
            "seconds",
            "relative to raw",
            "CPU seconds",
            "peak MiB",
            "read MiB",
            "written MiB",
            "file MiB",
        ];
        let output = match disk {
            true => {
                "All output is on disk, and the time includes writing the whole image to the disk \
                     (`fdatasync`)."
            }
            false => "Everything is in memory (tmpfs).",
        };
        let mut cells = Vec::new();
        let mut rows = Vec::new();
        for (method, runs, length) in &results.0 {
            let median = medians(runs);
            cells.push(vec![
                method.name(),
                format!("{:.2}", median.seconds),
                format!("{:.2}", results.ratio(*method, RAW)),
                format!("{:.2}", median.cpu),
                (median.peak >> 20).to_string(),
                (median.read >> 20).to_string(),
                (median.written >> 20).to_string(),
                (length >> 20).to_string(),
            ]);
            rows.push(json!({
                "name": method.name(),
                "seconds": median.seconds,
                "of_raw": results.ratio(*method, RAW),
                "cpu": median.cpu,
                "peak_mib": median.peak >> 20,
                "bytes_read": median.read,
                "bytes_written": median.written,
                "file_bytes": length,
                "runs": runs.len(),
            }));
        }
        let mut expectations = (self.expectations)(results);
        for (method, runs, length) in &results.0 {
            if let Method::Format(format) = method {
                expectations.extend(of_each(format, &medians(runs), *length, counts));
            }
        }
        Section {
            table: self.name.to_owned(),
            order: self.order,
            title,
            text: format!(
                "{counts}: the files of the fixture's Debian packages, repeated, so they compress as those \
                 of a real system do. {output} Each method runs once in each of {} rounds, one after the \
                 other; figures are medians. `qemu-img` (the one of Debian 12) starts with a finished raw \
                 disk in memory, and what it took to make that is not in its time. \"Relative to raw\" is \
                 the median of the ratios of all rounds. \"File\" is the space that the image takes. \
                 The first method that reads and writes files makes no image and is a lower bound.",
                rounds(),
            ),
            columns: columns.map(str::to_owned).to_vec(),
            cells,
            expectations,
            rows,
        }
    }
}

fn ratio(name: impl Into<String>, figure: f64, most: f64) -> Expectation {
    Expectation {
        name: name.into(),
        figure,
        bound: Bound::AtMost(most),
        unit: String::new(),
    }
}

/// The bytes that a format writes, and its memory.
fn of_each(format: &Format, median: &Measured, length: u64, counts: &Counts) -> Vec<Expectation> {
    let threads = std::thread::available_parallelism().unwrap().get() as u64;
    let bound = (64 << 20) + 300 * counts.files + 4 * threads * (1 << 20);
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    vec![
        ratio(
            format!("{}: bytes written / file", format.name),
            median.written as f64 / length as f64,
            1.02,
        ),
        Expectation {
            name: format!("{}: peak memory", format.name),
            figure: mib(median.peak),
            bound: Bound::AtMost(mib(bound)),
            unit: " MiB".to_owned(),
        },
    ]
}

fn plain_expectations(results: &Results) -> Vec<Expectation> {
    vec![
        ratio("qcow2 / raw", results.ratio(QCOW2, RAW), 1.1),
        ratio("vdi / raw", results.ratio(VDI, RAW), 1.15),
        ratio("vpc / raw", results.ratio(VPC, RAW), 1.15),
    ]
}

fn compressed_expectations(results: &Results) -> Vec<Expectation> {
    let zlib = results.best(QEMU_ZLIB, QEMU_ZLIB_PARALLEL);
    let zstd = results.best(QEMU_ZSTD, QEMU_ZSTD_PARALLEL);
    vec![
        ratio(
            "qcow2-compressed / the faster qemu-img -c",
            results.ratio(ZLIB, zlib),
            0.4,
        ),
        ratio(
            "qcow2-compressed / qemu-img -c",
            results.ratio(ZLIB, QEMU_ZLIB),
            0.25,
        ),
        ratio(
            "size of qcow2-compressed / qemu-img -c",
            results.size_ratio(ZLIB, QEMU_ZLIB),
            1.01,
        ),
        ratio(
            "qcow2-compressed with zstd / the faster qemu-img with zstd",
            results.ratio(ZSTD, zstd),
            0.5,
        ),
    ]
}
