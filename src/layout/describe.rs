//! A readable table of a layout.

use std::fmt;

use super::{Layout, MEBIBYTE, Partition, SECTOR};
use crate::scheme::Entry;
use crate::spec::Identity;

/// A readable table with one line per partition.
#[derive(Debug, Clone, Copy)]
pub struct Description<'a> {
    pub(super) layout: &'a Layout,
    pub(super) identity: &'a Identity,
}

impl fmt::Display for Description<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = self.layout.disk_length;
        writeln!(f, "disk of {} MiB ({length} bytes)", Hundredths(length))?;
        writeln!(
            f,
            " #  {:9} {:>12} {:>12} {:>12}  type",
            "role", "first sector", "last sector", "MiB"
        )?;
        for partition in &self.layout.partitions {
            writeln!(
                f,
                "{:2}  {:9} {:12} {:12} {:>12}  {}",
                partition.number,
                partition.role().name(),
                partition.first_sector,
                partition.last_sector,
                Hundredths(partition.length()).to_string(),
                self.entry(partition)
            )?;
        }
        Ok(())
    }
}

impl Description<'_> {
    fn entry(&self, partition: &Partition) -> String {
        match partition.scheme.entry {
            Entry::None => "no table".to_owned(),
            Entry::Mbr { system, active } => {
                let active = if active { " active" } else { "" };
                format!("{system:#04x}{active}")
            }
            Entry::Gpt { kind, name } => {
                let guid = self.identity.partition(partition.scheme.guid);
                format!("{kind:X} {guid:X} {name}")
            }
        }
    }
}

/// Bytes as MiB with two decimals, rounded down. The other columns are exact.
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
