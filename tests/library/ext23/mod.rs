//! The ext4 writer's ext2 and ext3 against `mkfs.ext2`, `mkfs.ext3`, `dumpe2fs`, `e2fsck` and
//! `resize2fs` of e2fsprogs, the kernel (loop mounts, as root), and GRUB's driver.
//!
//! `EXT23_TREES` is the number of random trees (12).

mod corners;
mod images;
mod limits;
mod random;
mod sizes;
mod use_of_space;
