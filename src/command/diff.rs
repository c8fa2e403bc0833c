//! `make-disk-image diff`.

use std::process::ExitCode;

use clap::Args;

use super::report;
use crate::code::{Code, WithCode};
use crate::diff::{self, Outcome};

/// The exit status of a comparison that is not complete, as in diff(1).
const TROUBLE: u8 = 2;

/// The arguments of `diff`.
#[derive(Args)]
pub struct Diff {
    #[command(flatten)]
    arguments: diff::Arguments,
}

impl Diff {
    /// Prints the differences, or the error if the images cannot be compared.
    pub fn run(self) -> ExitCode {
        match diff::run(&self.arguments).code(Code::Image) {
            Ok(Outcome::Equal) => ExitCode::SUCCESS,
            Ok(Outcome::Different) => ExitCode::FAILURE,
            Ok(Outcome::Trouble) => ExitCode::from(TROUBLE),
            Err(error) => {
                report(&error);
                ExitCode::from(TROUBLE)
            }
        }
    }
}
