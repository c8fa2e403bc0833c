//! `make-disk-image completions`.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, CommandFactory};
use clap_complete::{Shell, generate};

use super::Arguments;
use crate::stdout;

/// The arguments of `completions`.
#[derive(Args)]
pub struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    /// Prints the completions.
    ///
    /// # Errors
    /// If standard output cannot be written.
    pub fn run(self) -> Result<ExitCode> {
        let mut script = Vec::new();
        generate(
            self.shell,
            &mut Arguments::command(),
            "make-disk-image",
            &mut script,
        );
        stdout::print(&script)?;
        Ok(ExitCode::SUCCESS)
    }
}
