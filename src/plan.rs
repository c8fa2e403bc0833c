//! Planning of the disk: its size, its partitions, and the positions of everything on the root file
//! system. This module does not read the clock, generate random numbers or access files. File
//! systems that are made by a tool are an exception; see [`crate::fs`].

mod margin;
mod sizes;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};

use crate::code::{Code, WithCode};
use crate::fs::{self, Counted, Format, Options, Plan, PlanError, Workspace};
use crate::layout::{self, Layout, MEBIBYTE};
use crate::spec::{DiskSize, FileSystemKind, Spec};
use crate::tree::{Kind, Timestamp, Tree};

pub(crate) use margin::Cramped;
pub(crate) use sizes::Sizes;

/// A disk whose partitions and root file system are planned to the byte.
pub struct Disk {
    /// The partitions.
    pub layout: Layout,
    /// The root file system.
    pub root: Box<dyn Plan>,
    /// The figures behind the size, if the size is automatic.
    pub sizes: Option<Sizes>,
    /// Set if the size is fixed and leaves too little free space.
    pub cramped: Option<Cramped>,
}

impl Disk {
    /// Returns a line about the root file system, which is of this kind.
    pub fn describe_root(&self, kind: &FileSystemKind) -> String {
        let usage = self.root.usage();
        let free = match kind.is_read_only() {
            true => "read-only".to_owned(),
            false => format!(
                "{} of them free for users and {} for root",
                usage.available, usage.available_to_root
            ),
        };
        // Some file systems have no fixed number of inodes.
        let inodes = match usage.inodes {
            0 => format!("{} inodes", usage.inodes_used),
            inodes => format!("{inodes} inodes, {} used", usage.inodes_used),
        };
        format!(
            "root file system: {}, {} bytes, {free}; {inodes}",
            kind.name(),
            usage.length
        )
    }
}

/// Plans the disk of `spec` with `tree` as its root file system. A file system that is made by a
/// tool is made in `work`.
///
/// # Errors
/// If the tree does not fit a fixed size (the error has the size to set), if the layout is
/// impossible, if the file system cannot represent something in the tree, or if making the file
/// system fails.
pub fn disk(spec: &Spec, tree: &Arc<Tree>, work: &Path) -> Result<Disk> {
    let format = fs::format(&spec.root.kind, workspace(spec, work))?;
    with_planner(spec, tree, format.as_ref(), |planner| planner.disk())
}

/// Like [`disk`], with the smallest diskSize in MiB that holds the tree and what the first boot writes;
/// `None` if no disk is large enough.
///
/// # Errors
/// Those of [`disk`].
pub fn disk_and_smallest(
    spec: &Spec,
    tree: &Arc<Tree>,
    work: &Path,
) -> Result<(Disk, Option<u64>)> {
    let format = fs::format(&spec.root.kind, workspace(spec, work))?;
    with_planner(spec, tree, format.as_ref(), |planner| {
        let smallest = planner.advised(0).ok();
        Ok((planner.disk()?, smallest))
    })
}

/// Returns about how many bytes of files planning the disk of `spec` reads; 0 if it reads none.
pub fn bytes_read(spec: &Spec, tree: &Tree) -> u64 {
    if !spec.root.kind.reads_contents() {
        return 0;
    }
    let files = tree.inodes().iter().filter_map(|inode| match &inode.kind {
        Kind::File(content) => Some(content.data_ranges().map(|range| range.length)),
        _ => None,
    });
    files.flatten().fold(0, u64::saturating_add)
}

fn workspace<'a>(spec: &'a Spec, work: &'a Path) -> Workspace<'a> {
    Workspace {
        tools: &spec.tools,
        directory: work,
    }
}

/// Plans with `plan`, after the tree has been counted.
fn with_planner<T>(
    spec: &Spec,
    tree: &Arc<Tree>,
    format: &dyn Format,
    plan: impl FnOnce(&Planner<'_>) -> Result<T>,
) -> Result<T> {
    let options = Options {
        uuid: spec.identity.root_file_system,
        label: spec.root.label.clone(),
        time: Timestamp::from_seconds(spec.identity.time),
    };
    let counted = format
        .count(tree, &options)
        .context("planning the root file system")?;
    plan(&Planner {
        spec,
        tree: counted.as_ref(),
        margin: match spec.root.kind.is_read_only() {
            true => 0,
            false => margin::margin(&spec.system),
        },
    })
}

/// The state that stays the same during the search for a size.
struct Planner<'a> {
    spec: &'a Spec,
    tree: &'a dyn Counted,
    /// Free space for users beyond the additional space, in bytes.
    margin: u64,
}

impl Planner<'_> {
    fn disk(&self) -> Result<Disk> {
        match self.spec.size {
            DiskSize::Auto { additional_space } => self.automatic(additional_space),
            DiskSize::Fixed { mebibytes } => self.fixed(mebibytes),
        }
    }

    fn automatic(&self, additional_space: u64) -> Result<Disk> {
        // This comes first, so that only one plan is in memory: each plan takes memory for every
        // file.
        let smallest = self.smallest_root(0)?;
        // A read-only file system cannot use free space, so only its partition gets longer.
        let (needed, free) = if self.spec.root.kind.is_read_only() {
            (smallest.saturating_add(additional_space), 0)
        } else {
            let free = additional_space.saturating_add(self.margin);
            let needed = self.smallest_root(free).with_context(|| {
                format!(
                    "additionalSpace is {additional_space} bytes, and without it the root file system \
                     needs {smallest} bytes; reduce additionalSpace"
                )
            })?;
            (needed, free)
        };
        let length = layout::automatic_disk_length(self.spec.table, self.spec.boot_end, needed)?;
        let (layout, root) = self.first_that_holds(length, free)?;
        let sizes = Sizes::new(smallest, root.as_ref(), layout.disk_length);
        Ok(Disk {
            layout,
            root,
            sizes: Some(sizes),
            cramped: None,
        })
    }

    fn fixed(&self, mebibytes: u64) -> Result<Disk> {
        let length = mebibytes.checked_mul(MEBIBYTE).with_context(|| {
            format!("diskSize is {mebibytes} MiB, which is more than a disk can hold")
        });
        let length = length.code(Code::DiskSize)?;
        let layout = self.layout(length)?;
        let root = match self.root(&layout) {
            Ok(root) => root,
            Err(PlanError::TooSmall { needed, inodes, .. }) => {
                return Err(Code::DiskSize.error(format!(
                "the root file system needs {needed} bytes and {inodes} inodes, but diskSize is \
                 {mebibytes} MiB, which leaves {} bytes for the root partition; set diskSize to at \
                 least {} or to \"auto\"",
                layout.root_length(),
                self.advised(length)?
            )));
            }
            Err(error) => return Err(error).context("planning the root file system"),
        };
        let usage = root.usage();
        if usage.available >= self.margin {
            return Ok(Disk {
                layout,
                root,
                sizes: None,
                cramped: None,
            });
        }
        // Drop this plan before the next one: each plan takes memory for every file.
        drop(root);
        let cramped = Cramped {
            mebibytes,
            usage,
            margin: self.margin,
            advised: self.advised(length).ok(),
        };
        Ok(Disk {
            root: self.root(&layout)?,
            layout,
            sizes: None,
            cramped: Some(cramped),
        })
    }

    /// Returns the smallest diskSize above `length` bytes that leaves the margin, in MiB.
    fn advised(&self, length: u64) -> Result<u64> {
        let needed = self.smallest_root(self.margin)?;
        let start = layout::shortest_disk_length(self.spec.table, self.spec.boot_end, needed)?;
        let start = start.max(length.saturating_add(MEBIBYTE));
        let (layout, _) = self.first_that_holds(start, self.margin)?;
        Ok(layout.disk_length / MEBIBYTE)
    }

    /// Returns the first disk of at least `length` bytes whose root file system holds the tree and
    /// leaves `free` bytes for users. A disk that is longer than the smallest one may still be too
    /// small, because the journal grows at certain sizes of the file system.
    fn first_that_holds(&self, mut length: u64, free: u64) -> Result<(Layout, Box<dyn Plan>)> {
        let mut step = MEBIBYTE;
        loop {
            let layout = self.layout(length)?;
            let more = match self.root(&layout) {
                Ok(root) => match free.saturating_sub(root.usage().available) {
                    0 => return Ok((layout, root)),
                    missing => missing.next_multiple_of(MEBIBYTE),
                },
                Err(PlanError::TooSmall { .. }) => {
                    step = step.saturating_mul(2);
                    step
                }
                Err(error) => return Err(error).context("planning the root file system"),
            };
            length = length
                .checked_add(more)
                .context("no disk is large enough for the root file system")
                .code(Code::DiskSize)?;
        }
    }

    fn smallest_root(&self, free: u64) -> Result<u64> {
        self.tree
            .smallest(free)
            .context("planning the root file system")
    }

    fn layout(&self, length: u64) -> Result<Layout> {
        let (table, boot_end) = (self.spec.table, self.spec.boot_end);
        Ok(layout::place(table, boot_end, length)?)
    }

    fn root(&self, layout: &Layout) -> Result<Box<dyn Plan>, PlanError> {
        self.tree.plan(layout.root_length())
    }
}
