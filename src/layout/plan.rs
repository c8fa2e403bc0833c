//! Where each partition begins and ends.

use uuid::Uuid;

use super::{Entry, Error, Layout, MEBIBYTE, Partition, Role, SECTOR, gpt, mbr};
use crate::scheme::PartitionTable;
use crate::spec::Identity;

/// Sectors in a MiB, which is also the grain parted aligns to on a disk it knows nothing of.
const GRAIN: u64 = MEBIBYTE / SECTOR;

/// What parted makes of ends given in MiB or as `100%`, and of GPT types and names.
mod kinds {
    use uuid::{Uuid, uuid};

    pub const ESP: Uuid = uuid!("c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
    pub const BIOS_BOOT: Uuid = uuid!("21686148-6449-6e6f-744e-656564454649");
    pub const LINUX: Uuid = uuid!("0fc63daf-8483-4772-8e79-3d69d8477de4");
    pub const XBOOTLDR: Uuid = uuid!("bc13c2ff-59e6-4262-a352-b275fd6f7172");
    pub const MBR_LINUX: u8 = 0x83;
    pub const MBR_FAT32_LBA: u8 = 0x0c;
}

/// Divides a disk of `disk_length` bytes. `boot_end` is where the boot partition ends, in bytes;
/// types without one do not look at it. Both are whole numbers of MiB.
///
/// The MBR's disk signature is the first group of `identity.disk`, stored as all numbers of an MBR
/// are, the low byte first: the disk with the GUID `97FD5997-…` is `0x97fd5997` to `sfdisk`, and its
/// first partition has the PARTUUID `97fd5997-01`.
///
/// # Errors
/// See [`Error`].
pub fn plan(
    table: PartitionTable,
    boot_end: u64,
    disk_length: u64,
    identity: &Identity,
) -> Result<Layout, Error> {
    if i64::try_from(disk_length).is_err() {
        return Err(Error::TooLarge(disk_length));
    }
    let disk = mebibytes("the disk", disk_length)?;
    let begins = root_begin(table, boot_end)?;
    let Some(root) = root_sectors(table, begins, disk) else {
        return Err(Error::NoRoom {
            table,
            disk,
            smallest: smallest_disk(table, begins),
        });
    };
    let partitions = partitions(table, boot_end / SECTOR, root, identity);
    let bytes = match table {
        PartitionTable::None => Vec::new(),
        PartitionTable::Legacy | PartitionTable::LegacyBoot => {
            mbr::bytes(table, &partitions, identity)?
        }
        _ => gpt::bytes(&partitions, disk_length, identity)?,
    };
    Ok(Layout {
        disk_length,
        partitions,
        table: bytes,
    })
}

/// Where the root partition begins, in MiB.
pub(super) fn root_begin(table: PartitionTable, boot_end: u64) -> Result<u64, Error> {
    let boot_begin = match table {
        PartitionTable::None => return Ok(0),
        PartitionTable::Legacy => return Ok(1),
        PartitionTable::LegacyGpt => return Ok(2),
        PartitionTable::LegacyBoot => 1,
        PartitionTable::Efi | PartitionTable::Hybrid => 8,
        PartitionTable::EfiXbootldr => 100,
    };
    let end = mebibytes("the end of the boot partition", boot_end)?;
    if end <= boot_begin {
        return Err(Error::BootSize {
            table,
            begin: boot_begin,
            end,
        });
    }
    Ok(end)
}

fn mebibytes(what: &'static str, bytes: u64) -> Result<u64, Error> {
    if bytes.is_multiple_of(MEBIBYTE) {
        Ok(bytes / MEBIBYTE)
    } else {
        Err(Error::NotWholeMebibytes { what, bytes })
    }
}

/// First and last sector of a root partition that begins at `begin` MiB of a disk of `disk` MiB.
fn root_sectors(table: PartitionTable, begin: u64, disk: u64) -> Option<(u64, u64)> {
    let first = begin * GRAIN;
    let last = match table {
        PartitionTable::None | PartitionTable::Legacy | PartitionTable::LegacyBoot => {
            (disk * GRAIN).checked_sub(1)?
        }
        _ => gpt_end(first, disk * GRAIN)?,
    };
    (first <= last).then_some((first, last))
}

/// The last sector of a GPT partition that parted is told to end at `100%`.
///
/// To parted that is any sector within half a percent of the disk's end. It takes the last one
/// that ends a whole MiB, else the last usable one (the backup table takes 33 sectors), else it
/// gives up.
fn gpt_end(first: u64, sectors: u64) -> Option<u64> {
    let reach = (sectors / 100 / 2).checked_sub(1)?;
    let nearest = sectors.checked_sub(1 + reach)?;
    let usable = sectors.checked_sub(gpt::BACKUP_SECTORS)?;
    let aligned = usable / GRAIN * GRAIN;
    [aligned, usable]
        .into_iter()
        .filter_map(|end| end.checked_sub(1))
        .find(|&last| last >= nearest && last >= first)
}

/// The length in MiB of the smallest disk that has a root partition beginning at `begin` MiB.
fn smallest_disk(table: PartitionTable, begin: u64) -> u64 {
    // A disk only grows better, and a few MiB after the beginning are always enough.
    (begin..begin.saturating_add(8))
        .find(|&disk| root_sectors(table, begin, disk).is_some())
        .unwrap_or(begin.saturating_add(8))
}

fn partitions(
    table: PartitionTable,
    boot_end: u64,
    root: (u64, u64),
    identity: &Identity,
) -> Vec<Partition> {
    let [first_guid, second_guid] = identity.other_partitions;
    let gpt = |role, (first, last): (u64, u64), guid, name| {
        let kind = match role {
            Role::Root => kinds::LINUX,
            Role::Esp => kinds::ESP,
            Role::Boot => kinds::XBOOTLDR,
            Role::BiosBoot => kinds::BIOS_BOOT,
        };
        partition(role, first, last, Entry::Gpt { kind, guid, name })
    };
    let mbr = |role, (first, last): (u64, u64), system, active| {
        partition(role, first, last, Entry::Mbr { system, active })
    };
    let gpt_root = |name: &'static str| gpt(Role::Root, root, identity.root_partition, name);
    let esp = |end: u64, guid: Uuid| gpt(Role::Esp, (8 * GRAIN, end - 1), guid, "ESP");
    let mut all = match table {
        PartitionTable::None => vec![partition(Role::Root, root.0, root.1, Entry::Whole)],
        PartitionTable::Legacy => vec![mbr(Role::Root, root, kinds::MBR_LINUX, false)],
        PartitionTable::LegacyBoot => vec![
            mbr(
                Role::Boot,
                (GRAIN, boot_end - 1),
                kinds::MBR_FAT32_LBA,
                true,
            ),
            mbr(Role::Root, root, kinds::MBR_LINUX, false),
        ],
        PartitionTable::LegacyGpt => vec![
            gpt(Role::BiosBoot, (GRAIN, 2 * GRAIN - 1), first_guid, "no-fs"),
            gpt_root("primary"),
        ],
        PartitionTable::Efi => vec![esp(boot_end, first_guid), gpt_root("primary")],
        PartitionTable::EfiXbootldr => vec![
            esp(100 * GRAIN, first_guid),
            gpt(Role::Boot, (100 * GRAIN, boot_end - 1), second_guid, "BOOT"),
            gpt_root("ROOT"),
        ],
        // The BIOS boot partition comes after the ESP in the table and before it on the disk, and
        // ends with the sector at 1 MiB: parted counts an end in KiB as part of the partition.
        PartitionTable::Hybrid => vec![
            esp(boot_end, first_guid),
            gpt(
                Role::BiosBoot,
                (gpt::FIRST_USABLE, GRAIN),
                second_guid,
                "no-fs",
            ),
            gpt_root("primary"),
        ],
    };
    if table != PartitionTable::None {
        for (partition, number) in all.iter_mut().zip(1..) {
            partition.number = number;
        }
    }
    all
}

fn partition(role: Role, first_sector: u64, last_sector: u64, entry: Entry) -> Partition {
    Partition {
        number: 0,
        role,
        first_sector,
        last_sector,
        entry,
    }
}
