//! `make-disk-image plan`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use crate::progress::{self, Log};
use crate::supervisor::{self, Side};
use crate::{preview, stdout};

/// The arguments of `plan`.
#[derive(Args)]
pub struct Plan {
    /// An .attrs.json, or the output of `nix derivation show`; "-" or nothing is standard input
    input: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Plan {
    /// Prints the plan.
    ///
    /// # Errors
    /// Those of [`preview::run`].
    pub fn run(self) -> Result<ExitCode> {
        // Planning needs temporary files, which must not be left behind.
        match supervisor::split()? {
            Side::Supervisor(supervisor) => Ok(supervisor.run()),
            Side::Worker(ledger) => {
                progress::init();
                let input = self.input.as_deref();
                let input = input.filter(|path| *path != Path::new("-"));
                let report = preview::run(input, &ledger, &Log::detect())?;
                let text = match self.json {
                    true => report.json()?,
                    false => report.to_string(),
                };
                stdout::print(text.as_bytes())?;
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}
