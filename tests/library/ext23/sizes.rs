//! The same file systems as `mkfs.ext2 -b 4096` and `mkfs.ext3 -b 4096`.

use super::images::*;
use crate::common::scratch;
use crate::ext4_writer::sizes::compare_size;

#[test]
fn every_field_is_that_of_mkfs() {
    // Around the boundaries of groups, blocks of the descriptor table, tiers of the journal, and
    // types of mke2fs.conf.
    let mut sizes = vec![64, 100, 500, 767, 768, 2047, 2048, 2100, 5000];
    for groups in [1, 2, 3, 8, 10, 17, 129] {
        for distance in [-600i64, -1, 10, 560, 2200] {
            sizes.push((groups * 32_768 + distance).cast_unsigned());
        }
    }
    sizes.push(1 << 26);
    let directory = scratch();
    for (at, blocks) in sizes.into_iter().enumerate() {
        // Journals differ, and tables do not, so that one type is sufficient for most sizes.
        let (kind, format) = TYPES[at % 2];
        compare_size(directory.path(), kind, format, blocks);
    }
}
