//! ext4 by the crate [`mkext4`](https://docs.rs/mkext4).
//!
//! The crate turns declarations into bytes. This module declares a [`Tree`], says beforehand what
//! can't be declared, and knows how much a tree takes without laying it out.

mod declare;
mod geometry;
mod limits;
mod need;
mod plan;
mod xattr;

use std::num::TryFromIntError;
use std::sync::Arc;

use ::mkext4::{FsBuilder, InodeCount};

use super::{Format, Options, Plan, PlanError};
use crate::tree::Tree;
use geometry::Geometry;
use need::Need;
use plan::Planned;

/// Bytes of a block; the crate makes no others.
const BLOCK: u64 = 4096;

/// The writer: ext4 with blocks of 4096 bytes and a journal, 16 MiB to 16 TiB.
#[derive(Debug, Clone, Copy, Default)]
pub struct Mkext4;

impl Format for Mkext4 {
    fn plan(
        &self,
        tree: &Arc<Tree>,
        length: u64,
        options: &Options,
    ) -> Result<Box<dyn Plan>, PlanError> {
        limits::check(tree, options)?;
        let need = Need::of(tree, options);
        let Some(geometry) = Geometry::of(length / BLOCK, &need).filter(|g| g.holds(&need)) else {
            return Err(PlanError::TooSmall {
                needed: smallest(&need, 0)?,
                inodes: need.inodes,
                length,
            });
        };
        let mut builder = FsBuilder::new(crate_options(&geometry, options)?).map_err(failed)?;
        let files = declare::declare(tree, &mut builder).map_err(failed)?;
        let layout = builder.seal().map_err(failed)?;
        Ok(Box::new(Planned::new(tree, layout, &files)?))
    }

    fn smallest(&self, tree: &Tree, free: u64, options: &Options) -> Result<u64, PlanError> {
        limits::check(tree, options)?;
        smallest(&Need::of(tree, options), free)
    }
}

fn smallest(need: &Need, free: u64) -> Result<u64, PlanError> {
    geometry::smallest(need, free.div_ceil(BLOCK))
        .map(|blocks| blocks * BLOCK)
        .ok_or_else(|| {
            PlanError::Unrepresentable(vec![format!(
                "{} blocks of 4096 bytes for files and directories, {} inodes and {free} free \
                 bytes: an ext4 file system without the feature 64bit ends at 16 TiB",
                need.least(),
                need.inodes
            )])
        })
}

fn crate_options(geometry: &Geometry, options: &Options) -> Result<::mkext4::Options, PlanError> {
    let too_large = |error: TryFromIntError| PlanError::Writer(error.to_string());
    let mut out = ::mkext4::Options::new(
        geometry.blocks * BLOCK,
        *options.uuid.as_bytes(),
        options.time.seconds,
    );
    out.label = Some(options.label.clone()).filter(|label| !label.is_empty());
    out.inodes = InodeCount::Exact(u32::try_from(geometry.inodes()).map_err(too_large)?);
    out.journal_blocks = Some(u32::try_from(geometry.journal).map_err(too_large)?);
    Ok(out)
}

fn failed(error: ::mkext4::Error) -> PlanError {
    PlanError::Writer(error.to_string())
}

#[cfg(test)]
mod tests;
