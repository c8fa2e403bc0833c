//! The same file system as `mkfs.ext4 -b 4096`, for every size.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use make_disk_image::fs::{Ext4, Format};

use super::images::*;
use crate::common::{command, oracles, scratch, stdout};

/// Fields of `dumpe2fs -h` that may differ, and why.
const DIFFERENT: [(&str, &str); 2] = [
    (
        "Lifetime writes",
        "mkfs.ext4 counts its own writes; ours says what is in use",
    ),
    ("Checksum", "of all the others, Lifetime writes included"),
];

/// The sizes to try, in blocks: around the boundaries of groups, flexible groups, blocks of the
/// descriptor table, tiers of the journal and types of `mke2fs.conf`, and between them.
fn sizes() -> Vec<u64> {
    let count: usize = match std::env::var("EXT4_SIZES") {
        Ok(count) => count.parse().expect("EXT4_SIZES is a number"),
        Err(_) => 320,
    };
    // Below 2,048 there is no journal.
    let mut sizes = vec![64, 100, 256, 500, 767, 768, 769, 1024, 1500, 2047];
    sizes.extend([2048, 2049, 2100, 3000, 5000, 1 << 32, (1 << 32) - 1]);
    let group = 32_768i64;
    let near = [
        -2048, -1100, -600, -300, -50, -1, 0, 1, 10, 100, 300, 560, 600, 700, 1100, 1200, 2200,
    ];
    for groups in [1, 2, 3, 4, 5, 8, 10, 15, 16, 17, 26, 32, 48, 64, 65] {
        for distance in near {
            sizes.push((groups * group + distance).cast_unsigned());
        }
    }
    for groups in [128, 129, 1024, 2048, 32_768, 131_071] {
        for distance in [-1, 0, 700] {
            sizes.push((groups * group + distance).cast_unsigned());
        }
    }
    let mut random = 7u64;
    while sizes.len() < count {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let bits = 11 + (random >> 40) % 12;
        sizes.push((1 << bits) + (random >> 33) % (1 << bits));
    }
    sizes.sort_unstable();
    sizes.dedup();
    sizes
}

/// `dumpe2fs -h`, by field.
fn header(image: &Path) -> BTreeMap<String, String> {
    let text = stdout(command("dumpe2fs").env("TZ", "UTC").arg("-h").arg(image));
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect()
}

/// The output of `dumpe2fs` after the header: where groups have their tables.
fn tables(image: &Path) -> Vec<String> {
    let text = stdout(command("dumpe2fs").arg(image));
    text.lines()
        .map(str::trim)
        .filter_map(|line| {
            let line = match line.split_once(" csum") {
                Some((place, _)) => place.trim_end_matches(','),
                None => line,
            };
            [
                "Group ",
                "Block bitmap at",
                "Inode bitmap at",
                "Inode table at",
            ]
            .iter()
            .any(|start| line.starts_with(start))
            .then(|| line.to_owned())
        })
        .collect()
}

fn mkfs(kind: &str, image: &Path, length: u64) {
    File::create(image).unwrap().set_len(length).unwrap();
    // Random unless it is set; ours comes from the UUID.
    let seed = uuid::Uuid::new_v5(&options().uuid, b"ext4 directory hash seed");
    let settings = format!("lazy_itable_init=1,lazy_journal_init=1,hash_seed={seed}");
    stdout(
        command(format!("mkfs.{kind}"))
            .args(["-q", "-F", "-b", "4096", "-L", "nixos"])
            .args(["-U", &options().uuid.to_string()])
            .args(["-E", &settings])
            .env("E2FSPROGS_FAKE_TIME", options().time.seconds.to_string())
            .arg(image),
    );
}

/// Compares an empty file system of `blocks` blocks with that of `mkfs.{kind}`.
pub fn compare_size(directory: &Path, kind: &str, format: &dyn Format, blocks: u64) {
    let theirs = directory.join("mkfs.img");
    mkfs(kind, &theirs, blocks * 4096);
    let tree = Arc::new(empty_tree());
    let counted = format.count(&tree, &options()).unwrap();
    let ours = write(directory, counted.plan(blocks * 4096).unwrap());
    // Reading every inode table of 16 TiB takes long, so the largest sizes are compared, but not
    // checked.
    if blocks < 1 << 25 {
        e2fsck(&ours);
        if kind == "ext4" {
            oracles::check_by_mkext4(&ours, false);
        }
    }
    let (mut expected, mut found) = (header(&theirs), header(&ours));
    for (field, _) in DIFFERENT {
        expected.remove(field);
        found.remove(field);
    }
    assert_eq!(found, expected, "{kind}, {blocks} blocks");
    if blocks < 1 << 23 {
        assert_eq!(tables(&ours), tables(&theirs), "{kind}, {blocks} blocks");
    }
    std::fs::remove_file(&theirs).unwrap();
    std::fs::remove_file(&ours).unwrap();
}

#[test]
fn every_field_is_that_of_mkfs_ext4() {
    let sizes = sizes();
    assert!(sizes.len() >= 300 || std::env::var_os("EXT4_SIZES").is_some());
    let directory = scratch();
    // A file on ext4 is at most 16 TiB minus one block. A file in memory has no such limit.
    let memory = tempfile::tempdir_in("/dev/shm").unwrap();
    // Interleaved, so that both halves take equally long.
    std::thread::scope(|scope| {
        for half in 0..2 {
            let (sizes, directory, memory) = (&sizes, directory.path(), memory.path());
            scope.spawn(move || {
                let directory = directory.join(half.to_string());
                std::fs::create_dir(&directory).unwrap();
                for &blocks in sizes.iter().skip(half).step_by(2) {
                    match blocks {
                        4_294_967_296 => compare_size(memory, "ext4", &Ext4, blocks),
                        _ => compare_size(&directory, "ext4", &Ext4, blocks),
                    }
                }
            });
        }
    });
}
