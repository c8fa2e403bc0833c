//! Roots of trees.

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{DiskKey, InodeItem, TimeSpec};

/// `struct btrfs_root_item`.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct RootItem {
    pub inode: InodeItem,
    /// The transaction that changed the tree last.
    pub generation: U64,
    /// The root directory, if the tree has one.
    pub root_dirid: U64,
    /// Address of the root node.
    pub bytenr: U64,
    pub byte_limit: U64,
    /// Bytes of all nodes.
    pub bytes_used: U64,
    pub last_snapshot: U64,
    pub flags: U64,
    /// Number of references.
    pub refs: U32,
    pub drop_progress: DiskKey,
    pub drop_level: u8,
    /// Height of the root node.
    pub level: u8,
    /// Equal to `generation` if the following fields are valid.
    pub generation_v2: U64,
    /// UUID of a subvolume.
    pub uuid: [u8; 16],
    pub parent_uuid: [u8; 16],
    pub received_uuid: [u8; 16],
    pub ctransid: U64,
    /// The transaction that made a subvolume.
    pub otransid: U64,
    pub stransid: U64,
    pub rtransid: U64,
    /// Time of the last change of a subvolume.
    pub ctime: TimeSpec,
    /// Time of its creation.
    pub otime: TimeSpec,
    pub stime: TimeSpec,
    pub rtime: TimeSpec,
    pub reserved: [U64; 8],
}

const _: () = assert!(size_of::<RootItem>() == 439);
