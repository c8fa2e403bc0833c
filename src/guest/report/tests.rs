use std::io::{self, Seek};
use std::os::unix::fs::FileExt;

use tar::{EntryType, Header};

use super::*;
use crate::guest::job::Job;
use crate::layout::AreaKind;
use crate::owner::Ids;
use crate::tree::{Content, Source};

pub fn record(path: &[u8], kind: RecordKind) -> Record {
    Record {
        volume: 0,
        path: path.to_vec(),
        kind,
        mode: 0o4755,
        uid: 4_000_000_000,
        gid: 7,
        mtime: (-1, 999_999_999),
        flags: 0x8_0010,
        xattrs: vec![(b"user.\n".to_vec(), b"a\n\0=b".to_vec())],
        sparse: None,
    }
}

/// Returns a job with one boot partition and one area.
pub fn job() -> Job {
    let json = serde_json::json!({
        "token": "t0ken", "time": 1, "root": "/dev/vda2", "root_type": "ext4", "store": "/nix/store", "links": [],
        "efi_variables": false, "boot_loader": true, "owners": [{ "user": "a", "group": "b" }],
        "boot": [{ "number": 1, "device": "/dev/vda1", "target": "/boot" }],
        "areas": [{ "kind": "mbr", "start": 0, "length": 440 }],
    });
    serde_json::from_value(json).unwrap()
}

const IDS: Ids = Ids {
    uid: 1000,
    gid: 100,
};

fn limits(job: &Job) -> Limits<'_> {
    Limits {
        job,
        gone: 100,
        data: 1 << 20,
    }
}

/// Reads the report that `write` writes.
fn written(write: impl FnOnce(&mut Writer<Vec<u8>>)) -> Result<Report, String> {
    let mut writer = Writer::new(Vec::new(), u64::MAX);
    writer.owners(&[IDS]).unwrap();
    write(&mut writer);
    reading(&writer.end("t0ken").unwrap())
}

fn reading(bytes: &[u8]) -> Result<Report, String> {
    let work = tempfile::tempdir().unwrap();
    let job = job();
    read(bytes, work.path(), &limits(&job)).map_err(|error| format!("{error:#}"))
}

#[test]
fn reads_what_was_written() {
    let work = tempfile::tempdir().unwrap();
    let file = tempfile::tempfile().unwrap();
    let long = [b"\xff\n ".repeat(80), b"/x".to_vec()].concat();
    let sparse = |size, data: &[(u64, u64)]| {
        Some(Sparse {
            size,
            data: data.into(),
        })
    };
    let records = [
        record(b"", RecordKind::Directory),
        record(b"a", RecordKind::File),
        record(b"b", RecordKind::Symlink(b"//x/./\n".to_vec())),
        record(b"large", RecordKind::File),
        Record {
            sparse: sparse(10, &[(1, 2), (5, 3)]),
            ..record(b"sparse", RecordKind::File)
        },
        Record {
            sparse: sparse(1 << 40, &[(1 << 39, 3), (1 << 40 >> 2 << 1 | 8192, 2)]),
            ..record(b"sparse-large", RecordKind::File)
        },
        record(&long, RecordKind::Link(b"a".to_vec())),
        Record {
            volume: 1,
            ..record(b"", RecordKind::Directory)
        },
    ];
    let large = vec![7; 100_000];
    let mut writer = Writer::new(file.try_clone().unwrap(), 1 << 20);
    writer.owners(&[IDS]).unwrap();
    writer.gone(b"c\0").unwrap();
    for record in &records {
        let bytes: &[u8] = match &record.path[..] {
            b"a" => b"small",
            b"large" => &large,
            b"sparse" | b"sparse-large" => b"12345",
            _ => b"",
        };
        let length = u64::try_from(bytes.len()).unwrap();
        writer.file(record, length, bytes).unwrap();
    }
    writer.area("mbr", b"code").unwrap();
    writer.end("t0ken").unwrap();

    let mut file = file;
    file.rewind().unwrap();
    let job = job();
    let report = read(&mut file, work.path(), &limits(&job)).unwrap();
    assert_eq!(report.owners, [IDS]);
    assert_eq!(report.gone, b"c\0");
    assert_eq!(report.areas[&AreaKind::Mbr], b"code");
    let read: Vec<_> = report.entries.iter().map(|e| &e.record).collect();
    assert_eq!(read, records.iter().collect::<Vec<_>>());
    let content = |path: &[u8]| {
        let mut entries = report.entries.iter();
        let entry = entries.find(|entry| entry.record.path == path).unwrap();
        entry.content.clone().unwrap()
    };
    let bytes = |content: &Content| match &content.source {
        Source::Bytes(bytes) => bytes.to_vec(),
        Source::File(file) => std::fs::read(file.path()).unwrap(),
    };
    assert_eq!(bytes(&content(b"a")), b"small");
    assert_eq!(bytes(&content(b"large")), large);
    assert!(content(b"large").data.is_none());
    let sparse = content(b"sparse");
    assert_eq!(
        (sparse.size, bytes(&sparse)),
        (10, b"\x0012\0\x00345\0\0".to_vec())
    );
    assert_eq!(sparse.data_ranges().count(), 2);
    let sparse = content(b"sparse-large");
    assert_eq!(sparse.size, 1 << 40);
    let Source::File(file) = &sparse.source else {
        panic!("in memory");
    };
    let file = std::fs::File::open(file.path()).unwrap();
    assert_eq!(file.metadata().unwrap().len(), 1 << 40);
    for (offset, expected) in [(1 << 39, b"123"), ((1 << 39) + 8192, b"45\0")] {
        let mut found = [0; 3];
        file.read_exact_at(&mut found, offset).unwrap();
        assert_eq!(&found, expected);
    }
}

#[test]
fn rejects_a_report_without_its_end() {
    let error = reading(&[0; 4096]).unwrap_err();
    assert_eq!(
        error,
        "the guest's report is incomplete: its last entry is missing"
    );
    assert!(reading(&b"rubbish".repeat(1000)).is_err());
    let other = Writer::new(Vec::new(), u64::MAX).end("other").unwrap();
    let error = reading(&other).unwrap_err();
    assert_eq!(
        error,
        "entry 0 of the guest's report, end: it was not written by the guest's init"
    );
}

/// Returns a tar entry with this header and these bytes, which may be fewer than `size`.
fn entry(kind: EntryType, name: &str, size: u64, bytes: &[u8]) -> Vec<u8> {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_path(name).unwrap();
    header.set_size(size);
    header.set_cksum();
    let mut all = [header.as_bytes().as_slice(), bytes].concat();
    all.resize(all.len().next_multiple_of(512), 0);
    all
}

/// The claimed sizes must not lead to allocations in memory or on disk.
#[test]
fn rejects_entries_with_excessive_sizes() {
    for (kind, name, size, message) in [
        (
            EntryType::XHeader,
            "x",
            1 << 30,
            "it has 1073741824 bytes; the limit is 4194304",
        ),
        (
            EntryType::GNUSparse,
            "file",
            1 << 40,
            "expected a regular file, found type S",
        ),
        (
            EntryType::GNULongName,
            "x",
            1 << 30,
            "expected a regular file, found type L",
        ),
        (
            EntryType::GNULongLink,
            "x",
            1 << 30,
            "expected a regular file, found type K",
        ),
        (
            EntryType::XGlobalHeader,
            "x",
            1 << 30,
            "expected a regular file, found type g",
        ),
        (
            EntryType::Directory,
            "x",
            0,
            "expected a regular file, found type 5",
        ),
        (
            EntryType::new(0x1b),
            "x",
            0,
            "expected a regular file, found type \\u{1b}",
        ),
        (
            EntryType::Regular,
            "owners",
            1 << 50,
            "it has 1125899906842624 bytes; the limit is 128",
        ),
        (
            EntryType::Regular,
            "gone",
            1 << 50,
            "it has 1125899906842624 bytes; the limit is 100",
        ),
        (
            EntryType::Regular,
            "end",
            1 << 50,
            "it has 1125899906842624 bytes; the limit is 5",
        ),
        (
            EntryType::Regular,
            "file",
            0,
            "unknown entry, or unexpected or missing record",
        ),
        (
            EntryType::Regular,
            "x\u{1b}",
            0,
            "unknown entry, or unexpected or missing record",
        ),
    ] {
        let error = reading(&entry(kind, name, size, b"")).unwrap_err();
        let name = name.replace('\u{1b}', "\\u{1b}");
        let expected = format!("entry 0 of the guest's report, {name}: {message}");
        assert_eq!(error, expected);
    }
}

#[test]
fn rejects_what_was_not_requested() {
    let file = |path: &[u8]| record(path, RecordKind::File);
    let error = |write: &dyn Fn(&mut Writer<Vec<u8>>)| written(write).unwrap_err();
    let mebibyte = vec![0; 1 << 20];
    for (error, message) in [
        (
            error(&|to| to.area("mbr", &[1; 441]).unwrap()),
            "area: area mbr of the disk: it has 441 bytes; the limit is 440",
        ),
        (
            error(&|to| to.area("g\u{1b}p", b"x").unwrap()),
            "area: the disk has no boot code area g\\u{1b}p",
        ),
        (
            error(&|to| (0..2).for_each(|_| to.area("mbr", b"x").unwrap())),
            "area: duplicate area mbr",
        ),
        (
            error(&|to| to.owners(&[IDS]).unwrap()),
            "owners: duplicate entry",
        ),
        (
            error(&|to| {
                to.file(&file(b"a"), 1 << 20, &mebibyte[..]).unwrap();
                to.file(&file(b"b"), 1, &b"x"[..]).unwrap();
            }),
            "file: /b: with its 1 bytes, the guest's files exceed the 1048576 bytes of its disk",
        ),
        (
            error(&|to| {
                to.file(&file(b"a"), 0, &b""[..]).unwrap();
                to.file(&file(b"a"), 0, &b""[..]).unwrap();
            }),
            "file: /a: it is a duplicate or out of order",
        ),
        (
            error(&|to| {
                to.file(
                    &Record {
                        volume: 1,
                        ..file(b"a")
                    },
                    0,
                    &b""[..],
                )
                .unwrap();
                to.file(&file(b"b"), 0, &b""[..]).unwrap();
            }),
            "file: /b: it is a duplicate or out of order",
        ),
        (
            error(&|to| {
                to.file(
                    &Record {
                        volume: 7,
                        ..file(b"a")
                    },
                    0,
                    &b""[..],
                )
                .unwrap()
            }),
            "file: /a: the image has no boot partition 7",
        ),
        (
            error(&|to| to.file(&file(b"a/\x1b/.."), 0, &b""[..]).unwrap()),
            "file: /a/\\u{1b}/..: invalid path",
        ),
        (
            error(&|to| {
                let sparse = Some(Sparse {
                    size: 9,
                    data: vec![(0, 1)],
                });
                to.file(
                    &Record {
                        sparse,
                        ..file(b"a")
                    },
                    2,
                    &b"xx"[..],
                )
                .unwrap();
            }),
            "file: /a: expected 1 bytes of data, found 2",
        ),
    ] {
        let (_, found) = error.split_once("of the guest's report, ").unwrap();
        assert_eq!(found, message);
    }
    let empty = Writer::new(Vec::new(), u64::MAX).end("t0ken").unwrap();
    let error = reading(&empty).unwrap_err();
    assert!(error.ends_with("expected 1 owners, found 0"), "{error}");
}

#[test]
fn reports_the_size_of_a_report_that_exceeds_its_disk() {
    let mut writer = Writer::new(Vec::new(), 4096);
    let large = record(b"a", RecordKind::File);
    writer.file(&large, 10_000, io::repeat(7)).unwrap();
    writer.file(&large, 1 << 40, io::repeat(7)).unwrap();
    let error = writer.end("t0ken").unwrap_err().to_string();
    assert_eq!(
        error,
        "it needs 1099511643136 bytes, but its disk has only 4096: the image's own programs changed \
         too much for this diskSize"
    );
    // The number is the length of the report.
    let mut writer = Writer::new(Vec::new(), u64::MAX);
    writer.file(&large, 10_000, io::repeat(7)).unwrap();
    writer.area("mbr", b"x").unwrap();
    let needed = writer.needed();
    let length = writer.end("").unwrap().len();
    assert_eq!(needed + 512, u64::try_from(length).unwrap());

    let mut long = large.clone();
    long.xattrs[0].1 = vec![255; 2_000_000];
    let error = Writer::new(Vec::new(), u64::MAX)
        .file(&long, 0, io::empty())
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "its record takes 8000197 bytes; the limit is 4194304"
    );
}
