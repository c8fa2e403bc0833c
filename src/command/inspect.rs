//! `make-disk-image inspect`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, ValueHint};

use crate::code::{Code, WithCode};
use crate::inspect;

/// The arguments of `inspect`.
#[derive(Args)]
pub struct Inspect {
    /// Path of the image
    #[arg(value_hint = ValueHint::FilePath)]
    image: PathBuf,
}

impl Inspect {
    /// Prints the description of the image.
    ///
    /// # Errors
    /// Those of [`inspect::describe`].
    pub fn run(self) -> Result<ExitCode> {
        let description = inspect::describe(&self.image).code(Code::Image)?;
        super::print(description.as_bytes())
    }
}
