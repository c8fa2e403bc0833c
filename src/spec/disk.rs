//! The disk: partition table and sizes.

use serde_json::Value;

use super::DiskSize;
use super::attributes::{self, Attributes, quoted, shown, text};
use super::problems::{Problems, Read};
use super::size::{MIB, mebibytes_as_nixpkgs_rounds, parse_iec};
use crate::scheme::{self, PartitionTable};

/// More than any supported file system or table allows, and small enough to rule out overflow.
const MAX_MEBIBYTES: u64 = 1 << 40;

pub(super) fn table(image: &Attributes<'_>, problems: &mut Problems) -> Read<PartitionTable> {
    image.required("partitionTableType", named_table, problems)
}

fn named_table(at: &str, value: &Value, problems: &mut Problems) -> Read<PartitionTable> {
    let name = text(at, value, problems)?;
    let mut tables = PartitionTable::ALL.into_iter();
    let table = tables.find(|table| table.name() == name);
    let message = || {
        let names = PartitionTable::ALL.map(|table| quoted(table.name()));
        format!(
            "{} is not a partition table type; use one of {}",
            quoted(name),
            names.join(", ")
        )
    };
    problems.check(at, table.ok_or_else(message))
}

/// Returns the end of the boot partition in bytes. If the table has no boot partition, it is 0 and
/// `bootSize` is not read.
pub(super) fn boot_end(
    image: &Attributes<'_>,
    table: Read<PartitionTable>,
    problems: &mut Problems,
) -> Read<u64> {
    let table = table?;
    let Some(begin) = table.scheme().boot_begin() else {
        return Ok(0);
    };
    // The partition is at least 1 MiB long.
    let start = begin / scheme::MIB;
    let bytes = image.required("bootSize", size, problems)?;
    let end = mebibytes_as_nixpkgs_rounds(bytes);
    if end <= start {
        let message = format!(
            "with partitionTableType {}, the boot partition begins at {start} MiB and ends at \
             bootSize; set bootSize to at least \"{start}M\"",
            quoted(table.name())
        );
        return Err(problems.add(image.at("bootSize"), message));
    }
    if end > MAX_MEBIBYTES {
        let message = "is more than a disk can hold; set it to a smaller size, such as \"256M\"";
        return Err(problems.add(image.at("bootSize"), message));
    }
    Ok(end * MIB)
}

pub(super) fn disk_size(image: &Attributes<'_>, problems: &mut Problems) -> Read<DiskSize> {
    match image.required("diskSize", fixed_size, problems)? {
        Some(mebibytes) => Ok(DiskSize::Fixed { mebibytes }),
        // Like nixpkgs, this reads additionalSpace only if the size is automatic.
        None => Ok(DiskSize::Auto {
            additional_space: image.required("additionalSpace", size, problems)?,
        }),
    }
}

/// Returns `diskSize` in MiB, or `None` if it is "auto".
fn fixed_size(at: &str, value: &Value, problems: &mut Problems) -> Read<Option<u64>> {
    if value.as_str() == Some("auto") {
        return Ok(None);
    }
    match attributes::number(value) {
        Some(mebibytes @ 1..=MAX_MEBIBYTES) => Ok(Some(mebibytes)),
        _ => {
            let message = format!(
                "{} is not a valid disk size; use \"auto\" or a whole number of MiB from 1 to \
                 {MAX_MEBIBYTES}, such as 2048",
                shown(value)
            );
            Err(problems.add(at, message))
        }
    }
}

/// Returns a size in the syntax of `numfmt --from=iec` in bytes.
fn size(at: &str, value: &Value, problems: &mut Problems) -> Read<u64> {
    if let Value::Number(number) = value {
        let message =
            format!("{number} is a number; use a string with a unit, such as \"{number}M\"");
        return Err(problems.add(at, message));
    }
    let text = text(at, value, problems)?;
    let size =
        parse_iec(text).map_err(|error| format!("{} is not a valid size: {error}", quoted(text)));
    problems.check(at, size)
}
