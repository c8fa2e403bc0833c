//! Listing directories and printing files.

use super::{disk, script};
use crate::common::inspect::{inspect, inspected};
use crate::common::{said, scratch};

#[test]
fn files_are_listed_and_printed() {
    let directory = scratch();
    let raw = disk(directory.path());
    let image = directory.path().join("disk.qcow2");
    script(
        r#"qemu-img convert -c -O qcow2 -o compression_type=zstd "$1" "$2""#,
        &[&raw, &image],
    );
    // A partition by number, role and name; through symbolic links; case does not matter on FAT.
    for place in [
        "2:/etc/motd",
        "root:etc/motd",
        "primary:/etc/./link",
        "2:bin/absolute",
        "2:/etc/../etc/motd",
        "1:MOTD",
        "esp:/motd",
        "ESP:motd",
    ] {
        assert_eq!(inspected(&image, &[place]), "welcome to NixOS\n", "{place}");
    }
    for name in ["program", "sparse"] {
        let contents = inspect(&image, &[&format!("2:/bin/{name}")]).stdout;
        assert!(contents == std::fs::read(directory.path().join("tree/bin").join(name)).unwrap());
    }
    let top: Vec<String> = inspected(&image, &["2"]).lines().map(last).collect();
    assert_eq!(top, ["bin", "deep", "etc", "lost+found"]);
    let text = inspected(&image, &["2:/bin"]);
    let line = text
        .lines()
        .find(|line| line.ends_with(" program"))
        .unwrap();
    assert!(
        line.starts_with("-rwsr-xr-x     0     0       300000 20"),
        "{line}"
    );
    assert!(text.contains(" absolute -> /etc/link\n"), "{text}");
    let all = inspected(&image, &["-r", "2"]);
    assert_eq!(all.lines().count(), 4 + 300 + 2 + 3);
    assert!(all.contains(" /deep/file-300\n"), "{all}");
    let below = inspected(&image, &["-r", "2:/etc"]);
    assert_eq!(
        below.lines().map(last).collect::<Vec<_>>(),
        ["motd", "/etc/motd"]
    );
    let fat = inspected(&image, &["-r", "1"]);
    assert!(
        fat.contains("----------     -     -       300000 20"),
        "{fat}"
    );
}

/// The last word of a line.
fn last(line: &str) -> String {
    line.split(' ').next_back().unwrap().to_owned()
}

#[test]
fn what_is_not_there_is_an_error() {
    let directory = scratch();
    let raw = disk(directory.path());
    for (place, message) in [
        ("3", "there is no partition 3; there are 1 (esp), 2 (root)"),
        (
            "boot",
            "there is no partition \"boot\"; there are 1 (esp), 2 (root)",
        ),
        (
            "/etc/motd",
            "a path follows a partition and a colon, as in root:/etc/motd; the partitions are 1 (esp), 2 (root)",
        ),
        ("2:/no", "/no: no such file or directory"),
        (
            "2:/etc/motd/x",
            "/etc/motd/x: a part of the path is a file, not a directory",
        ),
        ("1:/deep/no", "/deep/no: no such file or directory"),
        ("2:/\u{1b}[31m", "/\\u{1b}[31m: no such file or directory"),
    ] {
        let output = inspect(&raw, &[place]);
        let error = said(&output);
        assert_eq!(output.status.code(), Some(1), "{place}: {error}");
        assert!(error.contains(message), "{place}: {error}");
    }
}

#[test]
fn a_disk_without_a_table_is_its_root() {
    let directory = scratch();
    let raw = directory.path().join("image");
    script(r#"truncate -s 4M "$1"; mkfs.ext4 -q "$1""#, &[&raw]);
    let listed = inspected(&raw, &["root"]);
    assert!(listed.contains(" lost+found\n"), "{listed}");
    assert_eq!(listed, inspected(&raw, &["0:/"]));
}
