//! Parts of the library compared with programs that do the same, or that read what it wrote: rsync,
//! find, parted, e2fsprogs, mtools, Nix, and the kernel.
//!
//! `cargo test --test library -- fat` runs the tests of one module.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on panics"
)]

#[path = "../common/mod.rs"]
mod common;
mod listing;

mod btrfs_writer;
mod chmod;
mod contents;
mod erofs;
mod ext23;
mod ext4;
mod ext4_writer;
mod f2fs;
mod fat;
mod layout;
mod modules;
mod random_tree;
mod reports;
mod scan;
mod squashfs;
mod store;
mod xfs;
