//! Oracles for images that this project did not write: `qemu-img` of Debian 12 and 13, 7-Zip, `sfdisk
//! --verify`, `sgdisk -v`, `e2fsck -fn`, the reader of mkext4, and `fsck.fat -n`. `roots` has those of the
//! other root file systems.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{command, next, roots, run, said, scratch, stdout};

/// A partition as `sfdisk` reads it.
#[derive(Debug)]
pub struct Partition {
    /// Its number, from 1.
    pub number: u32,
    /// First byte.
    pub start: u64,
    /// Bytes.
    pub size: u64,
    /// GUID (GPT, upper case) or hexadecimal byte (MBR) of its type.
    pub kind: String,
    /// GPT name.
    pub name: Option<String>,
    /// GPT partition GUID.
    pub uuid: Option<String>,
    /// The MBR's active flag.
    pub bootable: bool,
}

/// A partition table as `sfdisk` reads it.
#[derive(Debug)]
pub struct Table {
    /// "gpt" or "dos".
    pub label: String,
    /// Disk GUID or MBR signature.
    pub id: String,
    /// In the order of the table.
    pub partitions: Vec<Partition>,
}

/// What a partition of this type must contain.
#[derive(Debug, PartialEq, Eq)]
enum Content {
    Root,
    Fat,
    BootCode,
}

impl Partition {
    fn content(&self) -> Content {
        match self.kind.as_str() {
            "0FC63DAF-8483-4772-8E79-3D69D8477DE4" | "83" => Content::Root,
            "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
            | "BC13C2FF-59E6-4262-A352-B275FD6F7172"
            | "c" => Content::Fat,
            "21686148-6449-6E6F-744E-656564454649" => Content::BootCode,
            other => panic!("partition {} has the type {other}", self.number),
        }
    }
}

/// Checks the image with every oracle that applies. `format` is `qemu-img`'s name of the format,
/// `table` the partitionTableType of the image. Returns the partition table, or None for "none".
///
/// # Panics
/// If an oracle fails, with its output, or if the table is of another type.
pub fn check(image: &Path, format: &str, table: &str) -> Option<Table> {
    check_container(image, format);
    let scratch = super::scratch();
    let raw = raw_copy(image, format, scratch.path());
    if format != "raw" {
        compare(image, format, &raw);
    }
    if table == "none" {
        let length = File::open(&raw).and_then(|file| file.metadata());
        let length = length.expect("reading the length of an image").len();
        roots::check(&raw, 0, length, scratch.path());
        return None;
    }
    let read = read_table(&raw);
    let expected = match table {
        "legacy" | "legacy+boot" => "dos",
        _ => "gpt",
    };
    assert_eq!(read.label, expected, "{}: {table}", image.display());
    check_table(&raw, &read);
    for partition in &read.partitions {
        match partition.content() {
            Content::Root => roots::check(&raw, partition.start, partition.size, scratch.path()),
            Content::Fat => check_fat(&raw, partition, scratch.path()),
            Content::BootCode => {}
        }
    }
    Some(read)
}

/// The image as a raw file: itself, or a sparse copy in `directory`.
pub fn raw_copy(image: &Path, format: &str, directory: &Path) -> PathBuf {
    if format == "raw" {
        return image.to_owned();
    }
    let raw = directory.join("disk.raw");
    stdout(
        command("qemu-img")
            .args(["convert", "-f", format, "-O", "raw"])
            .arg(image)
            .arg(&raw),
    );
    raw
}

/// Reads the partition table of a raw image.
///
/// # Panics
/// If there is none.
pub fn read_table(raw: &Path) -> Table {
    #[derive(Deserialize)]
    struct Answer {
        partitiontable: Label,
    }
    #[derive(Deserialize)]
    struct Label {
        label: String,
        id: String,
        sectorsize: u64,
        partitions: Vec<Entry>,
    }
    #[derive(Deserialize)]
    struct Entry {
        node: String,
        start: u64,
        size: u64,
        r#type: String,
        name: Option<String>,
        uuid: Option<String>,
        #[serde(default)]
        bootable: bool,
    }
    let json = stdout(command("sfdisk").arg("--json").arg(raw));
    let answer: Answer = serde_json::from_str(&json).expect("sfdisk prints JSON");
    let label = answer.partitiontable;
    let prefix = raw.to_str().expect("image paths of tests are UTF-8");
    let partitions = label.partitions.into_iter().map(|entry| Partition {
        // A partition's node is the file's name and its number, with a p between them after a digit.
        number: entry
            .node
            .strip_prefix(prefix)
            .and_then(|number| number.trim_start_matches('p').parse().ok())
            .unwrap_or_else(|| panic!("sfdisk names a partition {}", entry.node)),
        start: entry.start * label.sectorsize,
        size: entry.size * label.sectorsize,
        kind: entry.r#type,
        name: entry.name,
        uuid: entry.uuid,
        bootable: entry.bootable,
    });
    Table {
        partitions: partitions.collect(),
        label: label.label,
        id: label.id,
    }
}

/// Runs `qemu-img check` of Debian 12 and 13. Its status is 63 for raw and vpc, which it cannot check.
fn check_container(image: &Path, format: &str) {
    for mut check in [command("qemu-img"), next::program("usr/bin/qemu-img")] {
        check.args(["check", "-f", format]).arg(image);
        let output = run(&mut check);
        let unsupported = ["raw", "vpc"].contains(&format);
        let expected = if unsupported { 63 } else { 0 };
        assert_eq!(
            output.status.code(),
            Some(expected),
            "{check:?}\n{}",
            said(&output)
        );
    }
}

/// Asserts that `qemu-img` of Debian 12 and 13 and 7-Zip find the disk `raw` in `image`, whose format
/// is `qemu-img`'s `format`.
///
/// # Panics
/// If one of them does not.
pub fn compare(image: &Path, format: &str, raw: &Path) {
    for mut compare in [command("qemu-img"), next::program("usr/bin/qemu-img")] {
        compare.args(["compare", "-f", "raw", "-F", format]);
        stdout(compare.arg(raw).arg(image));
    }
    if let Some(kind) = seven_zip(image, format) {
        let script = format!(r#"set -o pipefail; 7zz x -t{kind} -so "$0" | cmp - "$1""#);
        stdout(command("bash").args(["-c", &script]).arg(image).arg(raw));
    }
}

/// 7-Zip's name of the format, if it reads the image.
fn seven_zip(image: &Path, format: &str) -> Option<&'static str> {
    let mut header = [0; 105];
    let file = File::open(image).expect("opening an image");
    file.read_exact_at(&mut header, 0)
        .expect("reading a header");
    match format {
        // The field compression_type of QEMU's "docs/interop/qcow2.rst": 7-Zip has only deflate.
        "qcow2" if header[104] != 0 => None,
        "qcow2" => Some("qcow"),
        "vdi" => Some("vdi"),
        "vpc" => Some("vhd"),
        "vmdk" => Some("vmdk"),
        "vhdx" => Some("vhdx"),
        _ => None,
    }
}

fn check_table(raw: &Path, table: &Table) {
    let mut verify = command("sfdisk");
    verify.arg("--verify").arg(raw);
    let output = run(&mut verify);
    let text = said(&output);
    let clean = text.contains("No errors detected.");
    assert!(output.status.success() && clean, "{verify:?}\n{text}");

    if table.label == "gpt" {
        let mut verify = command("sgdisk");
        verify.arg("-v").arg(raw);
        let output = run(&mut verify);
        let text = said(&output);
        assert!(
            output.status.success() && text.contains("No problems found"),
            "{verify:?}\n{text}"
        );
    }
}

/// Runs `e2fsck -fn` of Debian 12 and 13 on the file system at the byte `start` of a raw image.
pub fn check_ext4(raw: &Path, start: u64) {
    let mut file = OsString::from(raw);
    file.push(format!("?offset={start}"));
    for mut check in [command("e2fsck"), next::program("usr/sbin/e2fsck")] {
        check.arg("-fn").arg(&file);
        let output = run(&mut check);
        let text = said(&output);
        // Even an optimisation is a question that it answers with "no".
        assert!(
            output.status.success() && !text.contains("? no"),
            "{check:?}: {}\n{text}",
            output.status
        );
    }
}

/// Runs every check of mkext4's reader on a raw image of one file system. `changed` says that other
/// programs have changed it.
pub fn check_by_mkext4(image: &Path, changed: bool) {
    let file = File::open(image).expect("opening an image");
    let reader = match mkext4::reader::Fs::open(file) {
        Ok(reader) => reader,
        // It does not support smaller block groups, which file systems with many inodes in few
        // blocks have.
        Err(error) if error.to_string().contains("blocks_per_group") => return,
        Err(error) => panic!("mkext4: {error}"),
    };
    let mut issues = reader.verify().expect("mkext4 reads the image");
    // It computes checksums of descriptors of 32 bytes and bitmaps of 32,768 blocks, regardless of
    // the superblock.
    let mut ignored = vec!["desc checksum", "block bitmap csum"];
    if changed {
        // The kernel and resize2fs also write checksums of uninitialized bitmaps.
        ignored.push("UNINIT but bitmap csum nonzero");
    }
    issues.retain(|issue| !ignored.iter().any(|known| issue.what.contains(known)));
    let shown = &issues[..issues.len().min(20)];
    assert!(
        issues.is_empty(),
        "mkext4: {} issues: {shown:?}",
        issues.len()
    );
}

fn check_fat(raw: &Path, partition: &Partition, directory: &Path) {
    let copy = directory.join(format!("partition-{}", partition.number));
    extract(raw, partition, &copy);
    let mut check = command("fsck.fat");
    check.arg("-n").arg(&copy);
    let output = run(&mut check);
    assert!(
        output.status.success(),
        "{check:?} (partition {}): {}\n{}",
        partition.number,
        output.status,
        said(&output)
    );
}

/// Copies a partition of a raw image into a file, sparsely.
pub fn extract(raw: &Path, partition: &Partition, to: &Path) {
    cut(raw, partition.start, partition.size, to);
}

/// Copies `length` bytes from the byte `start` of a raw image into a file, sparsely.
pub fn cut(raw: &Path, start: u64, length: u64, to: &Path) {
    let mut from = OsString::from("if=");
    from.push(raw);
    let mut target = OsString::from("of=");
    target.push(to);
    stdout(
        command("dd")
            .arg(from)
            .arg(target)
            .args([
                "bs=1M",
                "iflag=skip_bytes,count_bytes",
                "conv=sparse",
                "status=none",
            ])
            .arg(format!("skip={start}"))
            .arg(format!("count={length}")),
    );
}

/// debugfs's output for `request` on the root file system of a raw image with the legacy table,
/// followed by its version.
pub fn debugfs(image: &Path, request: &str) -> String {
    let file = format!("{}?offset=1048576", image.display());
    said(&run(command("debugfs").args(["-R", request, &file])))
}

/// The names in a directory of a raw image of an ext4 file system.
pub fn debugfs_names(raw: &Path, directory: &str) -> Vec<String> {
    let text = stdout(
        command("debugfs")
            .args(["-R", &format!("ls -p {directory}")])
            .arg(raw),
    );
    // /inode/mode/uid/gid/name/size/
    let mut names: Vec<_> = text
        .lines()
        .filter_map(|line| line.split('/').nth(5))
        .filter(|name| !["", ".", ".."].contains(name))
        .map(str::to_owned)
        .collect();
    names.sort();
    names
}

/// The names of all files on the ESP of a raw disk, in upper case, one per line. Panics if there is
/// no boot loader.
pub fn loaders(disk: &Path) -> String {
    let table = read_table(disk);
    let scratch = scratch();
    let esp = scratch.path().join("esp");
    extract(disk, &table.partitions[0], &esp);
    let files = stdout(
        command("mdir")
            .args(["-b", "-/", "-i"])
            .arg(&esp)
            .arg("::/"),
    );
    let files = files.to_uppercase();
    assert!(files.contains(".EFI"), "{files}");
    files
}
