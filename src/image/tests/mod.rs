//! Images written to files and read back.

mod allocation;
mod changes;
mod finished;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use anyhow::Result;

use super::ranges::Selection;
use super::write::write_file;
use super::*;
use crate::fs::{DataExtent, DataSource, Usage};
use crate::tree::{self, Inode, InodeId, Kind, Metadata, Source, SourceFile, Tree};

/// A file system whose layout a test chooses.
struct Chosen {
    tree: Arc<Tree>,
    length: u64,
    data: Vec<DataExtent>,
    metadata: Vec<(u64, Vec<u8>)>,
}

impl Plan for Chosen {
    fn length(&self) -> u64 {
        self.length
    }

    fn usage(&self) -> Usage {
        Usage {
            length: self.length,
            available: 0,
            available_to_root: 0,
            inodes: 0,
            inodes_used: 0,
        }
    }

    fn data(&self) -> &[DataExtent] {
        &self.data
    }

    /// A file's number is its index in the tree.
    fn source(&self, file: u32) -> Option<DataSource<'_>> {
        match &self.tree.inodes().get(file as usize)?.kind {
            Kind::File(content) => Some(DataSource::Tree(content)),
            _ => None,
        }
    }

    fn metadata(&self, emit: &mut dyn FnMut(u64, &[u8]) -> Result<()>) -> Result<()> {
        self.metadata
            .iter()
            .try_for_each(|(offset, bytes)| emit(*offset, bytes))
    }
}

/// The number of a file in [`Chosen`].
fn number(id: InodeId) -> u32 {
    u32::try_from(id.index()).unwrap()
}

fn image(length: u64, parts: Vec<(u64, u64, Content)>) -> Image {
    let parts = parts
        .into_iter()
        .map(|(start, length, content)| Part {
            name: "test".to_owned(),
            start,
            length,
            content,
        })
        .collect();
    Image { length, parts }
}

/// A tree with the files `contents`, whose bytes are stored in files of `directory`.
fn tree(directory: &Path, contents: &[Vec<u8>]) -> (Arc<Tree>, Vec<InodeId>) {
    let mut tree = Tree::new(Metadata::new(0o755));
    let shared: Arc<Path> = directory.into();
    let ids = contents.iter().enumerate().map(|(index, bytes)| {
        let name = format!("{index:04}");
        fs::write(directory.join(&name), bytes).unwrap();
        let inode = Inode {
            metadata: Metadata::new(0o444),
            kind: Kind::File(tree::Content {
                size: bytes.len() as u64,
                source: Source::File(SourceFile::new(shared.clone(), name.as_ref())),
                data: None,
            }),
        };
        tree.insert(InodeId::ROOT, name.as_bytes(), inode).unwrap()
    });
    let ids = ids.collect();
    (Arc::new(tree), ids)
}

fn finished(path: &Path) -> Content {
    Content::File(FinishedFile::open(path).unwrap())
}

/// Extents at these places (offset and length on the disk, in bytes), of an arbitrary file.
pub fn extents(places: impl IntoIterator<Item = (u64, u64)>) -> Vec<DataExtent> {
    let extent = |(offset, length)| DataExtent {
        file: 0,
        file_offset: 0,
        offset,
        length,
    };
    places.into_iter().map(extent).collect()
}

/// The extents of `contents`, one after the other from `offset` on, and their bytes.
fn placed(contents: &[Vec<u8>], ids: &[InodeId], offset: u64) -> (Vec<DataExtent>, Vec<u8>) {
    let mut bytes = Vec::new();
    let mut extents = Vec::new();
    for (content, &id) in contents.iter().zip(ids) {
        extents.push(DataExtent {
            file: number(id),
            file_offset: 0,
            offset: offset + bytes.len() as u64,
            length: content.len() as u64,
        });
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(4096), 0);
    }
    (extents, bytes)
}

/// Like [`write()`], but with one thread.
fn write_alone(image: &Image, path: &Path) -> Result<()> {
    write_file(1, image, path, Selection::All, &|_| {}).map(drop)
}

fn noise(length: usize, seed: u8) -> Vec<u8> {
    let mut state = u32::from(seed) + 1;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..length).map(next).collect()
}

#[test]
fn every_kind_of_part_is_written_at_its_place_and_the_rest_is_holes() {
    let directory = tempfile::tempdir().unwrap();
    let lengths = [1, 4096, 5000, 0, 300_000, 1 << 20, 17_000_001, 7, 262_144];
    let contents: Vec<Vec<u8>> = lengths.iter().map(|&n| noise(n, 1)).collect();
    let (tree, ids) = tree(directory.path(), &contents);
    let (data, bytes) = placed(&contents, &ids, 8192);
    let length = 1 << 30;
    let metadata = vec![
        (0, vec![1; 4096]),
        (4096, vec![2; 4096]),
        (8192 + bytes.len() as u64, vec![3; 4096]),
        (length - 4096, vec![4; 4096]),
    ];
    let sparse = directory.path().join("sparse");
    let file = fs::File::create(&sparse).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"end", (64 << 20) - 3).unwrap();
    let file_system = Content::FileSystem(Box::new(Chosen {
        tree,
        length,
        data,
        metadata: metadata.clone(),
    }));
    let start = 65 << 20;
    let image = image(
        2 << 30,
        vec![
            (0, 512, Content::Bytes(b"table".to_vec())),
            (1 << 20, 64 << 20, finished(&sparse)),
            (start, length, file_system),
        ],
    );
    let path = directory.path().join("image");
    // Nothing of a longer file from an earlier run may remain.
    fs::write(&path, noise(1 << 20, 9)).unwrap();
    let seen = Mutex::new(Vec::new());
    write(&image, &path, &|done| seen.lock().unwrap().push(done)).unwrap();

    let mut seen = seen.into_inner().unwrap();
    seen.sort_unstable();
    let files: usize = lengths.iter().sum();
    let total = files as u64 + image.parts[1].content.copied()[0].length;
    assert_eq!(image.data_length(), total);
    assert_eq!(seen.last(), Some(&total));

    let written = fs::File::open(&path).unwrap();
    let found = written.metadata().unwrap();
    assert_eq!(found.len(), 2 << 30);
    assert!(found.blocks() * 512 < 30 << 20, "{} blocks", found.blocks());
    let at = |offset: u64, length: usize| {
        let mut buffer = vec![0; length];
        std::os::unix::fs::FileExt::read_exact_at(&written, &mut buffer, offset).unwrap();
        buffer
    };
    assert_eq!(at(0, 8), b"table\0\0\0");
    assert_eq!(at((65 << 20) - 3, 3), b"end");
    assert!(at(start + 8192, bytes.len()) == bytes);
    for (offset, piece) in metadata {
        assert!(at(start + offset, 4096) == piece, "metadata at {offset}");
    }
}

#[test]
fn violated_invariants_are_errors() {
    let directory = tempfile::tempdir().unwrap();
    let contents = [noise(5000, 1)];
    let (tree, ids) = tree(directory.path(), &contents);
    let fs = |length, extents: &[(InodeId, u64, u64, u64)]| {
        Content::FileSystem(Box::new(Chosen {
            tree: tree.clone(),
            length,
            data: extents
                .iter()
                .map(|&(id, file_offset, offset, length)| DataExtent {
                    file: number(id),
                    file_offset,
                    offset,
                    length,
                })
                .collect(),
            metadata: Vec::new(),
        }))
    };
    let bytes = |n| Content::Bytes(vec![1; n]);
    let (file, root) = (ids[0], InodeId::ROOT);
    let cases = [
        (
            vec![(0, 10, bytes(1)), (9, 1, bytes(1))],
            "begins at 9, before",
        ),
        (vec![(8190, 3, bytes(1))], "beyond the disk (8192 bytes)"),
        (vec![(u64::MAX, 2, bytes(1))], "beyond the disk"),
        (
            vec![(0, 10, bytes(11))],
            "has 10 bytes, but its content has 11",
        ),
        (
            vec![(0, 4096, fs(8192, &[]))],
            "has 4096 bytes, but its content has 8192",
        ),
        (
            vec![(
                0,
                8192,
                fs(8192, &[(file, 0, 0, 4096), (file, 4096, 4095, 1)]),
            )],
            "overlaps or is out of bounds",
        ),
        (
            vec![(0, 8192, fs(8192, &[(file, 0, 4096, 4097)]))],
            "overlaps or is out of bounds",
        ),
        (
            vec![(0, 8192, fs(8192, &[(file, 1, 0, 5000)]))],
            "beyond the 5000 bytes of its file",
        ),
        (
            vec![(0, 8192, fs(8192, &[(root, 0, 0, 1)]))],
            "belongs to no file of its tree",
        ),
        (
            vec![(0, 4, finished(&directory.path().join("0000")))],
            "has 4 bytes, but its content has 5000",
        ),
    ];
    for (parts, message) in cases {
        let image = image(8192, parts);
        let error = write(&image, &directory.path().join("image"), &|_| {}).unwrap_err();
        let error = format!("{error:#}");
        assert!(error.contains(message), "{error} lacks {message}");
    }
}

/// A disk with everything: parts of every kind, gaps between them, two file systems, a file in two
/// pieces, bytes in memory.
fn varied(directory: &Path) -> Image {
    let lengths = [1, 4096, 5000, 0, 300_000, 1 << 20, 7, 262_144, 20_000];
    let contents: Vec<Vec<u8>> = lengths.iter().map(|&n| noise(n, 1)).collect();
    let (files, ids) = tree(directory, &contents);
    let (mut data, bytes) = placed(&contents, &ids, 8192);
    // The last file has a hole of two blocks in its middle.
    let last = data.pop().unwrap();
    for (from, length) in [(0, 5000), (12_288, 7712)] {
        data.push(DataExtent {
            file_offset: from,
            offset: last.offset + from,
            length,
            ..last
        });
    }
    let sparse = directory.join("sparse");
    let file = fs::File::create(&sparse).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"end", (2 << 20) - 3).unwrap();
    let mut memory = Tree::new(Metadata::new(0o755));
    let inode = Inode {
        metadata: Metadata::new(0o444),
        kind: Kind::File(tree::Content::bytes(noise(9999, 7))),
    };
    let extent = DataExtent {
        file: number(memory.insert(InodeId::ROOT, b"a", inode).unwrap()),
        file_offset: 0,
        offset: 4096,
        length: 9999,
    };
    let metadata = vec![
        (0, vec![1; 4096]),
        (4096, vec![2; 4096]),
        (8192 + bytes.len() as u64, vec![3; 4096]),
    ];
    let planned = |length, data, metadata, tree| {
        Content::FileSystem(Box::new(Chosen {
            tree,
            length,
            data,
            metadata,
        }))
    };
    let first = planned(3 << 20, data, metadata, files);
    let second = planned(
        1 << 20,
        vec![extent],
        vec![(0, vec![5; 4096])],
        memory.into(),
    );
    image(
        10 << 20,
        vec![
            (0, 512, Content::Bytes(b"table".to_vec())),
            (4096, 3 << 20, finished(&sparse)),
            (4 << 20, 4 << 20, first),
            (8 << 20, 1 << 20, second),
        ],
    )
}

#[test]
fn a_lazy_image_has_the_bytes_of_a_written_one() {
    let directory = tempfile::tempdir().unwrap();
    let written = directory.path().join("written");
    write(&varied(directory.path()), &written, &|_| {}).unwrap();
    let written = fs::read(written).unwrap();
    let path = directory.path().join("metadata");
    let lazy = LazyImage::new(varied(directory.path()), &path).unwrap();
    assert_eq!(lazy.length(), written.len() as u64);
    let used = fs::metadata(&path).unwrap().blocks() * 512;
    assert!(used < 100_000, "{used} bytes without file data");

    for length in [511, 4096, 65_537, 3 << 20, 20 << 20] {
        let mut reader = lazy.reader();
        let mut at = 0;
        while at < written.len() {
            let mut buffer = vec![0xaa; length];
            let got = reader.read_at(&mut buffer, at as u64).unwrap();
            assert_eq!(got, length.min(written.len() - at));
            assert!(buffer[..got] == written[at..at + got], "{got} at {at}");
            at += got;
        }
    }
    // Back and forth.
    let mut reader = lazy.reader();
    let mut at = 12_345;
    for _ in 0..2000 {
        at = (at * 7919 + 104_729) % (written.len() - 5003);
        let mut buffer = [0; 5003];
        assert_eq!(reader.read_at(&mut buffer, at as u64).unwrap(), 5003);
        assert!(buffer == written[at..at + 5003], "at {at}");
    }
    for offset in [written.len() as u64, u64::MAX] {
        assert_eq!(reader.read_at(&mut [0], offset).unwrap(), 0);
    }
}

#[test]
fn files_in_memory_are_written() {
    let directory = tempfile::tempdir().unwrap();
    let mut tree = Tree::new(Metadata::new(0o755));
    let mut extents = Vec::new();
    let mut expected = vec![0; 3 << 20];
    for (name, length, offset) in [(b"a", 300_000, 4096), (b"b", 10, 1 << 20)] {
        let bytes = noise(length, name[0]);
        expected[offset..offset + length].copy_from_slice(&bytes);
        let inode = Inode {
            metadata: Metadata::new(0o444),
            kind: Kind::File(tree::Content::bytes(bytes)),
        };
        extents.push(DataExtent {
            file: number(tree.insert(InodeId::ROOT, name, inode).unwrap()),
            file_offset: 0,
            offset: offset as u64,
            length: length as u64,
        });
    }
    let content = Content::FileSystem(Box::new(Chosen {
        tree: tree.into(),
        length: 3 << 20,
        data: extents,
        metadata: Vec::new(),
    }));
    let image = image(3 << 20, vec![(0, 3 << 20, content)]);
    let path = directory.path().join("image");
    write(&image, &path, &|_| {}).unwrap();
    assert!(fs::read(path).unwrap() == expected);
}
