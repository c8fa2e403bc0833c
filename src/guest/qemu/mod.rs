//! QEMU as the guest's machine, with KVM or emulated.

mod accelerate;
mod arguments;
mod sandbox;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

pub(crate) use self::accelerate::{Accelerator, kvm};
pub(crate) use self::sandbox::refused;
use super::initrd;
use super::machine::{Ready, Run};
use crate::escape;

/// Prepares QEMU for `run`, with `accelerator`, and in its own sandbox if `confined` is true.
///
/// # Errors
/// If the initrd or the copy of the EFI variables cannot be created.
pub fn prepare(run: &Run<'_>, accelerator: Accelerator, confined: bool) -> Result<Ready> {
    let qemu = &run.machine.qemu;
    let initrd = run.directory.join("initrd");
    initrd::write(run.job, run.init, Some(&qemu.modules), &initrd)?;
    let firmware = qemu.firmware.as_ref();
    let efi_variables = firmware
        .map(|firmware| variables(&firmware.variables, run.directory))
        .transpose()?;
    let mut command = Command::new(&qemu.program);
    let files = arguments::Files {
        initrd: &initrd,
        efi_variables: efi_variables.as_deref(),
        time: run.time(),
    };
    arguments::arguments(&mut command, run.machine, &files, accelerator);
    if confined {
        sandbox::confine(&mut command);
    }
    command.stdin(Stdio::null());
    Ok(Ready {
        name: "QEMU",
        command,
        efi_variables,
    })
}

/// Copies the EFI variables at `from` to a file in `directory` that the firmware can change.
fn variables(from: &Path, directory: &Path) -> Result<PathBuf> {
    let to = directory.join("efi-vars.fd");
    fs::copy(from, &to)
        .and_then(|_| fs::set_permissions(&to, fs::Permissions::from_mode(0o600)))
        .with_context(|| format!("copying {} to {}", escape::path(from), escape::path(&to)))?;
    Ok(to)
}
