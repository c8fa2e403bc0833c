//! A [`Spec`]: what the caller requested, fully checked. Only this module reads the raw attributes.

mod attributes;
mod chmod;
mod closure;
mod compression;
mod contents;
mod disk;
mod file_system;
mod file_system_kind;
mod find;
mod guest;
mod identity;
mod machine;
mod output;
mod overrides;
mod parse;
mod problems;
mod size;
mod store_path;
mod system;
mod target;
mod tools;

#[cfg(test)]
pub(crate) mod tests;

pub use crate::owner::Ids;
pub(crate) use crate::owner::Names;
pub use chmod::Chmod;
pub(crate) use file_system_kind::{
    BtrfsOptions, Compression, FileSystemKind, Method, SquashfsOptions,
};
pub(crate) use find::read;
pub(crate) use parse::{parse, parse_value};
pub(crate) use problems::Problems;
pub use store_path::StorePath;
pub use target::Target;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use uuid::Uuid;

use crate::codec::Codec;
use crate::scheme::PartitionTable;

/// Everything that the caller requested.
#[derive(Debug, Clone)]
pub(crate) struct Spec {
    /// `$out`.
    pub out: PathBuf,
    /// The image file in `$out`.
    pub output: Output,
    /// The partition table of the disk.
    pub table: PartitionTable,
    /// The end of the boot partition, in bytes: a whole number of MiB. 0 if the table has no boot
    /// partition.
    pub boot_end: u64,
    /// The size of the disk.
    pub size: DiskSize,
    /// The root file system.
    pub root: RootFileSystem,
    /// The identifiers and the time stored in the image.
    pub identity: Identity,
    /// The contents of the root file system.
    pub system: System,
    /// The directory of store paths on the builder and in the image: `/nix/store`.
    pub store_dir: PathBuf,
    /// Every path of the closure, from `exportReferencesGraph`.
    pub closure: Vec<PathInfo>,
    /// The programs that the build runs.
    pub tools: Tools,
    /// The guest that runs the image's own system, if one is needed.
    pub guest: Option<Guest>,
}

/// The output of the build.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    /// The image format, which determines the file name's extension.
    pub format: Format,
    /// How the image is compressed, if it is: its clusters or grains, or a raw image as a whole.
    pub codec: Option<Codec>,
    /// The file name without its extension.
    pub base_name: String,
    /// Shell code to run when the image is in `$out`.
    pub post_vm: String,
    /// The file to copy to `$out/efi-vars.fd` if `touchEFIVars` is set.
    pub efi_variables: Option<PathBuf>,
}

/// The format of the image file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Format {
    /// The bytes of the disk, in a sparse file.
    Raw,
    /// QEMU's qcow2, uncompressed.
    Qcow2,
    /// QEMU's qcow2, with compressed clusters.
    Qcow2Compressed,
    /// The format of VirtualBox.
    Vdi,
    /// The format of Virtual PC, with the extension `.vhd`: a dynamic VHD.
    Vpc,
    /// A fixed VHD, which Azure requires.
    VpcFixed,
    /// The format of VMware: a sparse extent that can grow (`monolithicSparse`).
    Vmdk,
    /// A VMDK with compressed grains in the order of the disk (`streamOptimized`), as in an OVA.
    VmdkStreamOptimized,
    /// The format of Hyper-V.
    Vhdx,
    /// Another format of `qemu-img convert -O`; its name is the extension. Only this one needs
    /// `qemu-img`.
    Other(String),
}

/// The size of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DiskSize {
    /// As large as the contents require, with this many bytes free for users.
    Auto {
        /// Bytes.
        additional_space: u64,
    },
    /// Exactly this size.
    Fixed {
        /// MiB.
        mebibytes: u64,
    },
}

/// The properties of the root file system.
#[derive(Debug, Clone)]
pub(crate) struct RootFileSystem {
    /// nixpkgs' `fsType`, with its options.
    pub kind: FileSystemKind,
    /// The volume label, which is short enough for the kind. squashfs does not store it.
    pub label: String,
}

/// The identifiers of the disk and its parts, and the time of its files.
///
/// With `deterministic = false`, the parser generates random identifiers and reads the clock, so that
/// planning is a pure function in both cases.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Whether repeated builds must be identical.
    pub deterministic: bool,
    /// GPT disk GUID; the MBR disk signature is its first four bytes.
    pub disk: Uuid,
    /// GPT partition GUID of the root partition; from the caller if the table is a GPT.
    pub root_partition: Uuid,
    /// GPT partition GUIDs of the other partitions: the first and the second.
    pub other_partitions: [Uuid; 2],
    /// UUID of the root file system.
    pub root_file_system: Uuid,
    /// The time of everything that has no time of its own, in seconds since 1970.
    pub time: i64,
}

/// The contents of the root file system.
#[derive(Debug, Clone)]
pub(crate) enum System {
    /// nixpkgs' `onlyNixStore`: only the paths of the closure, in the root directory.
    StoreOnly,
    /// An installed NixOS.
    Installed(Installation),
}

/// An installed NixOS.
#[derive(Debug, Clone)]
pub struct Installation {
    /// `config.system.build.toplevel`.
    pub toplevel: StorePath,
    /// The channel to copy, if any.
    pub channel: Option<StorePath>,
    /// The entries of `contents`, in the caller's order.
    pub contents: Vec<Graft>,
    /// The file to copy to `/etc/nixos/configuration.nix`.
    pub config_file: Option<PathBuf>,
}

/// One entry of `contents`.
#[derive(Debug, Clone)]
pub struct Graft {
    /// A path, or a shell pattern if it contains a `*`.
    pub source: OsString,
    /// The destination.
    pub target: Target,
    /// The mode, in the syntax of rsync's `--chmod`.
    pub mode: Option<Chmod>,
    /// The owner of the target and everything below it; `None` is root.
    pub owner: Option<Owner>,
}

/// A user and a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// Numbers.
    Ids(Ids),
    /// At least one is a name. Only the guest, which has the image's passwd, can look names up.
    Names(Names),
}

/// Work for the image's own system, and the machine to run it on.
#[derive(Debug, Clone)]
pub(crate) struct Guest {
    /// The work to do in the guest.
    pub tasks: Tasks,
    /// The machine of the guest.
    pub machine: Machine,
}

/// Work that requires the image's own system to be activated.
#[derive(Debug, Clone)]
pub(crate) struct Tasks {
    /// The boot loader to install.
    pub boot_loader: Option<BootLoader>,
    /// The owners in `contents` that are names and must be looked up, in the order of `contents`.
    pub owners: Vec<Names>,
}

/// The installation of the boot loader in the system's configuration.
#[derive(Debug, Clone)]
pub(crate) struct BootLoader {
    /// The devices to install to: paths below `/dev`, or special names such as "nodev".
    pub devices: Vec<String>,
}

/// The machine that runs the image's own system.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    /// The architecture of the system.
    pub architecture: Architecture,
    /// Memory in MiB.
    pub memory: u64,
    /// The time limit.
    pub timeout: Duration,
    /// The only kind of machine to use; `None` is the first that works on the builder.
    pub only: Option<MachineKind>,
    /// QEMU and its files.
    pub qemu: Qemu,
    /// User-Mode Linux. `None` if there is no kernel of it for this guest.
    pub uml: Option<Uml>,
}

/// The kinds of machines that a guest can run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MachineKind {
    /// A virtual machine of QEMU with KVM.
    Kvm,
    /// User-Mode Linux: the kernel as a program.
    Uml,
    /// A machine that QEMU emulates in software.
    Tcg,
}

/// QEMU and the files that it boots.
#[derive(Debug, Clone)]
pub(crate) struct Qemu {
    /// The QEMU program for the machine's architecture.
    pub program: PathBuf,
    /// The kernel image.
    pub kernel: PathBuf,
    /// The kernel modules, from nixpkgs' `makeModulesClosure`.
    pub modules: PathBuf,
    /// The firmware, if EFI variables are to be saved. Without it, the guest has no EFI variables.
    pub firmware: Option<Firmware>,
}

/// User-Mode Linux.
#[derive(Debug, Clone)]
pub(crate) struct Uml {
    /// The kernel, an executable file.
    pub kernel: PathBuf,
}

/// EFI firmware.
#[derive(Debug, Clone)]
pub(crate) struct Firmware {
    /// The code.
    pub code: PathBuf,
    /// The initial variables.
    pub variables: PathBuf,
    /// Whether the firmware needs System Management Mode.
    pub system_management_mode: bool,
}

/// The supported architectures of a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Architecture {
    /// 64-bit x86.
    X86_64,
    /// 64-bit ARM.
    Aarch64,
}

/// The information in `exportReferencesGraph` about a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathInfo {
    /// The path.
    pub path: StorePath,
    /// The SHA-256 hash of its NAR.
    pub nar_hash: [u8; 32],
    /// The length of its NAR in bytes.
    pub nar_size: u64,
    /// The paths that it refers to, sorted. May include the path itself.
    pub references: Vec<StorePath>,
    /// The content address in Nix's notation, if the path is content-addressed.
    pub content_address: Option<String>,
}

/// The programs that the build runs, and their environment.
#[derive(Debug, Clone)]
pub struct Tools {
    /// bash, for `postVM`.
    pub bash: PathBuf,
    /// `mkfs.fat` of dosfstools.
    pub mkfs_fat: PathBuf,
    /// `nix-store` of the caller's nixpkgs.
    pub nix_store: PathBuf,
    /// `nixos-install`; absent for [`System::StoreOnly`].
    pub nixos_install: Option<PathBuf>,
    /// `qemu-img`; absent unless the format is [`Format::Other`].
    pub qemu_img: Option<PathBuf>,
    /// `sqfstar` of squashfs-tools; absent unless the root file system is squashfs.
    pub sqfstar: Option<PathBuf>,
    /// The directories in the `PATH` of `nixos-install` and `postVM`.
    pub path: Vec<PathBuf>,
    /// The attribute `env`: environment variables for `postVM`. Nix does not export them with
    /// structured attributes.
    pub environment: BTreeMap<String, String>,
}

impl Architecture {
    /// Returns its name in Nix, QEMU and Rust.
    pub fn name(self) -> &'static str {
        match self {
            Architecture::X86_64 => "x86_64",
            Architecture::Aarch64 => "aarch64",
        }
    }
}

impl MachineKind {
    /// All kinds, in the order in which they are tried.
    pub const ALL: [MachineKind; 3] = [MachineKind::Kvm, MachineKind::Uml, MachineKind::Tcg];

    /// Returns its name in the argument `guestMachine`.
    pub fn name(self) -> &'static str {
        match self {
            MachineKind::Kvm => "kvm",
            MachineKind::Uml => "uml",
            MachineKind::Tcg => "tcg",
        }
    }
}

impl Format {
    /// The formats that this program writes itself.
    pub const OWN: [Format; 9] = [
        Format::Raw,
        Format::Qcow2,
        Format::Qcow2Compressed,
        Format::Vdi,
        Format::Vpc,
        Format::VpcFixed,
        Format::Vmdk,
        Format::VmdkStreamOptimized,
        Format::Vhdx,
    ];

    /// Returns its name in the argument `format`.
    pub fn name(&self) -> &str {
        match self {
            Format::Raw => "raw",
            Format::Qcow2 => "qcow2",
            Format::Qcow2Compressed => "qcow2-compressed",
            Format::Vdi => "vdi",
            Format::Vpc => "vpc",
            Format::VpcFixed => "vpc-fixed",
            Format::Vmdk => "vmdk",
            Format::VmdkStreamOptimized => "vmdk-stream-optimized",
            Format::Vhdx => "vhdx",
            Format::Other(name) => name,
        }
    }

    /// Returns the extension of the image's file name.
    pub fn extension(&self) -> &str {
        match self {
            Format::Raw => "img",
            Format::Vpc | Format::VpcFixed => "vhd",
            other => other.qemu_name(),
        }
    }

    /// Returns its name in `qemu-img -O` and in Hydra's product line.
    pub fn qemu_name(&self) -> &str {
        match self {
            Format::Raw => "raw",
            Format::Qcow2 | Format::Qcow2Compressed => "qcow2",
            Format::Vdi => "vdi",
            Format::Vpc | Format::VpcFixed => "vpc",
            Format::Vmdk | Format::VmdkStreamOptimized => "vmdk",
            Format::Vhdx => "vhdx",
            Format::Other(name) => name,
        }
    }
}

impl Output {
    /// Returns the image's file name.
    pub fn file_name(&self) -> String {
        output::file_name(&self.base_name, &self.format, self.codec)
    }
}
