//! Partition tables: `sfdisk` and `sgdisk`.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::super::{command, stdout};

/// Compares all partitions of a raw disk with `sfdisk --json` and, on a GPT, with `sgdisk -i`.
pub fn agrees(raw: &Path, ours: &Value) {
    let said = stdout(command("sfdisk").arg("--json").arg(raw));
    let theirs: Value = serde_json::from_str(&said).unwrap();
    let theirs = &theirs["partitiontable"];
    let is_gpt = theirs["label"] == "gpt";
    assert_eq!(ours["table"]["kind"], if is_gpt { "gpt" } else { "mbr" });
    assert_eq!(ours["disk"]["sector_size"], theirs["sectorsize"]);
    let id = theirs["id"].as_str().unwrap().trim_start_matches("0x");
    assert_eq!(ours["table"]["id"], id);
    let found = ours["partitions"].as_array().unwrap();
    let expected = theirs["partitions"].as_array().unwrap();
    assert_eq!(found.len(), expected.len(), "{ours}");
    for (ours, theirs) in found.iter().zip(expected) {
        let number = ours["number"].as_u64().unwrap();
        let node = theirs["node"].as_str().unwrap();
        assert!(node.ends_with(&number.to_string()), "{node}: {number}");
        assert_eq!(ours["first_sector"], theirs["start"], "{number}");
        assert_eq!(
            ours["length"].as_u64().unwrap(),
            theirs["size"].as_u64().unwrap() * 512,
            "{number}"
        );
        if is_gpt {
            assert_eq!(ours["type"], theirs["type"], "{number}");
            let uuid = ours["partuuid"].as_str().unwrap().to_uppercase();
            assert_eq!(uuid, theirs["uuid"].as_str().unwrap(), "{number}");
            assert_eq!(ours["name"], theirs["name"], "{number}");
        } else {
            let kind = ours["type"].as_str().unwrap();
            let kind = u8::from_str_radix(&kind[2..], 16).unwrap();
            assert_eq!(
                format!("{kind:x}"),
                theirs["type"].as_str().unwrap(),
                "{number}"
            );
            let active = theirs["bootable"] == true;
            assert_eq!(ours["attributes"], u64::from(active), "{number}");
        }
        if is_gpt {
            sgdisk(raw, ours, number);
        }
    }
}

/// Compares a partition with `sgdisk -i`.
fn sgdisk(raw: &Path, ours: &Value, number: u64) {
    let said = stdout(command("sgdisk").arg(format!("-i={number}")).arg(raw));
    let fields: BTreeMap<&str, &str> = said
        .lines()
        .filter_map(|line| line.split_once(": "))
        .collect();
    let word = |name: &str| fields[name].split(' ').next().unwrap();
    assert_eq!(ours["type"], word("Partition GUID code"));
    let uuid = ours["partuuid"].as_str().unwrap().to_uppercase();
    assert_eq!(uuid, word("Partition unique GUID"));
    assert_eq!(ours["first_sector"].to_string(), word("First sector"));
    assert_eq!(ours["last_sector"].to_string(), word("Last sector"));
    let attributes = u64::from_str_radix(word("Attribute flags"), 16).unwrap();
    assert_eq!(ours["attributes"], attributes);
    let name = fields["Partition name"].trim_matches('\'');
    assert_eq!(ours["name"].as_str().unwrap_or_default(), name);
}
