//! The other root file systems: `blkid`, and each type's own tool.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::super::{command, next, stdout};
use super::json;

/// What is compared: a property or a parameter that `inspect` states, and the name of the line in which the
/// tool prints it.
type Names = &'static [(&'static str, &'static str)];

/// A tool that prints the superblock of a file.
struct Tool {
    program: &'static str,
    arguments: &'static [&'static str],
    names: Names,
}

/// The tool of a type.
fn tool(kind: &str) -> Option<Tool> {
    let (program, arguments, names): (_, &[_], Names) = match kind {
        "btrfs" => (
            "usr/bin/btrfs",
            &["inspect-internal", "dump-super"],
            &[
                ("length", "total_bytes"),
                ("used", "bytes_used"),
                ("generation", "generation"),
                ("devices", "num_devices"),
                ("sector_size", "sectorsize"),
                ("node_size", "nodesize"),
                ("compatible_features", "compat_flags"),
                ("read_only_features", "compat_ro_flags"),
                ("incompatible_features", "incompat_flags"),
                ("checksum_type", "csum_type"),
            ],
        ),
        "erofs" => (
            "usr/bin/dump.erofs",
            &["-s"],
            &[
                ("block_size", "Filesystem blocksize"),
                ("blocks", "Filesystem blocks"),
                ("inodes", "Filesystem inode count"),
            ],
        ),
        "f2fs" => (
            "usr/sbin/dump.f2fs",
            &["-d", "1"],
            &[
                ("blocks", "block_count"),
                ("segments", "segment_count"),
                ("checkpoint", "checkpoint_ver"),
            ],
        ),
        "squashfs" => (
            "usr/bin/unsquashfs",
            &["-s"],
            &[
                ("length", "Filesystem size"),
                ("block_size", "Block size"),
                ("inodes", "Number of inodes"),
            ],
        ),
        "xfs" => (
            "usr/sbin/xfs_db",
            &["-r", "-f", "-c", "sb 0", "-c", "print"],
            &[
                ("block_size", "blocksize"),
                ("blocks", "dblocks"),
                ("free_blocks", "fdblocks"),
                ("sector_size", "sectsize"),
                ("inode_size", "inodesize"),
                ("allocation_groups", "agcount"),
                ("allocation_group_blocks", "agblocks"),
                ("log_blocks", "logblocks"),
                ("inodes", "icount"),
                ("free_inodes", "ifree"),
            ],
        ),
        _ => return None,
    };
    Some(Tool {
        program,
        arguments,
        names,
    })
}

/// What the tool prints after a name.
fn text<'a>(said: &'a str, name: &str) -> &'a str {
    let value = |line: &'a str| {
        let rest = line.trim_start().strip_prefix(name)?;
        rest.starts_with([' ', '\t', ':']).then_some(rest)
    };
    let found = said.lines().find_map(value);
    let found = found.unwrap_or_else(|| panic!("no {name} in:\n{said}"));
    found.trim_start_matches([' ', '\t', ':', '='])
}

/// The number that the tool prints after a name: `512`, `0x200` or, in `dump.f2fs`, `[0x 200 : 512]`.
fn number(said: &str, name: &str) -> u64 {
    let found = text(said, name);
    let word = match found.strip_prefix('[') {
        Some(both) => both.trim_end_matches(']').rsplit(' ').next(),
        None => found.split_whitespace().next(),
    };
    let word = word.unwrap_or_default();
    let parsed = match word.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => word.parse(),
    };
    parsed.unwrap_or_else(|error| panic!("{name}: {found:?}: {error}"))
}

/// What `blkid` says about an image.
fn blkid(image: &Path) -> BTreeMap<String, String> {
    let said = stdout(command("blkid").args(["-p", "-o", "export"]).arg(image));
    let fields = said.lines().filter_map(|line| line.split_once('='));
    fields
        .map(|(name, value)| (name.to_owned(), value.replace('\\', "")))
        .collect()
}

/// Compares a file that is one file system and nothing else. Returns what `inspect` says about it.
///
/// # Panics
/// If they differ.
pub fn agrees(image: &Path) -> Value {
    let context = image.display();
    let ours = json(image);
    let volume = &ours["partitions"][0]["volume"];
    let theirs = blkid(image);
    let field = |name: &str| theirs.get(name).map_or("", String::as_str);
    for (ours, name) in [("type", "TYPE"), ("uuid", "UUID"), ("label", "LABEL")] {
        let ours = volume[ours].as_str().unwrap_or_default();
        assert_eq!(ours, field(name), "{context}: {name}");
    }
    assert_eq!(volume["problem"], Value::Null, "{context}");
    let kind = field("TYPE");
    let Some(tool) = tool(kind) else {
        return volume.clone();
    };
    let said = stdout(next::program(tool.program).args(tool.arguments).arg(image));
    for (name, theirs) in tool.names {
        let property = volume.get(name).unwrap_or(&volume["parameters"][name]);
        assert_eq!(property, number(&said, theirs), "{context}: {name}");
    }
    let number = |name| number(&said, name);
    // Length, used and free bytes, of those that are not compared above.
    let space = match kind {
        "btrfs" => vec![("free", number("total_bytes") - number("bytes_used"))],
        "erofs" => {
            let length = number("Filesystem blocks") * number("Filesystem blocksize");
            vec![("length", length), ("used", length), ("free", 0)]
        }
        "f2fs" => {
            let [all, user, used] =
                ["block_count", "user_block_count", "valid_block_count"].map(number);
            let bytes = |blocks: u64| blocks << number("log_blocksize");
            vec![
                ("length", bytes(all)),
                ("used", bytes(used)),
                ("free", bytes(user - used)),
            ]
        }
        "squashfs" => {
            let compression = &volume["parameters"]["compression"];
            assert_eq!(compression, text(&said, "Compression"), "{context}");
            vec![("used", number("Filesystem size")), ("free", 0)]
        }
        _ => {
            let [all, free] = ["dblocks", "fdblocks"].map(number);
            let bytes = |blocks: u64| blocks * number("blocksize");
            vec![
                ("length", bytes(all)),
                ("used", bytes(all - free)),
                ("free", bytes(free)),
            ]
        }
    };
    for (name, theirs) in space {
        assert_eq!(volume[name], theirs, "{context}: {name}");
    }
    volume.clone()
}
