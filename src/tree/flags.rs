//! Flags of an inode, as chattr(1) sets them and lsattr(1) shows them.

use std::fmt;

/// Flags of a regular file or a directory: those on which Linux acts in an ext4 file system as
/// `mkfs.ext4` makes it. docs/ext4.md has the others, and why they are not kept.
///
/// The numbers are those of `FS_IOC_GETFLAGS` (ioctl_iflags(2)), which are ext4's own on disk
/// (kernel, Documentation/filesystems/ext4/inodes.rst, `i_flags`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags(u32);

/// Number, name, and whether only directories have it.
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
    /// Of the flags `bits`, those that a regular file keeps.
    pub fn of_file(bits: u32) -> Flags {
        Flags::of(bits, false)
    }

    /// Of the flags `bits`, those that a directory keeps.
    pub fn of_directory(bits: u32) -> Flags {
        Flags::of(bits, true)
    }

    fn of(bits: u32, is_directory: bool) -> Flags {
        let kept = KEPT
            .iter()
            .filter(|(_, _, directories_only)| is_directory || !directories_only);
        Flags(bits & kept.fold(0, |mask, (bit, _, _)| mask | bit))
    }

    /// As `FS_IOC_GETFLAGS` gives them.
    pub fn bits(self) -> u32 {
        self.0
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// Their names, with blanks between them.
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
    fn what_linux_does_not_act_on_and_what_the_writer_decides_is_not_kept() {
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
