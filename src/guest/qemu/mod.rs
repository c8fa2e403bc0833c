//! QEMU as the guest's machine, with KVM or emulated.

mod accelerate;
mod arguments;
mod monitor;
mod nbd;
mod sandbox;

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

pub(crate) use self::accelerate::{Accelerator, kvm};
pub(crate) use self::sandbox::refused;
use super::initrd;
use super::machine::{Ready, Run, Service};
use crate::{escape, sys};

/// Prepares QEMU for `run`, with `accelerator`, and in its own sandbox if `confined` is true. Each QEMU gets new sockets, one for the disk and one for
/// the monitor, because they are closed when it ends.
///
/// # Errors
/// If the initrd, the copy of the EFI variables or a socket cannot be created.
pub fn prepare<'a>(run: &Run<'a>, accelerator: Accelerator, confined: bool) -> Result<Ready<'a>> {
    let qemu = &run.machine.qemu;
    let initrd = run.directory.join("initrd");
    initrd::write(run.job, run.init, &qemu.modules, &initrd)?;
    let firmware = qemu.firmware.as_ref();
    let efi_variables = firmware
        .map(|firmware| variables(&firmware.variables, run.directory))
        .transpose()?;
    let pair = || UnixStream::pair().context("creating a socket for QEMU");
    let ((disk_socket, disk_end), (monitor_socket, monitor_end)) = (pair()?, pair()?);
    let mut command = Command::new(&qemu.program);
    let files = arguments::Files {
        initrd: &initrd,
        report: &run.report(),
        efi_variables: efi_variables.as_deref(),
        temporary: run.directory,
        time: run.time(),
        monitor: sys::inherit(&mut command, OwnedFd::from(monitor_end)),
    };
    arguments::arguments(&mut command, run.machine, &files, accelerator);
    if confined {
        sandbox::confine(&mut command);
    }
    command.stdin(Stdio::from(OwnedFd::from(disk_end)));
    let disk = run.disk;
    let disk = Service {
        socket: disk_socket,
        serve: Box::new(|socket, halt| nbd::serve(disk, socket, || halt.stop())),
    };
    let monitor = Service {
        socket: monitor_socket,
        serve: Box::new(|socket, halt| {
            monitor::watch(socket, |reason| halt.unwritable(reason));
            Ok(())
        }),
    };
    Ok(Ready {
        name: "QEMU",
        command,
        services: vec![disk, monitor],
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
