//! Every type of root file system, with each partition table and boot loader that can start from it.

use std::path::Path;
use std::time::Instant;

use crate::Firmware::{self, Ovmf, SeaBios};
use crate::LIMIT;
use crate::common::nix::{self, Build};
use crate::common::qemu::{self, Boot, ROOT_UUID};
use crate::common::{inspect, oracles};

/// A root file system.
pub struct Root {
    /// Its type.
    pub kind: &'static str,
    /// Attributes of `fsOptions`.
    options: &'static str,
}

/// A disk for it.
pub struct Disk {
    pub table: &'static str,
    pub loader: &'static str,
    /// What starts the boot loader; `None`: QEMU starts the kernel.
    pub firmware: Option<Firmware>,
}

/// A root file system on a disk.
pub struct Row(pub &'static Root, pub &'static Disk);

const fn root(kind: &'static str, options: &'static str) -> Root {
    Root { kind, options }
}

const fn disk(table: &'static str, loader: &'static str, firmware: Option<Firmware>) -> Disk {
    Disk {
        table,
        loader,
        firmware,
    }
}

const WRITABLE: [Root; 5] = [
    root("btrfs", ""),
    root("ext2", ""),
    root("ext3", ""),
    root("f2fs", ""),
    root("xfs", ""),
];
const READ_ONLY: [Root; 2] = [
    root("erofs", ""),
    root("squashfs", r#"compression = "zstd"; compressionLevel = 1;"#),
];

const NONE: Disk = disk("none", "extlinux", None);
const LEGACY: Disk = disk("legacy", "grub-bios", Some(SeaBios));
const EFI: Disk = disk("efi", "systemd-boot", Some(Ovmf));
const HYBRID: [Disk; 2] = [
    disk("hybrid", "grub-hybrid", Some(SeaBios)),
    disk("hybrid", "grub-hybrid", Some(Ovmf)),
];

/// The disks without a boot partition of which GRUB reads the root file system.
const GRUB_READS: [(Root, Disk); 3] = [
    (root("btrfs", r#"compression = "zstd";"#), LEGACY),
    (
        root(
            "btrfs",
            r#"compression = "zlib"; subvolumes = [ "nix" "home" ];"#,
        ),
        disk("legacy+gpt", "grub-bios", Some(SeaBios)),
    ),
    (
        root("xfs", ""),
        disk("legacy+gpt", "grub-bios", Some(SeaBios)),
    ),
];

/// Compressed read-only file systems that Linux 6.1 reads.
const COMPRESSED: [(Root, Disk); 2] = [
    (root("erofs", r#"compression = "lz4";"#), EFI),
    (
        root(
            "squashfs",
            r#"compression = "gzip"; compressionLevel = 1; blockSize = "128K";"#,
        ),
        NONE,
    ),
];

/// Returns all rows.
pub fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for (at, root) in WRITABLE.iter().enumerate() {
        rows.extend([&NONE, &LEGACY, &EFI, &HYBRID[at % 2]].map(|disk| Row(root, disk)));
    }
    for (at, root) in READ_ONLY.iter().enumerate() {
        rows.extend([&NONE, &EFI, &HYBRID[at % 2]].map(|disk| Row(root, disk)));
    }
    let others = GRUB_READS.iter().chain(&COMPRESSED);
    rows.extend(others.map(|(root, disk)| Row(root, disk)));
    rows
}

impl Row {
    pub fn name(&self) -> String {
        let Row(root, disk) = self;
        format!("{} {} {}{}", disk.table, disk.loader, root.kind, {
            let option = root.options.split('"').nth(1).unwrap_or_default();
            if option.is_empty() {
                String::new()
            } else {
                format!(" {option}")
            }
        })
    }

    fn arguments(&self) -> String {
        let Row(Root { kind, options }, Disk { table, loader, .. }) = self;
        // squashfs has no UUID that the boot loader's entry could name.
        let device = match (*kind, *table) {
            ("squashfs", "efi") => r#"rootDevice = "/dev/vda2";"#,
            ("squashfs", "hybrid") => r#"rootDevice = "/dev/vda3";"#,
            _ => "",
        };
        format!(
            r#"fsType = "{kind}"; rootType = "{kind}"; fsOptions = {{ {options} }}; {device}
               partitionTableType = "{table}"; loader = "{loader}"; guestMachine = "uml";
               copyChannel = false; additionalSpace = "64M";"#
        )
    }

    /// Runs the row and returns how long each step took.
    pub fn run(&self) -> String {
        let Row(root, disk) = self;
        let arguments = self.arguments();
        let system = nix::evaluate(&format!(
            "toString (fixture.makeDiskImage {{ {arguments} }}).config.system.build.toplevel"
        ));
        let built = Build::image(&arguments).run();
        Build::image(&arguments).again().run();
        let image = built.out.join("nixos.img");
        oracles::check(&image, "raw", disk.table);
        let start = Instant::now();
        inspect::agrees(&image, "raw", &image);
        let described = start.elapsed();
        let boot = match disk.firmware {
            None => Boot::Kernel(Path::new(&system), "root=/dev/vda"),
            Some(SeaBios) => Boot::Bios,
            Some(Ovmf) => Boot::Efi(None),
        };
        let booted = qemu::boot(&image, "raw", &boot, LIMIT);
        assert_eq!(booted.fact("fs"), root.kind);
        assert_eq!(booted.fact("system"), system);
        if root.kind != "squashfs" {
            assert_eq!(booted.fact("uuid"), ROOT_UUID);
            assert_eq!(booted.fact("label"), "nixos");
        }
        let times = [built.time, described, booted.time].map(|time| time.as_secs_f64());
        let [build, described, boot] = times;
        format!("build {build:.1} s, described {described:.1} s, boot {boot:.1} s")
    }
}
