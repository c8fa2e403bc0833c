//! CRC-32C as btrfs uses it for hashes: seeded, and not inverted at the end (kernel,
//! fs/btrfs/ctree.h and fs/btrfs/extent-tree.c).

/// Continues the checksum `seed` with `bytes`.
fn raw(seed: u32, bytes: &[u8]) -> u32 {
    // The crate inverts before and after, as is usual.
    !crc32c::crc32c_append(!seed, bytes)
}

/// Returns the hash of a name in a directory, or of an extended attribute (`btrfs_name_hash`).
pub fn name(name: &[u8]) -> u32 {
    raw(!1, name)
}

/// Returns the hash of a name in the directory `parent`, for an inode with many names
/// (`btrfs_extref_hash`).
pub fn extref(parent: u64, name: &[u8]) -> u32 {
    // The kernel takes the low 32 bits as the seed.
    let [a, b, c, d, ..] = parent.to_le_bytes();
    raw(u32::from_le_bytes([a, b, c, d]), name)
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_have_the_hashes_that_mkfs_writes() {
        assert_eq!(super::name(b"default"), 2_378_154_706);
        assert_eq!(super::name(b"hello"), 1_570_712_351);
        assert_eq!(super::name(b"a"), 3_427_024_844);
    }
}
