//! The disk: partition table, sizes and root file system.

use serde_json::Value;

use super::attributes::{self, Attributes, quoted, shown};
use super::problems::Problems;
use super::size::{MIB, mebibytes_as_nixpkgs_rounds, parse_iec};
use super::{DiskSize, FileSystemKind, RootFileSystem};
use crate::scheme::PartitionTable;

const TABLES: [PartitionTable; 7] = [
    PartitionTable::None,
    PartitionTable::Legacy,
    PartitionTable::LegacyBoot,
    PartitionTable::LegacyGpt,
    PartitionTable::Efi,
    PartitionTable::EfiXbootldr,
    PartitionTable::Hybrid,
];

/// ext4's `s_volume_name` (Linux, Documentation/filesystems/ext4/super.rst).
const MAX_LABEL: usize = 16;

/// More than any file system or table here can have, and far from an overflow.
const MAX_MEBIBYTES: u64 = 1 << 40;

pub(super) fn table(image: &Attributes<'_>, problems: &mut Problems) -> Option<PartitionTable> {
    let name = image.text("partitionTableType", problems)?;
    let table = TABLES.into_iter().find(|table| table.name() == name);
    if table.is_none() {
        let names = TABLES.map(|table| quoted(table.name())).join(", ");
        problems.add(
            image.at("partitionTableType"),
            format!("{} is unknown; write one of {names}", quoted(name)),
        );
    }
    table
}

/// Where the boot partition ends, in bytes; 0 for a table that has none, which does not look at
/// `bootSize`.
pub(super) fn boot_end(
    image: &Attributes<'_>,
    table: Option<PartitionTable>,
    problems: &mut Problems,
) -> Option<u64> {
    let table = table?;
    // Where the last boot partition begins, in MiB: it must have at least one of them.
    let start = match table {
        PartitionTable::Efi | PartitionTable::Hybrid => 8,
        PartitionTable::EfiXbootldr => 100,
        PartitionTable::LegacyBoot => 1,
        PartitionTable::None | PartitionTable::Legacy | PartitionTable::LegacyGpt => {
            return Some(0);
        }
    };
    let bytes = size(image, "bootSize", problems)?;
    let end = mebibytes_as_nixpkgs_rounds(bytes);
    if end <= start {
        problems.add(
            image.at("bootSize"),
            format!(
                "the boot partition of a {} disk begins at {start} MiB, and bootSize is where it ends: \
                 set it to at least \"{start}M\"",
                quoted(table.name())
            ),
        );
        return None;
    }
    if end > MAX_MEBIBYTES {
        problems.add(
            image.at("bootSize"),
            "is more than a disk can hold; set it to \"256M\"",
        );
        return None;
    }
    Some(end * MIB)
}

pub(super) fn disk_size(image: &Attributes<'_>, problems: &mut Problems) -> Option<DiskSize> {
    let value = image.required("diskSize", problems)?;
    if let Value::String(text) = value
        && text == "auto"
    {
        // A fixed size leaves no room for it: nixpkgs does not look at it then, either.
        let additional_space = size(image, "additionalSpace", problems)?;
        return Some(DiskSize::Auto { additional_space });
    }
    match attributes::number(value) {
        Some(mebibytes @ 1..=MAX_MEBIBYTES) => Some(DiskSize::Fixed { mebibytes }),
        _ => {
            problems.add(
                image.at("diskSize"),
                format!(
                    "{} is no disk size; write \"auto\" or a whole number of MiB from 1 to {MAX_MEBIBYTES}, \
                     as in 2048",
                    shown(value)
                ),
            );
            None
        }
    }
}

/// An attribute in the syntax of `numfmt --from=iec`, in bytes.
fn size(image: &Attributes<'_>, key: &str, problems: &mut Problems) -> Option<u64> {
    let text = match image.required(key, problems)? {
        Value::Number(number) => {
            problems.add(
                image.at(key),
                format!("{number} is a number; write a string with a unit, as in \"{number}M\""),
            );
            return None;
        }
        value => attributes::text(&image.at(key), value, problems)?,
    };
    let size = parse_iec(text).map_err(|error| format!("{} is no size: {error}", quoted(text)));
    problems.check(&image.at(key), size)
}

pub(super) fn root(
    image: &Attributes<'_>,
    table: Option<PartitionTable>,
    problems: &mut Problems,
) -> Option<RootFileSystem> {
    let kind = kind(image, table, problems);
    let label = image.text("label", problems)?;
    if label.len() > MAX_LABEL {
        problems.add(
            image.at("label"),
            format!(
                "{} has {} bytes; an ext4 label has at most {MAX_LABEL}",
                quoted(label),
                label.len()
            ),
        );
        return None;
    }
    Some(RootFileSystem {
        kind: kind?,
        label: label.to_owned(),
    })
}

fn kind(
    image: &Attributes<'_>,
    table: Option<PartitionTable>,
    problems: &mut Problems,
) -> Option<FileSystemKind> {
    let name = image.text("fsType", problems)?;
    let message = match (name, table) {
        ("ext4", _) => return Some(FileSystemKind::Ext4),
        (_, Some(PartitionTable::None)) => format!(
            "{} is not yet possible; set fsType = \"ext4\", the only one this version makes",
            quoted(name)
        ),
        _ => format!(
            "{} can't be on a disk with a partition table; set fsType = \"ext4\"",
            quoted(name)
        ),
    };
    problems.add(image.at("fsType"), message);
    None
}
