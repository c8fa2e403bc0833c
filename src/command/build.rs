//! `make-disk-image build`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use crate::build;
use crate::progress::{self, Log};
use crate::supervisor::{self, Side};

/// The arguments of `build`: none. Nix sets the environment of a builder.
#[derive(Args)]
pub struct Build {}

impl Build {
    /// Builds the image.
    ///
    /// # Errors
    /// If any step fails.
    pub fn run(self) -> Result<ExitCode> {
        match supervisor::split()? {
            Side::Supervisor(supervisor) => Ok(supervisor.run()),
            Side::Worker(ledger) => {
                progress::init();
                build::run(&Log::detect(), &ledger)?;
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}
