//! Every format that can be read has the same disk in it, and its headers say what `qemu-img info` says.

use std::path::{Path, PathBuf};

use make_disk_image::diff::{self, Outcome};

use super::script;
use crate::common::inspect::{container, inspect, json};
use crate::common::{command, said, scratch, stdout};

/// The arguments of `qemu-img convert` after the raw disk, and the name in `qemu-img info`.
const FORMATS: [(&str, &str); 19] = [
    ("-O raw", "raw"),
    ("-O qcow2", "qcow2"),
    ("-O qcow2 -o compat=0.10", "qcow2"),
    ("-O qcow2 -o cluster_size=512", "qcow2"),
    ("-O qcow2 -o cluster_size=2M", "qcow2"),
    ("-O qcow2 -o preallocation=metadata", "qcow2"),
    ("-O qcow2 -c", "qcow2"),
    ("-O qcow2 -c -o cluster_size=4k", "qcow2"),
    (
        "-O qcow2 -c -o cluster_size=2M,compression_type=zstd",
        "qcow2",
    ),
    ("-O qcow2 -c -o compression_type=zstd", "qcow2"),
    ("-O vdi", "vdi"),
    ("-O vdi -o static=on", "vdi"),
    ("-O vpc -o force_size=on", "vpc"),
    ("-O vpc -o subformat=fixed,force_size=on", "vpc"),
    ("-O vmdk", "vmdk"),
    ("-O vmdk -o subformat=streamOptimized", "vmdk"),
    ("-O vhdx", "vhdx"),
    ("-O vhdx -o block_size=1M", "vhdx"),
    ("-O vhdx -o subformat=fixed", "vhdx"),
];

/// A disk of which all formats are made: data at its beginning, in its middle and at its end.
fn raw(directory: &Path) -> PathBuf {
    let raw = directory.join("raw");
    script(
        r#"truncate -s 48M "$1"
        seq 1 40000 | dd of="$1" conv=notrunc status=none
        head -c 200000 /dev/urandom | dd of="$1" bs=4k seek=3001 conv=notrunc status=none
        seq 5 9999 | dd of="$1" bs=4k seek=12270 conv=notrunc status=none"#,
        &[&raw],
    );
    raw
}

#[test]
fn every_format_has_the_same_disk() {
    let directory = scratch();
    let raw = raw(directory.path());
    for (number, (arguments, format)) in FORMATS.into_iter().enumerate() {
        let image = directory.path().join(number.to_string());
        let mut convert = command("qemu-img");
        convert.args(["convert", "-f", "raw"]);
        convert.args(arguments.split(' ')).arg(&raw).arg(&image);
        stdout(&mut convert);
        let found = diff::compare(&raw, &image, 10).unwrap();
        assert_eq!(found.outcome, Outcome::Equal, "{arguments}: {}", found.text);
        let ours = json(&image);
        container::agrees(&image, format, &ours);
        if format == "qcow2" {
            let compressed = &ours["container"]["compressed"];
            assert_eq!(*compressed, arguments.contains(" -c"), "{arguments}");
        }
        std::fs::remove_file(&image).unwrap();
    }
}

#[test]
fn what_cannot_be_read_is_refused_with_the_reason() {
    let directory = scratch();
    let raw = raw(directory.path());
    let image = directory.path().join("image");
    for (make, message) in [
        (
            r#"qemu-img create -q -f qcow2 -F raw -b "$1" "$2""#,
            "it is incomplete without its backing file /",
        ),
        // Without what `qemu-img` does for a minute: the field of the method.
        (
            r#"qemu-img create -q -f qcow2 "$2" 1M
            printf '\2' | dd of="$2" bs=1 seek=35 conv=notrunc status=none"#,
            "it is encrypted with LUKS; decrypt it",
        ),
        (
            r#"qemu-img create -q -f qcow2 -o extended_l2=on "$2" 1M"#,
            "it has extended L2 table entries, which is not supported; convert it",
        ),
        (
            r#"qemu-img create -q -f qcow2 -o data_file="$2.data" "$2" 1M"#,
            "it has an external data file, which is not supported; convert it",
        ),
        (
            r#"qemu-img create -q -f qed "$2" 1M"#,
            "it is in the QED format, which cannot be read",
        ),
        (
            r#"qemu-img create -q -f parallels "$2" 1M"#,
            "it is in the Parallels format, which",
        ),
        (
            r#"qemu-img create -q -f qcow "$2" 1M"#,
            "version 1 of the format is not supported",
        ),
        (
            r#"qemu-img create -q -f vmdk -o subformat=monolithicFlat "$2" 1M"#,
            "it is a VMDK descriptor, whose disk is in other files, which cannot be read",
        ),
        (
            r#"qemu-img convert -O vmdk "$1" "$1.vmdk"; qemu-img create -q -f vmdk -F vmdk -b "$1.vmdk" "$2""#,
            "it is incomplete without its parent, which has the content ID",
        ),
        (
            r#"zstd -q "$1" -o "$2""#,
            "it is compressed with zstd, which cannot be read; decompress it",
        ),
        (
            r#"xz -0c "$1" >"$2""#,
            "it is compressed with xz, which cannot be read",
        ),
        (
            r#"gzip -1c "$1" >"$2""#,
            "it is compressed with gzip, which cannot be read",
        ),
        (
            r#"tar -cf "$2" -C / etc/hostname"#,
            "it is an archive, which cannot be read",
        ),
    ] {
        let _ = std::fs::remove_file(&image);
        script(make, &[&raw, &image]);
        let output = inspect(&image, &[]);
        let error = said(&output);
        assert_eq!(output.status.code(), Some(1), "{make}: {error}");
        assert!(error.contains(message), "{make}: {error}");
    }
}
