//! Damaged and hostile images: each is quickly described, or rejected with the reason.

use std::fs;
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use make_disk_image::inspect;
use proptest::prelude::*;

use super::images::{self, Gpt, SECTORS, put, sum};
use crate::common::runner::runner;

/// The output of `inspect` for the bytes, or its error.
fn describe(bytes: &[u8]) -> Result<String, String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), bytes).unwrap();
    let begin = Instant::now();
    let output = inspect::describe(file.path()).map_err(|error| format!("{error:#}"));
    assert!(begin.elapsed() < Duration::from_secs(10), "{output:?}");
    output
}

/// A GPT with a change in the header, and in the backup header unless `first` is set.
fn changed(first: bool, at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut disk = Gpt::usual().disk();
    put(&mut disk, 512 + at, bytes);
    if !first {
        put(&mut disk, (SECTORS - 1) * 512 + at, bytes);
    }
    sum(&mut disk);
    disk
}

#[test]
fn entries_and_headers_may_be_larger_than_usual() {
    let usual = describe(&Gpt::usual().disk()).unwrap();
    assert!(
        usual.starts_with(
            "disk: 32768 bytes, GPT 07070707-0707-0707-0707-070707070707\n\
             partition 1: sectors 20-29, type 01010101-0101-0101-0101-010101010101, \
             01010101-0101-0101-0101-010101010101, \"name\"\n"
        ),
        "{usual}"
    );
    let partitions = |output: &str| output.split("table, boot").next().unwrap().to_owned();
    for size in [256, 512, 1024] {
        let disk = Gpt {
            size,
            ..Gpt::usual()
        }
        .disk();
        assert_eq!(
            partitions(&describe(&disk).unwrap()),
            partitions(&usual),
            "{size}"
        );
    }
    let disk = Gpt {
        header: 512,
        ..Gpt::usual()
    }
    .disk();
    assert_eq!(partitions(&describe(&disk).unwrap()), partitions(&usual));
}

#[test]
fn a_damaged_table_is_read_from_its_backup() {
    let usual = describe(&Gpt::usual().disk()).unwrap();
    assert!(!usual.contains("backup"), "{usual}");
    for (at, byte) in [(512, b'x'), (512 + 20, 1), (512 + 90, 9), (1024, 9)] {
        let mut disk = Gpt::usual().disk();
        put(&mut disk, at, &[byte]);
        let text = describe(&disk).unwrap();
        assert_eq!(text.lines().nth(3), usual.lines().nth(3), "{at}");
        assert!(text.contains(", read from its backup: "), "{text}");
    }
}

#[test]
fn hostile_tables_are_rejected_with_the_reason() {
    let overlapping = Gpt {
        partitions: vec![(20, 40), (30, 43)],
        ..Gpt::usual()
    };
    let with = |partitions: &[(u64, u64)]| Gpt {
        partitions: partitions.to_vec(),
        ..Gpt::usual()
    };
    let mut mbr = images::mbr();
    put(&mut mbr, 458, &[0xff; 4]);
    let mut overlapping_mbr = images::mbr();
    put(&mut overlapping_mbr, 458, &[21]);
    for (disk, message) in [
        (
            changed(false, 80, &[0xff; 4]),
            "a header declares 4294967295 entries of 128 bytes, but at most 4194304 bytes of entries \
             are supported",
        ),
        (
            changed(false, 80, &[0, 64, 0, 0]),
            "the table ends at byte 2098176, but the image ends at 32768",
        ),
        (
            changed(false, 84, &[0; 4]),
            "declares an invalid entry size of 0 bytes",
        ),
        (
            changed(false, 84, &[127]),
            "declares an invalid entry size of 127 bytes",
        ),
        (
            changed(false, 84, &[0xff; 4]),
            "declares an invalid entry size of 4294967295 bytes",
        ),
        (
            changed(false, 72, &[0xff; 8]),
            "the first sector of the table is out of range: 18446744073709551615",
        ),
        (
            changed(false, 12, &[0xff; 4]),
            "declares an invalid length of 4294967295 bytes",
        ),
        (
            changed(false, 12, &[91]),
            "declares an invalid length of 91 bytes",
        ),
        (
            changed(false, 24, &[0xff; 8]),
            "claims to be in sector 18446744073709551615",
        ),
        (
            changed(true, 32, &[200]),
            "the image is truncated: its partition table is for a disk of 102912 bytes, but it has \
             32768",
        ),
        (
            changed(true, 32, &[0xff; 8]),
            "a disk of more than 2^64 bytes",
        ),
        (
            with(&[(30, 20)]).disk(),
            "partition 1 has invalid sectors: 30 to 20",
        ),
        (
            with(&[(0, u64::MAX)]).disk(),
            "partition 1 has invalid sectors: 0 to 18446744073709551615",
        ),
        (
            with(&[(20, 1 << 40)]).disk(),
            "partition 1 ends at byte 562949953421824, but the image ends at 32768: it is truncated",
        ),
        (
            overlapping.disk(),
            "partition 2 begins at byte 15360, and partition 1 ends at 20992: they overlap",
        ),
        (
            mbr,
            "partition 1 ends at byte 2199023256064, but the image ends at 32768: it is truncated",
        ),
        (overlapping_mbr, "they overlap"),
        (
            Gpt::usual().disk()[..511].to_vec(),
            "too small for a disk image: 511 bytes",
        ),
        (
            Gpt::usual().disk()[..700].to_vec(),
            "a GPT header ends at byte 1024, but the image ends at 700: it is truncated",
        ),
        (
            Gpt::usual().disk()[..60 * 512].to_vec(),
            "the image is truncated: its partition table is for a disk of 32768 bytes, but it has \
             30720",
        ),
    ] {
        let error = describe(&disk).unwrap_err();
        assert!(error.starts_with("inspecting /"), "{error}");
        assert!(error.contains(message), "{message}: {error}");
    }
}

#[test]
fn an_empty_mbr_entry_is_skipped_and_an_extended_one_is_reported() {
    let mut disk = images::mbr();
    put(&mut disk, 462 + 12, &[0; 4]);
    put(&mut disk, 450, &[5]);
    let text = describe(&disk).unwrap();
    assert!(
        text.contains(
            "partition 1: sectors 2-21, type 0x05, active, extended: its partitions are not"
        ),
        "{text}"
    );
    assert!(!text.contains("partition 2"), "{text}");
}

#[test]
fn paths_that_are_neither_files_nor_disks_are_rejected_immediately() {
    let directory = tempfile::tempdir().unwrap();
    let (fifo, socket) = (
        directory.path().join("fifo"),
        directory.path().join("socket"),
    );
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let _listener = UnixListener::bind(&socket).unwrap();
    for (path, message) in [
        (
            fifo.as_path(),
            "it is a FIFO: only files and block devices can be inspected",
        ),
        (directory.path(), "it is a directory: only files"),
        ("/dev/zero".as_ref(), "it is a character device: only files"),
        (socket.as_path(), "No such device or address"),
    ] {
        let error = format!("{:#}", inspect::describe(path).unwrap_err());
        assert!(error.contains(message), "{error}");
    }
}

/// A change of an image.
#[derive(Debug, Clone)]
enum Change {
    /// One byte.
    Byte(usize, u8),
    /// A field of both GPT headers, or of the MBR: its offset, and a number of 1 to 8 bytes.
    Header(usize, u64, usize),
    /// A field of an entry.
    Entry(usize, u64, usize),
    /// The length in bytes.
    Length(usize),
}

fn change() -> impl Strategy<Value = Change> {
    let number = prop_oneof![
        0..70u64,
        Just(u64::MAX),
        Just(1 << 31),
        Just(1 << 32),
        Just(1 << 55),
        Just(u64::MAX - 511),
        Just(u64::MAX / 512),
        any::<u64>(),
    ];
    let field = prop::sample::select(vec![8usize, 12, 24, 32, 40, 48, 56, 72, 80, 84, 88]);
    let place = prop::sample::select(vec![0usize, 16, 32, 40, 48, 56, 128, 160, 168, 184]);
    let length = prop::sample::select(vec![1usize, 4, 8]);
    prop_oneof![
        (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Change::Byte(at, byte)),
        (field, number.clone(), length.clone()).prop_map(|(a, b, c)| Change::Header(a, b, c)),
        (place, number, length).prop_map(|(a, b, c)| Change::Entry(a, b, c)),
        (0..80 * 512usize).prop_map(Change::Length),
    ]
}

fn disk() -> impl Strategy<Value = Vec<u8>> {
    let partitions = prop::collection::vec((15..50u64, 0..12u64), 0..8);
    let gpt = (0..4u32, partitions).prop_map(|(size, partitions)| {
        let partitions = partitions
            .into_iter()
            .map(|(first, more)| (first, first + more))
            .collect();
        Gpt {
            size: 128 << size,
            partitions,
            ..Gpt::usual()
        }
        .disk()
    });
    let [ext4, fat] = images::file_systems();
    prop_oneof![
        6 => gpt,
        2 => Just(images::mbr()),
        1 => Just(ext4),
        1 => Just(fat),
    ]
}

fn apply(disk: &mut Vec<u8>, change: &Change) {
    let number = |value: u64, length: usize| value.to_le_bytes()[..length].to_vec();
    match change {
        Change::Byte(at, byte) => {
            let at = at % disk.len().max(1);
            put(disk, at, &[*byte]);
        }
        Change::Header(at, value, length) => {
            let last = (disk.len() / 512).saturating_sub(1) * 512;
            for start in [512, last] {
                put(disk, start + at, &number(*value, *length));
            }
            put(disk, 446 + at % 64, &number(*value, *length));
        }
        Change::Entry(at, value, length) => put(disk, 1024 + at, &number(*value, *length)),
        Change::Length(length) => disk.resize(*length, 0),
    }
}

#[test]
fn random_changes_to_an_image_never_panic() {
    let changes = prop::collection::vec(change(), 0..6);
    runner("INSPECT_IMAGES", 5000)
        .run(
            &(disk(), changes, any::<bool>()),
            |(mut disk, changes, sums)| {
                for change in &changes {
                    apply(&mut disk, change);
                }
                // With a wrong checksum, nothing else would be read.
                if sums && disk.len() > 1024 {
                    sum(&mut disk);
                }
                match describe(&disk) {
                    Ok(text) => {
                        prop_assert!(text.contains("\ntable, boot code and gaps:\n"), "{text}")
                    }
                    Err(error) => {
                        prop_assert!(!error.contains("failed to fill whole buffer"), "{error}");
                        prop_assert!(error.len() < 1000, "{error}");
                    }
                }
                Ok(())
            },
        )
        .unwrap();
}
