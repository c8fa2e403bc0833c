//! Trees and images for the tests.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use make_disk_image::fs::{Btrfs, DataExtent, DataSource, Format, Options, Plan, PlanError};
use make_disk_image::image::{self, Image, Part};
use make_disk_image::tree::{
    Content, Directory, Inode, InodeId, Kind, Metadata, Timestamp, Tree, Xattr,
};
use uuid::Uuid;

use crate::common::mount::Mount;
use crate::common::{next, run, said, stdout};

pub const MIB: u64 = 1 << 20;
pub const GIB: u64 = 1 << 30;

/// Options with a UUID that no other file system has: Linux keeps file systems with the same one
/// apart only if they are not mounted at the same time.
pub fn options() -> Options {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    Options {
        uuid: Uuid::new_v5(&Uuid::NAMESPACE_OID, &number.to_le_bytes()),
        label: "nixos".to_owned(),
        time: Timestamp::from_seconds(1_700_000_000),
    }
}

/// A writer with the defaults.
pub fn writer() -> Btrfs {
    Btrfs {
        compression: None,
        subvolumes: Vec::new(),
        checksums: true,
        directory: PathBuf::new(),
    }
}

pub fn inode(kind: Kind) -> Inode {
    Inode {
        metadata: Metadata::new(match kind {
            Kind::Directory(_) => 0o755,
            Kind::Symlink(_) => 0o777,
            _ => 0o644,
        }),
        kind,
    }
}

pub fn file(bytes: &[u8]) -> Inode {
    inode(Kind::File(Content::bytes(bytes.to_vec())))
}

pub fn directory() -> Inode {
    inode(Kind::Directory(Directory::default()))
}

pub fn xattr(name: &str, value: &[u8]) -> Xattr {
    Xattr {
        name: name.as_bytes().into(),
        value: value.into(),
    }
}

pub fn empty_tree() -> Tree {
    Tree::new(Metadata::new(0o755))
}

/// Bytes that do not shrink.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..length).map(next).collect()
}

pub fn plan(tree: &Arc<Tree>, length: u64) -> Result<Box<dyn Plan>, PlanError> {
    writer().count(tree, &options())?.plan(length)
}

pub fn smallest(tree: &Arc<Tree>, free: u64) -> u64 {
    writer()
        .count(tree, &options())
        .unwrap()
        .smallest(free)
        .unwrap()
}

/// Writes the file system `plan` to a new file in `directory`.
pub fn write(directory: &Path, plan: Box<dyn Plan>) -> PathBuf {
    let path = directory.join("btrfs.img");
    // A new file instead of the old one truncated, which a loop device may still hold.
    let _ = std::fs::remove_file(&path);
    let image = Image {
        length: plan.length(),
        parts: vec![Part {
            name: "root file system".to_owned(),
            start: 0,
            length: plan.length(),
            content: image::Content::FileSystem(plan),
        }],
    };
    image::write(&image, &path, &|_| ()).unwrap();
    path
}

/// Writes the metadata of `plan`, of `tree`, and of all data only `known`: bytes at an offset of a
/// file. All other file data is zeros, so that long files take no time.
pub fn write_sparsely(
    directory: &Path,
    tree: &Tree,
    plan: &dyn Plan,
    known: &[(InodeId, u64, &[u8])],
) -> PathBuf {
    let path = directory.join("btrfs.img");
    let image = File::create(&path).unwrap();
    image.set_len(plan.length()).unwrap();
    plan.metadata(&mut |offset, bytes| Ok(image.write_all_at(bytes, offset)?))
        .unwrap();
    for (inode, offset, bytes) in known {
        let Kind::File(content) = &tree.inode(*inode).kind else {
            panic!("{inode:?} is no file")
        };
        let is_known = |extent: &DataExtent| match plan.source(extent.file) {
            Some(DataSource::Tree(found)) => std::ptr::eq(found, content),
            _ => false,
        };
        for (offset, byte) in (*offset..).zip(*bytes) {
            let extent = plan
                .data()
                .iter()
                .find(|extent| {
                    is_known(extent)
                        && (extent.file_offset..extent.file_offset + extent.length)
                            .contains(&offset)
                })
                .unwrap();
            let place = extent.offset + offset - extent.file_offset;
            image.write_all_at(&[*byte], place).unwrap();
        }
    }
    path
}

/// Plans, writes, and checks.
pub fn make(directory: &Path, tree: &Arc<Tree>, length: u64) -> PathBuf {
    make_by(&writer(), directory, tree, length)
}

/// Like [`make`], with this writer.
pub fn make_by(writer: &Btrfs, directory: &Path, tree: &Arc<Tree>, length: u64) -> PathBuf {
    let counted = writer.count(tree, &options()).unwrap();
    let plan = counted.plan(length).unwrap();
    check_plan(plan.as_ref());
    let image = write(directory, plan);
    check(&image);
    image
}

/// Makes the smallest image with `free` bytes of free space, and checks it.
pub fn make_smallest(writer: &Btrfs, directory: &Path, tree: &Arc<Tree>, free: u64) -> PathBuf {
    let counted = writer.count(tree, &options()).unwrap();
    let plan = counted.plan(counted.smallest(free).unwrap()).unwrap();
    assert!(plan.usage().available >= free);
    check_plan(plan.as_ref());
    let image = write(directory, plan);
    check(&image);
    image
}

/// Checks the order that [`Plan`] promises.
pub fn check_plan(plan: &dyn Plan) {
    let mut parts: Vec<(u64, u64)> = Vec::new();
    let mut last = 0;
    plan.metadata(&mut |offset, bytes| {
        assert!(offset >= last, "metadata at {offset} after {last}");
        last = offset + bytes.len() as u64;
        assert!(last <= plan.length());
        parts.push((offset, last));
        Ok(())
    })
    .unwrap();
    let mut last = 0;
    for data in plan.data() {
        assert!(data.offset >= last && data.length > 0);
        assert_eq!(data.offset % 4096, 0);
        last = data.offset + data.length;
        parts.push((data.offset, last));
    }
    parts.sort_unstable();
    for pair in parts.windows(2) {
        assert!(pair[0].1 <= pair[1].0, "{pair:?} overlap");
    }
}

/// Asserts that `btrfs check` finds nothing, in both of its modes, and that all checksums of data
/// are right.
pub fn check(image: &Path) {
    check_with(image, &["--check-data-csum"]);
    check_with(image, &["--mode=lowmem"]);
}

/// Like [`check`], without reading data.
pub fn check_metadata(image: &Path) {
    check_with(image, &["--mode=original"]);
    check_with(image, &["--mode=lowmem"]);
}

/// Runs `btrfs check` with these arguments.
pub fn check_with(image: &Path, arguments: &[&str]) {
    let mut check = next::program("usr/bin/btrfs");
    check.arg("check").args(arguments).arg(image);
    let output = run(&mut check);
    let text = said(&output);
    let complaints = ["rror:", "ERROR", "WARNING", "arning", "mismatch"];
    let known = "WARNING: low-memory mode";
    let complains = text.lines().any(|line| {
        !line.starts_with(known) && complaints.iter().any(|complaint| line.contains(complaint))
    });
    assert!(
        output.status.success() && text.contains("no error found") && !complains,
        "{check:?}: {}\n{text}",
        output.status
    );
}

/// Runs `btrfs` of Debian 13, which has to succeed, and returns its output.
pub fn btrfs(arguments: &[&str], path: &Path) -> String {
    stdout(next::program("usr/bin/btrfs").args(arguments).arg(path))
}

/// Mounts an image.
pub fn mount(image: &Path, options: &str) -> Mount {
    Mount::with(&["-t", "btrfs", "-o", &format!("loop,{options}")], image)
}
