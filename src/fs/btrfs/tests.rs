//! The writer without its oracles, which are in tests/library/btrfs_writer.

use std::path::PathBuf;

use super::*;
use crate::fs::{DataSource, Plan};
use crate::tree::{Content, Inode, InodeId, Kind, Metadata, Timestamp};

fn options() -> Options {
    Options {
        uuid: uuid::uuid!("17c1ed75-4a11-41f0-8960-e3b6440c5961"),
        label: "nixos".to_owned(),
        time: Timestamp::from_seconds(1_700_000_000),
    }
}

/// A tree of files of 0 bytes to 2 MB, some of which can be compressed.
fn tree() -> Arc<Tree> {
    let mut tree = Tree::new(Metadata::new(0o755));
    let mut state = 1u32;
    for number in 0..300usize {
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_le_bytes()[3]
        };
        let length = if number % 50 == 49 {
            2_000_000
        } else {
            number * 53
        };
        let bytes = (0..length)
            .map(|at| {
                if at / 1000 % 3 < number % 4 {
                    b'x'
                } else {
                    next()
                }
            })
            .collect();
        let inode = Inode {
            metadata: Metadata::new(0o644),
            kind: Kind::File(Content::bytes(bytes)),
        };
        let name = format!("{number}");
        tree.insert(InodeId::ROOT, name.as_bytes(), inode).unwrap();
    }
    Arc::new(tree)
}

/// All bytes of a plan, by their offsets.
fn bytes(plan: &dyn Plan) -> Vec<(u64, Vec<u8>)> {
    let mut all = Vec::new();
    plan.metadata(&mut |offset, bytes| {
        all.push((offset, bytes.to_vec()));
        Ok(())
    })
    .unwrap();
    for extent in plan.data() {
        let mut buffer = vec![0; usize::try_from(extent.length).unwrap()];
        let source: DataSource<'_> = plan.source(extent.file).unwrap();
        let opened = crate::fs::source::Opener::default().open(source);
        let opened = opened.unwrap();
        opened.read(&mut buffer, extent.file_offset).unwrap();
        all.push((extent.offset, buffer));
    }
    all
}

#[test]
fn the_number_of_threads_does_not_affect_the_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let tree = tree();
    for compression in [
        None,
        Some(Compression::Zlib { level: 3 }),
        Some(Compression::Zstd { level: 3 }),
    ] {
        let writer = Btrfs {
            compression,
            subvolumes: Vec::new(),
            checksums: true,
            directory: directory.path().to_owned(),
        };
        let made = |threads| {
            let counted = writer.count_on(threads, &tree, &options()).unwrap();
            let plan = counted.plan(counted.smallest(1 << 20).unwrap()).unwrap();
            let first = bytes(plan.as_ref());
            assert!(first == bytes(plan.as_ref()), "another call, other bytes");
            first
        };
        let one = made(1);
        for threads in [2, 5, 16] {
            assert!(one == made(threads), "{threads} threads, {compression:?}");
        }
    }
    let left = fs::read_dir(directory.path()).unwrap().count();
    assert_eq!(left, 0, "the temporary file is removed");
}

#[test]
fn a_file_that_was_changed_is_reported() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    fs::write(&path, vec![1; 10_000]).unwrap();
    let source = crate::tree::SourceFile::new(directory.path().into(), "file".as_ref());
    let content = Content {
        size: 9_999,
        source: crate::tree::Source::File(source),
        data: None,
    };
    let mut tree = Tree::new(Metadata::new(0o755));
    let inode = Inode {
        metadata: Metadata::new(0o644),
        kind: Kind::File(content),
    };
    tree.insert(InodeId::ROOT, b"file", inode).unwrap();
    let writer = Btrfs {
        compression: None,
        subvolumes: Vec::new(),
        checksums: true,
        directory: PathBuf::new(),
    };
    let error = writer.count(&Arc::new(tree), &options()).err().unwrap();
    let message = format!(
        "{} has 10000 bytes but had 9999 when it was listed: it was changed during the build; \
         build again when nothing writes to it",
        path.display()
    );
    assert_eq!(error.to_string(), message);
}
