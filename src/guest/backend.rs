//! The backends that can run a guest on this builder, tried one after the other.

#[cfg(test)]
mod tests;

use std::env::consts::ARCH;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::attempt::{Ended, attempt};
use super::console::End;
use super::judge::judge;
use super::machine::{Ready, Run};
use super::qemu::{self, Accelerator};
use super::uml;
use crate::spec::{Machine, MachineKind};

/// How a guest runs on each kind of machine.
impl MachineKind {
    /// Returns the backends to try for `run` on this builder, in order, and logs why. Even one that can
    /// be used may hang, for example KVM inside of some virtual machines. So all that come later follow it.
    ///
    /// # Errors
    /// If the only machine that the caller wants cannot be used.
    pub fn candidates(run: &Run<'_>) -> Result<Vec<MachineKind>> {
        let usable = |backend: MachineKind| backend.usable(run.machine, run.directory);
        let (candidates, choice) = choose(run.machine.only, usable)?;
        log::info!("{choice}");
        Ok(candidates)
    }

    /// Checks that this builder can run it as `machine`, with files in `directory`.
    ///
    /// # Errors
    /// The reason why it cannot.
    fn usable(self, machine: &Machine, directory: &Path) -> Result<(), String> {
        match self {
            MachineKind::Kvm => qemu::kvm(),
            MachineKind::Uml => uml::usable(machine, directory),
            MachineKind::Tcg => Ok(()),
        }
    }

    /// Returns what the log says if it is chosen.
    fn choice(self) -> &'static str {
        match self {
            MachineKind::Kvm => "the guest runs under KVM",
            MachineKind::Uml => "the guest runs in User-Mode Linux",
            MachineKind::Tcg => "the guest is emulated",
        }
    }

    /// Returns its name for messages.
    fn title(self) -> &'static str {
        match self {
            MachineKind::Kvm => Accelerator::Kvm.name(),
            MachineKind::Uml => "User-Mode Linux",
            MachineKind::Tcg => Accelerator::Tcg.name(),
        }
    }

    /// Prepares a new machine for `run`, independent of an earlier one. If `confined` is true, its program
    /// gives up the rights that it does not need.
    ///
    /// # Errors
    /// If a file or socket for it cannot be created.
    fn prepare(self, run: &Run<'_>, confined: bool) -> Result<Ready> {
        match self {
            MachineKind::Kvm => qemu::prepare(run, Accelerator::Kvm, confined),
            MachineKind::Tcg => qemu::prepare(run, Accelerator::Tcg, confined),
            // It confines its processes by itself.
            MachineKind::Uml => uml::prepare(run),
        }
    }

    /// Returns whether the machine's program ended because it cannot confine itself on this builder.
    fn refused(self, ended: &Ended) -> bool {
        let silent = ended.end == End::Closed && ended.console.history().is_empty();
        match self {
            MachineKind::Kvm | MachineKind::Tcg => silent && qemu::refused(&ended.messages),
            MachineKind::Uml => false,
        }
    }

    /// Runs a guest, confined if that is possible. (Finding out before would take a start of the program
    /// in every build.)
    fn attempt(self, run: &Run<'_>, first: Duration, off: Duration) -> Result<Ended> {
        let ended = attempt(self.prepare(run, true)?, run, first, off)?;
        if !self.refused(&ended) {
            return Ok(ended);
        }
        log::warn!(
            "{} cannot confine itself ({}); starting it without its sandbox",
            ended.machine,
            last_message(&ended)
        );
        attempt(self.prepare(run, false)?, run, first, off)
    }
}

/// A kind of machine that a guest may run on.
pub struct Candidate {
    /// The kind.
    pub kind: MachineKind,
    /// Why this builder cannot use it, if it cannot.
    pub obstacle: Option<String>,
}

/// Returns the kinds of machines that the caller allows for a guest on `machine`, in the order in which
/// they are tried. The guest's files would be in `directory`.
pub fn candidates(machine: &Machine, directory: &Path) -> Vec<Candidate> {
    let kinds = MachineKind::ALL.into_iter();
    let allowed = kinds.filter(|kind| machine.only.is_none_or(|only| only == *kind));
    let foreign = machine.architecture.name() != ARCH;
    let candidate = |kind: MachineKind| Candidate {
        kind,
        obstacle: match foreign {
            true => Some(format!("this machine is {ARCH}")),
            false => kind.usable(machine, directory).err(),
        },
    };
    allowed.map(candidate).collect()
}

/// Returns the backends to try, in order, and a line for the log: the first of them, and why no earlier one.
fn choose(
    only: Option<MachineKind>,
    usable: impl Fn(MachineKind) -> Result<(), String>,
) -> Result<(Vec<MachineKind>, String)> {
    let wanted = |backend: &MachineKind| only.is_none_or(|only| only == *backend);
    let (mut candidates, mut reasons) = (Vec::new(), Vec::new());
    for backend in MachineKind::ALL.into_iter().filter(wanted) {
        match usable(backend) {
            Ok(()) => candidates.push(backend),
            Err(reason) => reasons.push(reason),
        }
    }
    let reasons = reasons.join("; ");
    let choice = candidates.first().map_or("", |first| first.choice());
    let line = match only {
        Some(only) if candidates.is_empty() => bail!(
            "guestMachine = \"{}\" cannot be used: {reasons}; give builds access to it, use another \
             builder, or set guestMachine = null, which uses the first machine that works",
            only.name()
        ),
        Some(only) => format!("{choice} (guestMachine = \"{}\")", only.name()),
        None if reasons.is_empty() => choice.to_owned(),
        None => format!("{choice}: {reasons}"),
    };
    Ok((candidates, line))
}

/// Time limits for what should be quick.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For init to start, if there is another backend to try.
    pub first: Duration,
    /// For the machine to power off after init has ended.
    pub off: Duration,
}

impl Timeouts {
    /// Many times what a guest needs.
    pub const USUAL: Timeouts = Timeouts {
        first: Duration::from_secs(40),
        off: Duration::from_secs(10),
    };
}

/// Tries one backend after the other, until init starts in a guest or none is left. Returns the file
/// with the EFI variables, if the machine had any.
///
/// # Errors
/// If a machine cannot be started, or the guest fails. The error says why, and what to change.
pub fn attempts(
    run: &Run<'_>,
    backends: &[MachineKind],
    timeouts: Timeouts,
) -> Result<Option<PathBuf>> {
    let mut rest = backends.iter();
    loop {
        let backend = rest.next().context("there is no backend to run a guest")?;
        let next = rest.as_slice().first();
        let first = next.map_or(run.machine.timeout, |_| timeouts.first);
        let ended = backend.attempt(run, first, timeouts.off)?;
        let ran = ended.console.started() || ended.failure.is_some();
        match next {
            Some(next) if !ran => log::warn!(
                "no output from the guest under {} after {} s ({}); retrying with {}",
                backend.title(),
                ended.time.as_secs(),
                last_message(&ended),
                next.title()
            ),
            _ => {
                judge(run.machine, &ended)?;
                return Ok(ended.efi_variables);
            }
        }
    }
}

fn last_message(ended: &Ended) -> &str {
    let last = ended.messages.lines().next_back();
    last.unwrap_or("no error message")
}
