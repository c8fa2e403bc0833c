//! What `inspect --json` says, compared with what the tools of each format say.

pub mod container;
pub mod ext;
pub mod fat;
pub mod roots;
pub mod table;

use std::path::Path;
use std::process::Output;

use serde_json::Value;

use super::nix::PROGRAM;
use super::{command, run, said, stdout};

/// Runs `inspect` with these arguments, and an image before them.
pub fn inspect(image: &Path, arguments: &[&str]) -> Output {
    run(command(PROGRAM).arg("inspect").arg(image).args(arguments))
}

/// The output of `inspect`, which must succeed.
pub fn inspected(image: &Path, arguments: &[&str]) -> String {
    let output = inspect(image, arguments);
    assert!(output.status.success(), "{}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// The output of `inspect --json`.
pub fn json(image: &Path) -> Value {
    serde_json::from_str(&inspected(image, &["--json"])).unwrap()
}

/// The lines of `inspect --recursive --json` for a partition.
fn listed(image: &Path, partition: &Value) -> Vec<Value> {
    let place = partition["number"].to_string();
    let text = inspected(image, &[&place, "--recursive", "--json"]);
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Compares everything that `inspect` says about `image` with what the tools say about it and about its disk,
/// `raw`. `format` is the format as `qemu-img` names it. ([`super::roots`] compares root file systems that are
/// neither ext nor FAT.)
///
/// # Panics
/// If they differ.
pub fn agrees(image: &Path, format: &str, raw: &Path) {
    let ours = json(image);
    container::agrees(image, format, &ours);
    if ours["table"]["kind"] != "none" {
        table::agrees(raw, &ours);
    }
    for partition in ours["partitions"].as_array().unwrap() {
        match partition["volume"]["type"].as_str() {
            Some("vfat") => fat::agrees(image, raw, partition),
            Some(kind) if kind.starts_with("ext") => ext::agrees(image, raw, partition),
            _ => {}
        }
    }
}

/// Asserts that `diff` finds no difference between the disks in two images.
///
/// # Panics
/// If it does.
pub fn are_equal(a: &Path, b: &Path) {
    let said = stdout(command(PROGRAM).arg("diff").args([a, b]));
    let first = said.lines().next().unwrap_or_default();
    assert!(first.ends_with(" are equal"), "{said}");
}
