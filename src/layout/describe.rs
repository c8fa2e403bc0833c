//! A layout for people.

use std::fmt;

use super::{Entry, Layout, MEBIBYTE, Partition, SECTOR};

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "disk of {} MiB ({} bytes)",
            Hundredths(self.disk_length),
            self.disk_length
        )?;
        writeln!(
            f,
            " #  {:9} {:>12} {:>12} {:>12}  type",
            "role", "first sector", "last sector", "MiB"
        )?;
        for partition in &self.partitions {
            writeln!(f, "{partition}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = Hundredths(self.length()).to_string();
        write!(
            f,
            "{:2}  {:9} {:12} {:12} {:>12}  {}",
            self.number,
            self.role.name(),
            self.first_sector,
            self.last_sector,
            length,
            self.entry
        )
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Entry::Whole => f.write_str("no table"),
            Entry::Mbr { system, active } => {
                let active = if *active { " active" } else { "" };
                write!(f, "{system:#04x}{active}")
            }
            Entry::Gpt { kind, guid, name } => {
                write!(f, "{kind:X} {guid:X} {name}")
            }
        }
    }
}

/// Bytes as MiB with two decimals, rounded down. Sectors are never lost: one is 0.00049 MiB, and
/// the columns beside give them.
struct Hundredths(u64);

impl fmt::Display for Hundredths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sectors = self.0 % MEBIBYTE / SECTOR;
        write!(
            f,
            "{}.{:02}",
            self.0 / MEBIBYTE,
            sectors * 100 / (MEBIBYTE / SECTOR)
        )
    }
}
