//! Memory that a virtual machine has from its host and does not give back.
//!
//! A virtual machine gets memory from its host when it first uses it, which takes many times as
//! long as using it. One with free page reporting gives it back soon after it is free (Linux,
//! Documentation/mm/free_page_reporting.rst), and a run that writes gigabytes for seconds would
//! measure the host. Only large blocks that are free as a whole are given back: a page in use here
//! and there keeps the rest of the memory.

use std::fs::File;
use std::io::Write;

use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::common::machine;

/// One page is kept of this many bytes; blocks that are given back have 2 MiB at least.
const STRIDE: i32 = 1 << 20;

/// Bytes of one page.
const PAGE: i32 = 4096;

/// What is left alone while memory is used, in bytes.
const RESERVE: u64 = 512 << 20;

/// Uses all free memory and keeps hardly any of it. What was free stays the machine's as long as the
/// file that is returned is open.
pub fn up() -> File {
    let mut file = File::from(memfd_create("warm", MFdFlags::MFD_CLOEXEC).unwrap());
    let used = vec![1; usize::try_from(STRIDE).unwrap()];
    let mut end: i64 = 0;
    while machine::memory("MemFree") > RESERVE {
        file.write_all(&used).unwrap();
        end += i64::from(STRIDE);
    }
    let hole = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
    for start in (0..end).step_by(usize::try_from(STRIDE).unwrap()) {
        fallocate(&file, hole, start, i64::from(STRIDE - PAGE)).unwrap();
    }
    file
}
