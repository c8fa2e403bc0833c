//! File systems that are only recognized, compared with `blkid` and their own tools.

use super::script;
use crate::common::inspect::{inspect, json, roots};
use crate::common::{next, said, scratch, stdout};

#[test]
fn they_are_described_as_by_their_tools() {
    let directory = scratch();
    let tree = directory.path().join("tree");
    script(r#"mkdir "$1"; seq 9999 >"$1/file""#, &[&tree]);
    let image = directory.path().join("image");
    for (program, arguments, mebibytes, parameter) in [
        (
            "usr/sbin/mkfs.btrfs",
            &["-q", "-L", "nixos", "IMAGE"][..],
            120,
            ("node_size", 16384),
        ),
        (
            "usr/sbin/mkfs.xfs",
            &["-q", "-L", "nixos", "IMAGE"],
            300,
            ("block_size", 4096),
        ),
        (
            "usr/sbin/mkfs.f2fs",
            &["-q", "-l", "nixos", "IMAGE"],
            80,
            ("block_size", 4096),
        ),
        (
            "usr/bin/mkfs.erofs",
            &["--quiet", "-Lnixos", "IMAGE", "TREE"],
            0,
            ("block_size", 4096),
        ),
        (
            "usr/bin/mksquashfs",
            &["TREE", "IMAGE", "-quiet", "-no-progress", "-comp", "zstd"],
            0,
            ("block_size", 131_072),
        ),
    ] {
        let _ = std::fs::remove_file(&image);
        if mebibytes > 0 {
            std::fs::File::create(&image)
                .unwrap()
                .set_len(mebibytes << 20)
                .unwrap();
        }
        let mut make = next::program(program);
        for argument in arguments {
            match *argument {
                "IMAGE" => make.arg(&image),
                "TREE" => make.arg(&tree),
                other => make.arg(other),
            };
        }
        stdout(&mut make);
        let volume = roots::agrees(&image);
        assert_eq!(volume["parameters"][parameter.0], parameter.1, "{program}");
        let (used, length) = (
            volume["used"].as_u64().unwrap(),
            volume["length"].as_u64().unwrap(),
        );
        assert!(0 < used && used <= length, "{program}: {volume}");
        let output = inspect(&image, &["0:/"]);
        let error = said(&output);
        let message = "the whole disk has a file system of the type ";
        assert!(
            error.contains(message) && error.contains("only from ext2, ext3"),
            "{error}"
        );
        // Cut off after its superblock.
        let file = std::fs::File::options().write(true).open(&image).unwrap();
        file.set_len(file.metadata().unwrap().len().min(132 << 10) / 2 + 2048)
            .unwrap();
        let output = inspect(&image, &["--json"]);
        assert!(
            said(&output).contains("truncated or damaged") || program.contains("btrfs"),
            "{program}"
        );
    }
}

#[test]
fn swap_and_luks_are_recognized() {
    let directory = scratch();
    let image = directory.path().join("image");
    script(r#"truncate -s 2M "$1"; mkswap -q -L swap "$1""#, &[&image]);
    let volume = roots::agrees(&image);
    assert_eq!(volume["parameters"]["pages"], 512);
    // The beginning of a header as in "LUKS2 On-Disk Format", section 2.1.
    let mut header = vec![0; 1 << 20];
    header[..8].copy_from_slice(b"LUKS\xba\xbe\0\x02");
    header[8..16].copy_from_slice(&0x4000_u64.to_be_bytes());
    header[24..29].copy_from_slice(b"crypt");
    header[168..204].copy_from_slice(b"f222513b-ded1-49fa-b591-20ce86a2fe7f");
    std::fs::write(&image, header).unwrap();
    let ours = json(&image);
    let volume = &ours["partitions"][0]["volume"];
    assert_eq!(volume["type"], "crypto_LUKS");
    assert_eq!(volume["uuid"], "f222513b-ded1-49fa-b591-20ce86a2fe7f");
    assert_eq!(volume["label"], "crypt");
}
