//! Names of partition types, and what they say about the purpose of a partition.

use uuid::{Uuid, uuid};

/// The purpose and the name of a type.
pub type Named = (&'static str, &'static str);

/// Types of GPT partitions: UEFI Specification 2.10, table 5.7; GRUB's manual; UAPI.2, Discoverable
/// Partitions Specification; and the documentation of each system.
const GUIDS: [(Uuid, &str, &str); 31] = [
    (
        uuid!("c12a7328-f81f-11d2-ba4b-00a0c93ec93b"),
        "esp",
        "EFI system",
    ),
    (
        uuid!("bc13c2ff-59e6-4262-a352-b275fd6f7172"),
        "xbootldr",
        "extended boot loader",
    ),
    (
        uuid!("21686148-6449-6e6f-744e-656564454649"),
        "bios-boot",
        "BIOS boot",
    ),
    (
        uuid!("0fc63daf-8483-4772-8e79-3d69d8477de4"),
        "linux",
        "Linux file system",
    ),
    (
        uuid!("4f68bce3-e8cd-4db1-96e7-fbcaf984b709"),
        "root",
        "Linux root (x86-64)",
    ),
    (
        uuid!("b921b045-1df0-41c3-af44-4c6f280d3fae"),
        "root",
        "Linux root (ARM64)",
    ),
    (
        uuid!("44479540-f297-41b2-9af7-d131d5f0458a"),
        "root",
        "Linux root (x86)",
    ),
    (
        uuid!("69dad710-2ce4-4e3c-b16c-21a1d49abed3"),
        "root",
        "Linux root (ARM)",
    ),
    (
        uuid!("72ec70a6-cf74-40e6-bd49-4bda08e8f224"),
        "root",
        "Linux root (RISC-V 64)",
    ),
    (
        uuid!("8484680c-9521-48c6-9c11-b0720656f69e"),
        "usr",
        "Linux /usr (x86-64)",
    ),
    (
        uuid!("b0e01050-ee5f-4390-949a-9101b17104e9"),
        "usr",
        "Linux /usr (ARM64)",
    ),
    (
        uuid!("2c7357ed-ebd2-46d9-aec1-23d437ec2bf5"),
        "verity",
        "Linux root verity (x86-64)",
    ),
    (
        uuid!("df3300ce-d69f-4c92-978c-9bfb0f38d820"),
        "verity",
        "Linux root verity (ARM64)",
    ),
    (
        uuid!("77ff5f63-e7b6-4633-acf4-1565b864c0e6"),
        "verity",
        "Linux /usr verity (x86-64)",
    ),
    (
        uuid!("6e11a4e7-fbca-4ded-b9e9-e1a512bb664e"),
        "verity",
        "Linux /usr verity (ARM64)",
    ),
    (
        uuid!("933ac7e1-2eb4-4f13-b844-0e14e2aef915"),
        "home",
        "Linux /home",
    ),
    (
        uuid!("3b8f8425-20e0-4f3b-907f-1a25a76f98e8"),
        "srv",
        "Linux /srv",
    ),
    (
        uuid!("4d21b016-b534-45c2-a9fb-5c16e091fd2d"),
        "var",
        "Linux /var",
    ),
    (
        uuid!("7ec6f557-3bc5-4aca-b293-16ef5df639d1"),
        "tmp",
        "Linux /var/tmp",
    ),
    (
        uuid!("0657fd6d-a4ab-43c4-84e5-0933c84b4f4f"),
        "swap",
        "Linux swap",
    ),
    (
        uuid!("e6d6d379-f507-44c2-a23c-238f2a3df928"),
        "lvm",
        "Linux LVM",
    ),
    (
        uuid!("a19d880f-05fc-4d3b-a006-743f0f84911e"),
        "raid",
        "Linux RAID",
    ),
    (
        uuid!("ca7d7ccb-63ed-4c53-861c-1742536059cc"),
        "luks",
        "Linux LUKS",
    ),
    (
        uuid!("8da63339-0007-60c0-c436-083ac8230908"),
        "reserved",
        "Linux reserved",
    ),
    (
        uuid!("9e1a2d38-c612-4316-aa26-8b49521e5a8b"),
        "prep",
        "PowerPC PReP boot",
    ),
    (
        uuid!("ebd0a0a2-b9e5-4433-87c0-68b6b72699c7"),
        "data",
        "Microsoft basic data",
    ),
    (
        uuid!("e3c9e316-0b5c-4db8-817d-f92df00215ae"),
        "reserved",
        "Microsoft reserved",
    ),
    (
        uuid!("de94bba4-06d1-4d40-a16a-bfd50179d6ac"),
        "recovery",
        "Windows recovery",
    ),
    (
        uuid!("fe3a2a5d-4f32-41a7-b725-accc3285a309"),
        "kernel",
        "ChromeOS kernel",
    ),
    (
        uuid!("516e7cb6-6ecf-11d6-8ff8-00022d09712b"),
        "data",
        "FreeBSD UFS",
    ),
    (
        uuid!("024dee41-33e7-11d3-9d69-0008c781f39f"),
        "mbr",
        "MBR scheme",
    ),
];

/// Types of MBR partitions, as the kernel and `sfdisk --list-types` know them.
const BYTES: [(u8, &str, &str); 24] = [
    (0x01, "data", "FAT12"),
    (0x04, "data", "FAT16 of less than 32 MiB"),
    (0x05, "extended", "extended"),
    (0x06, "data", "FAT16"),
    (0x07, "data", "NTFS, exFAT or HPFS"),
    (0x0b, "data", "FAT32"),
    (0x0c, "data", "FAT32 (LBA)"),
    (0x0e, "data", "FAT16 (LBA)"),
    (0x0f, "extended", "extended (LBA)"),
    (0x11, "data", "hidden FAT12"),
    (0x1b, "data", "hidden FAT32"),
    (0x27, "recovery", "Windows recovery"),
    (0x41, "prep", "PowerPC PReP boot"),
    (0x82, "swap", "Linux swap"),
    (0x83, "linux", "Linux file system"),
    (0x85, "extended", "Linux extended"),
    (0x88, "data", "Linux plain text"),
    (0x8e, "lvm", "Linux LVM"),
    (0xa5, "data", "FreeBSD"),
    (0xa6, "data", "OpenBSD"),
    (0xda, "data", "data without a file system"),
    (0xee, "protective", "GPT"),
    (0xef, "esp", "EFI system"),
    (0xfd, "raid", "Linux RAID"),
];

/// Purpose and name of a GPT type.
pub fn of_guid(guid: Uuid) -> Named {
    let found = GUIDS.iter().find(|(known, ..)| *known == guid);
    found.map_or(("other", "unknown type"), |(_, role, name)| (role, name))
}

/// Purpose and name of an MBR type.
pub fn of_byte(byte: u8) -> Named {
    let found = BYTES.iter().find(|(known, ..)| *known == byte);
    found.map_or(("other", "unknown type"), |(_, role, name)| (role, name))
}
