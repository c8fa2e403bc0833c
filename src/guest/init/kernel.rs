//! The running kernel: its file systems, modules, clock and processes.

use std::fs::{self, File, OpenOptions};
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::kmod::{ModuleInitFlags, finit_module};
use nix::mount::{MsFlags, mount};
use nix::sys::signal::{Signal, kill};
use nix::sys::time::TimeSpec;
use nix::sys::wait::wait;
use nix::time::{ClockId, clock_settime};
use nix::unistd::{Pid, dup2_stderr, dup2_stdout};

use super::say;
use crate::escape;
use crate::guest::initrd::MODULES;

/// Mounts `/proc`, `/sys` and `/dev`, and makes the console the output.
pub fn mount_own() -> Result<()> {
    for (kind, target) in [("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev")] {
        fs::create_dir_all(target).with_context(|| format!("making {target}"))?;
        match mount(
            Some(kind),
            target,
            Some(kind),
            MsFlags::empty(),
            None::<&str>,
        ) {
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

/// Loads the modules in the order of their names. One that can't be loaded is only told of: it may
/// be for hardware that is not there.
pub fn load_modules() -> Result<()> {
    let entries = fs::read_dir(MODULES).with_context(|| format!("reading {MODULES}"))?;
    let mut paths = Vec::new();
    for entry in entries {
        paths.push(entry.with_context(|| format!("reading {MODULES}"))?.path());
    }
    paths.sort();
    for path in paths {
        let result = File::open(&path)
            .map_err(anyhow::Error::from)
            .and_then(|file| Ok(finit_module(file, c"", ModuleInitFlags::empty())?));
        match result {
            Ok(()) => {}
            Err(error) if error.downcast_ref() == Some(&Errno::EEXIST) => {}
            Err(error) => say(&format!("loading {}: {error}", escape::path(&path))),
        }
        // It is in memory twice now.
        fs::remove_file(&path).with_context(|| format!("removing {}", escape::path(&path)))?;
    }
    Ok(())
}

/// The earliest time the clock is set to, in seconds since 1970: Linux refuses one that is before
/// the kernel started by its own count (Linux, kernel/time/timekeeping.c).
const EARLIEST: i64 = 86_400;

/// Sets the clock, to the earliest time there can be if that is later.
pub fn set_clock(seconds: i64) -> Result<()> {
    let seconds = seconds.max(EARLIEST);
    clock_settime(ClockId::CLOCK_REALTIME, TimeSpec::new(seconds, 0))
        .with_context(|| format!("setting the clock to {seconds}"))?;
    // Files on the planned disk have this time to the nanosecond; what is changed from now on must
    // have another, and the kernel's time of files goes in steps of up to 10 ms.
    thread::sleep(Duration::from_millis(25));
    Ok(())
}

/// Kills every other process, and waits until they are gone.
pub fn end_others() {
    // It fails only if there is none.
    let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
    while wait().is_ok() {}
}

/// Makes a mount, and the directory for it.
pub fn mount_at(source: &str, target: &Path, kind: Option<&str>, flags: MsFlags) -> Result<()> {
    let name = || format!("mounting {source} on {}", escape::path(target));
    fs::create_dir_all(target).with_context(name)?;
    mount(Some(source), target, kind, flags, None::<&str>).with_context(name)
}
