//! What `inspect` says about partition tables and file systems, compared with `sfdisk`, `sgdisk`,
//! `dumpe2fs`, `fsck.fat` and `debugfs`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use serde_json::{Value, json};

use super::{disk, images, inspected, json, script};
use crate::common::{command, scratch, stdout};

/// Compares all partitions with `sfdisk --json` and, on a GPT, with `sgdisk -i`.
pub fn table(raw: &Path, ours: &Value) {
    let said = stdout(command("sfdisk").arg("--json").arg(raw));
    let theirs: Value = serde_json::from_str(&said).unwrap();
    let theirs = &theirs["partitiontable"];
    let is_gpt = theirs["label"] == "gpt";
    assert_eq!(ours["table"]["kind"], if is_gpt { "gpt" } else { "mbr" });
    assert_eq!(ours["disk"]["sector_size"], theirs["sectorsize"]);
    let id = theirs["id"].as_str().unwrap().trim_start_matches("0x");
    assert_eq!(ours["table"]["id"], id);
    let found = ours["partitions"].as_array().unwrap();
    let expected = theirs["partitions"].as_array().unwrap();
    assert_eq!(found.len(), expected.len(), "{ours}");
    for (ours, theirs) in found.iter().zip(expected) {
        let number = ours["number"].as_u64().unwrap();
        let node = theirs["node"].as_str().unwrap();
        assert!(node.ends_with(&number.to_string()), "{node}: {number}");
        assert_eq!(ours["first_sector"], theirs["start"], "{number}");
        assert_eq!(
            ours["length"].as_u64().unwrap(),
            theirs["size"].as_u64().unwrap() * 512,
            "{number}"
        );
        if is_gpt {
            assert_eq!(ours["type"], theirs["type"], "{number}");
            let uuid = ours["partuuid"].as_str().unwrap().to_uppercase();
            assert_eq!(uuid, theirs["uuid"].as_str().unwrap(), "{number}");
            assert_eq!(ours["name"], theirs["name"], "{number}");
        } else {
            let kind = ours["type"].as_str().unwrap();
            let kind = u8::from_str_radix(&kind[2..], 16).unwrap();
            assert_eq!(
                format!("{kind:x}"),
                theirs["type"].as_str().unwrap(),
                "{number}"
            );
            let active = theirs["bootable"] == true;
            assert_eq!(ours["attributes"], u64::from(active), "{number}");
        }
        if is_gpt {
            sgdisk(raw, ours, number);
        }
    }
}

/// Compares a partition with `sgdisk -i`.
fn sgdisk(raw: &Path, ours: &Value, number: u64) {
    let said = stdout(command("sgdisk").arg(format!("-i={number}")).arg(raw));
    let fields: BTreeMap<&str, &str> = said
        .lines()
        .filter_map(|line| line.split_once(": "))
        .collect();
    let word = |name: &str| fields[name].split(' ').next().unwrap();
    assert_eq!(ours["type"], word("Partition GUID code"));
    let uuid = ours["partuuid"].as_str().unwrap().to_uppercase();
    assert_eq!(uuid, word("Partition unique GUID"));
    assert_eq!(ours["first_sector"].to_string(), word("First sector"));
    assert_eq!(ours["last_sector"].to_string(), word("Last sector"));
    let attributes = u64::from_str_radix(word("Attribute flags"), 16).unwrap();
    assert_eq!(ours["attributes"], attributes);
    let name = fields["Partition name"].trim_matches('\'');
    assert_eq!(ours["name"].as_str().unwrap_or_default(), name);
}

/// A file for the programs of e2fsprogs: the file system at the byte `start` of a disk.
fn at(raw: &Path, start: u64) -> OsString {
    let mut file = OsString::from(raw);
    file.push(format!("?offset={start}"));
    file
}

/// Compares the parameters with `dumpe2fs -h`, and all files with `debugfs`.
pub fn ext(raw: &Path, place: &str, partition: &Value) {
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
    files(raw, place, start);
}

/// The lines of `inspect --recursive --json`.
pub fn listed(image: &Path, place: &str) -> Vec<Value> {
    let text = inspected(image, &[place, "--recursive", "--json"]);
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Compares the listing of every directory with `debugfs`' `ls -l`.
fn files(raw: &Path, place: &str, start: u64) {
    let files = listed(raw, place);
    let directories = files.iter().filter(|file| file["kind"] == "directory");
    let paths = directories.map(|file| file["path"].as_str().unwrap());
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
        let file = files.iter().find(|file| file["path"] == path);
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

/// Compares with `fsck.fat -n`, on the file system alone.
pub fn fat(raw: &Path, place: &str, partition: &Value) {
    let directory = scratch();
    let copy = directory.path().join("fat");
    let number = |name: &str| partition[name].as_u64().unwrap();
    let from = [number("start") / 512, number("length") / 512].map(|it| it.to_string());
    let [skip, count] = from.each_ref().map(|text| Path::new(text.as_str()));
    script(
        r#"dd if="$1" of="$2" bs=512 skip="$3" count="$4" conv=sparse status=none; truncate -s $(($4 * 512)) "$2""#,
        &[raw, &copy, skip, count],
    );
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
    let files = listed(raw, place).len() as u64;
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

#[test]
fn a_gpt_with_two_file_systems() {
    let directory = scratch();
    let raw = disk(directory.path());
    let ours = json(&raw);
    table(&raw, &ours);
    fat(&raw, "1", &ours["partitions"][0]);
    ext(&raw, "2", &ours["partitions"][1]);
    assert_eq!(ours["partitions"][0]["role"], "esp");
    assert_eq!(ours["partitions"][1]["volume"]["type"], "ext4");
}

#[test]
fn an_mbr_with_logical_partitions() {
    let directory = scratch();
    let raw = directory.path().join("disk3");
    script(
        r#"truncate -s 60M "$1"
        sfdisk -q "$1" <<END
label: dos
label-id: 0x97fd5997
start=2048, size=20480, type=c, bootable
start=22528, type=5
start=24576, size=20480, type=83
start=47104, size=30000, type=82
start=79872, type=83
END
        mkfs.ext2 -q -F -E offset=$((24576 * 512)) "$1" 10M"#,
        &[&raw],
    );
    let ours = json(&raw);
    table(&raw, &ours);
    let places: Vec<_> = ours["partitions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["place"])
        .collect();
    assert_eq!(
        places,
        ["primary", "extended", "logical", "logical", "logical"]
    );
    ext(&raw, "5", &ours["partitions"][2]);
    let text = inspected(&raw, &["--width", "132"]);
    assert!(
        text.contains("  5  logical, Linux file system, type 0x83, PARTUUID 97fd5997-05"),
        "{text}"
    );
}

#[test]
fn sectors_of_4096_bytes() {
    let directory = scratch();
    let raw = directory.path().join("disk");
    let disk = images::Gpt {
        sector: 4096,
        ..images::Gpt::usual()
    };
    std::fs::write(&raw, disk.disk()).unwrap();
    let ours = json(&raw);
    assert_eq!(ours["disk"]["sector_size"], 4096);
    assert_eq!(ours["partitions"][1]["first_sector"], 40);
    assert_eq!(ours["partitions"][1]["start"], 40 * 4096);
    assert_eq!(ours["table"]["problem"], Value::Null);
    // A VHDX says how long its sectors are.
    let image = directory.path().join("image");
    script(
        r#"rm "$1"; truncate -s 32M "$1"; echo 'start=256, size=1024, type=83' | sfdisk -q "$1"
        qemu-img convert -O vhdx -o block_size=1M "$1" "$2""#,
        &[&raw, &image],
    );
    // The metadata item "logical sector size" of a file of qemu-img.
    let file = std::fs::File::options()
        .read(true)
        .write(true)
        .open(&image)
        .unwrap();
    let bytes = std::fs::read(&image).unwrap();
    let table = bytes
        .windows(8)
        .position(|window| window == b"metadata")
        .unwrap();
    let item = [0x1d, 0xbf, 0x41, 0x81, 0x6f, 0xa9, 0x09, 0x47];
    let entry = bytes.windows(8).position(|window| window == item).unwrap();
    let offset = u32::from_le_bytes(bytes[entry + 16..entry + 20].try_into().unwrap());
    let at = (table as u64) + u64::from(offset);
    std::os::unix::fs::FileExt::write_all_at(&file, &4096_u32.to_le_bytes(), at).unwrap();
    let ours = json(&image);
    assert_eq!(ours["disk"]["sector_size"], 4096);
    assert_eq!(ours["partitions"][0]["start"], 256 * 4096);
}

#[test]
fn file_systems_of_every_kind_and_size() {
    let directory = scratch();
    let tree = directory.path().join("tree");
    script(
        r#"mkdir -p "$1/directory/below"
        for number in $(seq 200); do echo "$number" >"$1/directory/a file with a long name $number"; done
        head -c 700000 /dev/urandom >"$1/random"
        mkfifo "$1/fifo"; ln -s "$(printf 'x%.0s' $(seq 90))" "$1/long"; ln "$1/random" "$1/hard"
        setfattr -n user.name -v value "$1/random""#,
        &[&tree],
    );
    let raw = directory.path().join("disk");
    for (kind, make) in [
        ("ext2", r#"mkfs.ext2 -q -b 1024 -d "$2" "$1" 20M"#),
        ("ext2", r#"mkfs.ext2 -q -r 0 -d "$2" "$1" 20M"#),
        ("ext3", r#"mkfs.ext3 -q -b 2048 -d "$2" "$1" 20M"#),
        (
            "ext4",
            r#"mkfs.ext4 -q -b 1024 -I 128 -O ^metadata_csum,^64bit -d "$2" "$1" 20M"#,
        ),
        (
            "ext4",
            r#"mkfs.ext4 -q -b 4096 -O meta_bg,^resize_inode -d "$2" "$1" 20M"#,
        ),
        (
            "ext4",
            r#"mkfs.ext4 -q -b 1024 -O sparse_super2,bigalloc -d "$2" "$1" 40M"#,
        ),
    ] {
        let _ = std::fs::remove_file(&raw);
        script(make, &[&raw, &tree]);
        let ours = json(&raw);
        let partition = &ours["partitions"][0];
        assert_eq!(partition["volume"]["type"], kind, "{make}");
        ext(&raw, "0", partition);
        for name in ["random", "hard"] {
            let contents = super::inspect(&raw, &[&format!("0:{name}")]).stdout;
            assert!(
                contents == std::fs::read(tree.join(name)).unwrap(),
                "{make}"
            );
        }
    }
    for (version, make) in [
        ("FAT12", r#"mkfs.fat -C "$1" 1440 -n FLOPPY"#),
        ("FAT16", r#"mkfs.fat -F 16 -C "$1" 20000"#),
        ("FAT32", r#"mkfs.fat -F 32 -s 1 -C "$1" 40000"#),
        ("FAT32", r#"mkfs.fat -F 32 -S 4096 -s 1 -C "$1" 300000"#),
    ] {
        let _ = std::fs::remove_file(&raw);
        script(make, &[&raw]);
        script(
            r#"mcopy -Q -s -i "$1" "$2/directory" "$2/random" ::"#,
            &[&raw, &tree],
        );
        let ours = json(&raw);
        let partition = &ours["partitions"][0];
        assert_eq!(
            partition["volume"]["parameters"]["version"], version,
            "{make}"
        );
        fat(&raw, "0", partition);
        let contents = super::inspect(&raw, &["0:RANDOM"]).stdout;
        assert!(
            contents == std::fs::read(tree.join("random")).unwrap(),
            "{make}"
        );
        let name = "0:/directory/A FILE with a long name 200";
        assert_eq!(inspected(&raw, &[name]), "200\n", "{make}");
    }
}
