//! What a stage that installs gives back besides the tree, whoever did the work.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::layout::BootCode;
use crate::tree::Tree;

/// What was installed outside of the root file system. With nothing in it, an image has no boot
/// code and empty boot partitions.
#[derive(Debug, Default)]
pub struct Installed {
    /// The boot partitions, by number.
    pub boot: BTreeMap<u32, Tree>,
    /// Boot code that is in no file system.
    pub areas: BootCode,
    /// EFI variables as the firmware left them.
    pub efi_variables: Option<PathBuf>,
}
