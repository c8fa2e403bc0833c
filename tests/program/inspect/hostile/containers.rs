//! Damaged containers. Offsets are those of what `qemu-img` writes.

use super::damage::{Damage, are_refused, cut, damage};
use crate::common::scratch;
use crate::inspect::script;

const DAMAGES: [Damage; 39] = [
    damage(
        "qcow2",
        &[(4, b"\0\0\0\x09")],
        "version 9 of the format is not supported",
    ),
    damage(
        "qcow2",
        &[(20, b"\0\0\0\x40")],
        "clusters of 2^64 bytes, but only 2^9 to 2^21",
    ),
    damage(
        "qcow2",
        &[(24, &[0x7f; 8])],
        "a disk of 9187201950435737471 bytes, more than the format",
    ),
    damage(
        "qcow2",
        &[(36, &[0; 4])],
        "the L1 table has 0 entries, but 1 are needed",
    ),
    damage(
        "qcow2",
        &[(40, b"\0\0\0\x01")],
        "the L1 table of 8 bytes begins at byte 4295163904",
    ),
    damage(
        "qcow2",
        &[(41, b"\x01")],
        "the L1 table of 8 bytes begins at byte 281474976907264",
    ),
    damage(
        "qcow2",
        &[(72, &[0xff; 8])],
        "it has an external data file, which is not supported",
    ),
    damage(
        "qcow2",
        &[(72, b"\x01")],
        "it has features that are not known: bits 0x100000000000000",
    ),
    damage(
        "qcow2",
        &[(100, &[0xff; 4])],
        "an invalid length of 4294967295 bytes",
    ),
    damage(
        "qcow2",
        &[(0x3_0000, &[0x80, 0, 0, 0, 0, 3, 0, 0])],
        "L2 table 0 is at byte 196608 of the file, which is also in use",
    ),
    damage(
        "qcow2",
        &[(0x4_0008, &[0x80, 0, 0, 0, 0, 5, 0, 0])],
        "cluster 1 of the disk is at byte 327680 of the file, which is also in use",
    ),
    damage(
        "qcow2",
        &[(0x4_0000, &[0x80, 0, 0, 9, 0, 5, 0, 0])],
        "cluster 0 of the disk is at byte 38655033344 of the file, which has",
    ),
    damage(
        "qcow2",
        &[(0x4_0000, &[0x40, 0xff, 0, 0, 0, 5, 0, 1])],
        "the data of cluster 0 begins at byte",
    ),
    cut("qcow2", 100, "the header declares an invalid length"),
    cut(
        "qcow2",
        0x4_0000,
        "an L2 table of 65536 bytes begins at byte 262144 of the file, which ends at 262144",
    ),
    damage(
        "qcow2c",
        &[(0x5_0000, &[0xff; 64])],
        "decompressing the block of the disk from byte 0 on, at byte 327680 of the file: the compressed data is damaged",
    ),
    damage(
        "qcow2z",
        &[(0x5_0000, &[0x28, 0xb5, 0x2f, 0xfd, 0xff, 0xff, 0xff])],
        "decompressing the block of the disk from byte 0 on",
    ),
    damage(
        "vdi",
        &[(0x44, b"\x09")],
        "version 1.9 of the format is not supported, only 1.1",
    ),
    damage(
        "vdi",
        &[(0x4c, b"\x04")],
        "it is a differencing image, which is incomplete",
    ),
    damage(
        "vdi",
        &[(0x178, &[0; 4])],
        "the header declares blocks of 0 bytes",
    ),
    damage(
        "vdi",
        &[(0x170, &[0xff; 8])],
        "the block map has 16 entries, but 17592186044416 are needed",
    ),
    damage(
        "vdi",
        &[(0x204, &[0; 4])],
        "block 1 of the disk is at byte 1024 of the file, which is also in use",
    ),
    damage(
        "vdi",
        &[(0x200, &[0xff, 0xff, 0, 0])],
        "block 0 of the disk begins at byte 68718429184",
    ),
    Damage {
        length: Some(0x20_0000),
        ..damage("vhd", &[(41, b"x")], "there is no footer")
    },
    damage(
        "vhd",
        &[(512, b"x")],
        "there is no dynamic disk header at byte 512",
    ),
    damage(
        "vhd",
        &[(512 + 33, b"x")],
        "checking the dynamic disk header: its checksum is",
    ),
    damage(
        "vhd",
        &[(1536, &[0, 1, 0, 0])],
        "block 0 of the disk begins at byte 33554944 of the file",
    ),
    damage(
        "vmdk",
        &[(4, &[9])],
        "version 9 of the format is not supported, only 1 to 3",
    ),
    damage(
        "vmdk",
        &[(12, &[0xff; 8])],
        "the header declares a disk of 18446744073709551615 sectors",
    ),
    damage(
        "vmdk",
        &[(20, &[3])],
        "the header declares grains of 3 sectors",
    ),
    damage(
        "vmdk",
        &[(44, &[0; 4])],
        "the header declares grain tables of 0 entries",
    ),
    damage(
        "vmdk",
        &[(56, &[0xff, 0xff, 0xff])],
        "the grain directory of 4 bytes begins at byte 8589934080",
    ),
    damage(
        "vmdk",
        &[(36, &[0xff; 8])],
        "the header declares a descriptor of",
    ),
    damage(
        "vmdks",
        &[(0x1_0000, &[7])],
        "claims to be that of sector 7, but grain 0 of the disk is expected",
    ),
    cut(
        "vmdks",
        9000,
        "the descriptor of 10240 bytes begins at byte 512 of the file, which ends at 9000",
    ),
    damage(
        "vhdx",
        &[(0x1_0000, b"x"), (0x2_0000, b"x")],
        "there is no header at byte 65536",
    ),
    damage(
        "vhdx",
        &[(0x3_0010, b"x"), (0x4_0010, b"x")],
        "the checksum of the region table at byte 196608 does not match",
    ),
    damage(
        "vhdx",
        &[(0x20_0000, &[5])],
        "block 0 of the disk has the invalid state 5",
    ),
    damage(
        "vhdx",
        &[(0x20_0003, &[0, 0, 1])],
        "block 0 of the disk begins at byte 1099520016384 of the file",
    ),
];

#[test]
fn damaged_containers_are_refused_with_the_reason() {
    let directory = scratch();
    // A disk of 16 MiB with a partition table, in every format.
    script(
        r#"cd "$1"
        truncate -s 16M raw
        printf 'label: dos\nstart=2048, type=83\n' | sfdisk -q raw
        head -c 1000000 /dev/urandom | dd of=raw bs=1M seek=2 conv=notrunc status=none
        qemu-img convert -O qcow2 raw qcow2
        qemu-img convert -c -O qcow2 raw qcow2c
        qemu-img convert -c -O qcow2 -o compression_type=zstd raw qcow2z
        qemu-img convert -O vdi raw vdi
        qemu-img convert -O vpc -o force_size=on raw vhd
        qemu-img convert -O vmdk raw vmdk
        qemu-img convert -O vmdk -o subformat=streamOptimized raw vmdks
        qemu-img convert -O vhdx raw vhdx"#,
        &[directory.path()],
    );
    are_refused(directory.path(), &DAMAGES);
}
