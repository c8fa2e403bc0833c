//! User-Mode Linux as the guest's machine: the Linux kernel as an ordinary process, without KVM,
//! emulation or privileges (Linux, Documentation/virt/uml/user_mode_linux_howto_v2.rst).

mod memory;

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use super::initrd;
use super::machine::{DISK, REPORT, Ready, Run};
use crate::spec::{Architecture, Machine};
use crate::sys;

/// The name of the initrd in the machine's working directory.
const INITRD: &str = "initrd";

/// Checks that `machine` can be used on this builder, with files in `directory`.
///
/// # Errors
/// The reason why it cannot.
pub fn usable(machine: &Machine, directory: &Path) -> Result<(), String> {
    if machine.qemu.firmware.is_some() {
        return Err("User-Mode Linux has no EFI variables".to_owned());
    }
    if machine.architecture != Architecture::X86_64 {
        return Err("User-Mode Linux runs only x86_64".to_owned());
    }
    if machine.uml.is_none() {
        return Err("there is no kernel for User-Mode Linux (umlKernel)".to_owned());
    }
    memory::directory(machine, directory).map(drop)
}

/// Prepares User-Mode Linux for `run`.
///
/// # Errors
/// If the initrd cannot be created, or there is no room for the guest's memory.
pub fn prepare(run: &Run<'_>) -> Result<Ready> {
    let uml = run.machine.uml.as_ref();
    let uml = uml.context("there is no kernel for User-Mode Linux")?;
    let memory = memory::directory(run.machine, run.directory).map_err(anyhow::Error::msg)?;
    initrd::write(run.job, run.init, None, &run.directory.join(INITRD))?;
    let mut command = Command::new(&uml.kernel);
    command
        .args(arguments(run.machine.memory))
        .env_clear()
        // The kernel keeps the guest's memory in a file there, which has no name.
        .env("TMPDIR", memory)
        .env("HOME", run.directory)
        .stdin(Stdio::null());
    // Its kernel and the processes of the guest run in turns, and never at the same time. On the same
    // processor, a turn takes a third of the time: the kernel does not have to wake another one up.
    sys::keep_on_one_processor(&mut command);
    Ok(Ready {
        name: "User-Mode Linux",
        command,
        efi_variables: None,
    })
}

/// Returns the kernel's command line for a machine with `memory` MiB. Its files are in the working
/// directory, so that no name needs quoting.
fn arguments(memory: u64) -> Vec<String> {
    // 2 is the type of block devices (VIRTIO 1.2, section 5). The order is that of the disks' names.
    let disk = |socket: &str| format!("virtio_uml.device={socket}:2");
    vec![
        format!("mem={memory}M"),
        format!("initrd={INITRD}"),
        disk(DISK),
        disk(REPORT),
        // No terminals, except a console on standard output.
        "con=null".to_owned(),
        "con0=null,fd:1".to_owned(),
        "uml_dir=.".to_owned(),
        // Without ptrace where the builder allows seccomp filters, which is much faster.
        "seccomp=auto".to_owned(),
        // Without measuring how long a delay takes, which is half of the start. No driver here delays.
        "lpj=10000000".to_owned(),
        "noreboot".to_owned(),
        "panic=-1".to_owned(),
        // Neither the checks at the start nor messages that are not errors.
        "quiet".to_owned(),
    ]
}
