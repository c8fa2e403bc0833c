//! The guest: the machine that runs the image's own system.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::attributes::{
    Attributes, MAX_PATH, boolean, bounded, each, number, path, quoted, shown, text,
};
use super::problems::{Problems, Read};
use super::{
    Architecture, BootLoader, FileSystemKind, Firmware, Guest, Machine, Names, Output, Owner, Qemu,
    System, Tasks, machine,
};
use crate::scheme::PartitionTable;

/// Reads the guest. `needed` is what requires a guest, if anything does.
pub(super) fn guest(
    top: &Attributes<'_>,
    needed: Read<Option<&str>>,
    boot_loader: Read<bool>,
    touch_efi_variables: Read<bool>,
    output: &Read<Output>,
    system: &Read<System>,
    problems: &mut Problems,
) -> Read<Option<Guest>> {
    let Some(needed) = needed? else {
        // nix/make-disk-image.nix does not set it in this case, so it has been overridden.
        if top.has("memSize") {
            let message = "has no effect, because this image needs no guest (installBootLoader is \
                           false, and no owner in contents is a name); do not override it";
            problems.add(top.at("memSize"), message);
        }
        return Ok(None);
    };
    let memory = top.required("memSize", memory, problems);
    if !top.has("guest") {
        let message = format!(
            "is missing, but {needed} needs a guest that runs the image's own system; use \
             nix/make-disk-image.nix of the same version, which provides it"
        );
        return Err(problems.add(top.at("guest"), message));
    }
    let guest = top.object("guest", problems);
    let architecture = guest.required("architecture", architecture, problems);
    let kernel = guest.required("kernel", path, problems);
    let modules = guest.required("modules", path, problems);
    let qemu = guest.required("qemu", path, problems);
    let firmware = firmware(&guest, touch_efi_variables, output, problems);
    let timeout = guest.required("timeout", timeout, problems);
    let (only, uml) = machine::kinds(&guest, architecture, touch_efi_variables, problems);
    let devices = match boot_loader {
        Ok(true) => devices(&guest, problems).map(Some),
        Ok(false) => Ok(None),
        Err(noted) => Err(noted),
    };
    Ok(Some(Guest {
        tasks: Tasks {
            boot_loader: devices?.map(|devices| BootLoader { devices }),
            owners: names(system)?,
        },
        machine: Machine {
            architecture: architecture?,
            memory: memory?,
            timeout: timeout?,
            only: only?,
            qemu: Qemu {
                program: qemu?,
                kernel: kernel?,
                modules: modules?,
                firmware: firmware?,
            },
            uml: uml?,
        },
    }))
}

/// Checks that a boot loader that a BIOS starts can read its files, which are on the root file system
/// unless the disk has a boot partition.
pub(super) fn check_boot_loader(
    guest: &Read<Option<Guest>>,
    table: Read<PartitionTable>,
    kind: &Read<FileSystemKind>,
    problems: &mut Problems,
) -> Read<()> {
    let (guest, kind) = match (guest, kind) {
        (Ok(Some(guest)), Ok(kind)) => (guest, kind),
        (Err(noted), _) | (_, Err(noted)) => return Err(*noted),
        (Ok(None), Ok(_)) => return Ok(()),
    };
    let own_partition = !table?.scheme().fat_partitions().is_empty();
    let loader = guest.tasks.boot_loader.as_ref();
    let mut devices = loader.into_iter().flat_map(|loader| &loader.devices);
    let Some(device) = devices.find(|device| device.starts_with("/dev/")) else {
        return Ok(());
    };
    if own_partition || !kind.is_read_only() {
        return Ok(());
    }
    let message = format!(
        "GRUB on {} would have its files on the root file system, and it cannot be installed on {}, \
         which is read-only; set partitionTableType to one with a boot partition ({}), or use another \
         fsType",
        quoted(device),
        kind.name(),
        PartitionTable::names(|scheme| !scheme.fat_partitions().is_empty())
    );
    Err(problems.add("guest.grubDevices", message))
}

/// Reads the firmware if EFI variables are to be saved. The variables are in `output`.
fn firmware(
    guest: &Attributes<'_>,
    touch_efi_variables: Read<bool>,
    output: &Read<Output>,
    problems: &mut Problems,
) -> Read<Option<Firmware>> {
    let system_management_mode = guest.required("systemManagementMode", boolean, problems);
    if !touch_efi_variables? {
        return system_management_mode.map(|_| None);
    }
    let code = guest.required("firmware", path, problems);
    let variables = match output {
        Ok(output) => output.efi_variables.clone(),
        Err(noted) => return Err(*noted),
    };
    let (code, system_management_mode) = (code?, system_management_mode?);
    Ok(variables.map(|variables| Firmware {
        code,
        variables,
        system_management_mode,
    }))
}

/// Returns the owners in `contents` that are names, in the order of `contents`.
fn names(system: &Read<System>) -> Read<Vec<Names>> {
    let installation = match system {
        Ok(System::Installed(installation)) => installation,
        Ok(System::StoreOnly) => return Ok(Vec::new()),
        Err(noted) => return Err(*noted),
    };
    let owners = installation
        .contents
        .iter()
        .filter_map(|graft| graft.owner.as_ref());
    let names = owners.filter_map(|owner| match owner {
        Owner::Names(names) => Some(names.clone()),
        Owner::Ids(_) => None,
    });
    Ok(names.collect())
}

/// Reads `memSize` of the derivation itself, where it can be overridden.
fn memory(at: &str, value: &Value, problems: &mut Problems) -> Read<u64> {
    let memory = number(value).filter(|mebibytes| *mebibytes > 0);
    let message = || {
        format!(
            "{} is not a valid memory size; use a whole number of MiB, such as 1024",
            shown(value)
        )
    };
    problems.check(at, memory.ok_or_else(message))
}

fn timeout(at: &str, value: &Value, problems: &mut Problems) -> Read<Duration> {
    let seconds = number(value).filter(|seconds| *seconds > 0);
    let message = || {
        format!(
            "{} is not a valid time limit; use a whole number of seconds, such as 3600",
            shown(value)
        )
    };
    problems.check(at, seconds.map(Duration::from_secs).ok_or_else(message))
}

fn architecture(at: &str, value: &Value, problems: &mut Problems) -> Read<Architecture> {
    match text(at, value, problems)? {
        "x86_64" => Ok(Architecture::X86_64),
        "aarch64" => Ok(Architecture::Aarch64),
        other => {
            let message = format!(
                "{} is unsupported; a guest can be \"x86_64\" or \"aarch64\"",
                quoted(other)
            );
            Err(problems.add(at, message))
        }
    }
}

/// Returns the devices to which boot loaders will be installed.
fn devices(guest: &Attributes<'_>, problems: &mut Problems) -> Read<Vec<String>> {
    let grub = guest.required("grubDevices", each(device), problems);
    let limine = guest.optional("limineDevice", device, problems);
    let mut devices = grub?;
    devices.extend(limine?);
    Ok(devices)
}

/// Reads the path of a device, or a boot loader's special name such as "nodev".
fn device(at: &str, value: &Value, problems: &mut Problems) -> Read<String> {
    let text = bounded(at, value, MAX_PATH, problems)?;
    let path = PathBuf::from(text);
    let climbs = path.components().any(|part| part.as_os_str() == "..");
    if text.starts_with('/') && (!path.starts_with("/dev") || climbs) {
        let message = format!(
            "{} is not a device below /dev; in the guest, the disk is /dev/vda, and other names \
             below /dev become links to it",
            quoted(text)
        );
        return Err(problems.add(at, message));
    }
    Ok(text.to_owned())
}
