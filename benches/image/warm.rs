//! Memory that a virtual machine has from its host and does not give back.
//!
//! A virtual machine gets memory from its host when it first uses it, which takes many times as
//! long as using it. One with free page reporting gives it back soon after it is free (Linux,
//! Documentation/mm/free_page_reporting.rst), and a run that writes gigabytes for seconds would
//! measure the host. Only large blocks that are free as a whole are given back: a page in use here
//! and there keeps the rest of the memory.

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;

use nix::fcntl::{FallocateFlags, FcntlArg, SpliceFFlags, fallocate, fcntl, splice};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::pipe;

use crate::common::machine;

/// One page is kept of this many bytes; blocks that are given back have 2 MiB at least.
const STRIDE: i32 = 3 << 19;

/// Bytes of one page.
const PAGE: i32 = 4096;

/// How many pages a pipe holds: what everyone may have (pipe(7), `pipe-max-size`).
const PAGES: i32 = 256;

/// The most that is used, in bytes: nothing here needs as much, and all pipes of a user together are
/// limited, too (`pipe-user-pages-soft`).
const MOST: i64 = 23 << 30;

/// What is left alone while memory is used, in bytes.
const RESERVE: u64 = 512 << 20;

/// What keeps the memory.
pub struct Warm {
    /// The pages that are kept are in pipes: the kernel moves those of a file together, and then
    /// large blocks are free again.
    _pipes: Vec<[OwnedFd; 2]>,
}

/// Uses all free memory and keeps hardly any of it. What was free stays the machine's as long as
/// what is returned lives.
pub fn up() -> Warm {
    let mut file = File::from(memfd_create("warm", MFdFlags::MFD_CLOEXEC).unwrap());
    let used = vec![1; usize::try_from(STRIDE).unwrap()];
    let mut end: i64 = 0;
    while machine::memory("MemFree") > RESERVE && end < MOST {
        file.write_all(&used).unwrap();
        end += i64::from(STRIDE);
    }
    let hole = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
    let mut pipes = Vec::new();
    for (piece, start) in (0..end).step_by(used.len()).enumerate() {
        if piece % usize::try_from(PAGES).unwrap() == 0 {
            let (output, input) = pipe().unwrap();
            fcntl(&input, FcntlArg::F_SETPIPE_SZ(PAGES * PAGE)).unwrap();
            pipes.push([output, input]);
        }
        let input = &pipes.last().unwrap()[1];
        let mut from = start;
        let length = usize::try_from(PAGE).unwrap();
        let flags = SpliceFFlags::SPLICE_F_NONBLOCK;
        splice(&file, Some(&mut from), input, None, length, flags).unwrap();
        let rest = i64::from(STRIDE - PAGE);
        fallocate(&file, hole, start + i64::from(PAGE), rest).unwrap();
    }
    Warm { _pipes: pipes }
}
