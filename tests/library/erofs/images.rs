//! Trees and images for the tests.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use make_disk_image::fs::{Erofs, ErofsCompression, Format, Options, Plan, PlanError};
use make_disk_image::image::{self, Image, Part};
use make_disk_image::tree::{
    Content, Directory, Inode, InodeId, Kind, Metadata, Timestamp, Tree, Xattr,
};

use crate::common::{next, run, said};

pub const KIB: usize = 1 << 10;
pub const MIB: u64 = 1 << 20;

/// Every way to compress, and none.
pub const ALL: [Option<ErofsCompression>; 5] = [
    None,
    Some(ErofsCompression::Lz4 { level: 0 }),
    Some(ErofsCompression::Lz4 { level: 9 }),
    Some(ErofsCompression::Deflate { level: 6 }),
    Some(ErofsCompression::Zstd { level: 3 }),
];

pub fn options() -> Options {
    Options {
        uuid: uuid::uuid!("17c1ed75-4a11-41f0-8960-e3b6440c5961"),
        label: "nixos".to_owned(),
        time: Timestamp::STORE,
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

pub fn add(tree: &mut Tree, name: &str, inode: Inode) -> InodeId {
    tree.insert(InodeId::ROOT, name.as_bytes(), inode).unwrap()
}

/// Bytes that do not shrink, and that are different for every `seed`.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..length).map(next).collect()
}

/// Bytes that shrink to about half: words of eight letters.
pub fn text(seed: u64, length: usize) -> Vec<u8> {
    let letters = noise(1, 8 * 256);
    let words = noise(seed, length.div_ceil(8));
    let letters = words.iter().flat_map(|word| {
        let word = &letters[8 * usize::from(*word)..];
        word[..8].iter().map(|letter| b'a' + letter % 16)
    });
    letters.take(length).collect()
}

/// The writer, with its compressed data in `directory`.
pub fn erofs(directory: &Path, compression: Option<ErofsCompression>) -> Erofs {
    Erofs {
        compression,
        directory: directory.to_owned(),
        threads: 2,
    }
}

/// Plans the smallest file system for `tree`.
pub fn plan(
    directory: &Path,
    tree: &Arc<Tree>,
    compression: Option<ErofsCompression>,
) -> Result<Box<dyn Plan>, PlanError> {
    let counted = erofs(directory, compression).count(tree, &options())?;
    counted.plan(counted.smallest(0)?)
}

/// Writes the file system `plan` to a new file in `directory`.
pub fn write(directory: &Path, plan: Box<dyn Plan>) -> PathBuf {
    let path = directory.join("erofs.img");
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

/// Plans, writes, and checks.
pub fn make(directory: &Path, tree: &Arc<Tree>, compression: Option<ErofsCompression>) -> PathBuf {
    let plan = plan(directory, tree, compression).unwrap();
    check_plan(plan.as_ref());
    let image = write(directory, plan);
    check(&image);
    image
}

/// Checks what [`Plan`] promises.
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
        assert!(last <= plan.length());
        assert!(plan.source(data.file).is_some());
        parts.push((data.offset, last));
    }
    parts.sort_unstable();
    for pair in parts.windows(2) {
        assert!(pair[0].1 <= pair[1].0, "{pair:?} overlap");
    }
    assert_eq!(plan.usage().available, 0);
}

/// A program of erofs-utils.
pub fn tool(name: &str) -> Command {
    next::program(&format!("usr/bin/{name}"))
}

/// Asserts that `fsck.erofs` finds nothing, and that it can decompress all data.
pub fn check(image: &Path) {
    let output = run(tool("fsck.erofs").arg("--extract").arg(image));
    let text = said(&output);
    assert!(output.status.success() && text.is_empty(), "{text}");
}
