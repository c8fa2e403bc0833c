//! The same file system as `mkfs.xfs`, for every size.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use super::images::*;
use crate::common::{next, scratch, stdout};

fn mkfs(image: &Path, length: u64) {
    File::create(image).unwrap().set_len(length).unwrap();
    let uuid = format!("uuid={}", options().uuid);
    stdout(
        next::program("usr/sbin/mkfs.xfs")
            .args(["-q", "-f", "-K", "-L", "nixos", "-m", &uuid])
            .arg(image),
    );
}

/// A number in the superblock.
fn field(superblock: &[u8], at: usize) -> u64 {
    u32::from_be_bytes(superblock[at..at + 4].try_into().unwrap()).into()
}

#[test]
fn headers_trees_and_log_are_those_of_mkfs_xfs() {
    let directory = scratch();
    let tree = Arc::new(empty_tree());
    let mut lengths: Vec<u64> = [0, 4096, 8192, 12_288, 1 << 20, 5000, 77 << 20]
        .iter()
        .map(|more| 300 * MIB + more)
        .collect();
    // On both sides of the sizes at which the log, the percentage of inodes, and the number of groups
    // change.
    for near in [128 * GIB, 1 << 40, 4 << 40, 5 << 40, 8 << 40] {
        for distance in [
            -20 * MIB.cast_signed(),
            -4096,
            0,
            4096,
            17 * MIB.cast_signed(),
        ] {
            lengths.push(near.saturating_add_signed(distance));
        }
    }
    let mut random = 7u64;
    for _ in 0..20 {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let bits = 29 + (random >> 40) % 12;
        lengths.push(((1 << bits) + (random >> 20) % (1 << bits)) / 512 * 512);
    }
    for length in lengths {
        let theirs = directory.path().join("mkfs.img");
        mkfs(&theirs, length);
        let plan = plan(&tree, length).unwrap();
        let ours = write_sparsely(directory.path(), &tree, plan.as_ref(), &[]);
        let (theirs_file, ours_file) = (File::open(&theirs).unwrap(), File::open(&ours).unwrap());
        let mut superblock = [0; 512];
        theirs_file.read_exact_at(&mut superblock, 0).unwrap();
        let (group_blocks, groups) = (field(&superblock, 84), field(&superblock, 88));
        for group in 0..groups {
            // Headers, six B+trees, and in one group the beginning of the log.
            let (mut found, mut expected) = ([0; 8 * 4096], [0; 8 * 4096]);
            let start = group * group_blocks * 4096;
            ours_file.read_exact_at(&mut found, start).unwrap();
            theirs_file.read_exact_at(&mut expected, start).unwrap();
            assert!(found == expected, "{length} bytes, group {group}");
        }
        std::fs::remove_file(&theirs).unwrap();
        std::fs::remove_file(&ours).unwrap();
    }
}

#[test]
fn inodes_are_those_of_mkfs_xfs() {
    let directory = scratch();
    let theirs = directory.path().join("mkfs.img");
    mkfs(&theirs, 300 * MIB);
    let tree = Arc::new(empty_tree());
    let ours = make(directory.path(), &tree, 300 * MIB);
    mount_and_compare(&ours, &tree);
    let shown = |image: &Path, number: u64| {
        let request = format!("inode {number}");
        let text = stdout(
            next::program("usr/sbin/xfs_db")
                .args(["-c", &request, "-c", "print"])
                .arg(image),
        );
        // Random, and times.
        let differ = ["core.gen", "v3.crc", "v3.change_count"];
        let lines = text.lines().filter(|line| {
            !line.contains("time.") && !differ.iter().any(|field| line.starts_with(field))
        });
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    for number in [128, 129, 130, 131, 191] {
        assert_eq!(shown(&ours, number), shown(&theirs, number), "{number}");
    }
}
