//! `make-disk-image man`.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::builder::Resettable;
use clap::{Args, CommandFactory, ValueHint};
use clap_mangen::Man as Page;

use super::Arguments;
use crate::escape;

/// The sections at the end of the long help and of the manual page: lists of terms.
const SECTIONS: [(&str, &[(&str, &str)]); 2] = [
    (
        "EXIT STATUS",
        &[
            ("0", "Success."),
            (
                "1",
                "An error. Its message on standard error begins with a code in brackets, which the manual \
                 explains. For diff: the disks differ.",
            ),
            ("2", "Wrong arguments. For diff, also an error."),
        ],
    ),
    (
        "ENVIRONMENT",
        &[
            (
                "TMPDIR",
                "The directory for temporary files, /tmp by default.",
            ),
            (
                "NO_COLOR",
                "If it is set and not empty, messages have no colors.",
            ),
            (
                "RUST_LOG",
                "Which messages are shown. It takes precedence over --quiet and --verbose.",
            ),
        ],
    ),
];

/// Returns the sections for the long help.
pub fn after_help() -> String {
    let mut text = String::new();
    for (title, terms) in SECTIONS {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{title}");
        for (term, meaning) in terms {
            let _ = writeln!(text, "  {term:8}  {meaning}");
        }
        text.push('\n');
    }
    text
}

/// Returns the sections in the language of manual pages.
fn roff() -> String {
    let mut text = String::new();
    for (title, terms) in SECTIONS {
        // Writing to a String cannot fail.
        let _ = writeln!(text, ".SH \"{title}\"");
        for (term, meaning) in terms {
            let meaning = meaning.replace('-', "\\-");
            let _ = writeln!(text, ".TP\n\\fB{term}\\fR\n{meaning}");
        }
    }
    text
}

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
        let shown = escape::path(&self.directory);
        let command = Arguments::command()
            .disable_help_subcommand(true)
            .after_long_help(Resettable::Reset);
        let mut page = Vec::new();
        let main = Page::new(command.clone());
        let name = main.get_filename();
        main.render(&mut page)
            .and_then(|()| clap_mangen::generate_to(command, &self.directory))
            .and_then(|()| {
                page.extend_from_slice(roff().as_bytes());
                fs::write(self.directory.join(name), page)
            })
            .with_context(|| format!("writing manual pages to {shown}"))?;
        Ok(ExitCode::SUCCESS)
    }
}
