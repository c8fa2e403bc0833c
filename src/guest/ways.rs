//! The ways to run a guest on this builder, tried one after the other.

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};

use super::attempt::attempt;
use super::judge::judge;
use super::machine::{Ready, Run};
use super::qemu::{self, Accelerator};

/// A way to run a guest. Another machine is one more of them, and a module like `qemu`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// QEMU, with this accelerator.
    Qemu(Accelerator),
}

impl Way {
    /// Those to try on this builder, in this order; the reason goes to the log. The last one is
    /// known to work.
    pub fn candidates() -> Vec<Way> {
        let accelerators = qemu::candidates().iter();
        accelerators.copied().map(Way::Qemu).collect()
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Way::Qemu(accelerator) => accelerator.name(),
        }
    }

    /// Makes the machine for `run`, with nothing left of the one before.
    ///
    /// # Errors
    /// If a file or socket for it can't be made.
    pub fn prepare<'a>(self, run: &Run<'a>) -> Result<Ready<'a>> {
        match self {
            Way::Qemu(accelerator) => qemu::prepare(run, accelerator),
        }
    }
}

/// How long to wait for what should not take long.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For the first word of init, where there is another way to try.
    pub first: Duration,
    /// For the machine to be off after the last word of init.
    pub off: Duration,
}

impl Patience {
    /// Many times of what a guest needs.
    pub const USUAL: Patience = Patience {
        first: Duration::from_secs(40),
        off: Duration::from_secs(10),
    };
}

/// Tries one way after the other, until a guest runs and does all that it should. Returns where the
/// EFI variables are, if the machine had any.
///
/// # Errors
/// If a machine can't be started, or the guest fails: what became of it, and what to change.
pub fn attempts(run: &Run<'_>, ways: &[Way], patience: Patience) -> Result<Option<PathBuf>> {
    let mut rest = ways.iter();
    loop {
        let way = rest.next().context("there is no way to run a guest")?;
        let next = rest.as_slice().first();
        let first = next.map_or(run.machine.timeout, |_| patience.first);
        let ended = attempt(way.prepare(run)?, run, first, patience.off)?;
        let ran = ended.console.started() || ended.served.is_err() || ended.unwritable.is_some();
        match next {
            Some(next) if !ran => log::warn!(
                "no output from the guest under {} after {} s ({}); retrying with {}",
                way.name(),
                ended.time.as_secs(),
                ended
                    .said
                    .lines()
                    .next_back()
                    .unwrap_or("no message from it either"),
                next.name()
            ),
            _ => {
                judge(run.machine, &ended)?;
                return Ok(ended.efi_variables);
            }
        }
    }
}
