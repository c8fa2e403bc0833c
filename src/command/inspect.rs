//! `make-disk-image inspect`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use crate::code::{Code, WithCode};
use crate::inspect;

/// The arguments of `inspect`.
#[derive(Args)]
pub struct Inspect {
    #[command(flatten)]
    arguments: inspect::Arguments,
}

impl Inspect {
    /// Prints the description of the image, or files in it. The status is 1 if something could not be
    /// read.
    ///
    /// # Errors
    /// Those of [`inspect::run`].
    pub fn run(self) -> Result<ExitCode> {
        let complete = inspect::run(&self.arguments).code(Code::Image)?;
        Ok(match complete {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        })
    }
}
