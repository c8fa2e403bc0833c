//! ext2, ext3 and ext4: `dumpe2fs` and `debugfs`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use serde_json::{Value, json};

use super::super::{command, stdout};
use super::listed;

/// A file for the programs of e2fsprogs: the file system at the byte `start` of a disk.
fn at(raw: &Path, start: u64) -> OsString {
    let mut file = OsString::from(raw);
    file.push(format!("?offset={start}"));
    file
}

/// Compares the parameters of a partition with `dumpe2fs -h`, and all files with `debugfs`. `raw` is the disk
/// of `image`.
///
/// # Panics
/// If they differ.
pub fn agrees(image: &Path, raw: &Path, partition: &Value) {
    let start = partition["start"].as_u64().unwrap();
    let volume = &partition["volume"];
    let said = stdout(command("dumpe2fs").arg("-h").arg(at(raw, start)));
    let fields = said.lines().filter_map(|line| line.split_once(':'));
    let fields: BTreeMap<&str, &str> = fields.map(|(name, value)| (name, value.trim())).collect();
    assert_eq!(volume["uuid"], fields["Filesystem UUID"]);
    let label = volume["label"].as_str().unwrap_or("<none>");
    assert_eq!(label, fields["Filesystem volume name"]);
    let parameters = &volume["parameters"];
    for (ours, theirs) in [
        ("block_size", "Block size"),
        ("blocks", "Block count"),
        ("free_blocks", "Free blocks"),
        ("reserved_blocks", "Reserved block count"),
        ("inodes", "Inode count"),
        ("free_inodes", "Free inodes"),
        ("inode_size", "Inode size"),
        ("blocks_per_group", "Blocks per group"),
        ("inodes_per_group", "Inodes per group"),
        ("first_block", "First block"),
        ("first_inode", "First inode"),
        ("mount_count", "Mount count"),
    ] {
        // Revision 0 has no choice of some.
        if let Some(theirs) = fields.get(theirs) {
            assert_eq!(parameters[ours].to_string(), *theirs, "{ours}");
        }
    }
    let features = fields["Filesystem features"].split(' ');
    let features: Vec<&str> = features.filter(|name| *name != "(none)").collect();
    assert_eq!(parameters["features"], json!(features));
    assert_eq!(parameters["clean"], fields["Filesystem state"] == "clean");
    assert_eq!(volume["problem"], Value::Null);
    files(image, raw, partition);
}

/// Compares the listing of every directory with `debugfs`' `ls -l`.
fn files(image: &Path, raw: &Path, partition: &Value) {
    let start = partition["start"].as_u64().unwrap();
    let lines = listed(image, partition);
    let path = |file: &Value| file["path"].as_str().unwrap().to_owned();
    let files: BTreeMap<String, &Value> = lines.iter().map(|file| (path(file), file)).collect();
    let directories = files.iter().filter(|(_, file)| file["kind"] == "directory");
    let paths = directories.map(|(path, _)| path.as_str());
    let paths: Vec<&str> = ["/"].into_iter().chain(paths).collect();
    let commands: String = paths
        .iter()
        .map(|path| format!("ls -l \"{path}\"\n"))
        .collect();
    let script = r#"debugfs -f /dev/stdin "$1" 2>/dev/null"#;
    let mut debugfs = command("bash");
    debugfs.args(["-c", script, "bash"]).arg(at(raw, start));
    let said = with_input(&mut debugfs, &commands);
    let mut found = Vec::new();
    let mut directory = "";
    for line in said.lines() {
        if let Some(command) = line.strip_prefix("debugfs: ls -l \"") {
            directory = command.trim_end_matches('"');
            continue;
        }
        let mut words = line.split_whitespace();
        let Some(Ok(inode)) = words.next().map(str::parse::<u64>) else {
            continue;
        };
        let words: Vec<&str> = words.collect();
        // After mode, type, owners, size, date and time. Inode 0 is an entry that is not in use.
        let name = words.get(7..).unwrap_or_default().join(" ");
        if inode == 0 || name == "." || name == ".." {
            continue;
        }
        // It writes backslashes as we write other bytes.
        let path = format!("{}/{name}", directory.trim_end_matches('/')).replace(r"\x5c", r"\\");
        found.push((path, inode, words));
    }
    assert_eq!(files.len(), found.len());
    for (path, inode, words) in found {
        let file = files.get(&path);
        let file = file.unwrap_or_else(|| panic!("{path} is missing"));
        assert_eq!(file["inode"], inode, "{path}");
        let mode = u32::from_str_radix(words[0], 8).unwrap();
        assert_eq!(file["mode"], format!("{:04o}", mode & 0o7777), "{path}");
        let kind = match mode >> 12 {
            0o4 => "directory",
            0o10 => "file",
            0o12 => "symbolic link",
            0o2 => "character device",
            0o6 => "block device",
            0o1 => "FIFO",
            _ => "socket",
        };
        assert_eq!(file["kind"], kind, "{path}");
        // `(1)` is the type in the directory.
        assert_eq!(file["uid"].to_string(), words[2], "{path}");
        assert_eq!(file["gid"].to_string(), words[3], "{path}");
        if !kind.ends_with("device") {
            assert_eq!(file["size"].to_string(), words[4], "{path}");
        }
    }
}

fn with_input(command: &mut std::process::Command, input: &str) -> String {
    use std::io::Write;
    use std::process::Stdio;
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    String::from_utf8(output.stdout).unwrap()
}
