//! Compressed files of all lengths and kinds of contents.

use std::path::Path;
use std::sync::Arc;

use make_disk_image::fs::{DataSource, Plan};
use make_disk_image::tree::{Content, Kind, Source, SourceFile, Tree};

use super::images::*;
use super::kernel::{compare, compare_backwards, mount};
use crate::common::scratch;

/// Contents by name. A piece that is compressed by itself has 256 KiB.
fn contents() -> Vec<(String, Vec<u8>)> {
    let piece = 256 * KIB;
    let mut all: Vec<(String, Vec<u8>)> = Vec::new();
    let lengths = [
        64,
        65,
        1000,
        2100,
        4095,
        4096,
        4097,
        5000,
        8191,
        8192,
        8193,
        20_000,
        65_536,
        100_001,
        piece - 1,
        piece,
        piece + 1,
        2 * piece - 1,
        2 * piece,
        2 * piece + 5000,
        3 * piece + 77,
    ];
    for (seed, length) in (0..).zip(lengths) {
        all.push((format!("text-{length}"), text(seed, length)));
        all.push((format!("noise-{length}"), noise(seed, length)));
        all.push((format!("zeros-{length}"), vec![0; length]));
        // Ends and begins with what does not shrink.
        let mut mixed = text(seed, length);
        mixed.extend(noise(seed, length / 3));
        all.push((format!("mixed-{length}"), mixed));
        let mut mixed = noise(seed, length);
        mixed.extend(text(seed, length / 2));
        all.push((format!("mixed-2-{length}"), mixed));
    }
    // Pieces that shrink and others that do not, in turn.
    let turns = (0..9).flat_map(|turn| match turn % 2 {
        0 => text(turn, piece),
        _ => noise(turn, piece),
    });
    all.push(("turns".to_owned(), turns.collect()));
    all
}

#[test]
fn every_byte_arrives() {
    let directory = scratch();
    let contents = contents();
    let mut tree = empty_tree();
    for (name, bytes) in &contents {
        add(&mut tree, name, file(bytes));
    }
    let tree = Arc::new(tree);
    let mut lengths = Vec::new();
    for compression in ALL {
        let image = make(directory.path(), &tree, compression);
        lengths.push(std::fs::metadata(&image).unwrap().len());
        let first = mount(&image);
        for (name, bytes) in &contents {
            compare_backwards(&first.path().join(name), bytes);
        }
        first.unmount();
        let second = mount(&image);
        compare(second.path(), &tree);
        second.unmount();
    }
    // Half of it is noise.
    let [none, lz4, lz4hc, deflate, zstd] = lengths[..] else {
        panic!("{lengths:?}")
    };
    assert!(lz4 < none * 9 / 10 && lz4hc <= lz4, "{lengths:?}");
    assert!(deflate < lz4hc && zstd < lz4hc, "{lengths:?}");
}

/// A tree of files in `directory`.
fn stored(directory: &Path, contents: &[(String, Vec<u8>)]) -> Tree {
    let shared: Arc<Path> = directory.into();
    let mut tree = empty_tree();
    for (name, bytes) in contents {
        std::fs::write(directory.join(name), bytes).unwrap();
        let source = SourceFile::new(Arc::clone(&shared), name.as_ref());
        let content = Content {
            size: bytes.len() as u64,
            source: Source::File(source),
            data: None,
        };
        add(&mut tree, name, inode(Kind::File(content)));
    }
    tree
}

#[test]
fn files_that_do_not_shrink_are_not_copied() {
    let [sources, work] = [scratch(), scratch()];
    let contents = [
        ("noise".to_owned(), noise(1, 3_000_000)),
        ("short".to_owned(), noise(2, 3000)),
        ("text".to_owned(), text(3, 1_000_000)),
    ];
    let tree = Arc::new(stored(sources.path(), &contents));
    let plan = plan(work.path(), &tree, ALL[1]).unwrap();
    assert_eq!(std::fs::read_dir(work.path()).unwrap().count(), 0);
    let from_tree = |plan: &dyn Plan| -> u64 {
        let is_tree = |file| matches!(plan.source(file), Some(DataSource::Tree(_)));
        let data = plan.data().iter();
        data.filter(|data| is_tree(data.file))
            .map(|data| data.length)
            .sum()
    };
    assert_eq!(from_tree(plan.as_ref()), 3_000_000 / 4096 * 4096);
    let image = write(work.path(), plan);
    check(&image);
    let mount = mount(&image);
    compare(mount.path(), &tree);
    mount.unmount();
}

#[test]
fn a_file_that_has_changed_is_an_error() {
    let [sources, work] = [scratch(), scratch()];
    let contents = [
        ("a".to_owned(), text(1, 10_000)),
        ("b".to_owned(), text(2, 100)),
    ];
    let tree = Arc::new(stored(sources.path(), &contents));
    std::fs::write(sources.path().join("b"), b"shorter").unwrap();
    let message = "b has 7 bytes but had 100 when it was listed: it was changed during the build";
    let Err(error) = plan(work.path(), &tree, ALL[1]) else {
        panic!("compressed a file that has changed");
    };
    assert!(error.to_string().contains(message), "{error}");
    assert_eq!(std::fs::read_dir(work.path()).unwrap().count(), 0);
    let plan = plan(work.path(), &tree, None).unwrap();
    let error = plan.metadata(&mut |_, _| Ok(())).unwrap_err();
    assert!(error.to_string().contains(message), "{error}");
}
