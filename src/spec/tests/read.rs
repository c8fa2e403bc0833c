//! Which attributes are read with which layout. Attributes that are not read may have any value.

use serde_json::{Value, json};

use super::{attributes, guest, parse_value, with};
use crate::scheme::PartitionTable;

/// Returns a value that is invalid for every attribute: `lib.mkIf false "256M"` in JSON.
fn garbage() -> Value {
    json!({ "_type": "if", "condition": false, "content": "256M" })
}

/// Returns whether the attribute at `pointer` is read: whether garbage there is reported.
fn is_read(attributes: &Value, pointer: &str) -> bool {
    assert!(parse_value(attributes).is_ok(), "invalid without garbage");
    let wrong = with(attributes.clone(), &[(pointer, garbage())]);
    match parse_value(&wrong) {
        Ok(_) => false,
        Err(problems) => {
            let name = pointer[1..].replace('/', ".");
            for problem in problems.iter() {
                assert_eq!(problem.attribute, name, "{}", problem.message);
            }
            true
        }
    }
}

fn with_table(table: PartitionTable, changes: &[(&str, Value)]) -> Value {
    let changes = [
        &[("/image/partitionTableType", json!(table.name()))],
        changes,
    ]
    .concat();
    with(attributes(), &changes)
}

#[test]
fn reads_arguments_only_with_the_layouts_that_use_them() {
    for table in PartitionTable::ALL {
        let plain = with_table(table, &[]);
        let random = with_table(table, &[("/image/deterministic", json!(false))]);
        let fixed = with_table(table, &[("/image/diskSize", json!(2048))]);
        for (attributes, pointer, read) in [
            (
                &plain,
                "/image/bootSize",
                table.scheme().boot_begin().is_some(),
            ),
            (&plain, "/image/rootGPUID", table.is_gpt()),
            (&plain, "/image/rootFSUID", true),
            (&random, "/image/rootGPUID", false),
            (&random, "/image/rootFSUID", false),
            (&plain, "/image/additionalSpace", true),
            (&fixed, "/image/additionalSpace", false),
            (&plain, "/image/efiVariables", false),
            (&plain, "/guest", false),
            (&plain, "/image/label", true),
        ] {
            assert_eq!(
                is_read(attributes, pointer),
                read,
                "{pointer} with {table:?}"
            );
        }
    }
}

#[test]
fn reads_guest_arguments_only_with_a_guest() {
    let named = json!([{ "source": "/a", "target": "/b", "user": "alice", "group": "users" }]);
    for table in PartitionTable::ALL {
        let loader = with_table(
            table,
            &[
                ("/guest", guest()),
                ("/memSize", json!(1024)),
                ("/image/installBootLoader", json!(true)),
            ],
        );
        let names = with_table(
            table,
            &[
                ("/guest", guest()),
                ("/memSize", json!(1024)),
                ("/image/contents", named.clone()),
            ],
        );
        for (attributes, pointer, read) in [
            (&loader, "/memSize", true),
            (&names, "/memSize", true),
            (&loader, "/guest/timeout", true),
            (&loader, "/guest/machine", true),
            (&loader, "/guest/grubDevices", true),
            (&names, "/guest/grubDevices", false),
            (&names, "/guest/limineDevice", false),
            (&loader, "/guest/firmware", false),
        ] {
            assert_eq!(
                is_read(attributes, pointer),
                read,
                "{pointer} with {table:?}"
            );
        }
        if table.scheme().efi_variables {
            let efi = with(
                loader,
                &[
                    ("/image/touchEFIVars", json!(true)),
                    ("/image/efiVariables", json!("/v")),
                ],
            );
            assert!(is_read(&efi, "/guest/firmware"));
            assert!(is_read(&efi, "/image/efiVariables"));
        }
    }
}

#[test]
fn does_not_read_the_system_of_a_store_image() {
    let store = with_table(
        PartitionTable::None,
        &[("/image/onlyNixStore", json!(true))],
    );
    for pointer in ["/image/toplevel", "/image/channel", "/tools/nixosInstall"] {
        assert!(!is_read(&store, pointer), "{pointer}");
        assert!(is_read(&attributes(), pointer), "{pointer}");
    }
}
