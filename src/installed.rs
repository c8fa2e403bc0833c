//! The result of an installation besides the tree.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::layout::BootCode;
use crate::tree::Tree;

/// What was installed outside the root file system. The default is no boot code and empty boot
/// partitions.
#[derive(Debug, Default)]
pub(crate) struct Installed {
    /// The files of the boot partitions, by partition number.
    pub boot: BTreeMap<u32, Tree>,
    /// Boot code outside of file systems.
    pub areas: BootCode,
    /// File with the EFI variables as the firmware left them.
    pub efi_variables: Option<PathBuf>,
}
