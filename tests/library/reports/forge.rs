//! Invalid reports.

use make_disk_image::guest::job::Job;
use make_disk_image::guest::report::{Record, RecordKind, Sparse, Writer};
use make_disk_image::owner::Ids;
use proptest::prelude::*;
use proptest::sample::select;

pub const TOKEN: &str = "0123456789abcdef";

const BLOCK: usize = 512;

/// One part of a report.
#[derive(Debug, Clone)]
pub enum Piece {
    File(Record, Vec<u8>),
    Gone(Vec<u8>),
    Owners(usize),
    Area(String, usize),
}

/// A change of the bytes of a report. Positions are taken modulo their number.
#[derive(Debug, Clone)]
pub enum Change {
    /// Another byte somewhere.
    Byte(usize, u8),
    /// Another size in a header, in bytes.
    Size(usize, u64),
    /// Another type in a header.
    Type(usize, u8),
    /// One block replaced by another.
    Block(usize, usize),
    /// The end truncated.
    Cut(usize),
}

/// A report to build.
#[derive(Debug, Clone, Default)]
pub struct Case {
    pub pieces: Vec<Piece>,
    /// Whether files are sorted in the order of a walk, as required.
    pub shuffled: bool,
    pub changes: Vec<Change>,
}

impl Case {
    /// The report, with the owners and the end marker of `job`.
    pub fn bytes(&self, job: &Job) -> Vec<u8> {
        let mut pieces = self.pieces.clone();
        if !self.shuffled {
            pieces.sort_by_cached_key(place);
            pieces.dedup_by(|a, b| matches!(a, Piece::File(..)) && place(a) == place(b));
        }
        let mut writer = Writer::new(Vec::new(), u64::MAX);
        let owner = Ids { uid: 1, gid: 2 };
        writer.owners(&vec![owner; job.owners.len()]).unwrap();
        for piece in &pieces {
            match piece {
                Piece::File(record, bytes) => {
                    let length = u64::try_from(bytes.len()).unwrap();
                    writer.file(record, length, &bytes[..]).unwrap();
                }
                Piece::Gone(paths) => writer.gone(paths).unwrap(),
                Piece::Owners(count) => writer.owners(&vec![owner; *count]).unwrap(),
                Piece::Area(name, length) => writer.area(name, &vec![0xeb; *length]).unwrap(),
            }
        }
        let mut bytes = writer.end(TOKEN).unwrap();
        let headers = headers(&bytes);
        for change in &self.changes {
            apply(change, &mut bytes, &headers);
        }
        bytes
    }
}

/// The position of a file in a walk.
fn place(piece: &Piece) -> Option<(u32, Vec<Vec<u8>>)> {
    let Piece::File(record, _) = piece else {
        return None;
    };
    let names = record.path.split(|&byte| byte == b'/');
    Some((record.volume, names.map(<[u8]>::to_vec).collect()))
}

/// The offsets of the headers in an archive.
fn headers(archive: &[u8]) -> Vec<usize> {
    let mut headers = Vec::new();
    let mut at = 0;
    // Pax headers have no name.
    let is_some = |block: &[u8]| block.iter().any(|&byte| byte != 0);
    while archive.get(at..at + BLOCK).is_some_and(is_some) {
        headers.push(at);
        let digits = std::str::from_utf8(&archive[at + 124..at + 135]).unwrap();
        let size = usize::from_str_radix(digits, 8).unwrap();
        at += BLOCK + size.next_multiple_of(BLOCK);
    }
    headers
}

fn apply(change: &Change, bytes: &mut Vec<u8>, headers: &[usize]) {
    let blocks = bytes.len() / BLOCK;
    if blocks == 0 {
        return;
    }
    let header = |at: &usize| headers[at % headers.len()];
    match change {
        Change::Byte(at, byte) => {
            let at = at % bytes.len();
            bytes[at] = *byte;
            repair(bytes, at / BLOCK * BLOCK, headers);
        }
        Change::Size(at, size) => {
            let at = header(at);
            if let Some(field) = bytes.get_mut(at + 124..at + 136) {
                // The high bit says that binary numbers follow (GNU tar).
                field.fill(0);
                field[0] = 0x80;
                field[4..].copy_from_slice(&size.to_be_bytes());
                repair(bytes, at, headers);
            }
        }
        Change::Type(at, kind) => {
            let at = header(at);
            if let Some(field) = bytes.get_mut(at + 156) {
                *field = *kind;
                repair(bytes, at, headers);
            }
        }
        Change::Block(from, to) => {
            let (from, to) = (from % blocks * BLOCK, to % blocks * BLOCK);
            bytes.copy_within(from..from + BLOCK, to);
        }
        Change::Cut(length) => bytes.truncate(length % bytes.len()),
    }
}

/// Corrects the checksum of a header, so that the reader looks at the rest.
fn repair(bytes: &mut [u8], at: usize, headers: &[usize]) {
    let Some(header) = bytes.get_mut(at..at + BLOCK) else {
        return;
    };
    if !headers.contains(&at) {
        return;
    }
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// Any report.
pub fn case() -> impl Strategy<Value = Case> {
    let changes = prop_oneof![
        2 => Just(Vec::new()),
        1 => prop::collection::vec(change(), 1..4),
    ];
    let pieces = prop::collection::vec(piece(), 0..12);
    (pieces, prop::bool::weighted(0.1), changes).prop_map(|(pieces, shuffled, changes)| Case {
        pieces,
        shuffled,
        changes,
    })
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<usize>;
    let size = prop_oneof![
        0..4096u64,
        any::<u64>(),
        (0..64u32).prop_map(|bits| 1u64 << bits),
    ];
    prop_oneof![
        4 => (at(), any::<u8>()).prop_map(|(at, byte)| Change::Byte(at, byte)),
        2 => (at(), size).prop_map(|(at, size)| Change::Size(at, size)),
        1 => (at(), select(b"\x00013457SLKxgV".to_vec())).prop_map(|(at, kind)| Change::Type(at, kind)),
        1 => (at(), at()).prop_map(|(from, to)| Change::Block(from, to)),
        1 => at().prop_map(Change::Cut),
    ]
}

fn piece() -> impl Strategy<Value = Piece> {
    let name = select(vec![
        "mbr",
        "bios-boot",
        "mbr",
        "bios-boot",
        "gap",
        "unpartitioned",
        "\u{1b}",
    ]);
    let length = prop_oneof![0..2000usize, 400..500usize];
    prop_oneof![
        60 => file(),
        3 => prop::collection::vec(path(), 0..4)
            .prop_map(|paths| Piece::Gone([paths.join(&0), vec![0]].concat())),
        1 => (0..3usize).prop_map(Piece::Owners),
        4 => (name, length).prop_map(|(name, length)| Piece::Area(name.to_owned(), length)),
    ]
}

/// Paths that exist, that are protected, and that are invalid.
fn path() -> impl Strategy<Value = Vec<u8>> {
    let known = [
        "",
        "etc",
        "etc/file",
        "etc/directory",
        "etc/directory/deep",
        "etc/directory/other",
        "boot",
        "nix",
        "nix/store",
        "nix/store/a",
        "nix/store/a/bin/program",
        "nix/store/evil",
        "nix/var",
        "nix/var/nix",
        "nix/var/nix/db",
        "nix/var/nix/db/db.sqlite",
        "nix/var/nix/profiles",
        "lost+found",
        "lost+found/x",
        "new",
        "new/a",
        "new/b",
        "new/a/c",
        "etc/machine-id",
    ];
    let name = prop_oneof![
        5 => "[a-c]{1,2}".prop_map(String::into_bytes),
        1 => select(vec![&b".."[..], b".", b"", b"\0", b"\x1b\n", b"\xff"]).prop_map(<[u8]>::to_vec),
        1 => (1..5000usize).prop_map(|length| vec![b'x'; length]),
    ];
    let known = || select(known.to_vec()).prop_map(|path| path.as_bytes().to_vec());
    prop_oneof![
        8 => known(),
        2 => (known(), name).prop_map(|(path, name)| [path, b"/".to_vec(), name].concat()),
        1 => prop::collection::vec("[a-b]", 1..5).prop_map(|names| names.join("/").into_bytes()),
    ]
}

fn file() -> impl Strategy<Value = Piece> {
    let number = || prop_oneof![Just(0u32), 0..5000u32, any::<u32>()];
    let kind = prop_oneof![
        6 => Just(RecordKind::Directory),
        5 => Just(RecordKind::File),
        2 => path().prop_map(RecordKind::Symlink),
        4 => path().prop_map(RecordKind::Link),
        1 => Just(RecordKind::Fifo),
        1 => (number(), number()).prop_map(|(a, b)| RecordKind::Character(a, b)),
        1 => (number(), number()).prop_map(|(a, b)| RecordKind::Block(a, b)),
    ];
    let volume = prop_oneof![40 => Just(0u32), 8 => Just(2u32), 1 => 0..5u32, 1 => any::<u32>()];
    let length = prop_oneof![8 => 0..600usize, 1 => 60_000..80_000usize];
    let time = (
        any::<i64>(),
        prop_oneof![40 => 0..1_000_000_000u32, 1 => any::<u32>()],
    );
    let xattr = ("[a-d.]{0,9}", prop::collection::vec(any::<u8>(), 0..30));
    let xattrs = prop_oneof![9 => Just(Vec::new()), 1 => prop::collection::vec(xattr, 1..4)];
    let ids = (any::<u16>(), any::<u32>(), any::<u32>());
    (path(), kind, volume, length, time, xattrs, ids, sparse()).prop_map(
        |(path, kind, volume, length, mtime, xattrs, (mode, uid, gid), sparse)| {
            let xattrs = xattrs.into_iter();
            let record = Record {
                volume,
                path,
                mode,
                uid,
                gid,
                mtime,
                flags: uid.rotate_left(7),
                xattrs: xattrs
                    .map(|(name, value)| (name.into_bytes(), value))
                    .collect(),
                sparse: sparse.filter(|_| kind == RecordKind::File),
                kind,
            };
            let length = match &record.sparse {
                Some(sparse) => sparse
                    .data
                    .iter()
                    .map(|(_, length)| length)
                    .sum::<u64>()
                    .min(4096),
                None if record.kind == RecordKind::File => u64::try_from(length).unwrap(),
                None => 0,
            };
            Piece::File(record, vec![7; usize::try_from(length).unwrap()])
        },
    )
}

fn sparse() -> impl Strategy<Value = Option<Sparse>> {
    let range = prop_oneof![
        6 => (0..5000u64, 1..100u64),
        1 => (any::<u64>(), 0..100u64),
        1 => (0..100u64, 0..1u64 << 40),
    ];
    let size = prop_oneof![0..10_000u64, 0..1u64 << 44, any::<u64>()];
    let some = (size, prop::collection::vec(range, 0..4), any::<bool>()).prop_map(
        |(size, mut data, sorted)| {
            if sorted {
                data.sort_unstable();
            }
            Some(Sparse { size, data })
        },
    );
    prop_oneof![3 => Just(None), 1 => some]
}
