//! What `inspect` says about partition tables and file systems, compared with `sfdisk`, `sgdisk`,
//! `dumpe2fs`, `fsck.fat` and `debugfs`.

use serde_json::Value;

use super::{disk, images, script};
use crate::common::inspect::{self, ext, fat, inspected, json, table};
use crate::common::scratch;

#[test]
fn a_gpt_with_two_file_systems() {
    let directory = scratch();
    let raw = disk(directory.path());
    let ours = json(&raw);
    inspect::agrees(&raw, "raw", &raw);
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
    table::agrees(&raw, &ours);
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
    ext::agrees(&raw, &raw, &ours["partitions"][2]);
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
        ext::agrees(&raw, &raw, partition);
        for name in ["random", "hard"] {
            let contents = inspect::inspect(&raw, &[&format!("0:{name}")]).stdout;
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
        fat::agrees(&raw, &raw, partition);
        let contents = inspect::inspect(&raw, &["0:RANDOM"]).stdout;
        assert!(
            contents == std::fs::read(tree.join("random")).unwrap(),
            "{make}"
        );
        let name = "0:/directory/A FILE with a long name 200";
        assert_eq!(inspected(&raw, &[name]), "200\n", "{make}");
    }
}
