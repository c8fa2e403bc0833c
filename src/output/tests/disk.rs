//! Disks for tests of formats, and what `qemu-img` makes of them.

use std::path::{Path, PathBuf};
use std::process::Command;

use proptest::sample::Index;
use tempfile::TempDir;
use uuid::uuid;

use crate::image::{self, Content, Image, Part};
use crate::spec::Identity;

const MEBIBYTE: u64 = 1 << 20;
const GIBIBYTE: u64 = 1 << 30;

/// The identity of the disks.
pub fn identity() -> Identity {
    Identity {
        deterministic: true,
        disk: uuid!("97FD5997-D90B-4AA3-8D16-C1723AEA73C1"),
        root_partition: uuid!("F222513B-DED1-49FA-B591-20CE86A2FE7F"),
        other_partitions: [
            uuid!("1C06F03B-704E-4657-B9CD-681A087A2FDC"),
            uuid!("970C694F-AFD0-4B99-B750-CDB7A329AB6F"),
        ],
        root_file_system: uuid!("F222513B-DED1-49FA-B591-20CE86A2FE7F"),
        time: 1,
    }
}

/// Bytes without order, none of which is 0.
pub fn noise(length: u64, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3] | 1
    };
    (0..length).map(next).collect()
}

/// A disk of `length` bytes with `data`, in order: offsets and bytes.
pub fn image(length: u64, data: Vec<(u64, Vec<u8>)>) -> Image {
    let part = |(start, bytes): (u64, Vec<u8>)| Part {
        name: format!("data at {start}"),
        start,
        length: bytes.len() as u64,
        content: Content::Bytes(bytes),
    };
    let parts = data.into_iter().map(part).collect();
    Image { length, parts }
}

/// A disk of `length` bytes with data of the lengths and in the places of `places`, as far as they
/// are disjoint.
pub fn sparse(length: u64, places: &[(Index, u64)]) -> Image {
    // An index is relative to a length that fits in memory.
    let at = |index: &Index| index.index(1 << 20) as u64 * (length >> 9) / (1 << 20) * 512;
    let mut places: Vec<(u64, u64)> = places.iter().map(|(i, n)| (at(i), *n)).collect();
    places.sort_unstable();
    let mut free_from = 0;
    let mut data = Vec::new();
    for (start, count) in places {
        let start = start.max(free_from);
        let count = count.min(length.saturating_sub(start));
        data.push((start, noise(count, start)));
        free_from = start + count;
    }
    image(length, data)
}

/// Disks whose data begins and ends in different places of blocks of 1 and 2 MiB, with their names.
pub fn samples() -> Vec<(&'static str, Image)> {
    let n = |offset: u64, length: u64| (offset, noise(length, offset + length));
    let zeros = |offset: u64, length: usize| (offset, vec![0; length]);
    let m = MEBIBYTE;
    let samples = [
        ("nothing", 0, vec![]),
        ("a sector", 512, vec![n(0, 512)]),
        ("a sector of zeros", 512, vec![]),
        ("zeros", 64 * m, vec![]),
        ("zeros in memory", 8 * m, vec![zeros(0, 4 << 20)]),
        ("dense", 9 * m, vec![n(0, 9 * m)]),
        (
            "a partial block at the end",
            9 * m + 1536,
            vec![n(3 * m, 1), n(9 * m + 1024, 512)],
        ),
        (
            "a hole at the end",
            9 * m + 1536,
            vec![n(3 * m, 7), n(5 * m, 3 * m)],
        ),
        (
            "holes in blocks",
            16 * m,
            vec![
                n(64 * 1024 - 1, 2),
                n(m - 1, 1),
                n(3 * m + 4096, 4096),
                n(6 * m - 512, 1024),
                zeros(8 * m, 3 << 20),
                n(15 * m, m),
            ],
        ),
        (
            "far apart",
            GIBIBYTE + 512,
            vec![
                n(0, 440),
                n(200 * m - 3, 5),
                n(777 * m + 12345, 70_000),
                n(GIBIBYTE, 512),
            ],
        ),
    ];
    samples
        .into_iter()
        .map(|(name, length, data)| (name, image(length, data)))
        .collect()
}

/// A directory with a raw disk.
pub struct Raw {
    directory: TempDir,
}

impl Raw {
    /// Writes `image`.
    pub fn new(image: &Image) -> Raw {
        let raw = Raw {
            directory: tempfile::tempdir().unwrap(),
        };
        image::write(image, &raw.path(), &|_| ()).unwrap();
        raw
    }

    /// The raw disk.
    pub fn path(&self) -> PathBuf {
        self.file("raw")
    }

    /// Another file in the directory.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Lets `qemu-img` convert it to `format`.
    pub fn convert(&self, format: &str, options: &[&str]) -> PathBuf {
        let (raw, target) = (self.path(), self.file("from qemu-img"));
        let command = ["convert", "-f", "raw", "-O", format];
        qemu_img(&[&command, options, &[text(&raw), text(&target)]].concat());
        target
    }

    /// Checks that `file`, which is in `format`, contains the same disk of the same length.
    pub fn compare(&self, format: &str, file: &Path) {
        let raw = self.path();
        let command = ["compare", "-f", "raw", "-F", format];
        let said = qemu_img(&[&command, [text(&raw), text(file)].as_slice()].concat());
        // If a disk has more zeros at its end, this is only a warning.
        assert_eq!(said, "Images are identical.\n", "{format}");
    }

    /// Like [`Raw::compare`], and converts `file` back as well.
    pub fn compare_and_convert_back(&self, format: &str, file: &Path) {
        self.compare(format, file);
        let back = self.file("back");
        let command = ["convert", "-f", format, "-O", "raw"];
        qemu_img(&[&command, [text(file), text(&back)].as_slice()].concat());
        self.compare("raw", &back);
    }
}

/// `path`, which is UTF-8.
pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Runs `qemu-img`, which has to succeed, and returns its output.
pub fn qemu_img(arguments: &[&str]) -> String {
    let output = Command::new("qemu-img").args(arguments).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    assert!(output.status.success(), "{arguments:?}: {said}");
    said
}
