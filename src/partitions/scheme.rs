//! Recognizes the tables that this program writes.

use uuid::Uuid;

use super::table::{Kind, Partition, Table};
use crate::scheme::{self, Entry, PartitionTable, Role, TableKind};

/// Sets the scheme of `table`, and the roles of its partitions, if this program could have written it.
pub fn recognize(table: &mut Table) {
    let kind = match table.kind {
        Kind::None => return,
        Kind::Mbr => TableKind::Mbr,
        Kind::Gpt => TableKind::Gpt,
    };
    let known = PartitionTable::ALL.into_iter().map(PartitionTable::scheme);
    let found = known.filter(|scheme| scheme.kind == kind).find(|scheme| {
        scheme.partitions.len() == table.partitions.len()
            && (1..)
                .zip(scheme.partitions)
                .zip(&table.partitions)
                .all(|((number, expected), found)| found.number == number && is(found, expected))
    });
    let Some(scheme) = found else {
        return;
    };
    table.scheme = Some(scheme.name);
    for (partition, known) in table.partitions.iter_mut().zip(scheme.partitions) {
        partition.role = role(known.role);
    }
}

/// Whether a partition has the entry of a scheme.
fn is(found: &Partition, expected: &scheme::Partition) -> bool {
    match expected.entry {
        Entry::None => false,
        Entry::Mbr { system, active } => {
            found.kind == format!("{system:#04x}") && found.attributes == u64::from(active)
        }
        Entry::Gpt { kind, name } => {
            found.kind.parse::<Uuid>().is_ok_and(|found| found == kind) && found.name == name
        }
    }
}

/// The word for a role.
fn role(role: Role) -> &'static str {
    match role {
        Role::Root => "root",
        Role::Esp => "esp",
        Role::Xbootldr => "xbootldr",
        Role::Boot => "boot",
        Role::BiosBoot => "bios-boot",
    }
}
