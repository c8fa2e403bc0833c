//! The room that a root file system needs beyond what was asked for.

use std::fmt;

use crate::fs::Usage;
use crate::layout::MEBIBYTE;
use crate::spec::System;

/// What a NixOS writes at its first boot, in bytes, so that `df` still shows the additional space
/// after it: 8 MiB for the first file of systemd's journal (it grows by as much), 8 MiB for
/// `/nix/var/nix/db/reserved`, which Nix makes when it opens the store, and as much again for the
/// rest: accounts, keys, the state of services.
pub(super) const FIRST_BOOT: u64 = 24 * MEBIBYTE;

/// What a disk whose size is ours to choose, or to advise, leaves to ordinary users beyond the
/// additional space, in bytes. What only root can fill comes on top.
pub(super) fn margin(system: &System) -> u64 {
    match system {
        System::Installed(_) => FIRST_BOOT,
        // Nobody boots it.
        System::StoreOnly => 0,
    }
}

/// A disk of a fixed size that holds all there is, and has less room than `margin`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cramped {
    /// The size that was asked for.
    pub mebibytes: u64,
    /// What is free.
    pub usage: Usage,
    /// How many bytes should be.
    pub margin: u64,
    /// The smallest diskSize that leaves them, in MiB; `None` where no disk is large enough.
    pub advised: Option<u64>,
}

impl fmt::Display for Cramped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "diskSize is {} MiB, which leaves {} bytes of the root file system to users and {} to \
             root; a first boot may write {} bytes, as root and as others",
            self.mebibytes, self.usage.available, self.usage.available_to_root, self.margin
        )?;
        match self.advised {
            Some(advised) => write!(f, ": set diskSize to at least {advised} or to \"auto\""),
            None => write!(f, ", and no disk with this partition table has more room"),
        }
    }
}
