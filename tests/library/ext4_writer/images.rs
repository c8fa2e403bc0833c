//! Trees and images for the tests.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use make_disk_image::fs::{DataExtent, DataSource, Ext4, Format, Options, Plan, PlanError};
use make_disk_image::image::{self, Image, Part};
use make_disk_image::tree::{
    Content, Directory, Inode, InodeId, Kind, Metadata, Timestamp, Tree, Xattr,
};

use crate::common::oracles;

pub const MIB: u64 = 1 << 20;
pub const GIB: u64 = 1 << 30;

pub fn options() -> Options {
    Options {
        uuid: uuid::uuid!("17c1ed75-4a11-41f0-8960-e3b6440c5961"),
        label: "nixos".to_owned(),
        time: Timestamp::from_seconds(1_700_000_000),
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

pub fn plan(tree: &Arc<Tree>, length: u64) -> Result<Box<dyn Plan>, PlanError> {
    Ext4.count(tree, &options())?.plan(length)
}

pub fn smallest(tree: &Arc<Tree>, free: u64) -> u64 {
    Ext4.count(tree, &options())
        .unwrap()
        .smallest(free)
        .unwrap()
}

/// Writes the file system `plan` to a new file in `directory`.
pub fn write(directory: &Path, plan: Box<dyn Plan>) -> PathBuf {
    let path = directory.join("ext4.img");
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
    let path = directory.join("ext4.img");
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

/// Plans, writes, and checks with e2fsck and mkext4's reader.
pub fn make(directory: &Path, tree: &Arc<Tree>, length: u64) -> PathBuf {
    let plan = plan(tree, length).unwrap();
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

/// Checks with `e2fsck -fn` and every check of mkext4's reader.
pub fn check(image: &Path) {
    e2fsck(image);
    oracles::check_by_mkext4(image, false);
}

/// Like [`check`], after the kernel or resize2fs has changed the image.
pub fn check_changed(image: &Path) {
    e2fsck(image);
    oracles::check_by_mkext4(image, true);
}

/// Asserts that `e2fsck -fn` of Debian 12 and 13 finds nothing, not even optimisations.
pub fn e2fsck(image: &Path) {
    oracles::check_ext4(image, 0);
}
