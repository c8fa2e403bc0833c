//! The ext4 writer against oracles that this project did not write: `mkfs.ext4`, `dumpe2fs`,
//! `e2fsck` and `resize2fs` of e2fsprogs, the kernel (loop mounts, as root), and the verifying
//! reader of mkext4.
//!
//! `EXT4_TREES` is the number of random trees (200), `EXT4_SIZES` that of sizes in the sweep (320).

mod corners;
mod determinism;
mod fit;
mod growth;
pub mod images;
pub mod kernel;
mod limits;
mod random;
pub mod sizes;
