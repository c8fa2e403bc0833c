//! What `nixos-enter` and the boot loader's installer do.

use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use nix::sys::stat::{Mode, umask};

use super::say;
use super::target;
use crate::guest::job::Job;

/// The installed system.
const SYSTEM: &str = "/nix/var/nix/profiles/system";

/// Activates the system and installs its boot loader.
pub fn run(job: &Job) -> Result<()> {
    umask(Mode::from_bits_truncate(0o022));
    let begin = Instant::now();
    target::inside(|| {
        let mut activate = program(job, "activate");
        activate.env("IN_NIXOS_ENTER", "1").env(
            "LOCALE_ARCHIVE",
            format!("{SYSTEM}/sw/lib/locale/locale-archive"),
        );
        may_fail(&mut activate);
        let mut temporary = program(job, "sw/bin/systemd-tmpfiles");
        may_fail(temporary.args(["--create", "--remove", "-E"]));
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

/// A program of the system in an environment that is the same every time.
fn program(job: &Job, name: &str) -> Command {
    let mut command = Command::new(format!("{SYSTEM}/{name}"));
    command
        .env_clear()
        .env("PATH", format!("{SYSTEM}/sw/bin:{SYSTEM}/sw/sbin"))
        .env("HOME", "/root")
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

/// nixos-enter goes on when these fail.
fn may_fail(command: &mut Command) {
    let name = command.get_program().to_string_lossy().into_owned();
    match command.status() {
        Ok(status) if status.success() => {}
        Ok(status) => say(&format!("{name}: {status} (going on, as nixos-enter does)")),
        Err(error) => say(&format!("{name}: {error} (going on, as nixos-enter does)")),
    }
}

fn boot_loader(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command
        .status()
        .with_context(|| format!("starting {name} boot"))?;
    ensure!(
        status.success(),
        "installing the boot loader: {name} boot ended with {status}"
    );
    Ok(())
}
