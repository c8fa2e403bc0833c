//! The steps of a build, in order.

use std::fs::{self, File};
use std::io;
use std::mem;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Error, Result};
use nix::errno::Errno;
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};

use crate::code::{Code, WithCode};
use crate::image::Image;
use crate::installed::Installed;
use crate::output;
use crate::plan::{self, Disk};
use crate::progress::{Length, Log};
use crate::spec::{Format, Spec};
use crate::supervisor::Ledger;
use crate::{assemble, escape, inputs, install, leftover, spec, stage};

/// Builds the image described in `.attrs.json`.
///
/// # Errors
/// If any step fails. `ledger` lists the files created before that.
pub fn run(log: &Log, ledger: &Ledger) -> Result<()> {
    steps(log, ledger).map_err(explain_size)
}

/// Adds a cause and advice to the error of any step that exceeded a limit on file size.
fn explain_size(error: Error) -> Error {
    let is_too_large = |cause: &(dyn std::error::Error + 'static)| {
        let io_error = cause.downcast_ref::<io::Error>();
        io_error.is_some_and(|error| error.kind() == io::ErrorKind::FileTooLarge)
            || cause.downcast_ref() == Some(&Errno::EFBIG)
    };
    if !error.chain().any(is_too_large) {
        return error;
    }
    match getrlimit(Resource::RLIMIT_FSIZE) {
        Ok((limit, _)) if limit != RLIM_INFINITY => error.context(format!(
            "the file size limit of this process is {limit} bytes (ulimit -f): raise the limit"
        )),
        _ => error.context(
            "the file system does not support files of this size: use another one for the output \
             directory and TMPDIR",
        ),
    }
}

fn steps(log: &Log, ledger: &Ledger) -> Result<()> {
    let spec = log.step("reading the attributes", spec::read)?;
    inputs::check(&spec)?;
    let work = &ledger.make_work_directory()?;
    log.phase("stage");
    let mut tree = Arc::new(stage::tree(&spec, work, log)?);
    let mut installed = Installed::default();
    if let Some(guest) = &spec.guest {
        log.phase("guest");
        (tree, installed) = install::run(&spec, guest, tree, work, log)?;
    }
    // This process ends with the build. Freeing a million inodes one by one before that takes time.
    mem::forget(Arc::clone(&tree));
    log.phase("plan");
    let total = plan::bytes_read(&spec, &tree);
    let disk = log.step_with("planning the disk", Length::Reading(total), || {
        plan::disk(&spec, &tree, work)
    })?;
    report(&spec, &disk);
    log.phase("write");
    ledger.make_output(&spec.out)?;
    let image = log.step("making the boot partitions", || {
        assemble::image(&spec, disk, &installed, work)
    })?;
    write(&spec, image, work, log)?;
    log.phase("finish");
    finish(&spec, &installed, work, log)?;
    Ok(())
}

fn report(spec: &Spec, disk: &Disk) {
    if let Some(sizes) = &disk.sizes {
        log::info!("{sizes}");
    }
    if let Some(cramped) = &disk.cramped {
        log::warn!("{cramped}");
    }
    log::info!("{}", disk.layout.describe(&spec.identity));
    log::info!("{}", disk.describe_root(&spec.root.kind));
}

/// Writes the image file to `$out`, under a temporary name until it is complete.
fn write(spec: &Spec, image: Image, work: &Path, log: &Log) -> Result<()> {
    let target = spec.out.join(spec.output.file_name());
    let partial = spec.out.join(format!(".{}.part", spec.output.file_name()));
    let step = match &spec.output.format {
        Format::Raw => "writing the disk".to_owned(),
        format => format!("writing the disk as {}", format.qemu_name()),
    };
    let total = image.data_length();
    log.step_of(&step, total, |bytes| {
        output::write(spec, image, work, &partial, &|done| bytes.reach(done))
    })
    .code(Code::Write)?;
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
    if let Some(variables) = variables {
        leftover::open(variables, "QEMU")?;
    }
    if let Some(variables) = variables.or(spec.output.efi_variables.as_ref()) {
        let target = spec.out.join("efi-vars.fd");
        copy_new(variables, &target).with_context(|| {
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

/// Copies the contents of a file to a new file that everyone may read.
fn copy_new(from: &Path, to: &Path) -> io::Result<()> {
    let mut from = File::open(from)?;
    let mut to = File::create_new(to)?;
    io::copy(&mut from, &mut to)?;
    to.set_permissions(fs::Permissions::from_mode(0o644))
}
