//! nix/partition-tables.nix says what the program's own table of schemes says.

use make_disk_image::scheme::{PartitionTable, Role, Scheme, TableKind};
use serde_json::{Map, Value, json};

use super::nix::{Nix, repository};

fn expected(scheme: &Scheme) -> Value {
    let boot = scheme.fat_partitions().into_iter().map(|(partition, fat)| {
        let role = match partition.role {
            Role::Esp => "esp",
            Role::Xbootldr => "xbootldr",
            Role::Boot => "boot",
            Role::Root | Role::BiosBoot => panic!("a FAT file system in {partition:?}"),
        };
        let value = json!({ "label": fat.label, "mountPoint": fat.mount_point });
        (role.to_owned(), value)
    });
    json!({
        "kind": match scheme.kind {
            TableKind::None => "none",
            TableKind::Mbr => "mbr",
            TableKind::Gpt => "gpt",
        },
        "bios": scheme.bios,
        "efiVariables": scheme.efi_variables,
        "hasBootSize": scheme.boot_begin().is_some(),
        "bootPartitions": boot.collect::<Map<_, _>>(),
    })
}

#[test]
fn nix_and_rust_have_the_same_partition_tables() {
    let schemes = PartitionTable::ALL.map(PartitionTable::scheme);
    let expected: Map<_, _> = schemes
        .into_iter()
        .map(|scheme| (scheme.name.to_owned(), expected(scheme)))
        .collect();
    let file = repository().join("nix/partition-tables.nix");
    let found = Nix::new().eval(&format!("import {}", file.display()));
    assert_eq!(found, Value::Object(expected));
}
