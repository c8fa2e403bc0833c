//! The resize inode: a file that contains the space for more group descriptors, so that nothing
//! else uses it (e2fsprogs, lib/ext2fs/res_gdt.c; kernel, fs/ext4/resize.c, `verify_reserved_gdb`).

use zerocopy::little_endian::U32;

pub use super::block_map::DOUBLE_INDIRECT;
use super::block_map::{Addresses, PER_BLOCK};
use super::geometry::Geometry;
use super::ondisk::BLOCK_SIZE;
use crate::fs::number::{TooWide, index, le32};

/// The file size in the inode: the maximum with direct, indirect and double indirect blocks.
pub const SIZE: u64 = (PER_BLOCK * (PER_BLOCK + 1) + 12) * BLOCK_SIZE;

/// Returns the number of blocks of the inode, including its double indirect block.
pub fn blocks(geometry: &Geometry) -> u64 {
    // usize to u64: lossless.
    1 + geometry.reserved_descriptor_blocks * geometry.superblock_groups().len() as u64
}

/// Returns the double indirect block: the numbers of the reserved blocks after the first descriptor
/// table.
///
/// # Errors
/// If a number is too large for its field.
pub fn double_indirect(geometry: &Geometry) -> Result<Addresses, TooWide> {
    let mut block = [U32::ZERO; 1024];
    for number in 0..geometry.reserved_descriptor_blocks {
        let at = (geometry.descriptor_blocks + number) % PER_BLOCK;
        block[index(at)] = le32(1 + geometry.descriptor_blocks + number)?;
    }
    Ok(block)
}

/// Returns the contents of the reserved block at `place`: the numbers of the corresponding blocks
/// of all backups.
///
/// # Errors
/// If a number is too large for its field.
pub fn indirect(geometry: &Geometry, place: u64) -> Result<Addresses, TooWide> {
    let mut block = [U32::ZERO; 1024];
    let groups = geometry.superblock_groups();
    for (address, &group) in block.iter_mut().zip(&groups[1..]) {
        *address = le32(place + geometry.first_block(group))?;
    }
    Ok(block)
}

#[cfg(test)]
mod tests {
    use zerocopy::IntoBytes;

    use super::super::features::EXT4;
    use super::*;

    #[test]
    fn has_the_same_blocks_as_with_mkfs_ext4() {
        // From `debugfs -R "stat <7>"` in an image of `mkfs.ext4 -b 4096` 1.47.0, 600 MiB.
        let geometry = Geometry::new(&EXT4, 153_600, 0).unwrap();
        assert_eq!(SIZE, 4_299_210_752);
        assert_eq!(blocks(&geometry), 223);
        let double = double_indirect(&geometry).unwrap();
        let double = double.as_bytes();
        assert_eq!(double[..8], [0, 0, 0, 0, 2, 0, 0, 0]);
        assert_eq!(double[4 * 74..4 * 75], [75, 0, 0, 0]);
        assert_eq!(double[4 * 75..4 * 76], [0; 4]);
        let indirect = indirect(&geometry, 2).unwrap();
        assert_eq!(
            indirect.as_bytes()[..12],
            [2, 128, 0, 0, 2, 128, 1, 0, 0, 0, 0, 0]
        );
    }
}
