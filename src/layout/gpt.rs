//! A GUID partition table (UEFI Specification 2.10, section 5.3).

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom, Write};

use gpt::mbr::ProtectiveMBR;
use gpt::partition::Partition as GptPartition;

use super::{Error, Layout, Partition, SECTOR};
use crate::scheme::Entry;
use crate::spec::Identity;

/// The first usable sector: after the protective MBR, the header and 128 entries.
pub(super) const FIRST_USABLE: u64 = 34;

/// The number of sectors of the backup at the end of the disk: 128 entries and the header.
pub(super) const BACKUP_SECTORS: u64 = 33;

/// Returns the protective MBR, the table and its backup.
pub(super) fn bytes(layout: &Layout, identity: &Identity) -> Result<Vec<(u64, Vec<u8>)>, Error> {
    let mut disk = Ends::new(layout.disk_length)?;
    // For a disk of more than 2 TiB, the field has its maximum value.
    let protected = u32::try_from(layout.disk_length / SECTOR - 1).unwrap_or(u32::MAX);
    ProtectiveMBR::with_lb_size(protected)
        .overwrite_lba0(&mut disk)
        .map_err(failed)?;
    let mut table = gpt::GptConfig::new()
        .writable(true)
        .create_from_device(disk, Some(identity.disk))
        .map_err(failed)?;
    // Regardless of the keys, the crate numbers entries from 1 without gaps. The partition numbers
    // are the same.
    let entries = layout.partitions.iter();
    let entries: BTreeMap<u32, GptPartition> = entries
        .filter_map(|partition| entry(partition, identity))
        .collect();
    table.update_partitions(entries).map_err(failed)?;
    let disk = table.write().map_err(failed)?;
    Ok(vec![(0, disk.head), (disk.tail_start, disk.tail)])
}

fn entry(partition: &Partition, identity: &Identity) -> Option<(u32, GptPartition)> {
    let Entry::Gpt { kind, name } = partition.scheme.entry else {
        return None;
    };
    let entry = GptPartition {
        part_type_guid: kind.into(),
        part_guid: identity.partition(partition.scheme.guid),
        first_lba: partition.first_sector,
        last_lba: partition.last_sector,
        flags: 0,
        name: name.to_owned(),
    };
    Some((partition.number, entry))
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::Table(error.to_string())
}

/// The two ends of a disk, in memory. The part between them cannot be accessed.
#[derive(Debug)]
struct Ends {
    length: u64,
    position: u64,
    head: Vec<u8>,
    tail_start: u64,
    tail: Vec<u8>,
}

impl Ends {
    fn new(length: u64) -> Result<Ends, Error> {
        let tail_length = BACKUP_SECTORS * SECTOR;
        let tail_start = length
            .checked_sub(tail_length)
            .filter(|&start| start >= FIRST_USABLE * SECTOR)
            .ok_or_else(|| failed("the disk is too small"))?;
        let zeros = |length: u64| usize::try_from(length).map(|n| vec![0; n]).map_err(failed);
        Ok(Ends {
            length,
            position: 0,
            head: zeros(FIRST_USABLE * SECTOR)?,
            tail_start,
            tail: zeros(tail_length)?,
        })
    }

    /// Returns the bytes from the position to the end of the piece that contains it.
    fn rest(&mut self) -> io::Result<&mut [u8]> {
        let (piece, start) = if self.position >= self.tail_start {
            (&mut self.tail, self.tail_start)
        } else {
            (&mut self.head, 0)
        };
        usize::try_from(self.position - start)
            .ok()
            .and_then(|at| piece.get_mut(at..))
            .ok_or_else(|| io::Error::other("outside the sectors of the partition table"))
    }

    fn advance(&mut self, count: usize) {
        // usize to u64 is lossless on every target of Rust.
        self.position += count as u64;
    }
}

impl Read for Ends {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = self.rest()?;
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.advance(count);
        Ok(count)
    }
}

impl Write for Ends {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let rest = self.rest()?;
        let count = rest.len().min(buffer.len());
        rest[..count].copy_from_slice(&buffer[..count]);
        self.advance(count);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Ends {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::End(offset) => self.length.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = position.ok_or_else(|| io::Error::other("seeking outside the disk"))?;
        Ok(self.position)
    }
}
