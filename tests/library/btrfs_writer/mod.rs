//! The btrfs writer against oracles that this project did not write: `mkfs.btrfs`, `btrfs` and GRUB
//! of Debian 13, and the kernel (loop mounts, as root).
//!
//! `BTRFS_TREES` is the number of random trees (40).

mod compression;
mod corners;
mod determinism;
mod fit;
mod growth;
mod images;
mod kernel;
mod limits;
mod mkfs;
mod random;
mod subvolumes;
