//! `make-disk-image man`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, CommandFactory, ValueHint};

use super::Arguments;
use crate::escape;

/// The arguments of `man`.
#[derive(Args)]
pub struct Man {
    /// An existing directory
    #[arg(value_hint = ValueHint::DirPath)]
    directory: PathBuf,
}

impl Man {
    /// Writes a page for the program and one for each of its commands.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn run(self) -> Result<ExitCode> {
        let command = Arguments::command().disable_help_subcommand(true);
        clap_mangen::generate_to(command, &self.directory).with_context(|| {
            format!("writing manual pages to {}", escape::path(&self.directory))
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
