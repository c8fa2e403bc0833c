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

/// A job with one boot partition and one area.
pub fn job() -> Job {
    let json = serde_json::json!({
        "token": "t0ken", "time": 1, "root": "/dev/vda2", "store": "/nix/store", "links": [],
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

/// What comes of the report that `write` writes.
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
fn what_is_written_is_read() {
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
fn a_report_without_its_end_is_refused() {
    let error = reading(&[0; 4096]).unwrap_err();
    assert_eq!(
        error,
        "the guest's report is not whole: it ends before its last entry"
    );
    assert!(reading(&b"rubbish".repeat(1000)).is_err());
    let other = Writer::new(Vec::new(), u64::MAX).end("other").unwrap();
    let error = reading(&other).unwrap_err();
    assert_eq!(
        error,
        "entry 0 of the guest's report, end: it was not written by the guest's init"
    );
}

/// An entry of a tar archive with all that a header can say.
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

/// Each took as much memory, or as many bytes of a disk, as it said.
#[test]
fn bombs_are_refused_before_they_go_off() {
    for (kind, name, size, message) in [
        (
            EntryType::XHeader,
            "x",
            1 << 30,
            "it has 1073741824 bytes, and can have 4194304 at most",
        ),
        (
            EntryType::GNUSparse,
            "file",
            1 << 40,
            "it is of the type S, and what comes here is a file",
        ),
        (
            EntryType::GNULongName,
            "x",
            1 << 30,
            "it is of the type L, and what comes here is a file",
        ),
        (
            EntryType::GNULongLink,
            "x",
            1 << 30,
            "it is of the type K, and what comes here is a file",
        ),
        (
            EntryType::XGlobalHeader,
            "x",
            1 << 30,
            "it is of the type g, and what comes here is a file",
        ),
        (
            EntryType::Directory,
            "x",
            0,
            "it is of the type 5, and what comes here is a file",
        ),
        (
            EntryType::new(0x1b),
            "x",
            0,
            "it is of the type \\u{1b}, and what comes here is a file",
        ),
        (
            EntryType::Regular,
            "owners",
            1 << 50,
            "it has 1125899906842624 bytes, and can have 128 at most",
        ),
        (
            EntryType::Regular,
            "gone",
            1 << 50,
            "it has 1125899906842624 bytes, and can have 100 at most",
        ),
        (
            EntryType::Regular,
            "end",
            1 << 50,
            "it has 1125899906842624 bytes, and can have 5 at most",
        ),
        (
            EntryType::Regular,
            "file",
            0,
            "there is no such entry, or not with or without a record",
        ),
        (
            EntryType::Regular,
            "x\u{1b}",
            0,
            "there is no such entry, or not with or without a record",
        ),
    ] {
        let error = reading(&entry(kind, name, size, b"")).unwrap_err();
        let name = name.replace('\u{1b}', "\\u{1b}");
        let expected = format!("entry 0 of the guest's report, {name}: {message}");
        assert_eq!(error, expected);
    }
}

#[test]
fn what_was_not_asked_for_is_refused() {
    let file = |path: &[u8]| record(path, RecordKind::File);
    let error = |write: &dyn Fn(&mut Writer<Vec<u8>>)| written(write).unwrap_err();
    let mebibyte = vec![0; 1 << 20];
    for (error, message) in [
        (
            error(&|to| to.area("mbr", &[1; 441]).unwrap()),
            "area: the area mbr of the disk: it has 441 bytes, and can have 440 at most",
        ),
        (
            error(&|to| to.area("g\u{1b}p", b"x").unwrap()),
            "area: the disk has no area g\\u{1b}p for boot code",
        ),
        (
            error(&|to| (0..2).for_each(|_| to.area("mbr", b"x").unwrap())),
            "area: the area mbr is there twice",
        ),
        (
            error(&|to| to.owners(&[IDS]).unwrap()),
            "owners: it is there twice",
        ),
        (
            error(&|to| {
                to.file(&file(b"a"), 1 << 20, &mebibyte[..]).unwrap();
                to.file(&file(b"b"), 1, &b"x"[..]).unwrap();
            }),
            "file: /b: with its 1 bytes, the guest's files have more than the 1048576 of its disk",
        ),
        (
            error(&|to| {
                to.file(&file(b"a"), 0, &b""[..]).unwrap();
                to.file(&file(b"a"), 0, &b""[..]).unwrap();
            }),
            "file: /a: it is there twice, or out of order",
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
            "file: /b: it is there twice, or out of order",
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
            "file: /a/\\u{1b}/..: not a path of names",
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
            "file: /a: its data has 1 bytes, and 2 came",
        ),
    ] {
        let (_, found) = error.split_once("of the guest's report, ").unwrap();
        assert_eq!(found, message);
    }
    let none = Writer::new(Vec::new(), u64::MAX).end("t0ken").unwrap();
    let error = reading(&none).unwrap_err();
    assert!(
        error.ends_with("there are 0 owners, and 1 were asked for"),
        "{error}"
    );
}

#[test]
fn a_report_that_is_too_large_for_its_disk_says_how_large_it_is() {
    let mut writer = Writer::new(Vec::new(), 4096);
    let large = record(b"a", RecordKind::File);
    writer.file(&large, 10_000, io::repeat(7)).unwrap();
    writer.file(&large, 1 << 40, io::repeat(7)).unwrap();
    let error = writer.end("t0ken").unwrap_err().to_string();
    assert_eq!(
        error,
        "it takes 1099511643136 bytes, and there is room for 4096: what the image's own programs \
         changed is too much for a diskSize like this"
    );
    // What is told is what it takes.
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
        "what is to be said of it takes 8000197 bytes, and the most is 4194304"
    );
}
