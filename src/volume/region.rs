//! A part of a disk.

use std::ops::Range;

use anyhow::{Result, ensure};
use zerocopy::{FromBytes, IntoBytes};

use crate::container::Disk;
use crate::partitions::Partition;

/// The bytes of a partition.
#[derive(Clone, Copy)]
pub(crate) struct Region<'a> {
    /// The disk.
    pub disk: &'a Disk,
    /// Its first byte on the disk.
    pub start: u64,
    /// Its length in bytes.
    pub length: u64,
}

impl<'a> Region<'a> {
    /// The bytes of `partition`.
    pub fn of(disk: &'a Disk, partition: &Partition) -> Region<'a> {
        Region {
            disk,
            start: partition.start,
            length: partition.length(),
        }
    }

    /// Fills `buffer` with the bytes from `at` on, which messages call `what`.
    ///
    /// # Errors
    /// If the image cannot be read, or the partition ends too early.
    pub fn read(&self, at: u64, buffer: &mut [u8], what: &str) -> Result<()> {
        // usize to u64: lossless on every target Rust has.
        let end = at.checked_add(buffer.len() as u64);
        ensure!(
            end.is_some_and(|end| end <= self.length),
            "{what} is at byte {at}, with a length of {} bytes, but the partition has {} bytes: it is \
             truncated or damaged",
            buffer.len(),
            self.length
        );
        self.disk.read(self.start.saturating_add(at), buffer, what)
    }

    /// Fills as much of `buffer` as the partition has from `at` on. The rest is zeros.
    ///
    /// # Errors
    /// If the image cannot be read.
    pub fn read_padded(&self, at: u64, buffer: &mut [u8], what: &str) -> Result<()> {
        let most = self.length.saturating_sub(at);
        let count = usize::try_from(most).map_or(buffer.len(), |most| most.min(buffer.len()));
        buffer[count..].fill(0);
        match count {
            0 => Ok(()),
            _ => self.read(at, &mut buffer[..count], what),
        }
    }

    /// Reads the structure at `at`, which messages call `what`.
    ///
    /// # Errors
    /// As for [`Region::read`].
    pub fn structure<T: FromBytes + IntoBytes>(&self, at: u64, what: &str) -> Result<T> {
        let mut found = T::new_zeroed();
        self.read(at, found.as_mut_bytes(), what)?;
        Ok(found)
    }

    /// Returns the first byte of `range` that may be something else than zero; the end of `range`, or of the
    /// partition, if there is none.
    ///
    /// # Errors
    /// If the image cannot be read.
    pub fn next_data(&self, range: Range<u64>) -> Result<u64> {
        let on_disk = |at: u64| self.start.saturating_add(at.min(self.length));
        let found = self
            .disk
            .next_data(on_disk(range.start)..on_disk(range.end))?;
        Ok(found.saturating_sub(self.start))
    }

    /// Returns the first piece of `table`, a part of the partition that is read in pieces of `length`
    /// bytes, that may be something else than zeros and is not before the piece `at`: where it begins
    /// and its length, in bytes from the start of the table. `at` is a multiple of `length`.
    ///
    /// # Errors
    /// If the image cannot be read.
    pub fn next_piece(
        &self,
        table: &Range<u64>,
        at: u64,
        length: u64,
    ) -> Result<Option<(u64, u64)>> {
        let end = table.end.saturating_sub(table.start);
        if at >= end {
            return Ok(None);
        }
        let rest = table.start.saturating_add(at)..table.end;
        let data = self.next_data(rest)?.saturating_sub(table.start);
        if data >= end {
            return Ok(None);
        }
        let at = at.max(data / length * length);
        Ok(Some((at, length.min(end.saturating_sub(at)))))
    }
}
