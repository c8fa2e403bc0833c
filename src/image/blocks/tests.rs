//! Blocks of random images, with any number of threads.

use std::fs;
use std::io::Read;
use std::sync::Mutex;

use proptest::prelude::*;

use super::*;
use crate::fs::FinishedFile;
use crate::image::{Content, Part, write};

/// A sink that restores the disk.
struct Disk {
    bytes: Vec<u8>,
    block: usize,
    /// The number of the next block, at least.
    next: u64,
    calls: Vec<(u64, usize)>,
}

impl Disk {
    fn new(block: usize) -> Disk {
        Disk {
            bytes: Vec::new(),
            block,
            next: 0,
            calls: Vec::new(),
        }
    }

    fn put(&mut self, number: u64, bytes: &[u8]) {
        assert!(number >= self.next, "{number} after {}", self.next);
        self.next = number + bytes.len().div_ceil(self.block) as u64;
        let start = usize::try_from(number).unwrap() * self.block;
        assert!(start >= self.bytes.len());
        self.bytes.resize(start, 0);
        self.bytes.extend_from_slice(bytes);
        for block in bytes.chunks(self.block) {
            assert!(block.iter().any(|&byte| byte != 0), "zeros in {number}");
        }
    }
}

impl BlockSink for Disk {
    fn plain(&mut self, first: u64, bytes: &[u8]) -> Result<()> {
        self.calls.push((first, bytes.len()));
        self.put(first, bytes);
        Ok(())
    }

    fn compressed(&mut self, number: u64, bytes: &[u8]) -> Result<()> {
        self.calls.push((number, bytes.len()));
        let mut block = Vec::new();
        flate2::read::DeflateDecoder::new(bytes).read_to_end(&mut block)?;
        assert!(block.len() <= self.block);
        self.put(number, &block);
        Ok(())
    }
}

const DEFLATE: Codec = Codec::Deflate {
    level: 1,
    window_bits: 12,
};

fn blocks(length: usize, codec: Option<Codec>) -> Blocks {
    Blocks {
        length,
        codec,
        always: false,
        pad: false,
    }
}

/// An image of parts with a gap before each, and their kind: bytes in memory, or a file.
fn image(directory: &std::path::Path, parts: &[(u64, Vec<u8>, bool)], rest: u64) -> Image {
    let mut at = 0;
    let mut made = Vec::new();
    for (index, (gap, bytes, is_file)) in parts.iter().enumerate() {
        let content = if *is_file {
            let path = directory.join(index.to_string());
            fs::write(&path, bytes).unwrap();
            Content::File(FinishedFile::open(&path).unwrap())
        } else {
            Content::Bytes(bytes.clone())
        };
        made.push(Part {
            name: "test".to_owned(),
            start: at + gap,
            length: bytes.len() as u64,
            content,
        });
        at += gap + bytes.len() as u64;
    }
    Image {
        length: at + rest,
        parts: made,
    }
}

/// Bytes that do not shrink.
fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..length).map(next).collect()
}

fn part() -> impl Strategy<Value = (u64, Vec<u8>, bool)> {
    let bytes = prop_oneof![
        (0..9000_usize, any::<u64>()).prop_map(|(length, seed)| noise(length, seed)),
        (0..200_000_usize).prop_map(|length| vec![0; length]),
        (0..400_000_usize, any::<u8>()).prop_map(|(length, byte)| vec![byte; length]),
    ];
    (
        prop_oneof![Just(0), 0..100_000_u64, 0..3_000_000_u64],
        bytes,
        any::<bool>(),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_block_arrives_once_in_order(
        parts in prop::collection::vec(part(), 0..5),
        rest in 0..2_000_000_u64,
        threads in 2..8_usize,
        length in prop::sample::select(vec![512_usize, 4096, 65_536, 2 << 20]),
        compress in any::<bool>(),
        pad in any::<bool>(),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let image = image(directory.path(), &parts, rest);
        let path = directory.path().join("raw");
        write(&image, &path, &|_| ()).unwrap();
        let raw = fs::read(path).unwrap();
        let blocks = Blocks { pad, ..blocks(length, compress.then_some(DEFLATE)) };
        let run = |threads| {
            let mut disk = Disk::new(length);
            let read = Mutex::new(0);
            let progress = |done: u64| {
                let mut read = read.lock().unwrap();
                *read = done.max(*read);
            };
            write_with(threads, &image, &blocks, &mut disk, &progress).unwrap();
            assert_eq!(read.into_inner().unwrap(), image.data_length());
            disk
        };
        let mut disk = run(threads);
        // Where a run of blocks is divided depends on the disk only.
        prop_assert!(disk.calls == run(1).calls);
        let mut expected = raw.len();
        if pad {
            expected = expected.next_multiple_of(length);
        }
        prop_assert!(disk.bytes.len() <= expected);
        disk.bytes.resize(raw.len(), 0);
        prop_assert!(disk.bytes == raw);
    }
}

#[test]
fn a_block_that_does_not_shrink_is_compressed_only_on_demand() {
    let directory = tempfile::tempdir().unwrap();
    let image = image(directory.path(), &[(4096, noise(4096, 1), false)], 4096);
    let stored = |always| {
        let mut disk = Disk::new(4096);
        let blocks = Blocks {
            always,
            ..blocks(4096, Some(DEFLATE))
        };
        write_blocks(&image, &blocks, &mut disk, &|_| ()).unwrap();
        disk.calls
    };
    assert_eq!(stored(false), [(1, 4096)]);
    let always = stored(true);
    assert!(
        matches!(always[..], [(1, length)] if length > 4096),
        "{always:?}"
    );
}

/// A sink that fails at a block.
struct Failing(u64);

impl BlockSink for Failing {
    fn plain(&mut self, first: u64, bytes: &[u8]) -> Result<()> {
        let end = first + (bytes.len() as u64).div_ceil(65_536);
        ensure!(end <= self.0, "no room");
        Ok(())
    }

    fn compressed(&mut self, number: u64, bytes: &[u8]) -> Result<()> {
        self.plain(number, bytes)
    }
}

#[test]
fn a_failure_of_the_sink_or_of_a_file_ends_every_thread() {
    let directory = tempfile::tempdir().unwrap();
    let parts = [(0, vec![1; 20 << 20], true)];
    let image = image(directory.path(), &parts, 0);
    for threads in [1, 2, 7] {
        for at in [0, 100, 319] {
            let error = write_with(
                threads,
                &image,
                &blocks(65_536, None),
                &mut Failing(at),
                &|_| (),
            );
            assert_eq!(error.unwrap_err().to_string(), "no room");
        }
    }
    let file = fs::File::options()
        .write(true)
        .open(directory.path().join("0"));
    file.unwrap().set_len(5 << 20).unwrap();
    for threads in [1, 2, 7] {
        let mut disk = Disk::new(65_536);
        let error = write_with(threads, &image, &blocks(65_536, None), &mut disk, &|_| ());
        let error = format!("{:#}", error.unwrap_err());
        assert!(error.contains("writing the part \"test\": "), "{error}");
        assert!(error.contains("it was changed during the build"), "{error}");
    }
}

#[test]
fn a_sparse_disk_of_many_tebibytes_takes_no_time() {
    let directory = tempfile::tempdir().unwrap();
    let parts = [(3 << 40, b"end".to_vec(), false)];
    let image = image(directory.path(), &parts, 7);
    let mut calls = Failing(u64::MAX);
    write_blocks(&image, &blocks(65_536, None), &mut calls, &|_| ()).unwrap();
    let mut calls = Failing((3 << 40) >> 16);
    write_blocks(&image, &blocks(65_536, None), &mut calls, &|_| ()).unwrap_err();
}
