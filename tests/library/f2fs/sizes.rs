//! The same sizes as `mkfs.f2fs` computes, for every length.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::checks::tool;
use super::images::*;
use crate::common::{run, scratch};

/// Ranges of the superblock that differ: UUID, label, kernel versions.
const DIFFERENT: [std::ops::Range<usize>; 2] = [108..1148, 1668..2180];

/// The lengths to try, in units of 512 bytes.
fn lengths() -> Vec<u64> {
    let count: usize = match std::env::var("F2FS_SIZES") {
        Ok(count) => count.parse().expect("F2FS_SIZES is a number"),
        Err(_) => 60,
    };
    // Around the smallest, and where the rule for overprovisioning changes (256 segments).
    let segment = 4096;
    let mut lengths: Vec<u64> = (15..26).map(|segments| segments * segment).collect();
    for segments in [264, 265, 266, 267, 268, 520, 1024, 1100, 2048, 4096] {
        lengths.push(segments * segment);
    }
    let mut random = 7u64;
    while lengths.len() < count {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let bits = 16 + (random >> 40) % 10;
        lengths.push((1 << bits) + (random >> 33) % (1 << bits));
    }
    // 60 GiB: two segments of a copy of the SIT. More takes mkfs.f2fs too long.
    lengths.push(60 << 21);
    lengths.sort_unstable();
    lengths
}

/// The superblock, and the parts of the checkpoint that depend on the length: user blocks, reserved and
/// overprovisioned segments, sizes of bitmaps.
fn read(image: &Path) -> [Vec<u8>; 3] {
    let file = File::open(image).unwrap();
    let read = |offset, length| {
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, offset).unwrap();
        bytes
    };
    let mut superblock = read(1024, 3072);
    for range in DIFFERENT {
        superblock[range].fill(0);
    }
    let second = read(4096 + 1024, 3072);
    let mut copy = second;
    for range in DIFFERENT {
        copy[range].fill(0);
    }
    assert!(superblock == copy, "the superblocks differ");
    let checkpoint = 512 * 4096;
    let counts = [read(checkpoint + 8, 8), read(checkpoint + 24, 8)].concat();
    [superblock, counts, read(checkpoint + 160, 8)]
}

#[test]
fn areas_and_reserves_are_those_of_mkfs_f2fs() {
    let directory = scratch();
    let tree = Arc::new(empty_tree());
    let mut refused = 0;
    for length in lengths() {
        let length = length * 512;
        let theirs = directory.path().join("theirs");
        let _ = std::fs::remove_file(&theirs);
        File::create(&theirs).unwrap().set_len(length).unwrap();
        let output = run(tool("mkfs.f2fs").args(["-q", "-f"]).arg(&theirs));
        let plan = plan(&tree, length);
        assert_eq!(
            output.status.success(),
            plan.is_ok(),
            "{length}: {:?}",
            plan.err()
        );
        let Ok(plan) = plan else {
            refused += 1;
            continue;
        };
        let path = write_sparsely(directory.path(), plan.as_ref(), b"");
        assert!(read(&theirs) == read(&path), "{length}");
    }
    assert!(refused > 2, "{refused}");
}
