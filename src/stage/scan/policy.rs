//! What a scan keeps of what it finds.

use crate::tree::{ChangeCheck, Timestamp};

/// What a scan keeps of what it finds. Names, kinds, modes, sizes and targets of symlinks are
/// always kept; the owner is always root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Times.
    pub mtime: Mtime,
    /// Names that share an inode.
    pub hard_links: HardLinks,
    /// Whether extended attributes are kept: `user.*`, `trusted.*`, capabilities and POSIX ACLs.
    /// What only means something on the machine that builds (labels of its security modules,
    /// marks of overlayfs, ACLs of NFS) is never kept.
    pub xattrs: bool,
    /// Whether flags are kept ([`crate::tree::Flags`]).
    pub flags: bool,
    /// Whether holes stay holes.
    pub holes: bool,
    /// By what it is noticed that a file has changed when its bytes are read.
    pub change_check: ChangeCheck,
}

/// What becomes of times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mtime {
    /// They stay.
    Kept,
    /// Everything gets this one.
    Fixed(Timestamp),
}

/// What becomes of names that share an inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HardLinks {
    /// Each name gets an inode of its own.
    Broken,
    /// They share one in the tree, too, if no further name of it is outside of the scan.
    ///
    /// In a store, `nix-store --optimise` links equal files to each other and to a file in
    /// `.links`. Those links are the machine's and not the store path's, and here they are broken.
    Complete,
    /// They share one in the tree, too.
    Kept,
}

impl Policy {
    /// For store paths: what a NAR says of them and nothing else, so that neither the store's file
    /// system nor its optimisation shows in the image.
    pub const CLOSURE: Policy = Policy {
        mtime: Mtime::Fixed(Timestamp::STORE),
        hard_links: HardLinks::Broken,
        xattrs: false,
        flags: false,
        holes: false,
        change_check: ChangeCheck::Mtime,
    };

    /// For a directory in which a program was at work just now: its times say when that was, so
    /// everything gets `time`.
    pub fn made_now(time: Timestamp) -> Policy {
        Policy {
            mtime: Mtime::Fixed(time),
            hard_links: HardLinks::Kept,
            xattrs: false,
            flags: false,
            holes: false,
            change_check: ChangeCheck::Ctime,
        }
    }

    /// For what a user wants to have in the image as it is.
    pub const FAITHFUL: Policy = Policy {
        mtime: Mtime::Kept,
        hard_links: HardLinks::Kept,
        xattrs: true,
        flags: true,
        holes: true,
        change_check: ChangeCheck::Ctime,
    };
}
