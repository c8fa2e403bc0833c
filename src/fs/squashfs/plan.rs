//! A file system that `sqfstar` has made. A longer one has zeros after it.

use std::sync::Arc;

use crate::fs::{BLOCK, Counted, DataExtent, DataSource, FinishedFile, Plan, PlanError, Usage};

/// The finished file system.
pub struct Finished {
    /// Its file, which has been removed from its directory.
    pub file: Arc<FinishedFile>,
    /// Number of inodes.
    pub inodes: u64,
}

impl Finished {
    fn needed(&self) -> u64 {
        self.file.length().next_multiple_of(BLOCK)
    }
}

impl Counted for Finished {
    fn plan(&self, length: u64) -> Result<Box<dyn Plan>, PlanError> {
        if length < self.needed() {
            return Err(PlanError::TooSmall {
                needed: self.needed(),
                inodes: self.inodes,
                length,
            });
        }
        Ok(Box::new(SquashfsPlan {
            file: Arc::clone(&self.file),
            inodes: self.inodes,
            length,
        }))
    }

    fn smallest(&self, _: u64) -> Result<u64, PlanError> {
        Ok(self.needed())
    }
}

struct SquashfsPlan {
    file: Arc<FinishedFile>,
    inodes: u64,
    length: u64,
}

impl Plan for SquashfsPlan {
    fn length(&self) -> u64 {
        self.length
    }

    fn usage(&self) -> Usage {
        Usage {
            length: self.length,
            available: 0,
            available_to_root: 0,
            inodes: self.inodes,
            inodes_used: self.inodes,
        }
    }

    fn data(&self) -> &[DataExtent] {
        self.file.data()
    }

    fn source(&self, file: u32) -> Option<DataSource<'_>> {
        (file == 0).then_some(DataSource::Finished(&self.file))
    }

    fn metadata(&self, _: &mut dyn FnMut(u64, &[u8]) -> anyhow::Result<()>) -> anyhow::Result<()> {
        Ok(())
    }
}
