//! The command line: parses arguments, prints an error with its causes, and sets the exit status.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use make_disk_image::diff::Outcome;
use make_disk_image::guest::init;
use make_disk_image::progress::{self, Log};
use make_disk_image::supervisor::{self, Side};
use make_disk_image::{build, diff, inspect};

/// Builds NixOS disk images.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build the image described in .attrs.json (the builder of the derivation that
    /// nix/make-disk-image.nix returns)
    Build,
    /// Describe an image: its container, a map of the disk, partitions and file systems; or list and
    /// print files in it
    Inspect(inspect::Arguments),
    /// Compare two images: containers, partition tables, boot code, file systems, files, and all other
    /// bytes. Exit status: 0 if the disks are equal, 1 if not, 2 if that cannot be found out
    Diff(diff::Arguments),
}

/// The exit status of a comparison that is not complete, as in diff(1).
const TROUBLE: u8 = 2;

fn main() -> ExitCode {
    if init::is_init() {
        init::run();
    }
    if init::is_modprobe() {
        return init::modprobe();
    }
    let arguments = Arguments::parse();
    let result = run(&arguments.command);
    let code = result.unwrap_or_else(|error| {
        progress::init();
        log::error!("{error:#}");
        match arguments.command {
            Command::Diff(_) => ExitCode::from(TROUBLE),
            Command::Build | Command::Inspect(_) => ExitCode::FAILURE,
        }
    });
    progress::flush(progress::PATIENCE);
    code
}

fn run(command: &Command) -> Result<ExitCode> {
    match command {
        Command::Build => match supervisor::split()? {
            Side::Supervisor(supervisor) => return Ok(supervisor.run()),
            Side::Worker(ledger) => {
                progress::init();
                build::run(&Log::detect(), &ledger)?;
            }
        },
        Command::Inspect(arguments) => {
            progress::init();
            if !inspect::run(arguments)? {
                return Ok(ExitCode::FAILURE);
            }
        }
        Command::Diff(arguments) => {
            return Ok(match diff::run(arguments)? {
                Outcome::Equal => ExitCode::SUCCESS,
                Outcome::Different => ExitCode::FAILURE,
                Outcome::Trouble => ExitCode::from(TROUBLE),
            });
        }
    }
    Ok(ExitCode::SUCCESS)
}
