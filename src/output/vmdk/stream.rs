//! `streamOptimized`: compressed grains, each grain table after its grains, the grain directory and a
//! footer at the end. A file can be sent and received without seeking in it.

use std::path::Path;

use anyhow::{Result, bail};
use zerocopy::IntoBytes;
use zerocopy::little_endian::{U16, U32, U64};

use super::descriptor::{CreateType, descriptor};
use super::ondisk::{DIRECTORY_AT_END, GrainMarker, Kind, Marker, SparseExtentHeader, flag};
use super::table::{Table, Tables};
use super::{
    DESCRIPTOR, GRAIN, GRAIN_SECTORS, MOST_SECTORS, SECTOR, Size, TABLE_SECTORS, entry, too_large,
};
use crate::code::Code;
use crate::codec::Codec;
use crate::image::{BlockSink, Blocks, Image, write_blocks};
use crate::output::file::ImageFile;
use crate::spec::Identity;

/// The sector of the first grain, as in files of VMware.
const GRAINS: u64 = 128;

/// Writes `image` to the file `path`, which is created or truncated first. Grains are compressed with
/// `codec`, which is a [`Codec::Zlib`]. `name` is the final name of the file, which the file itself
/// contains. `progress` is that of [`write_blocks`].
///
/// # Errors
/// If the format has no room for the disk, and those of [`write_blocks`].
pub fn write_stream(
    image: &Image,
    identity: &Identity,
    codec: Codec,
    name: &str,
    path: &Path,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<()> {
    let size = Size::of(image.length, path)?;
    let blocks = Blocks {
        length: GRAIN,
        codec: Some(codec),
        always: true,
        pad: true,
    };
    let mut sink = Stream {
        file: ImageFile::create(path, image, most(size))?,
        size,
        tables: Tables::default(),
        directory: Vec::new(),
        next: GRAINS,
        padded: Vec::new(),
        path,
    };
    write_blocks(image, &blocks, &mut sink, progress)?;
    sink.finish(&descriptor(CreateType::Stream, size, identity, name))
}

/// The most bytes that the file takes. A grain that does not shrink takes a sector more with its marker.
pub fn most(size: Size) -> u64 {
    let grains = size.grains * (GRAIN_SECTORS + 1) + size.tables * (TABLE_SECTORS + 1);
    (GRAINS + grains + size.directory_sectors + 4) * SECTOR
}

struct Stream<'a> {
    file: ImageFile<'a>,
    size: Size,
    tables: Tables,
    /// The grain directory up to the last grain table that was written.
    directory: Vec<U32>,
    /// The next sector of the file.
    next: u64,
    /// A grain with its marker and padding.
    padded: Vec<u8>,
    path: &'a Path,
}

impl Stream<'_> {
    /// Appends whole sectors to the file.
    fn append(&mut self, sectors: &[u8]) -> Result<()> {
        self.file.write(sectors, self.next * SECTOR)?;
        // usize to u64: lossless on every target Rust has.
        self.next += sectors.len() as u64 / SECTOR;
        match self.next <= MOST_SECTORS {
            true => Ok(()),
            false => Err(Code::DiskSize.error(too_large(self.path))),
        }
    }

    fn append_marker(&mut self, kind: Kind, sectors: u64) -> Result<()> {
        self.append(Marker::new(kind, sectors).as_bytes())
    }

    fn append_table(&mut self, table: &Table) -> Result<()> {
        self.append_marker(Kind::GrainTable, TABLE_SECTORS)?;
        // Grain tables without grains have the entry 0.
        self.directory
            .resize(usize::try_from(table.number)?, U32::new(0));
        self.directory.push(U32::new(entry(self.next, self.path)?));
        self.append(table.bytes())
    }

    /// Writes everything except grains, and the grain tables before the last one.
    fn finish(mut self, descriptor: &str) -> Result<()> {
        if let Some(table) = self.tables.last() {
            self.append_table(&table)?;
        }
        let sectors = self.size.directory_sectors;
        self.append_marker(Kind::GrainDirectory, sectors)?;
        let directory = self.next;
        let mut bytes = std::mem::take(&mut self.directory).as_bytes().to_vec();
        bytes.resize(usize::try_from(sectors * SECTOR)?, 0);
        self.append(&bytes)?;
        self.append_marker(Kind::Footer, 1)?;
        self.append(header(self.size, directory).as_bytes())?;
        self.append_marker(Kind::EndOfStream, 0)?;

        self.file
            .write(header(self.size, DIRECTORY_AT_END).as_bytes(), 0)?;
        self.file
            .write(descriptor.as_bytes(), DESCRIPTOR * SECTOR)?;
        self.file.finish(self.next * SECTOR)
    }
}

/// The header, whose grain directory is at the end, or the footer, which has its sector.
fn header(size: Size, directory: u64) -> SparseExtentHeader {
    let header = SparseExtentHeader::new(size);
    SparseExtentHeader {
        version: U32::new(3),
        flags: U32::new(header.flags.get() | flag::COMPRESSED | flag::MARKERS),
        gd_offset: U64::new(directory),
        over_head: U64::new(GRAINS),
        compress_algorithm: U16::new(1),
        ..header
    }
}

impl BlockSink for Stream<'_> {
    fn plain(&mut self, first: u64, _: &[u8]) -> Result<()> {
        bail!("grain {first} is not compressed, but all of this kind of VMDK are")
    }

    fn compressed(&mut self, number: u64, bytes: &[u8]) -> Result<()> {
        if let Some(table) = self.tables.before(number) {
            self.append_table(&table)?;
        }
        self.tables.set(number, entry(self.next, self.path)?)?;
        let marker = GrainMarker {
            lba: U64::new(number * GRAIN_SECTORS),
            size: U32::new(u32::try_from(bytes.len())?),
        };
        let mut padded = std::mem::take(&mut self.padded);
        padded.clear();
        padded.extend_from_slice(marker.as_bytes());
        padded.extend_from_slice(bytes);
        padded.resize(padded.len().next_multiple_of(usize::try_from(SECTOR)?), 0);
        let result = self.append(&padded);
        self.padded = padded;
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::tests::EMPTY;

    #[test]
    fn grains_end_where_tables_cannot_address_them() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("vmdk");
        let mut sink = Stream {
            file: ImageFile::create(&path, &EMPTY, u64::MAX).unwrap(),
            size: Size::of(3 << 40, &path).unwrap(),
            tables: Tables::default(),
            directory: Vec::new(),
            next: MOST_SECTORS - 2,
            padded: Vec::new(),
            path: &path,
        };
        sink.compressed(7, &[1; 500]).unwrap();
        sink.compressed(8, &[1; 500]).unwrap();
        let error = sink.compressed(9, &[1; 500]).unwrap_err().to_string();
        assert_eq!(error, too_large(&path));
        sink.plain(10, &[1; GRAIN]).unwrap_err();
    }
}
