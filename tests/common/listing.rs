//! What a Linux kernel sees in an image: every file with all its metadata, read by a guest.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::nix::Build;
use super::qemu::{self, Boot};
use super::{command, repository, run, said, scratch, stdout};

/// The listing of a file system, by path from its root; the root itself is the empty path.
pub type Listing = BTreeMap<PathBuf, Entry>;

/// One name in a file system.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    /// `f`, `d`, `l`, `p`, `c`, `b` or `s`, like find's `%y`.
    pub kind: char,
    /// Permission bits, with set-user-ID, set-group-ID and sticky.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Link count.
    pub links: u32,
    /// Inode number: names with the same number are hard links to one file.
    pub inode: u64,
    /// Bytes.
    pub size: u64,
    /// Seconds since 1970, as find prints them, with a fraction.
    pub mtime: String,
    /// atime, mtime, ctime and birth time, as stat prints them.
    pub times: [String; 4],
    /// Allocated blocks of 512 bytes.
    pub blocks: u64,
    /// Device numbers in hexadecimal: `major:minor`.
    pub device: String,
    /// The target of a symbolic link.
    pub target: PathBuf,
    /// Hash of a regular file, in hexadecimal.
    pub sha256: Option<String>,
    /// Extended attributes as getfattr prints them: name and `0x...`.
    pub xattrs: BTreeMap<String, String>,
}

/// Lists a partition of an image (`/dev/vda2`), or the whole disk (`/dev/vda`), with the kernel's
/// driver of this type (ext4, vfat, f2fs).
///
/// # Panics
/// If the guest cannot mount or read it.
pub fn list(image: &Path, format: &str, device: &str, kind: &str) -> Listing {
    let lister = match kind {
        "f2fs" => "fixture.f2fsLister",
        _ => "fixture.lister",
    };
    let lister = Build::expression(lister).run();
    let directory = scratch();
    let answer = directory.path().join("answer");
    let file = std::fs::File::create(&answer).expect("creating the lister's disk");
    file.set_len(1 << 30).expect("sizing the lister's disk");
    qemu::boot_with(
        image,
        format,
        &Boot::Kernel(&lister.out, &format!("fixture.list={device},{kind}")),
        Duration::from_secs(300),
        Some(&answer),
    );
    in_tar(&answer, ".")
}

/// Reads the listing that a guest left in a directory of a tar archive.
///
/// # Panics
/// If it is missing.
pub fn in_tar(tar: &Path, directory: &str) -> Listing {
    let directory = match directory {
        "." => ".".to_owned(),
        name => format!("./{name}"),
    };
    read(|name| {
        let output = run(command("tar")
            .arg("-xOf")
            .arg(tar)
            .arg(format!("{directory}/{name}")));
        assert!(output.status.success(), "{}", said(&output));
        output.stdout
    })
}

/// Lists a directory of this machine as the guest lists a file system.
///
/// # Panics
/// If it cannot be read.
pub fn here(root: &Path) -> Listing {
    let result = scratch();
    stdout(
        command("bash")
            .arg(repository().join("tests/fixtures/system/list.sh"))
            .arg(root)
            .arg(result.path()),
    );
    read(|name| std::fs::read(result.path().join(name)).expect("list.sh writes four files"))
}

/// Builds a listing from the output of list.sh; `bytes` reads its files by name.
fn read(bytes: impl Fn(&str) -> Vec<u8>) -> Listing {
    let mut listing = files(&bytes("files"));
    add_times(&mut listing, &bytes("times"));
    for record in records(&bytes("sha256")) {
        // 64 digits, two spaces, and the name, which sha256sum does not escape with -z.
        let hash = String::from_utf8_lossy(&record[..64]).into_owned();
        entry(&mut listing, &record[66..]).sha256 = Some(hash);
    }
    add_xattrs(&mut listing, &bytes("xattrs"));
    listing
}

/// The entry for a path that starts with `.`.
fn entry<'a>(listing: &'a mut Listing, name: &[u8]) -> &'a mut Entry {
    let path = Path::new(OsStr::from_bytes(name));
    listing
        .get_mut(path.strip_prefix(".").unwrap_or(path))
        .unwrap_or_else(|| panic!("find does not list {}", path.display()))
}

fn add_times(listing: &mut Listing, bytes: &[u8]) {
    let fields: Vec<_> = records(bytes).collect();
    assert_eq!(fields.len(), 7 * listing.len(), "the list is cut off");
    for field in fields.chunks(7) {
        let text = |index: usize| String::from_utf8_lossy(field[index]).into_owned();
        let entry = entry(listing, field[0]);
        entry.times = [1, 2, 3, 4].map(text);
        entry.blocks = text(5).parse().expect("stat prints numbers");
        entry.device = text(6);
    }
}

fn records(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes
        .strip_suffix(b"\0")
        .into_iter()
        .flat_map(|all| all.split(|byte| *byte == 0))
}

fn files(bytes: &[u8]) -> Listing {
    let fields: Vec<_> = records(bytes).collect();
    assert_eq!(fields.len() % 10, 0, "the guest's list is cut off");
    let text = |field: &[u8]| String::from_utf8_lossy(field).into_owned();
    let number = |field: &[u8]| text(field).parse().expect("find prints numbers");
    let small = |field: &[u8]| text(field).parse().expect("find prints numbers");
    fields
        .chunks(10)
        .map(|field| {
            let entry = Entry {
                kind: char::from(field[1][0]),
                mode: u32::from_str_radix(&text(field[2]), 8).expect("find prints octal modes"),
                uid: small(field[3]),
                gid: small(field[4]),
                links: small(field[5]),
                inode: number(field[6]),
                size: number(field[7]),
                mtime: text(field[8]),
                target: PathBuf::from(OsStr::from_bytes(field[9])),
                ..Entry::default()
            };
            (PathBuf::from(OsStr::from_bytes(field[0])), entry)
        })
        .collect()
}

/// Reads getfattr's dump: a `# file: NAME` line, with unprintable bytes as `\ooo`, then
/// `name=0xVALUE` lines.
fn add_xattrs(listing: &mut Listing, dump: &[u8]) {
    let mut path = PathBuf::new();
    for line in dump
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
    {
        if let Some(name) = line.strip_prefix(b"# file: ") {
            path = PathBuf::from(OsStr::from_bytes(&unescape(name)));
            continue;
        }
        let line = String::from_utf8_lossy(line);
        let (name, value) = line.split_once('=').unwrap_or((&line, ""));
        let entry = entry(listing, path.as_os_str().as_bytes());
        entry.xattrs.insert(name.to_owned(), value.to_owned());
    }
}

fn unescape(name: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = name;
    while let [first, after @ ..] = rest {
        let octal = after
            .get(..3)
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        match (first, octal) {
            (b'\\', Some(byte)) => {
                bytes.push(byte);
                rest = &after[3..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    bytes
}

/// The listing of a directory of this machine, as if root owned every file and there were no hard
/// links: how a store path must look in an image.
///
/// # Panics
/// If it cannot be read.
pub fn of_directory(root: &Path) -> Listing {
    let mut listing = Listing::new();
    walk(root, Path::new(""), &mut listing)
        .unwrap_or_else(|error| panic!("{}: {error}", root.display()));
    listing
}

fn walk(root: &Path, path: &Path, listing: &mut Listing) -> io::Result<()> {
    // Joining an empty path would add a slash, which is wrong if the root is a file.
    let source = match path.as_os_str().is_empty() {
        true => root.to_owned(),
        false => root.join(path),
    };
    let metadata = source.symlink_metadata()?;
    let mut entry = Entry {
        kind: 'f',
        mode: metadata.mode() & 0o7777,
        uid: 0,
        gid: 0,
        links: 1,
        inode: 0,
        size: metadata.size(),
        mtime: format!("{}.{:09}0", metadata.mtime(), metadata.mtime_nsec()),
        device: "0:0".to_owned(),
        ..Entry::default()
    };
    if metadata.is_symlink() {
        entry.kind = 'l';
        entry.target = std::fs::read_link(&source)?;
    } else if metadata.is_dir() {
        entry.kind = 'd';
        for child in std::fs::read_dir(&source)? {
            let name = child?.file_name();
            walk(root, &path.join(name), listing)?;
        }
    } else {
        let bytes = std::fs::read(&source)?;
        let hash = Sha256::digest(&bytes);
        entry.sha256 = Some(hash.iter().map(|byte| format!("{byte:02x}")).collect());
    }
    listing.insert(path.to_owned(), entry);
    Ok(())
}

/// The names of each file with more than one.
pub fn hard_links(listing: &Listing) -> BTreeSet<BTreeSet<&Path>> {
    let mut names: BTreeMap<u64, BTreeSet<&Path>> = BTreeMap::new();
    for (path, entry) in listing {
        if entry.kind != 'd' && entry.links > 1 {
            names.entry(entry.inode).or_default().insert(path);
        }
    }
    names.into_values().collect()
}

impl Entry {
    /// The entry without what a file system chooses itself: inode numbers, blocks, times other than
    /// mtime, and the size and link count of directories.
    pub fn chosen_by_us(&self) -> Self {
        let directory = self.kind == 'd';
        Self {
            inode: 0,
            blocks: 0,
            times: Default::default(),
            size: if directory { 0 } else { self.size },
            links: if directory { 0 } else { self.links },
            ..self.clone()
        }
    }
}

/// Compares two listings name by name, without what a file system chooses itself.
///
/// # Panics
/// If they differ: with the first 20 differences.
pub fn assert_same(found: &Listing, expected: &Listing) {
    let mut differences = Vec::new();
    for path in found.keys().chain(expected.keys()).collect::<BTreeSet<_>>() {
        let [found, expected] =
            [found, expected].map(|listing| listing.get(path).map(Entry::chosen_by_us));
        if found != expected {
            differences.push(format!(
                "{path:?}:\n  found    {found:?}\n  expected {expected:?}"
            ));
        }
    }
    let shown: Vec<_> = differences.iter().take(20).map(String::as_str).collect();
    assert!(
        differences.is_empty(),
        "{} differences\n{}",
        differences.len(),
        shown.join("\n")
    );
}
