//! The steps of a build, in their order.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};

use crate::fs::Ext4;
use crate::image::{self, Image};
use crate::install::{self, Installed};
use crate::output::{self, Directory};
use crate::plan::{self, Disk};
use crate::progress::Log;
use crate::spec::{Format, Spec};
use crate::{assemble, escape, inputs, spec, stage};

/// Builds what the attributes in `.attrs.json` ask for.
///
/// # Errors
/// Anything that keeps the image from being whole; `$out` does not exist then.
pub fn run(log: &Log) -> Result<()> {
    let spec = log.step("reading the attributes", spec::read)?;
    inputs::check(&spec)?;
    let work = work_directory()?;
    log.phase("stage");
    let mut tree = Arc::new(stage::tree(&spec, work.path(), log)?);
    let mut installed = Installed::default();
    if let Some(guest) = &spec.guest {
        log.phase("guest");
        (tree, installed) = install::run(&spec, guest, tree, work.path(), log)?;
    }
    log.phase("plan");
    let disk = log.step("planning the disk", || plan::disk(&spec, &tree, &Ext4))?;
    report(&disk);
    log.phase("write");
    let out = Directory::create(&spec.out)?;
    let image = log.step("making the boot partitions", || {
        assemble::image(&spec, disk, tree, &installed, work.path())
    })?;
    write(&spec, &image, work.path(), log)?;
    log.phase("finish");
    finish(&spec, &installed, work.path(), log)?;
    drop(work);
    out.keep();
    Ok(())
}

/// A directory for what is not part of the output. Others may enter it: `nixos-install` wants
/// that of every parent of the root it installs to.
fn work_directory() -> Result<Directory> {
    Directory::make(|| {
        let directory = tempfile::Builder::new()
            .prefix("make-disk-image-")
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir()
            .context("making a work directory (TMPDIR says where)")?;
        Ok(directory.keep())
    })
}

fn report(disk: &Disk) {
    if let Some(sizes) = &disk.sizes {
        log::info!("{sizes}");
    }
    if let Some(cramped) = &disk.cramped {
        log::warn!("{cramped}");
    }
    let usage = disk.root.usage();
    log::info!("{}", disk.layout);
    log::info!(
        "root file system: {} bytes, {} of them free for users and {} for root; {} inodes, {} used",
        usage.length,
        usage.available,
        usage.available_to_root,
        usage.inodes,
        usage.inodes_used
    );
}

/// Writes the image file into `$out`, under another name until it is whole.
fn write(spec: &Spec, image: &Image, work: &Path, log: &Log) -> Result<()> {
    let target = spec.out.join(spec.output.file_name());
    let partial = spec.out.join(format!(".{}.part", spec.output.file_name()));
    let raw = match spec.output.format {
        Format::Raw => partial.clone(),
        _ => work.join("disk.raw"),
    };
    let total = image.data_length();
    log.step("writing the disk", || {
        let bytes = log.bytes(total);
        image::write(image, &raw, &|done| bytes.reach(done))?;
        bytes.finish();
        Ok(())
    })?;
    if spec.output.format != Format::Raw {
        let what = format!("converting the disk to {}", spec.output.format.qemu_name());
        log.step(&what, || {
            output::convert(
                &spec.tools.qemu_img,
                &raw,
                &spec.output.format,
                &spec.identity,
                &partial,
            )
        })?;
        fs::remove_file(&raw).with_context(|| format!("removing {}", escape::path(&raw)))?;
    }
    fs::rename(&partial, &target).with_context(|| {
        format!(
            "renaming {} to {}",
            escape::path(&partial),
            escape::path(&target)
        )
    })
}

fn finish(spec: &Spec, installed: &Installed, work: &Path, log: &Log) -> Result<()> {
    let variables = installed.efi_variables.as_ref();
    if let Some(variables) = variables.or(spec.output.efi_variables.as_ref()) {
        let target = spec.out.join("efi-vars.fd");
        fs::copy(variables, &target)
            .and_then(|_| fs::set_permissions(&target, fs::Permissions::from_mode(0o644)))
            .with_context(|| {
                format!(
                    "copying {} to {}",
                    escape::path(variables),
                    escape::path(&target)
                )
            })?;
    }
    output::hydra_products(&spec.out, &spec.output)?;
    if !spec.output.post_vm.trim().is_empty() {
        let image = spec.out.join(spec.output.file_name());
        log.step("running postVM", || output::run_post_vm(spec, &image, work))?;
    }
    Ok(())
}
