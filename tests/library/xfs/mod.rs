//! The XFS writer against `mkfs.xfs`, `xfs_repair` and `xfs_growfs` of xfsprogs, the kernel (loop mounts,
//! as root), and GRUB's driver.
//!
//! `XFS_TREES` is the number of random trees (25). `XFS_FILES` makes a tree of that many files
//! (20,000).

mod corners;
mod determinism;
mod images;
mod limits;
mod random;
mod sizes;
mod space;
