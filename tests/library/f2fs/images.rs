//! Trees and images for the tests.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use make_disk_image::fs::{DataSource, F2fs, Format, Options, Plan, PlanError};
use make_disk_image::image::{self, Image, Part};
use make_disk_image::tree::{
    Content, DataRange, Directory, Inode, InodeId, Kind, Metadata, Source, Timestamp, Tree, Xattr,
};

use super::checks::{check, check_plan};

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

pub fn symlink(target: &[u8]) -> Inode {
    inode(Kind::Symlink(target.into()))
}

/// A file of `size` bytes whose bytes are not known; `data` are its ranges (offset, length).
pub fn unknown(size: u64, data: Option<&[(u64, u64)]>) -> Inode {
    let ranges = data.map(|data| {
        let range = |&(offset, length): &(u64, u64)| DataRange { offset, length };
        Box::new(data.iter().map(range).collect())
    });
    inode(Kind::File(Content {
        size,
        source: Source::Bytes(Arc::from(&b""[..])),
        data: ranges,
    }))
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

pub fn add(tree: &mut Tree, parent: InodeId, name: impl AsRef<[u8]>, inode: Inode) -> InodeId {
    tree.insert(parent, name.as_ref(), inode).unwrap()
}

pub fn plan(tree: &Arc<Tree>, length: u64) -> Result<Box<dyn Plan>, PlanError> {
    F2fs.count(tree, &options())?.plan(length)
}

pub fn smallest(tree: &Arc<Tree>, free: u64) -> u64 {
    let counted = F2fs.count(tree, &options()).unwrap();
    counted.smallest(free).unwrap()
}

/// Writes the file system `plan` to a new file in `directory`.
pub fn write(directory: &Path, plan: Box<dyn Plan>) -> PathBuf {
    let path = directory.join("f2fs.img");
    let image = Image {
        length: plan.length(),
        parts: vec![Part {
            name: "root file system".to_owned(),
            start: 0,
            length: plan.length(),
            content: image::Content::FileSystem(plan),
        }],
    };
    let _ = std::fs::remove_file(&path);
    image::write(&image, &path, &|_| ()).unwrap();
    path
}

/// Writes the metadata of `plan`, and of each range of data only its beginning: `mark` at the
/// beginning of the file with the range, of which only the first block is written.
pub fn write_sparsely(directory: &Path, plan: &dyn Plan, mark: &[u8]) -> PathBuf {
    let path = directory.join("f2fs.img");
    let image = File::create(&path).unwrap();
    image.set_len(plan.length()).unwrap();
    plan.metadata(&mut |offset, bytes| Ok(image.write_all_at(bytes, offset)?))
        .unwrap();
    for extent in plan.data() {
        let Some(DataSource::Tree(_)) = plan.source(extent.file) else {
            panic!("{extent:?} is no part of a file");
        };
        image.write_all_at(mark, extent.offset).unwrap();
        let end = extent.offset + extent.length - mark.len() as u64;
        image.write_all_at(mark, end).unwrap();
    }
    path
}

/// Plans, writes and checks.
pub fn make(directory: &Path, tree: &Arc<Tree>, length: u64) -> PathBuf {
    let plan = plan(tree, length).unwrap();
    check_plan(plan.as_ref());
    let image = write(directory, plan);
    check(&image);
    image
}
