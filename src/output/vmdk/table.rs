//! [`Tables`]: grain tables, one after the other.

use anyhow::Result;
use zerocopy::IntoBytes;
use zerocopy::little_endian::U32;

use super::TABLE_ENTRIES;

/// The grain table that is being filled. Grains come in the order of the disk, so there is only one.
#[derive(Default)]
pub struct Tables {
    open: Option<Table>,
}

/// A grain table with at least one grain.
pub struct Table {
    /// Its place in the grain directory.
    pub number: u64,
    entries: Vec<U32>,
}

impl Tables {
    /// Returns the grain table before the one of `grain`, if it has not been returned yet and is not
    /// empty.
    pub fn before(&mut self, grain: u64) -> Option<Table> {
        self.open.take_if(|table| table.number != number(grain))
    }

    /// Returns the last grain table, unless it is empty.
    pub fn last(&mut self) -> Option<Table> {
        self.open.take()
    }

    /// Notes that `grain` begins at `sector` of the file. [`Tables::before`] has been called for it.
    ///
    /// # Errors
    /// If a grain table does not fit into memory.
    pub fn set(&mut self, grain: u64, sector: u32) -> Result<()> {
        let entries = usize::try_from(TABLE_ENTRIES)?;
        let table = self.open.get_or_insert_with(|| Table {
            number: number(grain),
            entries: vec![U32::new(0); entries],
        });
        let place = usize::try_from(grain % u64::from(TABLE_ENTRIES))?;
        table.entries[place] = U32::new(sector);
        Ok(())
    }
}

impl Table {
    /// The table as it is stored.
    pub fn bytes(&self) -> &[u8] {
        self.entries.as_bytes()
    }
}

/// The number of the grain table of `grain`.
fn number(grain: u64) -> u64 {
    grain / u64::from(TABLE_ENTRIES)
}
