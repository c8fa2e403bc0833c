//! Damaged and hostile partition tables.

use super::describe;
use crate::inspect::images::{self, Gpt, SECTORS, put, sum};

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

/// The output from the table of partitions on.
fn partitions(output: &str) -> String {
    output.split(" #  role").nth(1).unwrap().to_owned()
}

#[test]
fn entries_and_headers_may_be_larger_than_usual() {
    let usual = describe(&Gpt::usual().disk()).unwrap();
    assert!(
        usual.contains("GPT 07070707-0707-0707-0707-070707070707")
            && usual.contains(" 1  other            20           29  5.00 KiB")
            && usual.contains("type 01010101-0101-0101-0101-010101010101, name \"name\""),
        "{usual}"
    );
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
        assert!(
            partitions(&text).starts_with(&partitions(&usual)),
            "{at}: {text}"
        );
        assert!(text.contains("problem: read from its backup: "), "{text}");
    }
    let mut disk = Gpt::usual().disk();
    put(&mut disk, (SECTORS - 1) * 512, b"x");
    let text = describe(&disk).unwrap();
    assert!(
        text.contains("problem: its backup cannot be used: no header at byte 32256"),
        "{text}"
    );
}

#[test]
fn hostile_tables_are_refused_with_the_reason() {
    let with = |partitions: &[(u64, u64)]| Gpt {
        partitions: partitions.to_vec(),
        ..Gpt::usual()
    };
    let mut mbr = images::mbr();
    put(&mut mbr, 458, &[0xff; 4]);
    let mut overlapping_mbr = images::mbr();
    put(&mut overlapping_mbr, 458, &[21]);
    let usual = Gpt::usual().disk();
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
            changed(false, 84, &[0, 32]),
            "declares an invalid entry size of 8192 bytes",
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
            "the image is truncated: its partition table is for a disk of 102912 bytes, but it has 32768",
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
            with(&[(20, 40), (30, 43)]).disk(),
            "partition 2 begins at byte 15360, and partition 1 ends at 20992: they overlap",
        ),
        (
            mbr,
            "partition 1 ends at byte 2199023256064, but the image ends at 32768: it is truncated",
        ),
        (overlapping_mbr, "they overlap"),
        (Vec::new(), "the file is empty"),
        (
            usual[..511].to_vec(),
            "too small for a disk image: 511 bytes",
        ),
        (
            usual[..700].to_vec(),
            "a GPT header ends at byte 1024, but the image ends at 700: it is truncated",
        ),
        (
            usual[..60 * 512].to_vec(),
            "the image is truncated: its partition table is for a disk of 32768 bytes, but it has 30720",
        ),
        (
            images::chain(&[(1, 2), (5, 9)], Some(0)),
            "reading the logical partitions in the extended partition 1: the record at byte 1024 is in \
             the chain of records twice: the chain is a circle",
        ),
        (
            images::chain(&[(1, 2), (5, 9)], Some(1000)),
            "a record is at byte 513024, but the extended partition ends at 31744",
        ),
        (
            images::chain(&[(1, 2), (5, 9)], Some(40)),
            "there is no record at byte 21504",
        ),
        (
            images::chain(&[(1, 2), (5, 1000)], None),
            "partition 6 ends at byte 521728, but the image ends at 32768: it is truncated",
        ),
    ] {
        let error = describe(&disk).unwrap_err();
        assert!(error.contains("inspecting /"), "{error}");
        assert!(error.contains(message), "{message}: {error}");
    }
}

#[test]
fn an_empty_mbr_entry_is_skipped_and_code_is_no_table() {
    let mut disk = images::mbr();
    put(&mut disk, 462 + 12, &[0; 4]);
    let text = describe(&disk).unwrap();
    assert!(
        text.contains("FAT32 (LBA), type 0x0c, active, PARTUUID 04030201-01"),
        "{text}"
    );
    assert!(!text.contains("04030201-02"), "{text}");
    let mut disk = images::mbr();
    put(&mut disk, 446, &[0x31]);
    assert!(describe(&disk).unwrap().contains("no partition table"));
}

#[test]
fn names_are_escaped() {
    let mut disk = Gpt::usual().disk();
    for entries in [1024, (SECTORS - 17) * 512] {
        put(&mut disk, entries + 56, b"\x1b\0[\0m\0\x2e\x20");
    }
    sum(&mut disk);
    let text = describe(&disk).unwrap();
    assert!(text.contains("name \"\\u{1b}[m\\u{202e}\""), "{text}");
}
