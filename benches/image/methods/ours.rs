//! This project's program, run as by Nix.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::shell::{executable, trixie};
use crate::place::{Place, sorted};

/// Returns the command that makes an image with the attributes `image`, apart from the usual ones.
pub fn command(place: &Place, image: &[(&str, Value)]) -> Vec<OsString> {
    let attributes = place.work.join("attrs.json");
    write_attributes(place, image, &attributes);
    let mut variable = OsString::from("NIX_ATTRS_JSON_FILE=");
    variable.push(attributes);
    let program = env!("CARGO_BIN_EXE_make-disk-image");
    vec!["env".into(), variable, program.into(), "build".into()]
}

/// Writes the attributes of a derivation for the program: an onlyNixStore image of the store paths,
/// without partitions.
fn write_attributes(place: &Place, image: &[(&str, Value)], attributes: &Path) {
    // The program does not check it, so its computation would only distort the measurement.
    let hash = "sha256:0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73";
    let closure: Vec<_> = sorted(&place.store_with_out)
        .iter()
        .map(|path| json!({ "path": path, "narHash": hash, "narSize": 1, "references": [] }))
        .collect();
    let program = "/usr/bin/false";
    let mut value = json!({
        "name": "nixos-disk-image",
        "system": "x86_64-linux",
        "outputs": { "out": place.out() },
        "exportReferencesGraph": { "closure": [closure[0]["path"]] },
        "closure": closure,
        "postVM": "",
        "image": {
            "additionalSpace": "512M", "baseName": "nixos", "bootSize": "256M", "channel": null,
            "configFile": null, "contents": [], "deterministic": true, "diskSize": "auto",
            "efiVariables": null, "format": "raw", "fsType": "ext4", "installBootLoader": false,
            "label": "nixos", "memSize": 1024, "onlyNixStore": true, "partitionTableType": "none",
            "rootFSUID": "F222513B-DED1-49FA-B591-20CE86A2FE7F",
            "rootGPUID": "F222513B-DED1-49FA-B591-20CE86A2FE7F", "toplevel": null,
            "touchEFIVars": false, "storeDir": place.store_with_out,
        },
        "tools": {
            "bash": program, "mkfsFat": program, "nixStore": program,
            "nixosInstall": null, "qemuImg": program, "path": ["/usr/bin"], "sqfstar": sqfstar(place),
        },
    });
    for (name, attribute) in image {
        value["image"][name] = attribute.clone();
    }
    fs::write(attributes, value.to_string()).unwrap();
}

/// Returns a program that runs `sqfstar` of Debian 13.
fn sqfstar(place: &Place) -> PathBuf {
    let libraries = trixie().join("usr/lib/x86_64-linux-gnu");
    let path = place.work.join("sqfstar");
    let script = format!(
        "#!/bin/sh\nexec {0}/ld-linux-x86-64.so.2 --argv0 sqfstar --library-path {0} {1} \"$@\"\n",
        libraries.display(),
        trixie().join("usr/bin/sqfstar").display()
    );
    fs::write(&path, script).unwrap();
    executable(&path);
    path
}
