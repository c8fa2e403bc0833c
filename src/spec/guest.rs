//! The virtual machine that runs the image's own system.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::attributes::{self, Attributes, MAX_PATH, quoted, shown};
use super::problems::Problems;
use super::{Architecture, Guest};

/// `needed` says what needs a guest, if anything does.
pub(super) fn guest(
    top: &Attributes<'_>,
    image: &Attributes<'_>,
    needed: Option<&str>,
    problems: &mut Problems,
) -> Option<Option<Guest>> {
    let needed = needed?;
    if needed.is_empty() {
        // nix/make-disk-image.nix gives none then; so it has been overridden.
        if top.optional("memSize").is_some() {
            let message = "has no effect: make-disk-image runs no guest for this image (installBootLoader \
                           is false, and no owner in contents is a name); do not override it";
            problems.add(top.at("memSize"), message);
        }
        return Some(None);
    }
    if top.optional("guest").is_none() {
        problems.add(
            "guest",
            format!(
                "is missing, and {needed} needs a guest that runs the image's own system; \
                 nix/make-disk-image.nix of this version gives it"
            ),
        );
        return None;
    }
    let guest = top.object("guest", problems)?;
    let architecture = architecture(&guest, problems);
    let kernel = guest.path("kernel", problems);
    let modules = guest.path("modules", problems);
    let qemu = guest.path("qemu", problems);
    let touch = image.boolean("touchEFIVars", problems);
    let firmware = match touch {
        Some(true) => Some(guest.path("firmware", problems)?),
        _ => None,
    };
    let system_management_mode = guest.boolean("systemManagementMode", problems);
    let timeout = timeout(&guest, problems);
    let memory = memory(top, problems);
    let boot_loader = image.boolean("installBootLoader", problems);
    let devices = match boot_loader {
        Some(true) => devices(&guest, problems),
        _ => Some(Vec::new()),
    };
    Some(Some(Guest {
        architecture: architecture?,
        kernel: kernel?,
        modules: modules?,
        qemu: qemu?,
        firmware,
        system_management_mode: system_management_mode?,
        devices: devices?,
        memory: memory?,
        timeout: timeout?,
        boot_loader: boot_loader?,
    }))
}

/// The `memSize` of the derivation itself, where it can be overridden.
fn memory(top: &Attributes<'_>, problems: &mut Problems) -> Option<u64> {
    let value = top.required("memSize", problems)?;
    let memory = attributes::number(value).filter(|mebibytes| *mebibytes > 0);
    if memory.is_none() {
        let message = format!(
            "{} is no memory size; write a whole number of MiB, as in 1024",
            shown(value)
        );
        problems.add(top.at("memSize"), message);
    }
    memory
}

fn timeout(guest: &Attributes<'_>, problems: &mut Problems) -> Option<Duration> {
    let value = guest.required("timeout", problems)?;
    let seconds = attributes::number(value).filter(|seconds| *seconds > 0);
    if seconds.is_none() {
        let message = format!(
            "{} is no time; write a whole number of seconds, as in 3600",
            shown(value)
        );
        problems.add(guest.at("timeout"), message);
    }
    seconds.map(Duration::from_secs)
}

fn architecture(guest: &Attributes<'_>, problems: &mut Problems) -> Option<Architecture> {
    let name = guest.text("architecture", problems)?;
    match name {
        "x86_64" => Some(Architecture::X86_64),
        "aarch64" => Some(Architecture::Aarch64),
        other => {
            let message = format!(
                "{} is not known; a guest can be \"x86_64\" or \"aarch64\"",
                quoted(other)
            );
            problems.add(guest.at("architecture"), message);
            None
        }
    }
}

fn devices(guest: &Attributes<'_>, problems: &mut Problems) -> Option<Vec<String>> {
    let mut devices = Vec::new();
    for (index, value) in guest.list("grubDevices", problems)?.iter().enumerate() {
        devices.push(device(
            &format!("{}[{index}]", guest.at("grubDevices")),
            value,
            problems,
        ));
    }
    if let Some(value) = guest.optional("limineDevice") {
        devices.push(device(&guest.at("limineDevice"), value, problems));
    }
    devices.into_iter().collect()
}

/// A device's path, or a word of the boot loader's that is none, like "nodev".
fn device(at: &str, value: &Value, problems: &mut Problems) -> Option<String> {
    let text = attributes::bounded(at, value, MAX_PATH, problems)?;
    let path = PathBuf::from(text);
    let climbs = path.components().any(|part| part.as_os_str() == "..");
    if text.starts_with('/') && (!path.starts_with("/dev") || climbs) {
        let message = format!(
            "{} is no device below /dev; in the guest the disk is /dev/vda, and any other name \
             below /dev can be a link to it",
            quoted(text)
        );
        problems.add(at, message);
        return None;
    }
    Some(text.to_owned())
}
