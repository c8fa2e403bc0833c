//! A [`Spec`]: what the caller asked for, fully checked. After it, no code looks at the raw
//! attributes again.

mod attributes;
mod chmod;
mod closure;
mod contents;
mod disk;
mod find;
mod guest;
mod identity;
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
pub(crate) use find::read;
pub(crate) use parse::parse;
#[cfg(test)]
pub(crate) use problems::Problems;
pub use store_path::StorePath;
pub use target::Target;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use uuid::Uuid;

use crate::scheme::PartitionTable;

/// The whole order.
#[derive(Debug, Clone)]
pub(crate) struct Spec {
    /// `$out`.
    pub out: PathBuf,
    /// What the file in `$out` is.
    pub output: Output,
    /// How the disk is divided.
    pub table: PartitionTable,
    /// Where the boot partition ends, in bytes; a whole number of MiB. 0 with a table that has none.
    pub boot_end: u64,
    /// The size of the disk.
    pub size: DiskSize,
    /// The root file system.
    pub root: RootFileSystem,
    /// Identifiers and times that do not change from build to build.
    pub identity: Identity,
    /// What is on the root file system.
    pub system: System,
    /// Where store paths are, here and in the image: `/nix/store`.
    pub store_dir: PathBuf,
    /// Every path of the closure, as `exportReferencesGraph` gives it.
    pub closure: Vec<PathInfo>,
    /// The programs we run.
    pub tools: Tools,
    /// What the image's own system has to do, if anything.
    pub guest: Option<Guest>,
}

/// What the caller gets.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    /// The format and the file name's extension.
    pub format: Format,
    /// The file name without its extension.
    pub base_name: String,
    /// Shell code that runs when the image is in `$out`.
    pub post_vm: String,
    /// What becomes `$out/efi-vars.fd`, with `touchEFIVars`.
    pub efi_variables: Option<PathBuf>,
}

/// The format of the image file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Format {
    /// The disk, byte for byte; sparse.
    Raw,
    /// QEMU's, plain.
    Qcow2,
    /// QEMU's, every cluster compressed with zlib.
    Qcow2Compressed,
    /// VirtualBox's.
    Vdi,
    /// Virtual PC's and Azure's, named `.vhd`.
    Vpc,
    /// Another that `qemu-img convert -O` knows; its name is the extension.
    Other(String),
}

/// The size of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DiskSize {
    /// As large as it must be, with this many bytes left to users.
    Auto {
        /// Bytes.
        additional_space: u64,
    },
    /// Exactly this many MiB.
    Fixed {
        /// MiB.
        mebibytes: u64,
    },
}

/// The root file system's own properties.
#[derive(Debug, Clone)]
pub(crate) struct RootFileSystem {
    /// nixpkgs' `fsType`; only "ext4" gets as far as a [`Spec`].
    pub kind: FileSystemKind,
    /// Volume label, at most 16 bytes.
    pub label: String,
}

/// Kinds of root file systems we can make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileSystemKind {
    /// ext4.
    Ext4,
}

/// What names the disk and its parts.
///
/// With `deterministic = false` the parser draws these at random, so that planning stays a pure
/// function either way.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Whether two builds must be equal.
    pub deterministic: bool,
    /// GPT disk GUID; the MBR disk signature is its first four bytes.
    pub disk: Uuid,
    /// GPT partition GUID of the root partition: the caller's, with a GPT.
    pub root_partition: Uuid,
    /// GPT partition GUIDs of the partitions before it: first, second.
    pub other_partitions: [Uuid; 2],
    /// UUID of the root file system.
    pub root_file_system: Uuid,
    /// Seconds since 1970: the time of everything that has no time of its own.
    pub time: i64,
}

/// What goes onto the root file system.
#[derive(Debug, Clone)]
pub(crate) enum System {
    /// nixpkgs' `onlyNixStore`: the paths of the closure at the top, nothing else.
    StoreOnly,
    /// An installed NixOS.
    Installed(Installation),
}

/// An installed NixOS.
#[derive(Debug, Clone)]
pub struct Installation {
    /// `config.system.build.toplevel`.
    pub toplevel: StorePath,
    /// The channel, where one is copied.
    pub channel: Option<StorePath>,
    /// What to graft in, in the caller's order.
    pub contents: Vec<Graft>,
    /// What becomes `/etc/nixos/configuration.nix`.
    pub config_file: Option<PathBuf>,
}

/// One entry of `contents`.
#[derive(Debug, Clone)]
pub struct Graft {
    /// A path, or a shell pattern where it has a `*` in it.
    pub source: OsString,
    /// Where it goes.
    pub target: Target,
    /// rsync's `--chmod`, checked.
    pub mode: Option<Chmod>,
    /// Who owns it and everything below it; `None`: root.
    pub owner: Option<Owner>,
}

/// An owner and a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// Numbers.
    Ids(Ids),
    /// Names, at least one of them: only the guest, which knows the image's passwd, can look them
    /// up.
    Names(Names),
}

/// What has to run in the image's own system, and what it runs on.
#[derive(Debug, Clone)]
pub(crate) struct Guest {
    /// What has to be done there.
    pub tasks: Tasks,
    /// The machine that does it.
    pub machine: Machine,
}

/// What only the image's own system can do, when it is activated.
#[derive(Debug, Clone)]
pub(crate) struct Tasks {
    /// The boot loader to install.
    pub boot_loader: Option<BootLoader>,
    /// Owners to look up: those of `contents` that are names, in its order.
    pub owners: Vec<Names>,
}

/// The installation of the boot loader that the system is configured with.
#[derive(Debug, Clone)]
pub(crate) struct BootLoader {
    /// What it will be told to install to: paths below `/dev`, or words that are no device, like
    /// "nodev".
    pub devices: Vec<String>,
}

/// A machine for the image's own system.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    /// The processor that the system is for.
    pub architecture: Architecture,
    /// Memory in MiB.
    pub memory: u64,
    /// How long it may run.
    pub timeout: Duration,
    /// How QEMU runs it.
    pub qemu: Qemu,
}

/// QEMU, and what it boots.
#[derive(Debug, Clone)]
pub(crate) struct Qemu {
    /// The program for the machine's architecture.
    pub program: PathBuf,
    /// The kernel, as a boot loader takes it.
    pub kernel: PathBuf,
    /// The kernel's modules: nixpkgs' `makeModulesClosure`.
    pub modules: PathBuf,
    /// The firmware, where EFI variables are to be kept. Without one, there are no EFI variables.
    pub firmware: Option<Firmware>,
}

/// EFI firmware.
#[derive(Debug, Clone)]
pub(crate) struct Firmware {
    /// Its code.
    pub code: PathBuf,
    /// The variables that it starts with.
    pub variables: PathBuf,
    /// Whether it needs System Management Mode.
    pub system_management_mode: bool,
}

/// Processors that a guest can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Architecture {
    /// 64-bit x86.
    X86_64,
    /// 64-bit ARM.
    Aarch64,
}

/// What `exportReferencesGraph` says of one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathInfo {
    /// The path.
    pub path: StorePath,
    /// SHA-256 of its NAR.
    pub nar_hash: [u8; 32],
    /// Length of its NAR in bytes.
    pub nar_size: u64,
    /// What it refers to, sorted; itself perhaps among them.
    pub references: Vec<StorePath>,
    /// How it is content-addressed, if it is: Nix's own notation.
    pub content_address: Option<String>,
}

/// The programs we run and the environment they get.
#[derive(Debug, Clone)]
pub struct Tools {
    /// bash, for `postVM`.
    pub bash: PathBuf,
    /// `mkfs.fat` of dosfstools.
    pub mkfs_fat: PathBuf,
    /// `nix-store` of the caller's Nix.
    pub nix_store: PathBuf,
    /// `config.system.build.nixos-install`'s program; absent for [`System::StoreOnly`].
    pub nixos_install: Option<PathBuf>,
    /// `qemu-img`.
    pub qemu_img: PathBuf,
    /// `PATH` of `nixos-install` and `postVM`: directories.
    pub path: Vec<PathBuf>,
    /// The attribute `env`: environment variables for `postVM`, which Nix does not export with
    /// structured attributes.
    pub environment: BTreeMap<String, String>,
}

impl Architecture {
    /// The name that Nix, QEMU and Rust have for it.
    pub fn name(self) -> &'static str {
        match self {
            Architecture::X86_64 => "x86_64",
            Architecture::Aarch64 => "aarch64",
        }
    }
}

impl Format {
    /// The extension of the image's file name.
    pub fn extension(&self) -> &str {
        match self {
            Format::Raw => "img",
            Format::Qcow2 | Format::Qcow2Compressed => "qcow2",
            Format::Vdi => "vdi",
            Format::Vpc => "vhd",
            Format::Other(name) => name,
        }
    }

    /// What `qemu-img -O` calls it, and Hydra's product line.
    pub fn qemu_name(&self) -> &str {
        match self {
            Format::Raw => "raw",
            Format::Qcow2 | Format::Qcow2Compressed => "qcow2",
            Format::Vdi => "vdi",
            Format::Vpc => "vpc",
            Format::Other(name) => name,
        }
    }
}

impl Output {
    /// The image's file name.
    pub fn file_name(&self) -> String {
        output::file_name(&self.base_name, &self.format)
    }
}
