//! `make-disk-image diff` on pairs of images with planted differences, each of which it finds and names,
//! whatever the formats are.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use make_disk_image::diff::{Comparison, Outcome, compare};
use serde_json::Value;

use crate::common::nix::PROGRAM;
use crate::common::{command, run, said, scratch};
use crate::inspect::{disk, script};

/// What the scripts below have in common. `$1` is a copy of the raw disk of [`disk`].
const FUNCTIONS: &str = r#"raw=$1 ext=$((83968 * 512)) fat=$((2048 * 512))
poke() { printf "$2" | dd of="$raw" bs=1 seek="$1" conv=notrunc status=none; }
dbg() { printf '%s\n' "$@" | debugfs -w -f /dev/stdin "$raw?offset=$ext" >&2; }
block() { debugfs -R "blocks $1" "$raw?offset=$ext" 2>/dev/null | { read -r block rest; printf %s "$block"; }; }
exec >&2
"#;

/// A planted difference.
struct Plant {
    /// A script that makes it.
    script: &'static str,
    /// The arguments of `qemu-img convert` that make the other image of it; empty for a raw one.
    format: &'static str,
    /// What must be found.
    found: &'static [&'static str],
}

const fn plant(
    script: &'static str,
    format: &'static str,
    found: &'static [&'static str],
) -> Plant {
    Plant {
        script,
        format,
        found,
    }
}

const PLANTS: [Plant; 36] = [
    plant(
        r#"poke $((ext + $(block /etc/motd) * 4096 + 3)) '!'"#,
        "-c -O qcow2",
        &[
            "partition 2: /etc/motd: contents, first difference at byte 3\n",
            "-welcome to NixOS\n",
            "+wel!ome to NixOS\n",
        ],
    ),
    plant(
        r#"poke $((ext + $(block /bin/program) * 4096 + 200000)) '\001\002\003'"#,
        "-c -O qcow2 -o compression_type=zstd",
        &[
            "partition 2: /bin/program: contents, first difference at byte 20000",
            "second: byte 20000",
        ],
    ),
    plant(
        r#"dbg 'set_inode_field /etc/motd mode 0100600'"#,
        "-O vdi",
        &["partition 2: /etc/motd: mode: 0644 -> 0600\n"],
    ),
    plant(
        r#"dbg 'set_inode_field /etc/motd mtime 19991231235959'"#,
        "-O vpc -o force_size=on",
        &["/etc/motd: mtime: ", " -> 1999-12-31 23:59:59\n"],
    ),
    plant(
        r#"dbg 'set_inode_field /deep uid 70000'"#,
        "-O vmdk",
        &["partition 2: /deep: owner: 0:0 -> 70000:0\n"],
    ),
    plant(
        r#"dbg 'ea_set /bin/program user.color blue'"#,
        "-O vmdk -o subformat=streamOptimized",
        &["/bin/program: extended attribute user.color: none -> \"blue\"\n"],
    ),
    plant(
        r#"dbg 'set_inode_field /deep/file-7 crtime 20110101'"#,
        "-O vhdx",
        &["/deep/file-7: crtime: ", " -> 2011-01-01 00:00:00\n"],
    ),
    plant(
        r#"dbg 'set_inode_field /deep/file-7 atime 20110101' 'set_inode_field /deep/file-7 ctime 20120101'"#,
        "-O vpc -o subformat=fixed,force_size=on",
        &["/deep/file-7: atime: ", "/deep/file-7: ctime: "],
    ),
    plant(
        r#"dbg 'rm /etc/link' 'symlink /etc/link other'"#,
        "",
        &[
            "/etc/link: contents, first difference at byte 0\n",
            "-motd\n",
            "+other\n",
        ],
    ),
    plant(
        r#"dbg 'rm /deep/file-300'"#,
        "",
        &[
            "partition 2: /deep/file-300: only in the first image: file of 4 bytes\n",
            "bitmap of inodes of group 0",
        ],
    ),
    plant(
        r#"echo new >"$raw.new"; dbg "write $raw.new etc/new"; rm "$raw.new""#,
        "",
        &["partition 2: /etc/new: only in the second image: file of 4 bytes\n"],
    ),
    plant(
        r#"dbg 'rm /deep/file-1' 'mkdir /deep/file-1'"#,
        "",
        &["/deep/file-1: kind: file -> directory\n"],
    ),
    plant(
        r#"dbg 'set_inode_field /deep/file-7 flags 0x80010'"#,
        "",
        &["/deep/file-7: flags: (none) -> immutable\n"],
    ),
    plant(
        r#"dbg 'set_inode_field /etc/motd version 5'"#,
        "",
        &["(/etc/motd): l_i_version: 1 byte differs"],
    ),
    plant(
        r#"tune2fs -L other "$raw?offset=$ext""#,
        "-O qcow2",
        &["partition 2: ext4: label: nixos -> other\n"],
    ),
    plant(
        r#"tune2fs -f -U 11111111-2222-3333-4444-555555555555 "$raw?offset=$ext""#,
        "",
        &[
            "ext4: UUID: f222513b-ded1-49fa-b591-20ce86a2fe7f -> 11111111-2222-3333-4444-555555555555\n",
        ],
    ),
    plant(
        r#"tune2fs -m 1 -o ^acl "$raw?offset=$ext""#,
        "",
        &["ext4: reserved blocks: ", "ext4: default mount options: "],
    ),
    plant(
        r#"mlabel -i "$raw@@$fat" ::OTHER"#,
        "-O qcow2",
        &["partition 1: vfat: label: ESP -> OTHER\n"],
    ),
    plant(
        r#"mattrib -i "$raw@@$fat" +h +r ::/motd"#,
        "-c -O qcow2",
        &["partition 1: /motd: attributes: archive -> read-only, hidden, archive\n"],
    ),
    plant(
        r#"head -c 300000 /dev/zero | mcopy -o -D o -i "$raw@@$fat" - ::/program"#,
        "-O vdi",
        &["partition 1: /program: contents, first difference at byte 0\n"],
    ),
    plant(
        r#"mdel -i "$raw@@$fat" ::/deep/file-9"#,
        "",
        &[
            "partition 1: /deep/file-9: only in the first image: file of 2 bytes\n",
            "allocation table 1, entries",
        ],
    ),
    plant(
        r#"poke $((fat + 512 * (32 + 630) + 2000)) x; poke $((fat + 512 + 488)) x"#,
        "",
        &["partition 1: allocation table 2, entries from that of cluster"],
    ),
    plant(
        r#"sgdisk -U 11111111-2222-3333-4444-555555555555 "$raw""#,
        "-O vmdk",
        &[
            "disk: identifier: 97FD5997-F390-0B4A-A3F8-D106C1723AEA -> 11111111-2222-3333-4444-555555555555\n",
        ],
    ),
    plant(
        r#"sgdisk -u 2:11111111-2222-3333-4444-555555555555 "$raw""#,
        "",
        &["partition 2: PARTUUID: f222513b-ded1-49fa-b591-20ce86a2fe7f -> 11111111-2222"],
    ),
    plant(
        r#"sgdisk -c 2:root "$raw""#,
        "-O vhdx",
        &["partition 2: name: primary -> root\n"],
    ),
    plant(
        r#"sgdisk -t 2:8304 -A 2:set:2 "$raw""#,
        "",
        &[
            "partition 2: type: 0FC63DAF-",
            " -> 4F68BCE3-",
            "partition 2: attributes: 0x0 -> 0x4\n",
        ],
    ),
    plant(
        r#"sgdisk -d 2 -n 2:83968:204700 -c 2:primary -u 2:F222513B-DED1-49FA-B591-20CE86A2FE7F -n 3:204704:204760 "$raw""#,
        "",
        &[
            "partition 3: only in the second image: Linux file system, 29184 bytes\n",
            "partition 2: length: ",
        ],
    ),
    plant(
        r#"poke 100 '\353'"#,
        "-O qcow2",
        &["boot code:\n  the first sector: code, first difference at byte 100: none -> code\n"],
    ),
    plant(
        r#"poke 444 x"#,
        "",
        &["protective MBR: disk signature: 1 byte differs, the first is byte 444\n"],
    ),
    plant(
        r#"poke $((100 * 512)) gap"#,
        "-c -O qcow2",
        &["between partitions, before partition 1: 3 bytes differ, the first is byte 51200\n"],
    ),
    plant(
        r#"poke $((204790 * 512)) x"#,
        "",
        &["problem: ", "copy of the GPT entries: 1 byte differs"],
    ),
    plant(
        r#"poke $((ext + 14000 * 4096 + 5)) x"#,
        "-O vpc -o force_size=on",
        &["partition 2: free space: 1 byte differs, the first is byte 57344005\n"],
    ),
    plant(
        r#"poke $((ext + $(block '<8>') * 4096 + 9)) x"#,
        "",
        &["partition 2: journal: 1 byte differs"],
    ),
    plant(
        r#"poke $((ext + $(block /etc/motd) * 4096 + 4000)) x"#,
        "-O vdi",
        &[
            "partition 2: after the end of the file of inode ",
            " (/etc/motd): 1 byte differs",
        ],
    ),
    plant(
        r#"poke $((ext + 4096 + 30)) x; poke $((ext + $(block '<7>') * 4096)) x"#,
        "",
        &["partition 2: descriptor of group 0: bg_checksum"],
    ),
    plant(
        r#"poke $((ext + 58 * 1048576 + 70)) x"#,
        "-c -O qcow2",
        &["partition 2: after the last block: 1 byte differs"],
    ),
];

fn find(a: &Path, b: &Path) -> Comparison {
    compare(a, b, 1000).unwrap()
}

/// A copy of `raw`, changed by a script.
fn changed(raw: &Path, text: &str) -> PathBuf {
    let copy = raw.with_extension("changed");
    script(r#"cp --sparse=always "$1" "$2""#, &[raw, &copy]);
    script(&format!("{FUNCTIONS}{text}"), &[&copy]);
    copy
}

/// The image of `raw` in another format.
fn convert(raw: &Path, format: &str) -> PathBuf {
    let image = raw.with_extension("image");
    let text = format!(r#"qemu-img convert -f raw {format} "$1" "$2""#);
    script(&text, &[raw, &image]);
    image
}

#[test]
fn every_planted_difference_is_found_and_named() {
    let directory = scratch();
    let raw = disk(directory.path());
    let mut wrong = Vec::new();
    for Plant {
        script,
        format,
        found,
    } in PLANTS
    {
        let copy = changed(&raw, script);
        let other = match format {
            "" => copy,
            format => convert(&copy, format),
        };
        let result = find(&raw, &other);
        let is_complete = found.iter().all(|text| result.text.contains(text));
        if result.outcome != Outcome::Different || !is_complete {
            wrong.push(format!("{script}: {found:?}\n{}", result.text));
        }
        let json: Value = serde_json::from_str(&result.json).unwrap();
        let differences = json["differences"].as_array().unwrap();
        assert_eq!(json["equal"], differences.is_empty(), "{script}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn equal_disks_are_equal_and_files_of_one_format_are_compared() {
    let directory = scratch();
    let raw = disk(directory.path());
    let (a, b) = (directory.path().join("a"), directory.path().join("b"));
    for (first, second, outcome, text) in [
        ("-O qcow2", "-O qcow2", Outcome::Equal, "are equal\n"),
        (
            "-O qcow2 -c",
            "-O vmdk -o subformat=streamOptimized",
            Outcome::Equal,
            "are equal\n  the formats are qcow2 compressed with zlib and vmdk streamOptimized compressed, \
             so their headers are not compared\n",
        ),
        (
            "-O vdi",
            "-O vdi",
            Outcome::Different,
            "container:\n  header: uuid: ",
        ),
        (
            "-O qcow2",
            "-O qcow2 -o cluster_size=4k",
            Outcome::Different,
            "container:\n  header: cluster size: 65536 -> 4096\n",
        ),
        (
            "-O qcow2",
            "-O qcow2 -o preallocation=metadata",
            Outcome::Different,
            "file: arrangement: the disks in them are equal, but the files differ from byte",
        ),
    ] {
        for (format, image) in [(first, &a), (second, &b)] {
            let text = format!(r#"qemu-img convert -f raw {format} "$1" "$2""#);
            script(&text, &[&raw, image]);
        }
        let found = find(&a, &b);
        assert!(
            found.outcome == outcome && found.text.contains(text),
            "{first}: {}",
            found.text
        );
    }
}

/// The exit status and the output of the program.
fn status(arguments: &[&Path]) -> (i32, String) {
    let output = run(command(PROGRAM).arg("diff").args(arguments));
    (output.status.code().unwrap(), said(&output))
}

#[test]
fn the_exit_status_is_that_of_diff() {
    let directory = scratch();
    let raw = disk(directory.path());
    let copy = changed(&raw, "poke 100 x");
    assert_eq!(
        status(&[&raw, &raw]),
        (0, format!("{0} and {0} are equal\n", raw.display()))
    );
    assert_eq!(status(&[&raw, &copy]).0, 1);
    let (code, error) = status(&[&raw, directory.path()]);
    assert!(code == 2 && error.contains("it is a directory"), "{error}");
    // A directory that cannot be read: the answer is not known.
    let damaged = changed(
        &raw,
        r#"poke $((ext + $(block /deep) * 4096 + 4)) '\001\000'"#,
    );
    let (code, text) = status(&[&raw, &damaged]);
    assert!(
        code == 2 && text.contains("cannot be compared completely (bytes that no file owns: 1)\n"),
        "{text}"
    );
    let line = "cannot be read: partition 2: /deep: reading the directory of inode ";
    assert!(text.contains(line), "{text}");
}

/// There is nothing outside of the only partition.
#[test]
fn disks_without_a_table_have_no_partitions_in_other_places() {
    let directory = scratch();
    let (a, b) = (directory.path().join("a"), directory.path().join("b"));
    script(r#"truncate -s 4M "$1"; truncate -s 5M "$2""#, &[&a, &b]);
    let text = format!(
        "{} and {} differ (partition table: 1)\npartition table:\n  disk: length: 4194304 -> 5242880\n",
        a.display(),
        b.display()
    );
    let found = find(&a, &b).text;
    assert!(
        found.starts_with(&text) && !found.contains("other places"),
        "{found}"
    );
}

#[test]
fn output_is_limited_and_escaped() {
    let directory = scratch();
    let raw = disk(directory.path());
    let commands = r#"for n in $(seq 200); do commands+=("set_inode_field /deep/file-$n mode 0100600"); done
        printf 'write /dev/null "/etc/\033[31m"\n' >"$raw.commands"
        printf '%s\n' "${commands[@]}" >>"$raw.commands"
        debugfs -w -f "$raw.commands" "$raw?offset=$ext"; rm "$raw.commands""#;
    let copy = changed(&raw, commands);
    let found = compare(&raw, &copy, 10).unwrap();
    assert!(
        found.text.contains("  and 191 more (see --limit)\n"),
        "{}",
        found.text
    );
    assert!(found.text.lines().count() < 80, "{}", found.text);
    let json: Value = serde_json::from_str(&found.json).unwrap();
    assert_eq!(json["omitted"]["files"], 191);
    // Layers have the same names where differences are counted as where they are described.
    let counted: Value = serde_json::from_str(&compare(&raw, &copy, 0).unwrap().json).unwrap();
    let counted: BTreeSet<&str> = counted["omitted"]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let found = compare(&raw, &copy, 1000).unwrap();
    let json: Value = serde_json::from_str(&found.json).unwrap();
    let described = json["differences"].as_array().unwrap().iter();
    let described: BTreeSet<&str> = described.map(|it| it["layer"].as_str().unwrap()).collect();
    assert_eq!(counted, described);
    assert!(described.contains("parameters"), "{described:?}");
    assert!(
        found.text.contains("/etc/\\u{1b}[31m: only in the second"),
        "{}",
        found.text
    );
}
