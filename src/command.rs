//! The command line: its arguments, errors with their causes, and the exit status.

mod build;
mod completions;
mod diagnosis;
mod diff;
mod inspect;
mod man;
mod plan;

use std::process::ExitCode;

use anyhow::Error;
use clap::{ArgAction, Args, Parser, Subcommand};

use crate::progress::{self, Verbosity};

/// Builds NixOS disk images.
#[derive(Parser)]
#[command(name = "make-disk-image", version, after_long_help = man::after_help())]
struct Arguments {
    #[command(flatten)]
    messages: Messages,
    #[command(subcommand)]
    command: Command,
}

/// The order of options that every command has: after its own, and before --help.
const LAST: usize = 100;

/// What is printed to standard error.
#[derive(Args)]
struct Messages {
    /// Show only warnings and errors
    #[arg(short, long, global = true, conflicts_with = "verbose", display_order = LAST)]
    quiet: bool,
    /// Show more: every program that is started, with its arguments
    #[arg(short, long, global = true, action = ArgAction::SetTrue, display_order = LAST)]
    verbose: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Build the image described in .attrs.json (the builder of the derivation that
    /// nix/make-disk-image.nix returns)
    Build(build::Build),
    /// Show what a build would do, without building: layout, sizes, closure, guest
    Plan(plan::Plan),
    /// Describe an image: its container, a map of the disk, partitions and file systems; or list and
    /// print files in it
    Inspect(inspect::Inspect),
    /// Compare two images: containers, partition tables, boot code, file systems, files, and all other
    /// bytes. Exit status: 0 if the disks are equal, 1 if not, 2 if that cannot be found out
    Diff(diff::Diff),
    /// Print the completions for a shell
    Completions(completions::Completions),
    /// Write the manual pages to a directory
    Man(man::Man),
}

/// Does what the command line asks for, and returns the exit status.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    progress::set_verbosity(match (&arguments.messages, &arguments.command) {
        (Messages { quiet: true, .. }, _) => Verbosity::Quiet,
        (Messages { verbose: true, .. }, _) => Verbosity::Verbose,
        (_, Command::Build(_)) => Verbosity::Normal,
        // Their result is on standard output.
        _ => Verbosity::Warnings,
    });
    let result = match arguments.command {
        Command::Build(build) => build.run(),
        Command::Plan(plan) => plan.run(),
        Command::Inspect(inspect) => inspect.run(),
        Command::Diff(diff) => Ok(diff.run()),
        Command::Completions(completions) => completions.run(),
        Command::Man(man) => man.run(),
    };
    let code = result.unwrap_or_else(|error| {
        report(&error);
        ExitCode::FAILURE
    });
    progress::flush(progress::PATIENCE);
    code
}

/// Prints an error with its causes and its code.
fn report(error: &Error) {
    progress::error(diagnosis::code(error), format_args!("{error:#}"));
}
