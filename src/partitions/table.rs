//! A partition table of any kind, as read from a disk.

use anyhow::{Result, ensure};

use crate::container::{Disk, Facts};
use crate::layout::SECTOR;

/// A kind of partition table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// There is no table.
    None,
    /// A master boot record.
    Mbr,
    /// A GUID partition table.
    Gpt,
}

impl Kind {
    /// Its name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Kind::None => "none",
            Kind::Mbr => "mbr",
            Kind::Gpt => "gpt",
        }
    }
}

/// A part of a table that cannot be read, although the rest can.
#[derive(Debug, Clone)]
pub(crate) struct Damage(pub String);

/// A partition table.
#[derive(Debug)]
pub(crate) struct Table {
    /// Its kind.
    pub kind: Kind,
    /// GUID of the disk or signature of the MBR; empty without a table.
    pub id: String,
    /// The length of a sector in bytes.
    pub sector: u64,
    /// The `partitionTableType` that makes such a table.
    pub scheme: Option<&'static str>,
    /// Why the table was read from its backup, or why the backup cannot be used.
    pub damage: Option<Damage>,
    /// What else is in the table.
    pub facts: Facts,
    /// The partitions, by number. Without a table, the whole disk is partition 0.
    pub partitions: Vec<Partition>,
}

/// How a partition is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the table.
    Primary,
    /// In the table, as a container of logical partitions.
    Extended,
    /// In an extended partition.
    Logical,
}

/// A partition, which is not empty. [`Table::check`] checks that it is within the disk and overlaps
/// no other.
#[derive(Debug, Clone)]
pub(crate) struct Partition {
    /// Its number.
    pub number: u32,
    /// First byte.
    pub start: u64,
    /// The byte after its last one.
    pub end: u64,
    /// How it is recorded.
    pub place: Place,
    /// Its purpose, in a word.
    pub role: &'static str,
    /// GUID in upper case (GPT) or hexadecimal byte (MBR) of its type; empty without a table.
    pub kind: String,
    /// The name of the type.
    pub kind_name: &'static str,
    /// The name, not escaped; empty if it has none.
    pub name: String,
    /// The PARTUUID in lower case, as Linux has it; empty without a table.
    pub uuid: String,
    /// GPT attributes, or 1 for the MBR's active flag.
    pub attributes: u64,
}

impl Partition {
    /// Its length in bytes.
    pub fn length(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Its name in messages.
    pub fn title(&self) -> String {
        match self.number {
            0 => "the whole disk".to_owned(),
            number => format!("partition {number}"),
        }
    }
}

impl Table {
    /// The table of a disk that has none.
    pub fn whole_disk(disk: &Disk) -> Table {
        Table {
            kind: Kind::None,
            id: String::new(),
            sector: disk.sector.unwrap_or(SECTOR),
            scheme: None,
            damage: None,
            facts: Facts::default(),
            partitions: vec![Partition {
                number: 0,
                start: 0,
                end: disk.length,
                place: Place::Primary,
                role: "disk",
                kind: String::new(),
                kind_name: "the whole disk",
                name: String::new(),
                uuid: String::new(),
                attributes: 0,
            }],
        }
    }

    /// The partitions that are not containers of others, in the order of the disk.
    pub fn by_start(&self) -> Vec<&Partition> {
        let all = self.partitions.iter();
        let mut found: Vec<&Partition> = all.filter(|it| it.place != Place::Extended).collect();
        found.sort_by_key(|partition| partition.start);
        found
    }

    /// Rejects a damaged table. In such a table, each of many partitions could span the whole disk.
    ///
    /// # Errors
    /// If a partition is not within the disk or its extended partition, or overlaps another.
    pub fn check(&self, disk: &Disk) -> Result<()> {
        let extended = self
            .partitions
            .iter()
            .find(|it| it.place == Place::Extended);
        for partition in &self.partitions {
            ensure!(
                partition.end <= disk.length,
                "partition {} ends at byte {}, but the image ends at {}: it is truncated",
                partition.number,
                partition.end,
                disk.length
            );
            if let Some(extended) = extended
                && partition.place == Place::Logical
            {
                ensure!(
                    extended.start < partition.start && partition.end <= extended.end,
                    "logical partition {} is not within the extended partition {}",
                    partition.number,
                    extended.number
                );
            }
        }
        let primary = self
            .partitions
            .iter()
            .filter(|it| it.place != Place::Logical);
        disjoint(primary.collect())?;
        disjoint(self.by_start())
    }
}

/// Checks that partitions do not overlap.
fn disjoint(mut partitions: Vec<&Partition>) -> Result<()> {
    partitions.sort_by_key(|partition| partition.start);
    for pair in partitions.windows(2) {
        ensure!(
            pair[0].end <= pair[1].start,
            "partition {} begins at byte {}, and partition {} ends at {}: they overlap",
            pair[1].number,
            pair[1].start,
            pair[0].number,
            pair[0].end
        );
    }
    Ok(())
}
