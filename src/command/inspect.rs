//! `make-disk-image inspect`.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use crate::code::{Code, WithCode};
use crate::{inspect, progress};

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
        // The log has what cannot be read while the rest is listed.
        progress::init();
        let complete = inspect::run(&self.arguments).code(Code::Image)?;
        Ok(match complete {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        })
    }
}
