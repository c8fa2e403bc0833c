//! The running kernel: its file systems, modules, clock and processes.

use std::fs::{self, OpenOptions};
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::sys::time::TimeSpec;
use nix::sys::wait::wait;
use nix::time::{ClockId, clock_settime};
use nix::unistd::{Pid, dup2_stderr, dup2_stdout};

use crate::escape;

/// The home directory of the image's programs. It is below the guest's own `/dev`, so that nothing in it
/// gets into the image: `nix-env` leaves links there.
pub const HOME: &str = "/dev/home";

/// Mounts `/proc`, `/sys` and `/dev`, with what programs expect in that, and makes the console the
/// output.
pub fn mount_own() -> Result<()> {
    for (kind, target, options) in [
        ("proc", "/proc", None),
        ("sysfs", "/sys", None),
        ("devtmpfs", "/dev", None),
        ("tmpfs", "/dev/shm", Some("mode=1777")),
        // Not in /dev's own file system: activation gives that 5 % of the memory.
        ("tmpfs", HOME, Some("mode=0700")),
        ("devpts", "/dev/pts", None::<&str>),
    ] {
        fs::create_dir_all(target).with_context(|| format!("making {target}"))?;
        match mount(Some(kind), target, Some(kind), MsFlags::empty(), options) {
            // The kernel may mount devtmpfs by itself.
            Ok(()) | Err(Errno::EBUSY) => {}
            Err(error) => return Err(error).with_context(|| format!("mounting {target}")),
        }
    }
    let console = OpenOptions::new()
        .write(true)
        .open("/dev/console")
        .context("opening /dev/console")?;
    dup2_stdout(&console).context("using /dev/console")?;
    dup2_stderr(&console).context("using /dev/console")?;
    // Killing one program after the other helps nobody: the host is told to give more memory.
    fs::write("/proc/sys/vm/panic_on_oom", "2").context("setting vm.panic_on_oom")
}

/// Sets the clock.
pub fn set_clock(seconds: i64) -> Result<()> {
    clock_settime(ClockId::CLOCK_REALTIME, TimeSpec::new(seconds, 0))
        .with_context(|| format!("setting the clock to {seconds}"))?;
    // Files on the planned disk have this time to the nanosecond; what is changed from now on must
    // have another, and the kernel's time of files goes in steps of up to 10 ms.
    thread::sleep(Duration::from_millis(25));
    Ok(())
}

/// Takes the root directory of this process out of what it shares with the kernel's own threads
/// (CLONE_FS of clone(2)). Else those would be in the image with it, and so would the programs that
/// the kernel starts.
pub fn part_from_the_kernel() -> Result<()> {
    unshare(CloneFlags::CLONE_FS).context("having a root directory apart from the kernel's")
}

/// Kills every other process, and waits until they are gone.
pub fn end_others() {
    // It fails only if there is none.
    let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
    while wait().is_ok() {}
}

/// Makes a mount, and the directory for it if there is nothing.
pub fn mount_at(source: &str, target: &Path, kind: Option<&str>, flags: MsFlags) -> Result<()> {
    let name = || format!("mounting {source} on {}", escape::path(target));
    if !target.exists() {
        fs::create_dir_all(target).with_context(name)?;
    }
    mount(Some(source), target, kind, flags, None::<&str>).with_context(name)
}
