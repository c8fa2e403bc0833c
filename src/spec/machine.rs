//! The kinds of machines that can run the guest.

use serde_json::Value;

use super::attributes::{Attributes, path, quoted, text};
use super::problems::{Problems, Read};
use super::{Architecture, MachineKind, Uml};

/// Reads the only kind of machine to use, if the caller set one, and User-Mode Linux, if it can run the
/// guest.
pub(super) fn kinds(
    guest: &Attributes<'_>,
    architecture: Read<Architecture>,
    touch_efi_variables: Read<bool>,
    problems: &mut Problems,
) -> (Read<Option<MachineKind>>, Read<Option<Uml>>) {
    let kernel = guest.optional("uml", path, problems);
    let only = guest.optional("machine", kind, problems);
    let obstacle = match (touch_efi_variables, architecture) {
        (Ok(true), _) => Some(
            "\"uml\" has no EFI firmware, and touchEFIVars = true needs one; set guestMachine to \
             null, \"kvm\" or \"tcg\", or touchEFIVars = false",
        ),
        (_, Ok(Architecture::Aarch64)) => Some(
            "\"uml\" runs only systems for x86_64, and this one is for aarch64; set guestMachine to \
             null, \"kvm\" or \"tcg\"",
        ),
        _ if kernel == Ok(None) => Some(
            "\"uml\" needs a kernel, and guest.uml is null; set the argument umlKernel, or \
             guestMachine to null, \"kvm\" or \"tcg\"",
        ),
        _ => None,
    };
    let only = match obstacle {
        Some(obstacle) if only == Ok(Some(MachineKind::Uml)) => {
            Err(problems.add(guest.at("machine"), obstacle))
        }
        _ => only,
    };
    let kernel = kernel.map(|kernel| kernel.filter(|_| obstacle.is_none()));
    (
        only,
        kernel.map(|kernel| kernel.map(|kernel| Uml { kernel })),
    )
}

fn kind(at: &str, value: &Value, problems: &mut Problems) -> Read<MachineKind> {
    let text = text(at, value, problems)?;
    let mut kinds = MachineKind::ALL.into_iter();
    let kind = kinds.find(|kind| kind.name() == text);
    let message = || {
        format!(
            "{} is unsupported; a guest can run on \"kvm\", \"uml\" or \"tcg\", or use null for the \
             first of them that works",
            quoted(text)
        )
    };
    problems.check(at, kind.ok_or_else(message))
}
