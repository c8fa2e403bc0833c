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

/// The home directory of the image's programs. It is below the guest's own `/dev`, so the links that
/// `nix-env` leaves there do not get into the image.
pub const HOME: &str = "/dev/home";

/// Mounts `/proc`, `/sys` and `/dev`, with the mounts that programs expect in `/dev`, and redirects
/// standard output and standard error to the console.
pub fn mount_own() -> Result<()> {
    for (kind, target, options) in [
        ("proc", "/proc", None),
        ("sysfs", "/sys", None),
        ("devtmpfs", "/dev", None),
        ("tmpfs", "/dev/shm", Some("mode=1777")),
        // A file system of its own, because activation limits /dev to 5 % of the memory.
        ("tmpfs", HOME, Some("mode=0700")),
        ("devpts", "/dev/pts", None::<&str>),
    ] {
        fs::create_dir_all(target).with_context(|| format!("creating {target}"))?;
        match mount(Some(kind), target, Some(kind), MsFlags::empty(), options) {
            // The kernel may have mounted devtmpfs.
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
    // A panic tells the host that memory ran out. Killing single programs would hide the reason.
    fs::write("/proc/sys/vm/panic_on_oom", "2").context("setting vm.panic_on_oom")
}

/// Sets the clock.
pub fn set_clock(seconds: i64) -> Result<()> {
    clock_settime(ClockId::CLOCK_REALTIME, TimeSpec::new(seconds, 0))
        .with_context(|| format!("setting the clock to {seconds}"))?;
    // Files on the planned disk have exactly this time. Changes must get a later one, and the kernel's
    // file times advance in steps of up to 10 ms.
    thread::sleep(Duration::from_millis(25));
    Ok(())
}

/// Stops sharing the root directory of this process with the kernel's threads (CLONE_FS of clone(2)).
/// Otherwise a chroot into the image would also apply to them and to the programs that the kernel
/// starts.
pub fn unshare_root() -> Result<()> {
    unshare(CloneFlags::CLONE_FS).context("unsharing the root directory from the kernel's threads")
}

/// Kills all other processes and waits for them.
pub fn kill_others() {
    // It fails only if there are no other processes.
    let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
    while wait().is_ok() {}
}

/// Mounts `source` on `target`, and creates that directory if it does not exist.
pub fn mount_at(source: &str, target: &Path, kind: Option<&str>, flags: MsFlags) -> Result<()> {
    let name = || format!("mounting {source} on {}", escape::path(target));
    if !target.exists() {
        fs::create_dir_all(target).with_context(name)?;
    }
    mount(Some(source), target, kind, flags, None::<&str>).with_context(name)
}
