//! Activates the system and installs its boot loader, as `nixos-enter` and the system's
//! `switch-to-configuration` do.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use nix::sys::stat::{Mode, umask};

use super::kernel::HOME;
use super::say;
use super::target;
use crate::guest::job::Job;

/// The installed system.
const SYSTEM: &str = "/nix/var/nix/profiles/system";

/// The file for the messages of a program that are shown only if it fails.
const MESSAGES: &str = "/messages";

/// How many bytes of the end of that file are shown.
const SHOWN: u64 = 16 << 10;

/// Activates the system and installs its boot loader.
pub fn run(job: &Job) -> Result<()> {
    umask(Mode::from_bits_truncate(0o022));
    let messages = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(MESSAGES);
    let messages = messages.with_context(|| format!("creating {MESSAGES}"))?;
    let begin = Instant::now();
    target::inside(|| {
        let mut activate = program(job, "activate");
        activate.env("IN_NIXOS_ENTER", "1").env(
            "LOCALE_ARCHIVE",
            format!("{SYSTEM}/sw/lib/locale/locale-archive"),
        );
        may_fail(&mut activate);
        let mut temporary = program(job, "sw/bin/systemd-tmpfiles");
        temporary
            .args(["--create", "--remove", "-E"])
            .stderr(messages.try_clone().context("duplicating a file")?);
        // Without /etc/machine-id it prints many messages that are not errors.
        if !may_fail(&mut temporary) {
            show_end(&messages).with_context(|| format!("reading {MESSAGES}"))?;
        }
        if job.boot_loader {
            let mut switch = program(job, "bin/switch-to-configuration");
            boot_loader(switch.arg("boot").env("NIXOS_INSTALL_BOOTLOADER", "1"))?;
        }
        Ok(())
    })?;
    let seconds = begin.elapsed().as_secs_f64();
    say(&format!("the image's own programs took {seconds:.2} s"));
    Ok(())
}

/// Returns a command for a program of the system, with a fixed environment.
pub fn program(job: &Job, name: &str) -> Command {
    let mut command = Command::new(format!("{SYSTEM}/{name}"));
    command
        .env_clear()
        .env("PATH", format!("{SYSTEM}/sw/bin:{SYSTEM}/sw/sbin"))
        .env("HOME", HOME)
        .env("USER", "root")
        .env("TERM", "dumb")
        .env("PERL_HASH_SEED", "0")
        .env("PERL_RAND_SEED", "0")
        .env("PYTHONHASHSEED", "0")
        .env("SOURCE_DATE_EPOCH", job.time.to_string())
        .current_dir("/")
        .stdin(Stdio::null());
    command
}

/// Runs `command` and returns whether it succeeded. A failure is logged and ignored, as in nixos-enter.
fn may_fail(command: &mut Command) -> bool {
    let name = command.get_program().to_string_lossy().into_owned();
    match command.status() {
        Ok(status) if status.success() => return true,
        Ok(status) => say(&format!("{name}: {status} (ignored, as nixos-enter does)")),
        Err(error) => say(&format!("{name}: {error} (ignored, as nixos-enter does)")),
    }
    false
}

/// Prints the end of a program's messages.
fn show_end(mut messages: &File) -> io::Result<()> {
    let length = messages.metadata()?.len();
    messages.seek(SeekFrom::Start(length.saturating_sub(SHOWN)))?;
    let mut text = Vec::new();
    messages.take(SHOWN).read_to_end(&mut text)?;
    say(String::from_utf8_lossy(&text).trim_end());
    Ok(())
}

fn boot_loader(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command
        .status()
        .with_context(|| format!("starting {name} boot"))?;
    ensure!(
        status.success(),
        "installing the boot loader: {name} boot failed ({status})"
    );
    Ok(())
}
