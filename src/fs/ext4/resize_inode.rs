//! The resize inode: a file that holds the room for more group descriptors, so that nothing else
//! does (e2fsprogs, lib/ext2fs/res_gdt.c; kernel, fs/ext4/resize.c, `verify_reserved_gdb`).

use super::bytes::{index, put};
use super::geometry::Geometry;
use super::{BLOCK, BLOCK_SIZE};

/// Block numbers in a block.
const ADDRESSES: u64 = BLOCK / 4;

/// The size that the inode claims: all that direct, indirect and double indirect blocks can hold.
pub const SIZE: u64 = (ADDRESSES * ADDRESSES + ADDRESSES + 12) * BLOCK;

/// How many blocks the inode has, its double indirect block included.
pub fn blocks(geometry: &Geometry) -> u64 {
    // usize to u64: lossless.
    1 + geometry.reserved_descriptor_blocks * geometry.superblock_groups().len() as u64
}

/// The double indirect block: the numbers of the reserved blocks after the first descriptor table.
pub fn double_indirect(geometry: &Geometry) -> Vec<u8> {
    let mut block = vec![0; BLOCK_SIZE];
    for number in 0..geometry.reserved_descriptor_blocks {
        let at = (geometry.descriptor_blocks + number) % ADDRESSES;
        let reserved = 1 + geometry.descriptor_blocks + number;
        put(&mut block, index(4 * at), 4, reserved);
    }
    block
}

/// The content of the reserved block at `place`: where the same block of each backup is.
pub fn indirect(geometry: &Geometry, place: u64) -> Vec<u8> {
    let mut block = vec![0; BLOCK_SIZE];
    for (at, group) in geometry.superblock_groups().iter().skip(1).enumerate() {
        put(&mut block, 4 * at, 4, place + geometry.first_block(*group));
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_blocks_that_mkfs_ext4_gives_it() {
        // From `debugfs -R "stat <7>"` in an image of `mkfs.ext4 -b 4096` 1.47.0, 600 MiB.
        let geometry = Geometry::new(153_600, 0).unwrap();
        assert_eq!(SIZE, 4_299_210_752);
        assert_eq!(blocks(&geometry), 223);
        let double = double_indirect(&geometry);
        assert_eq!(double[..8], [0, 0, 0, 0, 2, 0, 0, 0]);
        assert_eq!(double[4 * 74..4 * 75], [75, 0, 0, 0]);
        assert_eq!(double[4 * 75..4 * 76], [0; 4]);
        let indirect = indirect(&geometry, 2);
        assert_eq!(indirect[..12], [2, 128, 0, 0, 2, 128, 1, 0, 0, 0, 0, 0]);
    }
}
