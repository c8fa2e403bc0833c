//! Containers: `qemu-img info`.

use std::path::Path;

use serde_json::{Value, json};

use super::super::{command, stdout};

/// Compares with `qemu-img info`. `format` is its name of the format, and `ours` what `inspect` says.
///
/// # Panics
/// If they differ.
pub fn agrees(image: &Path, format: &str, ours: &Value) {
    let mut info = command("qemu-img");
    info.args(["info", "--output", "json", "-f", format])
        .arg(image);
    let theirs: Value = serde_json::from_str(&stdout(&mut info)).unwrap();
    let container = &ours["container"];
    assert_eq!(container["format"], theirs["format"]);
    assert_eq!(ours["disk"]["length"], theirs["virtual-size"]);
    let specific = &theirs["format-specific"]["data"];
    match format {
        "qcow2" => {
            assert_eq!(container["cluster_size"], theirs["cluster-size"]);
            assert_eq!(container["compression_type"], specific["compression-type"]);
            let version = if specific["compat"] == "0.10" { 2 } else { 3 };
            assert_eq!(container["version"], version);
            assert_eq!(
                container["corrupt"],
                specific["corrupt"].as_bool().unwrap_or(false)
            );
        }
        "vdi" => assert_eq!(container["block_size"], theirs["cluster-size"]),
        "vhdx" => assert_eq!(container["block_size"], theirs["cluster-size"]),
        "vmdk" => {
            assert_eq!(container["variant"], specific["create-type"]);
            let id = u32::from_str_radix(container["content_id"].as_str().unwrap(), 16).unwrap();
            assert_eq!(json!(id), specific["cid"]);
        }
        _ => {}
    }
}
