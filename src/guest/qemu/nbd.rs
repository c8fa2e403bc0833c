//! Serves the guest's disk to QEMU as a read-only network block device over a socket. So the contents of
//! files are read from where they are stored, and only if the guest needs them. QEMU stores the guest's
//! writes.
//!
//! The protocol is NBD (<https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md>).

use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::net::UnixStream;

use anyhow::{Context, Error, Result};
use nbd::server::{Export, handshake, transmission};
use nix::errno::Errno;

use crate::image::{LazyImage, Reader};

/// The name of the disk in the protocol. It is fixed in the crate `nbd`, and QEMU asks for the disk by
/// this name.
pub const EXPORT: &str = "rustnbd";

/// Size of a buffer: enough for the 64 KiB that the crate `nbd` reads at a time, and a header.
const BUFFER: usize = 80 << 10;

/// Serves `disk` to the other end of `socket` until it is closed. If a file on the disk cannot be read,
/// the guest gets an I/O error and `stop` is called.
///
/// # Errors
/// If a file cannot be read (the first one is reported), or if the client violates the protocol.
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
            Err(error).context("serving the guest's disk to QEMU over NBD")
        }
        // QEMU ended by itself or was stopped.
        _ => Ok(()),
    }
}

/// A buffered socket: the crate `nbd` reads and writes a few bytes at a time.
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

/// The disk as an open file.
struct View<'a, F> {
    reader: Reader<'a>,
    at: u64,
    /// The first error, because the protocol has only error numbers.
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::fs;
    use std::net::Shutdown;
    use std::os::fd::OwnedFd;
    use std::path::Path;
    use std::process::{Command, Output};
    use std::thread;

    use super::*;
    use crate::image::{Content, Image, Part};

    /// Returns a disk of 1 MiB with `bytes` in its middle.
    fn disk(directory: &Path, bytes: &[u8]) -> LazyImage {
        let part = Part {
            name: "test".to_owned(),
            start: 300 << 10,
            length: 600 << 10,
            content: Content::Bytes(bytes.to_vec()),
        };
        let image = Image {
            length: 1 << 20,
            parts: vec![part],
        };
        LazyImage::new(image, &directory.join("disk")).unwrap()
    }

    /// Copies the disk to `copy` with `qemu-img` as the client.
    fn convert(socket: UnixStream, export: &str, copy: &Path) -> Output {
        let image = format!("driver=nbd,server.type=fd,server.str=0,export={export}");
        Command::new("qemu-img")
            .args(["convert", "--image-opts", &image, "-O", "raw"])
            .arg(copy)
            .stdin(OwnedFd::from(socket))
            .output()
            .unwrap()
    }

    fn served(disk: &LazyImage, client: impl FnOnce(UnixStream) + Send) -> (Result<()>, bool) {
        let (server_end, client_end) = UnixStream::pair().unwrap();
        let stopped = Cell::new(false);
        let end = thread::scope(|scope| {
            scope.spawn(|| client(client_end));
            let end = serve(disk, &server_end, || stopped.set(true));
            server_end.shutdown(Shutdown::Both).unwrap();
            end
        });
        (end, stopped.get())
    }

    #[test]
    fn serves_the_disk_to_qemu() {
        let directory = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = (0..500_000u32).map(|i| i.to_le_bytes()[1]).collect();
        let copy = directory.path().join("copy");
        let (end, stopped) = served(&disk(directory.path(), &bytes), |socket| {
            let output = convert(socket, EXPORT, &copy);
            assert!(output.status.success(), "{output:?}");
        });
        end.unwrap();
        assert!(!stopped);
        let copy = fs::read(copy).unwrap();
        let start = 300 << 10;
        assert_eq!(copy.len(), 1 << 20);
        assert!(copy[start..start + bytes.len()] == bytes);
        assert!(copy[..start].iter().all(|&byte| byte == 0));
        assert!(copy[start + bytes.len()..].iter().all(|&byte| byte == 0));
    }

    #[test]
    fn reports_unreadable_files() {
        let directory = tempfile::tempdir().unwrap();
        let disk = disk(directory.path(), b"x");
        // As if the file of the metadata were cut.
        let file = fs::File::options()
            .write(true)
            .open(directory.path().join("disk"))
            .unwrap();
        file.set_len(4096).unwrap();
        let copy = directory.path().join("copy");
        let (end, stopped) = served(&disk, |socket| {
            let output = convert(socket, EXPORT, &copy);
            let messages = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(messages.contains("Input/output error"), "{messages}");
        });
        let error = end.unwrap_err().to_string();
        assert!(
            error.ends_with("/disk ends at byte 4096 but was longer when it was listed: it was changed during the build"),
            "{error}"
        );
        assert!(stopped);
    }

    #[test]
    fn accepts_a_client_that_disconnects_and_rejects_invalid_requests() {
        let directory = tempfile::tempdir().unwrap();
        let disk = disk(directory.path(), b"x");
        let (end, stopped) = served(&disk, drop);
        assert!(end.is_ok() && !stopped);
        let (end, stopped) = served(&disk, |mut socket| {
            socket.write_all(&[7; 100]).unwrap();
            socket.shutdown(Shutdown::Write).unwrap();
            let _ = socket.read_to_end(&mut Vec::new());
        });
        let error = format!("{:#}", end.unwrap_err());
        assert_eq!(
            error,
            "serving the guest's disk to QEMU over NBD: Invalid client flag"
        );
        assert!(stopped);
    }
}
