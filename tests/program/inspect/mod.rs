//! `make-disk-image inspect` on images made by other programs and on hostile ones.
//!
//! `INSPECT_IMAGES` is the number of random images (5000).
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test that cannot continue panics, and its images are small"
)]

mod hostile;
mod images;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Output};

fn run(script: &str, image: &Path) {
    let mut bash = Command::new("bash");
    bash.args(["-euo", "pipefail", "-c", script, "bash"])
        .arg(image);
    let output = bash.output().unwrap();
    assert!(output.status.success(), "{script}: {output:?}");
}

fn inspect(image: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_make-disk-image"))
        .arg("inspect")
        .arg(image)
        .output()
        .unwrap()
}

fn described(image: &Path) -> String {
    let output = inspect(image);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The SHA-256 of the sectors `first` to `last`, by sha256sum.
fn sum(image: &Path, first: u64, last: u64) -> String {
    let script = format!(
        "dd if=\"$1\" bs=512 skip={first} count={} status=none | sha256sum",
        last + 1 - first
    );
    let mut bash = Command::new("bash");
    bash.args(["-c", &script, "bash"]).arg(image);
    let output = bash.output().unwrap();
    String::from_utf8(output.stdout).unwrap()[..64].to_owned()
}

#[test]
fn a_gpt_with_two_file_systems() {
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("disk");
    run(
        r#"truncate -s 100M "$1"
        sgdisk -Z "$1" >&2
        sgdisk -U 97FD5997-F390-0B4A-A3F8-D106C1723AEA -n 1:2048:83967 -t 1:EF00 -c 1:ESP \
          -u 1:1C06F03B-704E-4657-B9CD-681A087A2FDC -n 2:83968:204766 -c 2:primary \
          -u 2:F222513B-DED1-49FA-B591-20CE86A2FE7F "$1"
        mkfs.ext4 -q -F -b 4096 -L nixos -U f222513b-ded1-49fa-b591-20ce86a2fe7f \
          -E offset=$((83968 * 512)) "$1" 58M
        truncate -s 40M "$1.fat"
        mkfs.fat --invariant -F 32 -n ESP "$1.fat" >&2
        dd if="$1.fat" of="$1" bs=512 seek=2048 conv=notrunc status=none"#,
        &image,
    );
    let text = described(&image);
    let expected = format!(
        "disk: 104857600 bytes, GPT 97FD5997-F390-0B4A-A3F8-D106C1723AEA
partition 1: sectors 2048-83967, type C12A7328-F81F-11D2-BA4B-00A0C93EC93B, 1C06F03B-704E-4657-B9CD-681A087A2FDC, \"ESP\"
  FAT32, volume ID 1234-ABCD, label \"ESP\"
  sha256 {}
partition 2: sectors 83968-204766, type 0FC63DAF-8483-4772-8E79-3D69D8477DE4, F222513B-DED1-49FA-B591-20CE86A2FE7F, \"primary\"
  ext4, UUID f222513b-ded1-49fa-b591-20ce86a2fe7f, label \"nixos\"
  sha256 {}
table, boot code and gaps:
  sha256 ",
        sum(&image, 2048, 83967),
        sum(&image, 83968, 204_766)
    );
    assert!(text.starts_with(&expected), "{text}\n{expected}");

    // Boot code is outside of all partitions.
    let file = File::options().write(true).open(&image).unwrap();
    file.write_all_at(b"x", 100).unwrap();
    let changed = described(&image);
    assert!(changed.starts_with(&expected), "{changed}");
    assert_ne!(changed, text);
}

#[test]
fn an_mbr_and_a_bare_file_system() {
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("disk");
    run(
        r#"truncate -s 10M "$1"
        printf 'label: dos\nlabel-id: 0x97fd5997\nstart=2048, type=c, size=2048, bootable\nstart=4096, type=83\n' |
          sfdisk -q "$1""#,
        &image,
    );
    let text = described(&image);
    for line in [
        "disk: 10485760 bytes, MBR 97fd5997\n",
        "partition 1: sectors 2048-4095, type 0x0c, active\n  no known file system\n",
        "partition 2: sectors 4096-20479, type 0x83\n",
    ] {
        assert!(text.contains(line), "{text}");
    }

    let bare = directory.path().join("bare");
    run(
        r#"truncate -s 20M "$1"; mkfs.ext4 -q -F -b 4096 -L store "$1""#,
        &bare,
    );
    let text = described(&bare);
    assert!(
        text.starts_with(
            "disk: 20971520 bytes, no partition table\n\
             partition 0: sectors 0-40959, the whole disk\n  ext4, UUID "
        ),
        "{text}"
    );
    assert!(text.contains("label \"store\"\n"), "{text}");
}

#[test]
fn unreadable_images_are_reported() {
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("disk");
    for (script, message) in [
        (
            r#"qemu-img create -q -f qcow2 "$1" 1M"#,
            "is a qcow2 image, but only raw images can be inspected; convert it with qemu-img convert -O raw",
        ),
        (
            r#"qemu-img create -q -f vdi "$1" 1M"#,
            "is a vdi image, but only raw",
        ),
        (": >\"$1\"", "too small for a disk image: 0 bytes"),
        (
            // Both copies of the table are gone.
            r#"truncate -s 10M "$1"; sgdisk -n 1 "$1"; dd if=/dev/zero of="$1" bs=512 seek=1 count=40 conv=notrunc; truncate -s 9M "$1""#,
            "the GUID partition table",
        ),
        (
            r#"truncate -s 10M "$1"; echo start=2048 | sfdisk -q "$1"; truncate -s 5M "$1""#,
            "partition 1 ends at byte 10485760, but the image ends at 5242880: it is truncated",
        ),
    ] {
        let _ = std::fs::remove_file(&image);
        run(script, &image);
        let output = inspect(&image);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains(message), "{script}: {error}");
    }
    let output = inspect(&directory.path().join("no such"));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("No such file or directory"), "{error}");
}
