//! The same file system as `mkfs.erofs`, and no larger.

use std::collections::{BTreeMap, HashMap};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use make_disk_image::tree::{
    Content, Directory, InodeId, Kind, Metadata, Source, SourceFile, Tree,
};

use super::images::*;
use super::kernel::{compare, mount};
use crate::common::{cache, repository, scratch, stdout};

/// A tree of the directory `from`, with the time and owner of a store.
fn tree_of(from: &Path) -> Tree {
    let mut tree = empty_tree();
    let mut seen = HashMap::new();
    let mut directories = vec![(InodeId::ROOT, from.to_owned())];
    while let Some((id, path)) = directories.pop() {
        let shared: Arc<Path> = path.as_path().into();
        for entry in std::fs::read_dir(&path).unwrap() {
            let entry = entry.unwrap();
            let metadata = entry.metadata().unwrap();
            let name = entry.file_name().into_encoded_bytes();
            if let Some(&known) = seen.get(&metadata.ino()) {
                tree.link(id, &name, known).unwrap();
                continue;
            }
            let mode = metadata.mode() & 0o7777;
            let kind = if metadata.is_dir() {
                Kind::Directory(Directory::default())
            } else if metadata.is_symlink() {
                let target = std::fs::read_link(entry.path()).unwrap();
                Kind::Symlink(target.into_os_string().into_encoded_bytes().into())
            } else {
                Kind::File(Content {
                    size: metadata.len(),
                    source: Source::File(SourceFile::new(Arc::clone(&shared), &entry.file_name())),
                    data: None,
                })
            };
            let mut inode = inode(kind);
            inode.metadata = Metadata::new(u16::try_from(mode).unwrap());
            let new = tree.insert(id, &name, inode).unwrap();
            seen.insert(metadata.ino(), new);
            if metadata.is_dir() {
                directories.push((new, entry.path()));
            }
        }
    }
    tree
}

/// `dump.erofs -s`, by field.
fn header(image: &Path) -> BTreeMap<String, String> {
    let text = stdout(tool("dump.erofs").env("TZ", "UTC").arg("-s").arg(image));
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect()
}

#[test]
fn the_superblock_and_the_size_are_those_of_mkfs_erofs() {
    // Short files that shrink, and long ones.
    for from in [repository().join("src"), cache().join("trixie/usr/sbin")] {
        compare_all(&from);
    }
}

fn compare_all(from: &Path) {
    let directory = scratch();
    let tree = Arc::new(tree_of(from));
    let theirs = directory.path().join("mkfs.img");
    let cases: [(Option<&str>, _, u64); 5] = [
        (None, ALL[0], 100),
        (Some("lz4"), ALL[1], 103),
        (Some("lz4hc,level=9"), ALL[2], 104),
        (Some("deflate,level=6"), ALL[3], 104),
        (Some("zstd,level=3"), ALL[4], 104),
    ];
    for (algorithm, compression, percent) in cases {
        let mut mkfs = tool("mkfs.erofs");
        mkfs.args(["--quiet", "-T1", "--all-root", "-L", "nixos", "-x-1"])
            .args(["-U", &options().uuid.to_string()]);
        if let Some(algorithm) = algorithm {
            mkfs.arg(format!("-z{algorithm}"))
                .args(["-C65536", "-Eztailpacking"]);
        }
        stdout(mkfs.arg(&theirs).arg(from));
        let ours = make(directory.path(), &tree, compression);
        let length = |path: &Path| std::fs::metadata(path).unwrap().len();
        assert!(
            length(&ours) <= length(&theirs) * percent / 100 + 4096,
            "{from:?}, {compression:?}: {} where mkfs.erofs needs {}",
            length(&ours),
            length(&theirs)
        );
        let (mut expected, mut found) = (header(&theirs), header(&ours));
        for header in [&mut expected, &mut found] {
            header.remove("Filesystem blocks");
        }
        assert_eq!(found, expected);
        let mount = mount(&ours);
        compare(mount.path(), &tree);
        mount.unmount();
    }
}
