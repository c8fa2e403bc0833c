//! Reads ext2, ext3 and ext4 (kernel, Documentation/filesystems/ext4), without changing anything: a
//! journal is not replayed.
//!
//! Every number from the disk is checked before it is used. A tree of blocks is followed only once, so
//! it cannot be a circle.

mod directory;
mod features;
mod fields;
mod geometry;
mod groups;
mod inode;
mod map;
mod owners;
mod xattr;

use std::cell::RefCell;

use anyhow::{Context, Result, bail, ensure};
use zerocopy::FromBytes;

use self::features::incompat;
use self::geometry::Geometry;
use self::inode::Inode;
use super::contents::Contents;
use super::field::text;
use super::node::{FileSystem, Kind, Meta, Node};
use super::runs::Owners;
use super::{Meaning, Region, Volume};
use crate::fs::Ext4SuperBlock;

/// The inode of the top directory.
const ROOT: u64 = 2;

/// An ext2, ext3 or ext4 file system.
pub struct Ext<'a> {
    region: Region<'a>,
    geometry: Geometry,
    /// The block of the inode table of each group that was needed last.
    table: RefCell<Option<(u64, u64)>>,
}

/// Reads the superblock, if there is one.
fn superblock(region: &Region<'_>) -> Result<Option<Ext4SuperBlock>> {
    let mut bytes = [0; size_of::<Ext4SuperBlock>()];
    region.read_padded(Ext4SuperBlock::OFFSET, &mut bytes, "a superblock")?;
    let found = Ext4SuperBlock::read_from_bytes(&bytes).ok();
    Ok(found.filter(|found| found.s_magic == Ext4SuperBlock::MAGIC))
}

/// Recognizes the contents of `region`.
///
/// # Errors
/// If it cannot be read.
pub fn probe(region: &Region<'_>) -> Result<Option<Volume>> {
    let Some(found) = superblock(region)? else {
        return Ok(None);
    };
    let mut volume = Volume::new(features::kind(&found));
    volume.uuid = uuid::Uuid::from_bytes(found.s_uuid).to_string();
    volume.label = text(&found.s_volume_name);
    geometry::describe(&found, &mut volume);
    volume.problem = Geometry::new(&found, region.length)
        .err()
        .map(|error| format!("{error:#}"));
    if volume.problem.is_none() && found.s_feature_incompat.get() & incompat::RECOVER != 0 {
        volume.problem = Some(
            "the journal has changes that are not applied yet, so files may be older or incomplete"
                .to_owned(),
        );
    }
    Ok(Some(volume))
}

/// Opens the file system in `region`, if it is one of these.
///
/// # Errors
/// If it is damaged, or has features that are not supported.
pub fn open<'a>(region: &Region<'a>) -> Result<Option<Ext<'a>>> {
    let Some(found) = superblock(region)? else {
        return Ok(None);
    };
    let geometry = Geometry::new(&found, region.length)?;
    features::check(&found)?;
    Ok(Some(Ext {
        region: *region,
        geometry,
        table: RefCell::new(None),
    }))
}

impl Ext<'_> {
    /// Reads block `number`, which messages call `what`.
    fn block(&self, number: u64, what: &str) -> Result<Vec<u8>> {
        let geometry = &self.geometry;
        ensure!(
            number > 0 && number < geometry.blocks,
            "{what} is block {number}, but there are {} blocks: the file system is damaged",
            geometry.blocks
        );
        let mut block = vec![0; usize::try_from(geometry.block)?];
        let at = number.saturating_mul(geometry.block);
        self.region.read(at, &mut block, what)?;
        Ok(block)
    }

    /// The kind, size and so on of `inode`.
    fn describe(&self, inode: &Inode, number: u64) -> Meta {
        Meta {
            kind: inode.kind(),
            mode: Some(inode.mode() & 0o7777),
            owner: Some(inode.owner()),
            size: inode.size(),
            times: inode.times(),
            links: inode.links(),
            inode: Some(number),
            device: inode.device(),
            others: inode.others(),
        }
    }
}

impl FileSystem for Ext<'_> {
    fn root(&self) -> Node {
        Node { id: ROOT }
    }

    fn list(&self, directory: Node) -> Result<Vec<(Vec<u8>, Node)>> {
        let reading = || format!("reading the directory of inode {}", directory.id);
        directory::list(self, directory.id).with_context(reading)
    }

    fn meta(&self, node: Node) -> Result<Meta> {
        let inode = self.inode(node.id)?;
        Ok(self.describe(&inode, node.id))
    }

    fn contents(&self, node: Node) -> Result<Contents> {
        let inode = self.inode(node.id)?;
        match inode.kind() {
            Kind::File | Kind::Symlink => {}
            kind => bail!("inode {} is a {}", node.id, kind.name()),
        }
        map::contents(self, &inode, node.id)
            .with_context(|| format!("finding the contents of inode {}", node.id))
    }

    fn xattrs(&self, node: Node) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let inode = self.inode(node.id)?;
        xattr::read(self, &inode)
            .with_context(|| format!("reading the extended attributes of inode {}", node.id))
    }

    fn ignores_case(&self) -> bool {
        false
    }

    fn owners(&self) -> Result<Owners> {
        owners::find(self)
    }

    fn identity(&self, node: Node) -> Result<u64> {
        Ok(node.id)
    }

    fn explain(&self, owners: &Owners, at: u64) -> Meaning {
        fields::explain(self, owners, at)
    }
}
