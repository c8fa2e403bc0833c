//! The command line; the exit code; the chain of an error, printed once.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use make_disk_image::guest::init;
use make_disk_image::progress::Log;
use make_disk_image::{build, inspect, progress, signals};

/// Makes NixOS disk images.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build the image that the attributes in .attrs.json ask for: the builder of the derivation
    /// that nix/make-disk-image.nix makes
    Build,
    /// Describe a raw image: partitions, file systems, and a hash of each part
    Inspect {
        /// The image
        image: PathBuf,
    },
}

fn main() -> ExitCode {
    if init::is_init() {
        init::run();
    }
    if init::is_modprobe() {
        return init::modprobe();
    }
    let arguments = Arguments::parse();
    progress::init();
    let result = run(&arguments.command);
    signals::leave_the_end_to_a_signal();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: &Command) -> Result<()> {
    signals::clean_up_on_signals()?;
    match command {
        Command::Build => build::run(&Log::detect()),
        Command::Inspect { image } => {
            let description = inspect::describe(image)?;
            let mut out = io::stdout().lock();
            out.write_all(description.as_bytes())
                .and_then(|()| out.flush())
                .context("writing to standard output")
        }
    }
}
