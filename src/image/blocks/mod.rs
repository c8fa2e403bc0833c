//! An image as blocks in the order of the disk, for formats that store a disk in blocks: read and
//! compressed on all cores, and written from the beginning of the file to its end.
//!
//! One thread walks through the ranges of the image and divides them into chunks ([`mod@divide`]). All
//! threads fill chunks with the bytes of files ([`chunk`]), and compress them ([`encode`]). Whichever thread has
//! completed the next chunk of the disk passes it to the sink ([`order`]), so the file does not
//! depend on the number of threads.

mod chunk;
mod divide;
mod encode;
mod order;
#[cfg(test)]
mod tests;

use std::thread;

use anyhow::{Result, ensure};

use super::Image;
use super::worker::Progress;
use crate::codec::Codec;
use crate::cores;
use divide::divide;
use order::{Order, Worker};

/// How a disk is cut into blocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Blocks {
    /// The length of a block in bytes: a power of two.
    pub length: usize,
    /// How blocks are compressed; `None` if they are not.
    pub codec: Option<Codec>,
    /// Whether blocks that do not shrink are stored compressed all the same.
    pub always: bool,
    /// Whether the last block of the disk is padded with zeros to its full length.
    pub pad: bool,
}

/// Receives the blocks of a disk, in order. Blocks of zeros are left out.
pub(crate) trait BlockSink: Send {
    /// Takes consecutive blocks that are not compressed, from the block number `first` on.
    ///
    /// # Errors
    /// If they cannot be stored.
    fn plain(&mut self, first: u64, bytes: &[u8]) -> Result<()>;

    /// Takes the compressed bytes of the block `number`.
    ///
    /// # Errors
    /// If they cannot be stored.
    fn compressed(&mut self, number: u64, bytes: &[u8]) -> Result<()>;
}

/// Passes the blocks of `image` to `sink`. `progress` is called from any thread with the number of
/// bytes read from files so far, out of [`Image::data_length`].
///
/// # Errors
/// If the image's parts overlap or are out of bounds, if a file cannot be read or has changed since it
/// was listed, and those of `sink`.
pub(crate) fn write_blocks(
    image: &Image,
    blocks: &Blocks,
    sink: &mut dyn BlockSink,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<()> {
    write_with(cores::count(), image, blocks, sink, progress)
}

fn write_with(
    threads: usize,
    image: &Image,
    blocks: &Blocks,
    sink: &mut dyn BlockSink,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<()> {
    ensure!(
        blocks.length.is_power_of_two(),
        "blocks of {} bytes: not a power of two",
        blocks.length
    );
    image.check()?;
    let progress = Progress::new(progress);
    let order = Order::new(threads, blocks, sink, &progress);
    thread::scope(|scope| {
        for _ in 1..threads {
            // With fewer threads it takes longer, but this thread is always available.
            if thread::Builder::new()
                .spawn_scoped(scope, || order.work(&mut Worker::default()))
                .is_err()
            {
                break;
            }
        }
        let mut worker = Worker::default();
        order.end(divide(image, &order, &mut worker));
        order.work(&mut worker);
    });
    order.result()
}
