//! Which metadata a scan keeps.

use crate::tree::{ChangeCheck, Timestamp};

/// Which metadata a scan keeps. Names, file types, modes, sizes and targets of symlinks are always
/// kept; the owner is always root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// How modification times are handled.
    pub mtime: Mtime,
    /// How hard links are handled.
    pub hard_links: HardLinks,
    /// Whether extended attributes are kept: `user.*`, `trusted.*`, capabilities and POSIX ACLs.
    /// Attributes that only have a meaning on the build machine (labels of its security modules,
    /// marks of overlayfs, NFS ACLs) are never kept.
    pub xattrs: bool,
    /// Whether flags are kept ([`crate::tree::Flags`]).
    pub flags: bool,
    /// Whether holes stay holes.
    pub holes: bool,
    /// How changes of a file between the scan and reading its bytes are detected.
    pub change_check: ChangeCheck,
}

/// How modification times are handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mtime {
    /// They are kept.
    Kept,
    /// Every file gets this time.
    Fixed(Timestamp),
}

/// How hard links are handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HardLinks {
    /// Each name gets an inode of its own.
    Broken,
    /// Names share an inode in the tree as well, if all names of the inode are within the scan.
    ///
    /// In a store, `nix-store --optimise` hard-links equal files to each other and to a file in
    /// `.links`. Those links belong to the host, not to the store path, and are not kept.
    Complete,
    /// Names share an inode in the tree as well.
    Kept,
}

impl Policy {
    /// For store paths: keeps only what a NAR contains, so that the image depends neither on the
    /// store's file system nor on its optimisation.
    pub const CLOSURE: Policy = Policy {
        mtime: Mtime::Fixed(Timestamp::STORE),
        hard_links: HardLinks::Broken,
        xattrs: false,
        flags: false,
        holes: false,
        change_check: ChangeCheck::Mtime,
    };

    /// For a directory in which a program has just run: its times depend on when that was, so
    /// everything gets `time`.
    pub fn freshly_written(time: Timestamp) -> Policy {
        Policy {
            mtime: Mtime::Fixed(time),
            hard_links: HardLinks::Kept,
            xattrs: false,
            flags: false,
            holes: false,
            change_check: ChangeCheck::Ctime,
        }
    }

    /// For the user's files, which are copied faithfully.
    pub const FAITHFUL: Policy = Policy {
        mtime: Mtime::Kept,
        hard_links: HardLinks::Kept,
        xattrs: true,
        flags: true,
        holes: true,
        change_check: ChangeCheck::Ctime,
    };
}
