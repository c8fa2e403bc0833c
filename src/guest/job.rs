//! What the guest is told to do: the file `/job.json` of its initrd.

use serde::{Deserialize, Serialize};

use crate::layout::Area;
use crate::owner::Names;

/// Where the initrd has the job.
pub const PATH: &str = "/job.json";

/// The device of the disk to install to.
pub const DISK: &str = "/dev/vda";

/// The device of the disk that the report goes to.
pub const REPORT: &str = "/dev/vdb";

/// The earliest time that the guest's clock can have, in seconds since 1970: Linux refuses one that
/// is before the kernel started by its own count (Linux, kernel/time/timekeeping.c).
pub const EARLIEST: i64 = 86_400;

/// What the guest has to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// A word that is another one in every run: the lines of init and its report have it, so that
    /// what a program prints or writes by chance is none of them.
    pub token: String,
    /// Seconds since 1970 that the clock starts at, or [`EARLIEST`] if that is later.
    pub time: i64,
    /// The device of the root file system.
    pub root: String,
    /// The boot partitions, in the order in which they are mounted.
    pub boot: Vec<BootPartition>,
    /// Where the store is in the image: an absolute path.
    pub store: String,
    /// Device names that are links to the disk.
    pub links: Vec<String>,
    /// Whether EFI variables are to be had.
    pub efi_variables: bool,
    /// Whether to install the boot loader.
    pub boot_loader: bool,
    /// Users and groups to look up in the image's `passwd` and `group`.
    pub owners: Vec<Names>,
    /// Parts of the disk to send back.
    pub areas: Vec<Area>,
}

/// A FAT partition and its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootPartition {
    /// The partition's number.
    pub number: u32,
    /// Its device.
    pub device: String,
    /// Where it is mounted: an absolute path.
    pub target: String,
}
