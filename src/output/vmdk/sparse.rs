//! `monolithicSparse`: the grain directory and the grain tables, each twice, then the grains.

use std::path::Path;

use anyhow::{Result, bail};
use zerocopy::IntoBytes;
use zerocopy::little_endian::{U32, U64};

use super::descriptor::{CreateType, descriptor};
use super::ondisk::{SparseExtentHeader, flag};
use super::table::{Table, Tables};
use super::{
    DESCRIPTOR, DESCRIPTOR_SECTORS, ENTRIES_PER_SECTOR, GRAIN, GRAIN_SECTORS, MOST_SECTORS, SECTOR,
    Size, TABLE_SECTORS, entry, too_large,
};
use crate::code::Code;
use crate::image::{BlockSink, Blocks, Image, write_blocks};
use crate::output::file::ImageFile;
use crate::spec::Identity;

const BLOCKS: Blocks = Blocks {
    length: GRAIN,
    codec: None,
    always: false,
    pad: true,
};

/// Writes `image` to the file `path`, which is created or truncated first. `name` is the final name of
/// the file, which the file itself contains. `progress` is that of [`write_blocks`].
///
/// # Errors
/// If the format has no room for the disk, and those of [`write_blocks`].
pub fn write_sparse(
    image: &Image,
    identity: &Identity,
    name: &str,
    path: &Path,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<()> {
    let layout = Layout::new(Size::of(image.length, path)?);
    let files = image.data_length();
    let data = MOST_SECTORS.saturating_sub(layout.grains) * SECTOR;
    if files > data {
        return Err(Code::DiskSize.error(format!(
            "{} (its files have {files} bytes, and there is space for {data})",
            too_large(path)
        )));
    }
    let most = (layout.grains + layout.size.grains * GRAIN_SECTORS) * SECTOR;
    let mut sink = Sparse {
        file: ImageFile::create(path, image, most)?,
        layout,
        tables: Tables::default(),
        next: layout.grains,
        path,
    };
    write_blocks(image, &BLOCKS, &mut sink, progress)?;
    sink.finish(&descriptor(CreateType::Sparse, layout.size, identity, name))
}

/// Where everything is, in sectors.
#[derive(Debug, Clone, Copy)]
struct Layout {
    size: Size,
    /// The grain directories: the redundant one, and the one that is used.
    directories: [u64; 2],
    /// The first grain.
    grains: u64,
}

impl Layout {
    fn new(size: Size) -> Layout {
        let length = size.directory_sectors + size.tables * TABLE_SECTORS;
        let first = DESCRIPTOR + DESCRIPTOR_SECTORS;
        let second = first + length;
        Layout {
            size,
            directories: [first, second],
            grains: (second + length).next_multiple_of(GRAIN_SECTORS),
        }
    }

    /// The sector of the grain table `number` of the grain directory at `directory`.
    fn table(&self, directory: u64, number: u64) -> u64 {
        directory + self.size.directory_sectors + number * TABLE_SECTORS
    }

    fn header(&self) -> SparseExtentHeader {
        let header = SparseExtentHeader::new(self.size);
        let [redundant, used] = self.directories;
        SparseExtentHeader {
            flags: U32::new(header.flags.get() | flag::REDUNDANT),
            rgd_offset: U64::new(redundant),
            gd_offset: U64::new(used),
            over_head: U64::new(self.grains),
            ..header
        }
    }
}

struct Sparse<'a> {
    file: ImageFile<'a>,
    layout: Layout,
    tables: Tables,
    /// The sector of the next grain.
    next: u64,
    path: &'a Path,
}

impl Sparse<'_> {
    fn write_table(&mut self, table: &Table) -> Result<()> {
        for directory in self.layout.directories {
            let sector = self.layout.table(directory, table.number);
            self.file.write(table.bytes(), sector * SECTOR)?;
        }
        Ok(())
    }

    /// Writes everything except grains, and the grain tables before the last one.
    fn finish(mut self, descriptor: &str) -> Result<()> {
        if let Some(table) = self.tables.last() {
            self.write_table(&table)?;
        }
        self.file.write(self.layout.header().as_bytes(), 0)?;
        self.file
            .write(descriptor.as_bytes(), DESCRIPTOR * SECTOR)?;
        for directory in self.layout.directories {
            self.write_directory(directory)?;
        }
        self.file.finish(self.next * SECTOR)
    }

    /// Writes the grain directory that begins at the sector `directory`. It has empty grain tables, too.
    fn write_directory(&mut self, directory: u64) -> Result<()> {
        for number in 0..self.layout.size.tables {
            let table = entry(self.layout.table(directory, number), self.path)?;
            let at = directory * SECTOR + number * (SECTOR / ENTRIES_PER_SECTOR);
            self.file.write(&table.to_le_bytes(), at)?;
        }
        Ok(())
    }
}

impl BlockSink for Sparse<'_> {
    fn plain(&mut self, first: u64, bytes: &[u8]) -> Result<()> {
        let start = self.next;
        for (grain, _) in (first..).zip(bytes.chunks(GRAIN)) {
            if let Some(table) = self.tables.before(grain) {
                self.write_table(&table)?;
            }
            self.tables.set(grain, entry(self.next, self.path)?)?;
            self.next += GRAIN_SECTORS;
        }
        self.file.write(bytes, start * SECTOR)
    }

    fn compressed(&mut self, number: u64, _: &[u8]) -> Result<()> {
        bail!("grain {number} is compressed, but this kind of VMDK has no compression")
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
        let size = Size::of(3 << 40, &path).unwrap();
        let mut sink = Sparse {
            file: ImageFile::create(&path, &EMPTY, u64::MAX).unwrap(),
            layout: Layout::new(size),
            tables: Tables::default(),
            next: MOST_SECTORS - GRAIN_SECTORS,
            path: &path,
        };
        sink.plain(7, &[1; GRAIN]).unwrap();
        let error = sink.plain(8, &[1; GRAIN]).unwrap_err().to_string();
        assert_eq!(error, too_large(&path));
        sink.compressed(9, &[1]).unwrap_err();
    }
}
