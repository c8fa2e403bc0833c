//! The guest's job, which is the file `/job.json` of its initrd.

use serde::{Deserialize, Serialize};

use crate::layout::Area;
use crate::owner::Names;

/// The path of the job in the initrd.
pub(crate) const PATH: &str = "/job.json";

/// The device of the disk to install to.
pub(crate) const DISK: &str = "/dev/vda";

/// The device of the disk to write the report to.
pub(crate) const REPORT: &str = "/dev/vdb";

/// The earliest time to which the guest's clock can be set, in seconds since 1970. Linux refuses times
/// that would put its own start before 1970 (Linux, kernel/time/timekeeping.c).
pub(crate) const EARLIEST: i64 = 86_400;

/// What the guest has to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// A random word, different in every run. Init's console lines and its report contain it, so that
    /// the output of other programs is not mistaken for them.
    pub token: String,
    /// The start of the clock, in seconds since 1970, or [`EARLIEST`] if that is later.
    pub time: i64,
    /// The device of the root file system.
    pub root: String,
    /// The type of the root file system, for mount(2).
    pub root_type: String,
    /// The boot partitions, in the order in which they are mounted.
    pub boot: Vec<BootPartition>,
    /// The absolute path of the store in the image.
    pub store: String,
    /// Device names to create as links to the disk.
    pub links: Vec<String>,
    /// Whether the machine has EFI variables.
    pub efi_variables: bool,
    /// Whether to install the boot loader.
    pub boot_loader: bool,
    /// Users and groups of the image to look up.
    pub owners: Vec<Names>,
    /// Parts of the disk to send back.
    pub areas: Vec<Area>,
}

/// A FAT partition and its mount point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootPartition {
    /// The partition's number.
    pub number: u32,
    /// Its device.
    pub device: String,
    /// The absolute path of its mount point.
    pub target: String,
}
