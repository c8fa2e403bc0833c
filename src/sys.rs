//! System calls that no crate wraps safely. The only module with `unsafe`.
#![allow(unsafe_code)]

use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::fcntl::{FcntlArg, FdFlag};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};

/// Makes the kernel kill the child that `command` starts when the thread that started it ends,
/// however it ends (`PR_SET_PDEATHSIG`, prctl(2)). Start it on the main thread, or on one that
/// waits for it.
pub fn die_with_parent(command: &mut Command) -> &mut Command {
    let parent = nix::unistd::getpid();
    // SAFETY: between fork and exec only async-signal-safe calls are made: sigprocmask(2),
    // prctl(2) and getppid(2), and none allocates.
    unsafe {
        command.pre_exec(move || {
            // We block the signals that end us (see `signals`); a child must not inherit that.
            SigSet::all().thread_unblock()?;
            prctl::set_pdeathsig(Signal::SIGKILL)?;
            // The parent may be gone since before the call above.
            if nix::unistd::getppid() != parent {
                return Err(nix::errno::Errno::ESRCH.into());
            }
            Ok(())
        })
    }
}

/// Lets the child that `command` starts have `file`, under the same number, for as long as `command`
/// lives. No other child gets it.
pub fn inherit(command: &mut Command, file: OwnedFd) -> RawFd {
    let number = file.as_raw_fd();
    // SAFETY: between fork and exec only fcntl(2) is called, which is async-signal-safe; `file` is
    // in the closure and so is open.
    unsafe {
        command.pre_exec(move || {
            nix::fcntl::fcntl(&file, FcntlArg::F_SETFD(FdFlag::empty()))?;
            Ok(())
        });
    }
    number
}

/// Gives the child that `command` starts the file mode creation mask `mask` (umask(2)), whatever
/// ours is.
pub fn umask(command: &mut Command, mask: u32) -> &mut Command {
    let mask = nix::sys::stat::Mode::from_bits_truncate(mask);
    // SAFETY: between fork and exec only umask(2) is called, which is async-signal-safe and
    // can't fail.
    unsafe {
        command.pre_exec(move || {
            nix::sys::stat::umask(mask);
            Ok(())
        })
    }
}

/// Whether this process ignores `signal`: as nohup(1) has it for SIGHUP, and a shell without job
/// control for SIGINT of what it runs in the background.
pub fn ignores(signal: Signal) -> bool {
    let mut action = std::mem::MaybeUninit::<nix::libc::sigaction>::zeroed();
    // SAFETY: without a new action sigaction(2) only fills in the present one; where it fails, the
    // zeros that are there are a valid value, too.
    let action = unsafe {
        nix::libc::sigaction(
            signal as nix::libc::c_int,
            std::ptr::null(),
            action.as_mut_ptr(),
        );
        action.assume_init()
    };
    action.sa_sigaction == nix::libc::SIG_IGN
}

/// The flags of the inode that `file` is open on, as chattr(1) sets them (`FS_IOC_GETFLAGS`,
/// ioctl_iflags(2)).
///
/// # Errors
/// Where its file system has no flags, mostly `ENOTTY`.
pub fn inode_flags(file: &impl AsFd) -> nix::Result<u32> {
    let mut flags: nix::libc::c_int = 0;
    // SAFETY: the descriptor is open as long as `file` is borrowed, and the kernel writes an int,
    // whatever the long in the number of this call says.
    let result = unsafe {
        nix::libc::ioctl(
            file.as_fd().as_raw_fd(),
            nix::libc::FS_IOC_GETFLAGS,
            &raw mut flags,
        )
    };
    nix::errno::Errno::result(result)?;
    Ok(flags.cast_unsigned())
}
