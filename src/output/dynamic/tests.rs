//! The order of blocks. The tests of the formats compare whole files.

use super::blocks::PIECE;
use super::*;
use crate::image::BlockSink;
use crate::output::tests::EMPTY;

const ARRANGEMENT: Arrangement = Arrangement {
    disk: 64 << 20,
    block: 1 << 20,
    prefix: b"",
    table: 0,
    padding: 0,
    end: 0,
    entry: |index, _| Ok(index.to_le_bytes()),
};

fn file(directory: &Path) -> BlockFile<'static> {
    BlockFile {
        placement: ARRANGEMENT.placement().unwrap(),
        file: ImageFile::create(&directory.join("file"), &EMPTY, 64 << 20).unwrap(),
        allocated: Vec::new(),
    }
}

#[test]
fn a_block_is_allocated_once() {
    let directory = tempfile::tempdir().unwrap();
    let mut file = file(directory.path());
    file.plain(15, &[1; 2 * PIECE]).unwrap();
    file.plain(31, &[1; PIECE]).unwrap();
    file.plain(32, &[1; 512]).unwrap();
    file.plain(1008, &[1; 16 * PIECE]).unwrap();
    assert_eq!(file.allocated, [0, 1, 2, 63]);
}

#[test]
fn blocks_out_of_order_are_errors() {
    let directory = tempfile::tempdir().unwrap();
    let mut file = file(directory.path());
    file.plain(16, &[1; PIECE]).unwrap();
    let error = file.plain(15, &[1; PIECE]).unwrap_err();
    assert_eq!(error.to_string(), "block 0 comes after block 1");
    assert_eq!(file.allocated, [1]);
    let error = file.compressed(16, &[1]).unwrap_err().to_string();
    assert!(error.contains("no compression"), "{error}");
}

#[test]
fn sizes_beyond_the_limits_are_errors() {
    let mut arrangement = ARRANGEMENT;
    arrangement.disk = u64::MAX;
    assert!(arrangement.blocks().is_err());
    assert!(arrangement.data().is_err());
    assert!(arrangement.place(0).is_err());
}
