//! File systems whose bytes exist after planning, with every sink and reader of images.

use super::super::extents::ExtentReader;
use super::super::ranges::{Bytes, Range};
use super::super::sink::Sink;
use super::super::write::write_to;
use super::*;
use crate::code::Code;
use crate::fs::tests::Archiver;
use crate::fs::{Format, Options, PlanError};
use crate::tree::Timestamp;

/// A sink in memory.
struct Memory(Mutex<Vec<u8>>);

impl Sink for Memory {
    fn write(&self, bytes: &[u8], offset: u64) -> Result<()> {
        let offset = usize::try_from(offset)?;
        self.0.lock().unwrap()[offset..offset + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }
}

fn in_memory(image: &Image) -> Vec<u8> {
    let memory = Memory(Mutex::new(vec![0; usize::try_from(image.length).unwrap()]));
    write_to(2, &memory, image, Selection::All, &|_| ()).unwrap();
    memory.0.into_inner().unwrap()
}

/// The bytes of the image as a sequential sink would receive them.
fn in_order(image: &Image) -> Vec<u8> {
    let mut disk = Vec::new();
    let take = &mut |range: Range<'_, '_>| {
        assert_eq!(range.start, disk.len() as u64);
        let mut bytes = vec![0; usize::try_from(range.length).unwrap()];
        match range.bytes {
            Bytes::Zeros => {}
            Bytes::Made(made) => bytes.copy_from_slice(made),
            Bytes::Copied { part, extent } => {
                ExtentReader::default().read(part, extent, 0, &mut bytes)?;
            }
        }
        disk.append(&mut bytes);
        Ok(())
    };
    image.ranges(take).unwrap();
    disk
}

fn options() -> Options {
    Options {
        uuid: uuid::Uuid::nil(),
        label: "archive".to_owned(),
        time: Timestamp::STORE,
    }
}

const START: u64 = 1 << 20;
const LENGTH: u64 = 8 << 20;

fn archived(directory: &Path) -> Image {
    let contents = [5, 4096, 0, 300_000, 1 << 20].map(|length| noise(length, 3));
    let (tree, _) = tree(directory, &contents);
    let format = Archiver {
        directory: directory.to_owned(),
    };
    let counted = format.count(&tree, &options()).unwrap();
    assert!(matches!(
        counted.plan(4096),
        Err(PlanError::TooSmall { .. })
    ));
    let smallest = counted.smallest(0).unwrap();
    drop(counted.plan(smallest).unwrap());
    let plan = counted.plan(LENGTH).unwrap();
    assert_eq!(plan.usage().available, LENGTH - smallest);
    image(
        START + LENGTH + 512,
        vec![
            (0, 512, Content::Bytes(b"table".to_vec())),
            (START, LENGTH, Content::FileSystem(plan)),
        ],
    )
}

#[test]
fn every_sink_and_reader_gets_the_same_bytes() {
    type Make = fn(&Path) -> Image;
    for make in [archived as Make, varied as Make] {
        let directory = tempfile::tempdir().unwrap();
        let image = make(directory.path());
        let path = directory.path().join("image");
        write(&image, &path, &|_| ()).unwrap();
        let written = fs::read(&path).unwrap();
        assert!(in_memory(&image) == written);
        assert!(in_order(&image) == written);
        let used = fs::metadata(&path).unwrap().blocks() * 512;
        assert!(used < 4 << 20, "{used}");
        for threads in [1, 2, 3, 16] {
            write_file(threads, &image, &path, Selection::All, &|_| ()).unwrap();
            assert!(fs::read(&path).unwrap() == written, "{threads} threads");
        }

        let lazy = LazyImage::new(image, &path).unwrap();
        let used = fs::metadata(&path).unwrap().blocks() * 512;
        assert!(used < 100_000, "{used} bytes without file data");
        let mut read = vec![0xaa; written.len()];
        assert_eq!(lazy.reader().read_at(&mut read, 0).unwrap(), read.len());
        assert!(read == written);
    }
}

#[test]
fn bytes_generated_during_planning_are_in_the_image() {
    let directory = tempfile::tempdir().unwrap();
    let disk = in_order(&archived(directory.path()));
    let at = |offset: u64| &disk[usize::try_from(START + offset).unwrap()..];
    assert!(at(0).starts_with(b"archive0000"));
    assert!(at(LENGTH - 4096).starts_with(b"archive0000"));
    assert!(at(2 * 4096).starts_with(&noise(4096, 3)));
}

#[test]
fn an_unreadable_file_is_a_planning_error() {
    let directory = tempfile::tempdir().unwrap();
    let (tree, _) = tree(directory.path(), &[noise(5000, 1)]);
    fs::remove_file(directory.path().join("0000")).unwrap();
    let format = Archiver {
        directory: directory.path().to_owned(),
    };
    let Err(PlanError::Failed(error)) = format.count(&tree, &options()) else {
        panic!("planning succeeded");
    };
    assert_eq!(Code::added_to(&error), Some(Code::ChangedFile));
    let error = format!("{error:#}");
    assert!(error.contains("/0000 to copy it: it existed"), "{error}");
}

#[test]
fn overlapping_ranges_are_rejected() {
    let directory = tempfile::tempdir().unwrap();
    let contents = [noise(5000, 1)];
    let (tree, ids) = tree(directory.path(), &contents);
    for (at, overlaps) in [(0, false), (4096, true), (8192, true), (16384, false)] {
        let (data, _) = placed(&contents, &ids, 8192);
        let content = Content::FileSystem(Box::new(Chosen {
            tree: tree.clone(),
            length: 1 << 20,
            data,
            metadata: vec![(at, vec![1; 8192])],
        }));
        let image = image(1 << 20, vec![(0, 1 << 20, content)]);
        let result = image.ranges(&mut |_| Ok(()));
        assert_eq!(result.is_err(), overlaps, "{at}: {result:?}");
    }
}
