//! Requests of a guest to a virtio block device (VIRTIO 1.2, section 5.2.6).

use std::io::{self, Read, Write};

use anyhow::anyhow;
use virtio_bindings::virtio_blk::{
    VIRTIO_BLK_ID_BYTES, VIRTIO_BLK_S_IOERR, VIRTIO_BLK_S_OK, VIRTIO_BLK_S_UNSUPP,
    VIRTIO_BLK_T_FLUSH, VIRTIO_BLK_T_GET_ID, VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT,
};

use super::disk::{Disk, Failure};
use crate::image::Reader;

/// Bytes that are copied at a time.
const CHUNK: usize = 128 << 10;

/// The unit of positions and lengths, in bytes.
pub const SECTOR: u64 = 512;

/// Why a request failed.
enum Error {
    /// The disk cannot be used.
    Disk(Failure),
    /// The request is invalid or cannot be carried out. The guest is told.
    Refused(u32),
    /// The guest's memory cannot be read or written.
    Memory(io::Error),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        Error::Disk(failure)
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Error {
        Error::Memory(error)
    }
}

/// The two parts of a request in the guest's memory, and their lengths in bytes.
pub struct Request<R, W> {
    /// What the guest has written: a header, and the bytes to store.
    pub from: R,
    /// Bytes in `from`.
    pub readable: usize,
    /// Where the guest expects the answer, without its last byte, the status.
    pub to: W,
    /// Bytes in `to`.
    pub writable: usize,
}

/// Carries out a request on `disk`, whose image is read by `base`. Returns the number of bytes in the
/// answer and the status.
///
/// # Errors
/// If the disk cannot be used. The status is then an I/O error.
pub fn answer(
    disk: &mut Disk,
    base: Option<&mut Reader<'_>>,
    request: Request<impl Read, impl Write>,
    buffer: &mut Vec<u8>,
) -> (usize, u8, Result<(), Failure>) {
    // Bounded by the length of the answer.
    let (length, status, end) = match carry_out(disk, base, request, buffer) {
        Ok(length) => (length, VIRTIO_BLK_S_OK, Ok(())),
        Err(Error::Disk(failure)) => (0, VIRTIO_BLK_S_IOERR, Err(failure)),
        Err(Error::Refused(status)) => (0, status, Ok(())),
        Err(Error::Memory(error)) => {
            let failure = Failure::Read(anyhow!("the guest's memory: {error}"));
            (0, VIRTIO_BLK_S_IOERR, Err(failure))
        }
    };
    (length, u8::try_from(status).unwrap_or(u8::MAX), end)
}

fn carry_out(
    disk: &mut Disk,
    base: Option<&mut Reader<'_>>,
    mut request: Request<impl Read, impl Write>,
    buffer: &mut Vec<u8>,
) -> Result<usize, Error> {
    const HEADER: usize = 16;
    let mut header = [0; HEADER];
    let Some(data) = request.readable.checked_sub(HEADER) else {
        return Err(Error::Refused(VIRTIO_BLK_S_IOERR));
    };
    request.from.read_exact(&mut header)?;
    let (kind, rest) = header.split_at(4);
    let kind = u32::from_le_bytes(kind.try_into().unwrap_or_default());
    let sector = u64::from_le_bytes(rest[4..].try_into().unwrap_or_default());
    buffer.resize(CHUNK, 0);
    match kind {
        VIRTIO_BLK_T_IN => {
            let offset = range(disk, sector, request.writable)?;
            read(disk, base, &mut request, offset, buffer)?;
            Ok(request.writable)
        }
        VIRTIO_BLK_T_OUT => {
            let offset = range(disk, sector, data)?;
            write(disk, base, &mut request.from, (offset, data), buffer)?;
            Ok(0)
        }
        // Nothing of the disk is used after the run, so it need not be durable.
        VIRTIO_BLK_T_FLUSH => Ok(0),
        VIRTIO_BLK_T_GET_ID => {
            let id = [0; VIRTIO_BLK_ID_BYTES as usize];
            let length = id.len().min(request.writable);
            request.to.write_all(&id[..length])?;
            Ok(length)
        }
        _ => Err(Error::Refused(VIRTIO_BLK_S_UNSUPP)),
    }
}

/// Returns the offset of `sector` in bytes if `length` bytes from there on are whole sectors of the
/// disk.
fn range(disk: &Disk, sector: u64, length: usize) -> Result<u64, Error> {
    // usize to u64: lossless on every target Rust has.
    let length = length as u64;
    let offset = sector.checked_mul(SECTOR);
    offset
        .filter(|offset| {
            let end = offset.checked_add(length);
            length.is_multiple_of(SECTOR) && end.is_some_and(|end| end <= disk.length())
        })
        .ok_or(Error::Refused(VIRTIO_BLK_S_IOERR))
}

fn read(
    disk: &Disk,
    mut base: Option<&mut Reader<'_>>,
    request: &mut Request<impl Read, impl Write>,
    mut offset: u64,
    buffer: &mut [u8],
) -> Result<(), Error> {
    let mut left = request.writable;
    while left > 0 {
        let length = left.min(buffer.len());
        let piece = &mut buffer[..length];
        disk.read(base.as_deref_mut(), piece, offset)?;
        request.to.write_all(piece)?;
        left -= length;
        // usize to u64: lossless on every target Rust has.
        offset = offset.saturating_add(length as u64);
    }
    Ok(())
}

/// Writes the `range` (offset and length in bytes) from the guest's memory to the disk.
fn write(
    disk: &mut Disk,
    mut base: Option<&mut Reader<'_>>,
    from: &mut impl Read,
    (mut offset, mut left): (u64, usize),
    buffer: &mut [u8],
) -> Result<(), Error> {
    while left > 0 {
        let length = left.min(buffer.len());
        let piece = &mut buffer[..length];
        from.read_exact(piece)?;
        disk.write(base.as_deref_mut(), piece, offset)?;
        left -= length;
        // usize to u64: lossless on every target Rust has.
        offset = offset.saturating_add(length as u64);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(kind: u32, sector: u64, data: &[u8], writable: usize) -> (Vec<u8>, usize, u8) {
        let file = tempfile::tempfile().unwrap();
        file.set_len(4096).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &[7; 512], 512).unwrap();
        let mut disk = Disk::raw(file, 4096);
        let header = [
            &kind.to_le_bytes()[..],
            &[0; 4],
            &sector.to_le_bytes(),
            data,
        ]
        .concat();
        let mut to = Vec::new();
        let request = Request {
            from: &header[..],
            readable: header.len(),
            to: &mut to,
            writable,
        };
        let (length, status, end) = answer(&mut disk, None, request, &mut Vec::new());
        assert!(end.is_ok(), "{end:?}");
        (to, length, status)
    }

    #[test]
    fn reads_and_writes_whole_sectors_of_the_disk() {
        let (bytes, length, status) = request(VIRTIO_BLK_T_IN, 1, &[], 1024);
        assert_eq!((length, status), (1024, 0));
        assert!(bytes == [[7; 512], [0; 512]].concat());
        let wrote = request(VIRTIO_BLK_T_OUT, 7, &[1; 512], 0);
        assert_eq!(wrote, (Vec::new(), 0, 0));
    }

    /// Whatever a guest asks for, it gets an answer.
    #[test]
    fn refuses_invalid_requests() {
        for (kind, sector, data, writable, status) in [
            (VIRTIO_BLK_T_IN, 8, 0, 512, VIRTIO_BLK_S_IOERR),
            (VIRTIO_BLK_T_IN, 7, 0, 1024, VIRTIO_BLK_S_IOERR),
            (VIRTIO_BLK_T_IN, u64::MAX, 0, 512, VIRTIO_BLK_S_IOERR),
            (VIRTIO_BLK_T_IN, u64::MAX / 512, 0, 512, VIRTIO_BLK_S_IOERR),
            (VIRTIO_BLK_T_IN, 0, 0, 100, VIRTIO_BLK_S_IOERR),
            (VIRTIO_BLK_T_OUT, 8, 512, 0, VIRTIO_BLK_S_IOERR),
            (VIRTIO_BLK_T_OUT, 0, 511, 0, VIRTIO_BLK_S_IOERR),
            (VIRTIO_BLK_T_FLUSH, 0, 0, 0, VIRTIO_BLK_S_OK),
            (77, 0, 0, 0, VIRTIO_BLK_S_UNSUPP),
        ] {
            let (bytes, length, found) = request(kind, sector, &vec![1; data], writable);
            assert_eq!((bytes.len(), length), (0, 0), "{kind} {sector}");
            assert_eq!(u32::from(found), status, "{kind} {sector}");
        }
        assert_eq!(request(VIRTIO_BLK_T_GET_ID, 0, &[], 20).1, 20);
        assert_eq!(request(VIRTIO_BLK_T_GET_ID, 0, &[], 3).1, 3);
    }
}
