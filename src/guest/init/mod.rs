//! The guest's side: `/init` of its initrd. It installs what the job says into the disk, sends
//! back what that changed, and powers off.

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

/// Whether this process is a guest's `/init`. (In Nix's sandbox a builder has the process ID 1, too.)
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
                    // The host wants one line.
                    let text = format!("{error:#}").replace('\n', "; ");
                    say(&Marker::Failed(text).line(&job.token));
                    kernel::end_others();
                    1
                }
            };
            unistd::sync();
            // In front of it may be half a line of another program.
            say(&format!("\n{}", Marker::Exit(status).line(&job.token)));
        }
        // Without the token there is no way to say it but as any program does.
        Err(error) => say(&format!("{error:#}")),
    }
    loop {
        let _ = reboot(RebootMode::RB_POWER_OFF);
        // It can't be powered off like this; -no-reboot makes QEMU end as well.
        let _ = reboot(RebootMode::RB_AUTOBOOT);
    }
}

/// A line on the console.
fn say(line: &str) {
    // Nobody could be told of an error.
    let _ = std::io::stdout().write_all(format!("{line}\n").as_bytes());
}

fn job() -> Result<Job> {
    kernel::mount_own()?;
    kernel::part_from_the_kernel()?;
    let json = fs::read(job::PATH).context("reading the job")?;
    // Programs of the image run as root, and are not to find the token.
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
    kernel::end_others();
    // What is read from the disk itself has to be there.
    unistd::sync();
    send::report(job, &protected, before, &owners)
}
