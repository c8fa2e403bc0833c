//! The schemes of nixpkgs' `make-disk-image.nix`, as `parted` and `sgdisk` write them.

use uuid::{Uuid, uuid};

use super::First::{self, Sector as At};
use super::Last::{self, Sector as To};
use super::PartitionGuid::{First as FirstGuid, Root as RootGuid, Second as SecondGuid};
use super::Role::{BiosBoot, Boot, Esp, Root, Xbootldr};
use super::{Contents, Entry, Fat, MIB, Partition, PartitionGuid, Role, Scheme, TableKind};

// rustfmt would put each cell on its own line.
#[rustfmt::skip]
mod schemes {
    use super::*;

    //          role      first sector    last sector        in the table           GUID        contents

    pub static NONE: Scheme = Scheme {
        name: "none", kind: TableKind::None, bios: false, efi_variables: false,
        partitions: &[
            row(Root,     At(0),          Last::DiskEnd,     Entry::None,           RootGuid,   Contents::Root),
        ],
    };

    pub static LEGACY: Scheme = Scheme {
        name: "legacy", kind: TableKind::Mbr, bios: true, efi_variables: false,
        partitions: &[
            row(Root,     At(MIB),        Last::DiskEnd,     MBR_LINUX,             RootGuid,   Contents::Root),
        ],
    };

    // This table is meant for Limine.
    pub static LEGACY_BOOT: Scheme = Scheme {
        name: "legacy+boot", kind: TableKind::Mbr, bios: true, efi_variables: false,
        partitions: &[
            row(Boot,     At(MIB),        Last::BootEnd,     MBR_ACTIVE_FAT32,      FirstGuid,  fat("BOOT", "/boot")),
            row(Root,     First::BootEnd, Last::DiskEnd,     MBR_LINUX,             RootGuid,   Contents::Root),
        ],
    };

    pub static LEGACY_GPT: Scheme = Scheme {
        name: "legacy+gpt", kind: TableKind::Gpt, bios: true, efi_variables: true,
        partitions: &[
            row(BiosBoot, At(MIB),        To(2 * MIB - 1),   gpt(BIOS, "no-fs"),    FirstGuid,  Contents::BootCode),
            row(Root,     At(2 * MIB),    Last::DiskEnd,     gpt(LINUX, "primary"), RootGuid,   Contents::Root),
        ],
    };

    pub static EFI: Scheme = Scheme {
        name: "efi", kind: TableKind::Gpt, bios: false, efi_variables: true,
        partitions: &[
            row(Esp,      At(8 * MIB),    Last::BootEnd,     gpt(ESP, "ESP"),       FirstGuid,  fat("ESP", "/boot")),
            row(Root,     First::BootEnd, Last::DiskEnd,     gpt(LINUX, "primary"), RootGuid,   Contents::Root),
        ],
    };

    pub static EFI_XBOOTLDR: Scheme = Scheme {
        name: "efixbootldr", kind: TableKind::Gpt, bios: false, efi_variables: true,
        partitions: &[
            row(Esp,      At(8 * MIB),    To(100 * MIB - 1), gpt(ESP, "ESP"),       FirstGuid,  fat("ESP", "/efi")),
            row(Xbootldr, At(100 * MIB),  Last::BootEnd,     gpt(XBOOTLDR, "BOOT"), SecondGuid, fat("BOOT", "/boot")),
            row(Root,     First::BootEnd, Last::DiskEnd,     gpt(LINUX, "ROOT"),    RootGuid,   Contents::Root),
        ],
    };

    // The BIOS boot partition starts at the first sector that a GPT allows. It includes the sector
    // at 1 MiB because parted treats an end in KiB as inclusive.
    pub static HYBRID: Scheme = Scheme {
        name: "hybrid", kind: TableKind::Gpt, bios: true, efi_variables: true,
        partitions: &[
            row(Esp,      At(8 * MIB),    Last::BootEnd,     gpt(ESP, "ESP"),       FirstGuid,  fat("ESP", "/boot")),
            row(BiosBoot, At(34),         To(MIB),           gpt(BIOS, "no-fs"),    SecondGuid, Contents::BootCode),
            row(Root,     First::BootEnd, Last::DiskEnd,     gpt(LINUX, "primary"), RootGuid,   Contents::Root),
        ],
    };
}
pub(super) use schemes::{EFI, EFI_XBOOTLDR, HYBRID, LEGACY, LEGACY_BOOT, LEGACY_GPT, NONE};

// UEFI Specification 2.10, table 5.7.
const ESP: Uuid = uuid!("c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
// GRUB's manual, "BIOS installation".
const BIOS: Uuid = uuid!("21686148-6449-6e6f-744e-656564454649");
// UAPI.2, Discoverable Partitions Specification.
const LINUX: Uuid = uuid!("0fc63daf-8483-4772-8e79-3d69d8477de4");
const XBOOTLDR: Uuid = uuid!("bc13c2ff-59e6-4262-a352-b275fd6f7172");

const MBR_LINUX: Entry = Entry::Mbr {
    system: 0x83,
    active: false,
};
const MBR_ACTIVE_FAT32: Entry = Entry::Mbr {
    system: 0x0c,
    active: true,
};

const fn gpt(kind: Uuid, name: &'static str) -> Entry {
    Entry::Gpt { kind, name }
}

const fn fat(label: &'static str, mount_point: &'static str) -> Contents {
    Contents::Fat(Fat { label, mount_point })
}

const fn row(
    role: Role,
    first: First,
    last: Last,
    entry: Entry,
    guid: PartitionGuid,
    contents: Contents,
) -> Partition {
    Partition {
        role,
        first,
        last,
        entry,
        guid,
        contents,
    }
}
