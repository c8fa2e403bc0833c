//! Disks for tests of formats, and what `qemu-img` makes of them.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::sample::{Index, select};
use tempfile::TempDir;
use uuid::uuid;

use crate::holes;
use crate::image::{self, Content, Image, Part};
use crate::spec::Identity;

const MEBIBYTE: u64 = 1 << 20;

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

/// Bytes without order, none of which is 0. They repeat after a little more than a mebibyte, so that
/// blocks differ.
pub fn noise(length: u64, seed: u64) -> Vec<u8> {
    static NOISE: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let next = |_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes().map(|byte| byte.max(1))
        };
        (0..(1 << 17) + 125).map(next).collect::<Vec<_>>().concat()
    });
    cut(&NOISE, length, seed)
}

/// Bytes that shrink to about an eighth, none of which is 0. They repeat like those of [`noise`].
pub fn words(length: u64, seed: u64) -> Vec<u8> {
    static WORDS: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let words = [
            "cluster ",
            "refcount\n",
            "table ",
            "of ",
            "the ",
            "disk ",
            "is ",
            "in ",
        ];
        let numbers = noise((1 << 18) + 125, 0);
        let words = numbers
            .iter()
            .map(|n| words[usize::from(*n >> 5)].as_bytes());
        words.collect::<Vec<_>>().concat()
    });
    cut(&WORDS, length, seed)
}

/// Returns `length` bytes of `sequence`, from a place that depends on `seed`, and from the beginning
/// after the end.
fn cut(sequence: &[u8], length: u64, seed: u64) -> Vec<u8> {
    let length = usize::try_from(length).unwrap();
    let seed = (seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize;
    let mut piece = &sequence[seed % sequence.len()..];
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        bytes.extend_from_slice(&piece[..piece.len().min(length - bytes.len())]);
        piece = sequence;
    }
    bytes
}

/// `usual` cases of a property, or as many as the environment variable `PROPTEST_CASES` says.
pub fn cases(usual: u32) -> ProptestConfig {
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => ProptestConfig::default(),
        None => ProptestConfig::with_cases(usual),
    }
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

/// A random range of a disk.
#[derive(Debug, Clone)]
pub struct Range {
    /// It begins near a multiple of this many bytes.
    unit: u64,
    /// Which one.
    index: Index,
    /// How many bytes before it.
    before: u64,
    /// Length in bytes.
    length: u64,
}

/// Ranges near the borders of sectors and of blocks of any format, and a few of any length anywhere.
pub fn ranges() -> impl Strategy<Value = Vec<Range>> {
    let units = select(vec![512, 65_536, MEBIBYTE, 2 * MEBIBYTE, 32 * MEBIBYTE]);
    let before = select(vec![0, 0, 1, 512]);
    let length = prop_oneof![
        1..1500_u64,
        select(vec![512, 65_536, 65_536 + 512]),
        1..150_000_u64,
    ];
    let range = (units, any::<Index>(), before, length);
    let range = range.prop_map(|(unit, index, before, length)| Range {
        unit,
        index,
        before,
        length,
    });
    prop::collection::vec(range, 0..10)
}

/// A disk of `length` bytes with data in `ranges`, as far as they are disjoint.
pub fn sparse(length: u64, ranges: &[Range]) -> Image {
    let start = |range: &Range| {
        let count = usize::try_from(length / range.unit + 1).unwrap();
        let at = range.index.index(count) as u64 * range.unit;
        at.saturating_sub(range.before)
    };
    let mut places: Vec<(u64, u64)> = ranges.iter().map(|it| (start(it), it.length)).collect();
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
        ("zeros", 40 * m, vec![]),
        ("zeros in memory", 8 * m, vec![zeros(0, 4 << 20)]),
        ("dense", 5 * m, vec![n(0, 5 * m)]),
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
            70 * m + 512,
            vec![
                n(0, 440),
                n(32 * m - 3, 5),
                n(66 * m + 12345, 70_000),
                n(70 * m, 512),
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
}

/// Makes a file that is longer than the one that replaces it.
pub fn write_longer(path: &Path) {
    let file = File::create(path).unwrap();
    file.set_len(9 << 20).unwrap();
    file.write_all_at(&noise(MEBIBYTE, 1), 0).unwrap();
    file.write_all_at(&noise(MEBIBYTE, 2), 8 << 20).unwrap();
}

/// Replaces bytes of `file` at `offset`.
pub fn put(file: &Path, offset: u64, bytes: &[u8]) {
    let file = File::options().write(true).open(file).unwrap();
    file.write_all_at(bytes, offset).unwrap();
}

/// Returns `length` bytes of `file` at `offset`.
pub fn get(file: &Path, offset: u64, length: u64) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(length).unwrap()];
    let file = File::open(file).unwrap();
    file.read_exact_at(&mut bytes, offset).unwrap();
    bytes
}

/// Whether two files have the same bytes. What is a hole in both is not read, so that it takes little
/// time even if the files are long.
pub fn is_same(one: &Path, other: &Path) -> bool {
    let files = [one, other].map(|path| File::open(path).unwrap());
    let [length, other_length] = files.each_ref().map(|file| file.metadata().unwrap().len());
    let mut data = files
        .each_ref()
        .map(|file| holes::data_ranges(file, length, 1).unwrap())
        .concat();
    data.sort_unstable_by_key(|range| range.start);
    length == other_length
        && holes::widen(data, length, 4096).iter().all(|range| {
            let length = range.end - range.start;
            get(one, range.start, length) == get(other, range.start, length)
        })
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
