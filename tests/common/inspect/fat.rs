//! FAT: `fsck.fat`.

use std::path::Path;

use serde_json::Value;

use super::super::{command, oracles, scratch, stdout};
use super::listed;

/// Compares a partition with `fsck.fat -n`. `raw` is the disk of `image`.
///
/// # Panics
/// If they differ.
pub fn agrees(image: &Path, raw: &Path, partition: &Value) {
    let directory = scratch();
    let copy = directory.path().join("fat");
    let number = |name: &str| partition[name].as_u64().unwrap();
    oracles::cut(raw, number("start"), number("length"), &copy);
    let said = stdout(command("fsck.fat").arg("-nv").arg(&copy));
    let volume = &partition["volume"];
    let parameters = &volume["parameters"];
    let (_, summary) = said.trim_end().rsplit_once('\n').unwrap();
    // "PATH: 4 files, 34/81752 clusters"
    let words: Vec<&str> = summary
        .rsplit(": ")
        .next()
        .unwrap()
        .split([' ', '/'])
        .collect();
    assert_eq!(parameters["used_clusters"].to_string(), words[2], "{said}");
    assert_eq!(parameters["clusters"].to_string(), words[3], "{said}");
    // It counts directories, and the label, if there is one.
    let files = listed(image, partition).len() as u64;
    let theirs: u64 = words[0].parse().unwrap();
    assert!(files == theirs || files + 1 == theirs, "{files}: {said}");
    for (name, text) in [
        ("sector_size", "bytes per logical sector"),
        ("cluster_size", "bytes per cluster"),
        ("reserved_sectors", "reserved sector"),
        ("tables", "FATs,"),
        ("hidden_sectors", "hidden sectors"),
    ] {
        let line = said.lines().find(|line| line.contains(text));
        let line = line.unwrap_or_else(|| panic!("{text}: {said}"));
        let theirs = line
            .split_whitespace()
            .find(|word| word.parse::<u64>().is_ok());
        assert_eq!(
            parameters[name].to_string(),
            theirs.unwrap(),
            "{name}: {said}"
        );
    }
}
