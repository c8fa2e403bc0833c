//! The figures behind an automatic disk size.

use std::fmt;

use crate::fs::{BLOCK, Plan};

/// The figures behind an automatic disk size, in bytes. They are displayed in the same lines as in
/// nixpkgs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// The size of all blocks of files.
    pub closure: u64,
    /// The smallest file system that holds the tree.
    pub file_system: u64,
    /// The whole disk.
    pub disk: u64,
}

impl Sizes {
    pub(super) fn new(file_system: u64, root: &dyn Plan, disk: u64) -> Sizes {
        let blocks = root
            .data()
            .iter()
            .map(|extent| extent.length.div_ceil(BLOCK));
        Sizes {
            closure: blocks.sum::<u64>().saturating_mul(BLOCK),
            file_system,
            disk,
        }
    }
}

impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Automatic disk size...")?;
        writeln!(f, "  Closure space use: {} bytes", self.closure)?;
        // In nixpkgs, this is an estimate of the file system's own size. Here, the size is known.
        let own = self.file_system.saturating_sub(self.closure);
        writeln!(f, "  fudge: {own} bytes")?;
        writeln!(f, "  Filesystem size needed: {} bytes", self.file_system)?;
        let additional = self.disk.saturating_sub(self.file_system);
        writeln!(f, "  Additional space: {additional} bytes")?;
        write!(f, "  Disk image size: {} bytes", self.disk)
    }
}
