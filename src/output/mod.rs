//! The contents of `$out`: the image in its format, Hydra's products, and what `postVM` adds.

mod check;
mod compressed;
mod convert;
mod dynamic;
mod file;
mod format;
mod identifiers;
mod length;
mod nbd;
mod post_vm;
pub(crate) mod qcow2;
#[cfg(test)]
mod tests;
pub(crate) mod vdi;
pub(crate) mod vhd;
pub(crate) mod vhdx;
pub(crate) mod vmdk;

pub(crate) use format::write;
pub(crate) use post_vm::run as run_post_vm;

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context, Result};

use crate::escape;
use crate::spec::Output;

/// Writes `nix-support/hydra-build-products` into `out`: the line that makes Hydra offer the image
/// for download.
///
/// # Errors
/// Those of the file system.
pub fn hydra_products(out: &Path, output: &Output) -> Result<()> {
    let directory = out.join("nix-support");
    fs::create_dir(&directory).with_context(|| format!("creating {}", escape::path(&directory)))?;
    let file = directory.join("hydra-build-products");
    let line = format!(
        "file {}-image {}\n",
        output.format.qemu_name(),
        out.join(output.file_name()).display()
    );
    File::create_new(&file)
        .and_then(|mut file| file.write_all(line.as_bytes()))
        .with_context(|| format!("writing {}", escape::path(&file)))
}
