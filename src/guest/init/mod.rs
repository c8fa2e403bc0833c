//! The guest's side: `/init` of its initrd. It does the job on the disk, reports the changes, and
//! powers off.

mod devices;
mod install;
mod kernel;
mod modules;
mod owners;
mod send;
mod snapshot;
mod sparse;
mod target;

use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use nix::sys::reboot::{RebootMode, reboot};
use nix::unistd;

use super::job::{self, EARLIEST, Job};
use super::marker::Marker;
use super::protected::Protected;

pub use modules::{is_modprobe, modprobe};

/// Returns whether this process is a guest's `/init`. (In Nix's sandbox, a builder has process ID 1, too.)
pub fn is_init() -> bool {
    unistd::getpid().as_raw() == 1 && std::env::args_os().next().is_some_and(|arg| arg == "/init")
}

/// Does the job and powers off.
pub fn run() -> ! {
    match job() {
        Ok(job) => {
            let status = match work(&job) {
                Ok(()) => 0,
                Err(error) => {
                    // The host expects one line.
                    let text = format!("{error:#}").replace('\n', "; ");
                    say(&Marker::Failed(text).line(&job.token));
                    kernel::kill_others();
                    1
                }
            };
            unistd::sync();
            // The newline ends an unfinished line of another program.
            say(&format!("\n{}", Marker::Exit(status).line(&job.token)));
        }
        // Without the job there is no token to mark this line with.
        Err(error) => say(&format!("{error:#}")),
    }
    loop {
        let _ = reboot(RebootMode::RB_POWER_OFF);
        // If the machine cannot power off: with -no-reboot, QEMU also ends on a reboot.
        let _ = reboot(RebootMode::RB_AUTOBOOT);
    }
}

/// Prints a line on the console.
fn say(line: &str) {
    // An error cannot be reported anywhere.
    let _ = std::io::stdout().write_all(format!("{line}\n").as_bytes());
}

fn job() -> Result<Job> {
    kernel::mount_own()?;
    kernel::unshare_root()?;
    let json = fs::read(job::PATH).context("reading the job")?;
    // The image's programs run as root, and must not find the token there.
    fs::remove_file(job::PATH).context("removing the job")?;
    serde_json::from_slice(&json).context("reading the job")
}

fn work(job: &Job) -> Result<()> {
    say(&Marker::Started.line(&job.token));
    modules::prepare()?;
    devices::wait_for(&job.root)?;
    devices::link(&job.links)?;
    target::mount_root(job)?;
    kernel::set_clock(job.time.max(EARLIEST))?;
    let protected = Protected::new(Path::new(&job.store));
    let before = snapshot::take(&protected)?;
    target::mount_others(job)?;
    install::run(job)?;
    let owners = owners::look_up(job)?;
    kernel::kill_others();
    // Boot code is read directly from the disk, so all writes must have reached it.
    unistd::sync();
    send::report(job, &protected, before, &owners)
}
