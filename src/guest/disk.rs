//! The guest's disk: served to QEMU as a read-only network block device over a socket, so that the
//! files on it are read from where they are, and only those that the guest wants. QEMU keeps what
//! the guest writes.
//!
//! The protocol is NBD (<https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md>).

use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::net::UnixStream;

use anyhow::{Context, Error, Result};
use nbd::server::{Export, handshake, transmission};
use nix::errno::Errno;

use crate::image::{LazyImage, Reader};

/// The name of the disk in the protocol: the one that the crate `nbd` lists, and QEMU looks for its
/// disk in the list.
pub const EXPORT: &str = "rustnbd";

/// Enough for a piece of 64 KiB, which the crate `nbd` reads at once, and what is in front of it.
const BUFFER: usize = 80 << 10;

/// Serves `disk` to the other end of `socket` until that is closed. When a file of it can't be
/// read, the guest gets an I/O error and `stop` is called.
///
/// # Errors
/// The first file that can't be read, and why; and a client that breaks the protocol.
pub fn serve(disk: &LazyImage, socket: &UnixStream, stop: impl Fn()) -> Result<()> {
    let mut stream = Stream {
        from: BufReader::with_capacity(BUFFER, socket),
        to: BufWriter::with_capacity(BUFFER, socket),
    };
    let mut view = View {
        reader: disk.reader(),
        at: 0,
        failure: None,
        stop,
    };
    let export = |_name: &str| {
        Ok(Export {
            size: disk.length(),
            readonly: true,
            ..Export::<()>::default()
        })
    };
    let end = handshake(&mut stream, export).and_then(|()| transmission(&mut stream, &mut view));
    if let Some(failure) = view.failure {
        return Err(failure);
    }
    match end {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            (view.stop)();
            Err(error).context("serving the guest's disk to QEMU by NBD")
        }
        // QEMU ended: by itself, or because it was made to.
        _ => Ok(()),
    }
}

/// Both directions of a socket; the crate `nbd` reads and writes pieces of a few bytes.
struct Stream<'a> {
    from: BufReader<&'a UnixStream>,
    to: BufWriter<&'a UnixStream>,
}

impl Read for Stream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.from.read(buffer)
    }
}

impl Write for Stream<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.to.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// The disk as a file that is open.
struct View<'a, F> {
    reader: Reader<'a>,
    at: u64,
    /// The first error; the protocol has only numbers.
    failure: Option<Error>,
    stop: F,
}

impl<F: Fn()> Read for View<'_, F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.reader.read_at(buffer, self.at) {
            Ok(length) => {
                // usize to u64: lossless on every target Rust has.
                self.at = self.at.saturating_add(length as u64);
                Ok(length)
            }
            Err(error) => {
                self.failure.get_or_insert(error);
                (self.stop)();
                Err(Errno::EIO.into())
            }
        }
    }
}

impl<F> Seek for View<'_, F> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match to {
            SeekFrom::Start(at) => self.at = at,
            SeekFrom::End(_) | SeekFrom::Current(_) => return Err(Errno::EINVAL.into()),
        }
        Ok(self.at)
    }
}

impl<F> Write for View<'_, F> {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(Errno::EPERM.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
