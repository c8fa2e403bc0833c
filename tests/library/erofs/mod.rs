//! The EROFS writer against oracles that this project did not write: `mkfs.erofs`, `dump.erofs` and
//! `fsck.erofs` of erofs-utils, and the kernel (loop mounts, as root).
//!
//! `EROFS_TREES` is the number of random trees (60).

mod compression;
mod corners;
mod determinism;
mod holes;
mod images;
mod kernel;
mod limits;
mod random;
mod sizes;
