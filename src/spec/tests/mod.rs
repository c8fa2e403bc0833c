//! Tests with whole attribute sets, valid and invalid.

mod bad_input;
mod good_input;
mod independent;
mod many;
mod mutations;
mod read;
#[path = "../../../tests/common/runner.rs"]
mod runner;

use serde_json::{Value, json};

use super::parse;
use super::parse::parse_value;

const TOPLEVEL: &str = "/nix/store/00000000000000000000000000000000-nixos-system";
const BASH: &str = "/nix/store/11111111111111111111111111111111-bash-5.2";
const CHANNEL: &str = "/nix/store/22222222222222222222222222222222-nixos-version";
const HASH: &str = "sha256:0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73";

/// Returns the attributes of nix/make-disk-image.nix with its defaults, except that the boot loader
/// is not installed and arguments for other tables are set.
pub(crate) fn attributes() -> Value {
    json!({
        "name": "nixos-disk-image",
        "system": "x86_64-linux",
        "builder": "/nix/store/33333333333333333333333333333333-x/bin/make-disk-image",
        "doCheck": false,
        "outputs": { "out": "/nix/store/44444444444444444444444444444444-nixos-disk-image" },
        "env": { "GREETING": "a b", "YES": true, "NO": false, "NUMBER": 3 },
        "exportReferencesGraph": { "closure": [TOPLEVEL, CHANNEL] },
        "closure": [
            {
                "path": TOPLEVEL, "narHash": HASH, "narSize": 1000, "closureSize": 3000,
                "references": [TOPLEVEL, BASH, BASH], "valid": true,
            },
            { "path": CHANNEL, "narHash": HASH, "narSize": 500, "references": [] },
            {
                "path": BASH, "narHash": HASH, "narSize": 1500, "references": [BASH],
                "ca": "fixed:r:sha256:0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73",
            },
        ],
        "image": {
            "additionalSpace": "512M",
            "baseName": "nixos",
            "bootSize": "256M",
            "channel": CHANNEL,
            "configFile": null,
            "contents": [],
            "deterministic": true,
            "diskSize": "auto",
            "efiVariables": null,
            "format": "raw",
            "fsType": "ext4",
            "installBootLoader": false,
            "label": "nixos",
            "onlyNixStore": false,
            "partitionTableType": "legacy",
            "rootFSUID": "F222513B-DED1-49FA-B591-20CE86A2FE7F",
            "rootGPUID": "F222513B-DED1-49FA-B591-20CE86A2FE7F",
            "toplevel": TOPLEVEL,
            "touchEFIVars": false,
            "storeDir": "/nix/store",
        },
        "postVM": "",
        "tools": {
            "bash": "/nix/store/55555555555555555555555555555555-bash/bin/bash",
            "mkfsFat": "/nix/store/55555555555555555555555555555555-dosfstools/bin/mkfs.fat",
            "nixStore": "/nix/store/55555555555555555555555555555555-nix/bin/nix-store",
            "nixosInstall": "/nix/store/55555555555555555555555555555555-i/bin/nixos-install",
            "qemuImg": "/nix/store/55555555555555555555555555555555-qemu/bin/qemu-img",
            "path": ["/nix/store/55555555555555555555555555555555-rsync/bin"],
        },
    })
}

/// Returns every place in `value` as a JSON pointer.
fn places(value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    pointers(value, "", &mut found);
    found
}

fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(map) => map
            .iter()
            .for_each(|(key, value)| pointers(value, &format!("{at}/{key}"), found)),
        Value::Array(list) => list
            .iter()
            .enumerate()
            .for_each(|(index, value)| pointers(value, &format!("{at}/{index}"), found)),
        _ => {}
    }
}

/// Returns attributes with everything that is optional.
fn full() -> Value {
    let mut full = attributes();
    full["image"]["contents"] = json!([
        { "source": "/a", "target": "/b", "mode": "755", "user": "1", "group": "2" },
        { "source": "/a*", "target": "/c", "user": "alice", "group": "users" },
    ]);
    full["image"]["partitionTableType"] = json!("efi");
    full["image"]["installBootLoader"] = json!(true);
    full["image"]["touchEFIVars"] = json!(true);
    full["image"]["efiVariables"] = json!("/v");
    full["image"]["compressImage"] = json!("zstd");
    full["image"]["compressionLevel"] = json!(19);
    full["memSize"] = json!(1024);
    full["guest"] = guest();
    full
}

/// Returns a guest with everything that is optional.
fn guest() -> Value {
    json!({
        "architecture": "x86_64", "kernel": "/k", "modules": "/m", "qemu": "/q", "firmware": "/f",
        "systemManagementMode": false, "grubDevices": ["/dev/sda"], "limineDevice": "nodev",
        "timeout": 60, "machine": "kvm", "uml": "/u",
    })
}

/// Returns [`attributes`] with changed values at JSON pointers.
fn changed(changes: &[(&str, Value)]) -> Value {
    with(attributes(), changes)
}

/// Parses the lines `/pointer = value` of a block of text.
fn changes(block: &str) -> Vec<(&str, Value)> {
    let lines = block.lines().filter(|line| line.starts_with('/'));
    lines
        .map(|line| {
            let (pointer, value) = line.split_once(" = ").unwrap();
            (pointer, serde_json::from_str(value).unwrap())
        })
        .collect()
}

/// Returns `attributes` with changed values at JSON pointers (RFC 6901). A missing last name is
/// added.
fn with(mut attributes: Value, changes: &[(&str, Value)]) -> Value {
    for (pointer, value) in changes {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let parent = attributes.pointer_mut(parent).unwrap();
        match parent {
            Value::Array(list) => list[key.parse::<usize>().unwrap()] = value.clone(),
            other => other[key] = value.clone(),
        }
    }
    attributes
}
