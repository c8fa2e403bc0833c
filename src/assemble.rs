//! Assembles the whole disk: partition table, boot code, boot partitions and root file system.

use std::path::Path;

use anyhow::{Context, Result};

use crate::fs::FinishedFile;
use crate::fs::fat::{self, FatVolume};
use crate::image::{Content, Image, Part};
use crate::installed::Installed;
use crate::layout::{self, Partition};
use crate::plan::Disk;
use crate::scheme::{Contents, Fat};
use crate::spec::Spec;
use crate::tree::{Metadata, Tree};

/// Returns the image of `disk`. Boot partitions are created as files in `work`.
///
/// # Errors
/// If a boot partition is too small for its files or cannot be created.
pub fn image(spec: &Spec, disk: Disk, installed: &Installed, work: &Path) -> Result<Image> {
    let mut parts = Vec::new();
    let table = layout::table_bytes(&disk.layout, &spec.identity)?;
    let reserved = spec.root.kind.boot_code();
    for (start, bytes) in layout::with_boot_code(table, &disk.layout, &installed.areas, reserved) {
        parts.push(Part {
            name: "partition table and boot code".to_owned(),
            start,
            // usize to u64: lossless on every target Rust has.
            length: bytes.len() as u64,
            content: Content::Bytes(bytes),
        });
    }
    let empty = Tree::new(Metadata::new(0o755));
    let mut root = Some(disk.root);
    for partition in &disk.layout.partitions {
        let content = match partition.scheme.contents {
            // Boot code comes from `layout::with_boot_code`.
            Contents::BootCode => continue,
            Contents::Root => {
                let plan = root.take().context("the layout has two root partitions")?;
                Content::FileSystem(plan)
            }
            Contents::Fat(fat) => {
                let tree = installed.boot.get(&partition.number).unwrap_or(&empty);
                Content::File(boot_partition(spec, partition, fat, tree, work)?)
            }
        };
        parts.push(Part {
            name: partition.role().name().to_owned(),
            start: partition.start(),
            length: partition.length(),
            content,
        });
    }
    parts.sort_by_key(|part| part.start);
    Ok(Image {
        length: disk.layout.disk_length,
        parts,
    })
}

fn boot_partition(
    spec: &Spec,
    partition: &Partition,
    fat: Fat,
    tree: &Tree,
    work: &Path,
) -> Result<FinishedFile> {
    let volume = FatVolume {
        label: fat.label,
        id: spec.identity.fat_volume(partition.scheme.guid),
        first_sector: partition.first_sector,
        length: partition.length(),
        tree,
    };
    let context = || {
        format!(
            "making the file system of the {}",
            partition.role().partition_name()
        )
    };
    let path = fat::make(&spec.tools, &volume, work).with_context(context)?;
    FinishedFile::open(&path).with_context(context)
}
