//! The backends that can run a guest on this builder, tried one after the other.

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};

use super::attempt::attempt;
use super::judge::judge;
use super::machine::{Ready, Run};
use super::qemu::{self, Accelerator};

/// A way to run a guest. A new one is a variant here, and a module like `qemu`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// QEMU, with this accelerator.
    Qemu(Accelerator),
}

impl Backend {
    /// Returns the backends to try on this builder, in order, and logs why. The last one always works.
    pub fn candidates() -> Vec<Backend> {
        let accelerators = qemu::candidates().iter();
        accelerators.copied().map(Backend::Qemu).collect()
    }

    /// Returns its name for messages.
    pub fn name(self) -> &'static str {
        match self {
            Backend::Qemu(accelerator) => accelerator.name(),
        }
    }

    /// Prepares a new machine for `run`, independent of an earlier one.
    ///
    /// # Errors
    /// If a file or socket for it cannot be created.
    pub fn prepare<'a>(self, run: &Run<'a>) -> Result<Ready<'a>> {
        match self {
            Backend::Qemu(accelerator) => qemu::prepare(run, accelerator),
        }
    }
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
    backends: &[Backend],
    timeouts: Timeouts,
) -> Result<Option<PathBuf>> {
    let mut rest = backends.iter();
    loop {
        let backend = rest.next().context("there is no backend to run a guest")?;
        let next = rest.as_slice().first();
        let first = next.map_or(run.machine.timeout, |_| timeouts.first);
        let ended = attempt(backend.prepare(run)?, run, first, timeouts.off)?;
        let ran = ended.console.started() || ended.served.is_err() || ended.unwritable.is_some();
        match next {
            Some(next) if !ran => log::warn!(
                "no output from the guest under {} after {} s ({}); retrying with {}",
                backend.name(),
                ended.time.as_secs(),
                ended
                    .messages
                    .lines()
                    .next_back()
                    .unwrap_or("no error message"),
                next.name()
            ),
            _ => {
                judge(run.machine, &ended)?;
                return Ok(ended.efi_variables);
            }
        }
    }
}
