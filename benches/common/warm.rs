//! Makes a virtual machine allocate memory from its host and keep it.
//!
//! A virtual machine gets memory from its host on first use, which takes many times as long as using it.
//! With free page reporting, it returns memory to the host soon after it is freed (Linux,
//! Documentation/mm/free_page_reporting.rst). A benchmark that writes gigabytes in seconds would then
//! measure the host. Only large free blocks are returned, so a used page in each block keeps the rest
//! of its memory.

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;

use nix::fcntl::{FallocateFlags, FcntlArg, SpliceFFlags, fallocate, fcntl, splice};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::pipe;

use super::machine;

/// One page is kept in use per this many bytes. Returned blocks have at least 2 MiB.
const STRIDE: i32 = 3 << 19;

/// The size of a page, in bytes.
const PAGE: i32 = 4096;

/// The number of pages in a pipe: the limit for unprivileged users (pipe(7), `pipe-max-size`).
const PAGES: i32 = 256;

/// The maximum amount of memory to warm, in bytes. The benchmarks need less, and the total size of a
/// user's pipes is limited, too (`pipe-user-pages-soft`).
const MOST: i64 = 23 << 30;

/// The amount of memory that stays free while memory is warmed, in bytes.
const RESERVE: u64 = 512 << 20;

/// Keeps the memory warm.
pub struct Warm {
    /// The pages in use are in pipes: the kernel would compact the pages of a file, which would free
    /// large blocks again.
    _pipes: Vec<[OwnedFd; 2]>,
}

/// Uses all free memory once and frees nearly all of it. The machine keeps this memory until the returned
/// value is dropped.
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
