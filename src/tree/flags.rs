//! Inode flags, as set by chattr(1) and shown by lsattr(1).

use std::fmt;

/// Flags of a regular file or a directory. Only those are kept that have an effect on Linux in an
/// ext4 file system with the defaults of `mkfs.ext4`. See docs/ext4.md for the others, and why they
/// are not kept.
///
/// The bits are those of `FS_IOC_GETFLAGS` (ioctl_iflags(2)), which are the same as ext4's on disk
/// (Linux, Documentation/filesystems/ext4/inodes.rst, `i_flags`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags(u32);

/// Bit, name, and whether only directories can have the flag.
const KEPT: [(u32, &str, bool); 8] = [
    (0x8, "sync", false),
    (0x10, "immutable", false),
    (0x20, "append", false),
    (0x40, "nodump", false),
    (0x80, "noatime", false),
    (0x4000, "journal", false),
    (0x1_0000, "dirsync", true),
    (0x2_0000, "topdir", true),
];

impl Flags {
    /// Keeps those flags of `bits` that a regular file can have.
    pub fn of_file(bits: u32) -> Flags {
        Flags::of(bits, false)
    }

    /// Keeps those flags of `bits` that a directory can have.
    pub fn of_directory(bits: u32) -> Flags {
        Flags::of(bits, true)
    }

    fn of(bits: u32, is_directory: bool) -> Flags {
        let kept = KEPT
            .iter()
            .filter(|(_, _, directories_only)| is_directory || !directories_only);
        Flags(bits & kept.fold(0, |mask, (bit, _, _)| mask | bit))
    }

    /// The bits as in `FS_IOC_GETFLAGS`.
    pub fn bits(self) -> u32 {
        self.0
    }

    /// Whether no flag is set.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// Writes the names of the flags, separated by blanks.
impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set = KEPT.iter().filter(|(bit, _, _)| self.0 & bit != 0);
        for (at, (_, name, _)) in set.enumerate() {
            if at > 0 {
                f.write_str(" ")?;
            }
            f.write_str(name)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_flags_without_effect_and_flags_set_by_the_writer() {
        assert_eq!(
            Flags::of_directory(u32::MAX).to_string(),
            "sync immutable append nodump noatime journal dirsync topdir"
        );
        assert_eq!(Flags::of_directory(u32::MAX).bits(), 0x3_40f8);
        assert_eq!(
            Flags::of_file(u32::MAX).to_string(),
            "sync immutable append nodump noatime journal"
        );
        assert!(Flags::of_file(0x3_0000).is_empty());
        assert_eq!(Flags::default().to_string(), "");
    }
}
