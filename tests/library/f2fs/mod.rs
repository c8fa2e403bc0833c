//! The f2fs writer against oracles that this project did not write: `mkfs.f2fs`, `fsck.f2fs` and
//! `resize.f2fs` of f2fs-tools 1.16.0, GRUB's reader, and the kernel, in User-Mode Linux.
//!
//! `F2FS_TREES` is the number of random trees (12, at most 25), `F2FS_SIZES` that of sizes in the sweep (60), and
//! `F2FS_FILES` that of files in the large tree (20,000).

mod checks;
mod corners;
mod determinism;
mod fit;
mod growth;
mod guest;
mod images;
mod kernel;
mod limits;
mod random;
mod sizes;
