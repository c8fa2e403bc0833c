//! CRC-32C as ext4 uses it: not inverted at the end, and seeded with the file system's UUID
//! (kernel, Documentation/filesystems/ext4/checksums.rst).

/// A running checksum, or `None` in a file system without checksums, where it is always 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seed(Option<u32>);

impl Seed {
    /// The seed in a file system without checksums.
    pub const NONE: Seed = Seed(None);

    /// Returns the seed of all checksums in the file system `uuid`.
    pub fn file_system(uuid: &[u8; 16]) -> Seed {
        Seed(Some(u32::MAX)).then(uuid)
    }

    /// Returns the seed of checksums that belong to the inode `number`. Its generation is always 0.
    pub fn inode(self, number: u32) -> Seed {
        self.then(&number.to_le_bytes()).then(&0u32.to_le_bytes())
    }

    /// Continues the checksum with `bytes`.
    #[inline]
    pub fn then(self, bytes: &[u8]) -> Seed {
        // The crate inverts before and after, as is usual; ext4 does not.
        Seed(self.0.map(|seed| !crc32c::crc32c_append(!seed, bytes)))
    }

    /// Returns the checksum.
    pub fn value(self) -> u32 {
        self.0.unwrap_or(0)
    }
}

/// Returns the checksum of a superblock, which has no seed.
pub fn superblock(bytes: &[u8]) -> u32 {
    Seed(Some(u32::MAX)).then(bytes).value()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn computes_crc32c_without_the_final_inversion() {
        // RFC 3720's CRC-32C of "123456789" is e3069283.
        assert_eq!(superblock(b"123456789"), !0xe306_9283);
        let seven = Seed(Some(7));
        let whole = seven.then(b"abcdef");
        assert_eq!(seven.then(b"abc").then(b"def"), whole);
        assert_eq!(Seed::NONE.inode(1).value(), 0);
    }
}
