//! The free space that a root file system needs beyond the requested space.

use std::fmt;

use crate::fs::Usage;
use crate::layout::MEBIBYTE;
use crate::spec::System;

/// The space that NixOS needs for its first boot, in bytes. `df` still shows the additional space
/// afterwards. It is 8 MiB for the first file of systemd's journal (which grows in steps of 8 MiB),
/// 8 MiB for `/nix/var/nix/db/reserved`, which Nix creates when it opens the store, and 8 MiB for
/// the rest: accounts, keys, and the state of services.
pub(super) const FIRST_BOOT: u64 = 24 * MEBIBYTE;

/// Returns the free space for ordinary users beyond the additional space, in bytes, on a disk of an
/// automatic or suggested size. The space reserved for root is in addition to this.
pub(super) fn margin(system: &System) -> u64 {
    match system {
        System::Installed(_) => FIRST_BOOT,
        // A store image is not booted.
        System::StoreOnly => 0,
    }
}

/// A disk of a fixed size that holds the tree, but leaves less free space than `margin`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cramped {
    /// The requested size in MiB.
    pub mebibytes: u64,
    /// The usage of the root file system.
    pub usage: Usage,
    /// The free space that users should have, in bytes.
    pub margin: u64,
    /// The smallest diskSize that leaves this space, in MiB, or `None` if no disk is large enough.
    pub advised: Option<u64>,
}

impl fmt::Display for Cramped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "diskSize is {} MiB, which leaves {} bytes of the root file system free for users and \
             {} for root, but the first boot may write {} bytes, as root and as other users",
            self.mebibytes, self.usage.available, self.usage.available_to_root, self.margin
        )?;
        match self.advised {
            Some(advised) => write!(f, "; set diskSize to at least {advised} or to \"auto\""),
            None => write!(f, "; no disk with this partition table has more room"),
        }
    }
}
