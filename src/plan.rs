//! The disk planned: how large it is, how it is divided, and where everything on the root file
//! system goes. Nothing here reads the clock, draws a random number or touches a file.

use std::sync::Arc;

use anyhow::{Context, Result, bail};

use crate::fs::{Format, Options, Plan, PlanError};
use crate::layout::{self, Layout, MEBIBYTE, Partition, Role};
use crate::spec::{DiskSize, Spec};
use crate::tree::{Timestamp, Tree};

/// The root file system is made of blocks of this many bytes.
const BLOCK: u64 = 4096;

/// A disk whose table and root file system are known to the byte.
pub struct Disk {
    /// The partitions and the table's bytes.
    pub layout: Layout,
    /// The root file system.
    pub root: Box<dyn Plan>,
    /// How the size came about, where it was ours to choose.
    pub sizes: Option<Sizes>,
}

/// The figures behind an automatic disk size, all in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// The smallest file system that holds the tree.
    pub file_system: u64,
    /// The blocks of the tree's files in it.
    pub closure: u64,
    /// What the caller wants free, and what the layout takes.
    pub additional: u64,
    /// The whole disk.
    pub disk: u64,
}

/// Plans the disk of `spec` with `tree` as its root file system.
///
/// # Errors
/// When the tree does not fit a fixed size (with the size to set), when the layout is impossible,
/// and when the file system can't hold something that is in the tree.
pub fn disk(spec: &Spec, tree: &Arc<Tree>, format: &dyn Format) -> Result<Disk> {
    let options = Options {
        uuid: spec.identity.root_file_system,
        label: spec.root.label.clone(),
        time: Timestamp {
            seconds: spec.identity.time,
            nanoseconds: 0,
        },
    };
    let minimal = |free| -> Result<u64> {
        let root = format.smallest(tree, free, &options)?;
        Ok(layout::minimal_disk_length(
            spec.table,
            spec.boot_end,
            root,
        )?)
    };
    let length = match spec.size {
        DiskSize::Auto { additional_space } => minimal(additional_space)?,
        DiskSize::Fixed { mebibytes } => mebibytes
            .checked_mul(MEBIBYTE)
            .with_context(|| format!("diskSize {mebibytes} MiB is more than a disk can have"))?,
    };
    let layout = layout::plan(spec.table, spec.boot_end, length, &spec.identity)?;
    let room = root_partition(&layout)?.length() / BLOCK * BLOCK;
    let root = match format.plan(tree, room, &options) {
        Ok(root) => root,
        Err(PlanError::TooSmall { needed, inodes, .. }) => {
            let smallest = minimal(0)?.div_ceil(MEBIBYTE);
            bail!(
                "the root file system needs {needed} bytes and {inodes} inodes, and of a disk of \
                 {} MiB it gets {room} bytes: set diskSize to at least {smallest} or to \"auto\"",
                length / MEBIBYTE
            );
        }
        Err(error) => return Err(error).context("planning the root file system"),
    };
    let sizes = match spec.size {
        DiskSize::Fixed { .. } => None,
        DiskSize::Auto { .. } => {
            let file_system = format.smallest(tree, 0, &options)?;
            Some(Sizes {
                file_system,
                closure: closure_blocks(root.as_ref()),
                additional: length.saturating_sub(file_system),
                disk: length,
            })
        }
    };
    Ok(Disk {
        layout,
        root,
        sizes,
    })
}

/// The partition of the root file system.
///
/// # Errors
/// If the layout has none.
pub fn root_partition(layout: &Layout) -> Result<&Partition> {
    layout
        .partitions
        .iter()
        .find(|partition| partition.role == Role::Root)
        .context("the layout has no root partition")
}

/// Bytes of the blocks that hold files' data.
fn closure_blocks(plan: &dyn Plan) -> u64 {
    let blocks = plan
        .data()
        .iter()
        .map(|extent| extent.length.div_ceil(BLOCK));
    blocks.sum::<u64>().saturating_mul(BLOCK)
}

impl Sizes {
    /// nixpkgs' lines about an automatic size, with our figures: its "fudge" is what the file
    /// system needs beyond the blocks of files.
    pub fn describe(&self) -> String {
        format!(
            "Automatic disk size...\n  Closure space use: {} bytes\n  fudge: {} bytes\n  \
             Filesystem size needed: {} bytes\n  Additional space: {} bytes\n  \
             Disk image size: {} bytes",
            self.closure,
            self.file_system.saturating_sub(self.closure),
            self.file_system,
            self.additional,
            self.disk
        )
    }
}
