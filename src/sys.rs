//! System calls that no crate wraps safely. The only module with `unsafe`.
#![allow(unsafe_code)]

use std::env::consts::ARCH;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus};

use nix::errno::Errno;
use nix::libc::{self, c_int};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::prctl;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::unistd::{ForkResult, Pid};

mod clone {
    use nix::libc::file_clone_range;

    nix::ioctl_write_ptr!(range, 0x94, 13, file_clone_range);
}

/// Makes `length` bytes of `output` from `to` on share blocks with those of `input` from `from` on
/// (`FICLONERANGE`, ioctl_ficlonerange(2)). All three have to be multiples of the block size, in
/// bytes.
///
/// # Errors
/// Those of the system call: most file systems cannot share blocks.
pub fn clone_range(
    input: &File,
    output: &File,
    from: u64,
    to: u64,
    length: u64,
) -> nix::Result<()> {
    let range = libc::file_clone_range {
        src_fd: input.as_raw_fd().into(),
        src_offset: from,
        src_length: length,
        dest_offset: to,
    };
    // SAFETY: both files are open, and the kernel only reads the structure.
    unsafe { clone::range(output.as_raw_fd(), &range) }.map(drop)
}

/// Forks this process (fork(2)). The child is killed when the parent exits, for whatever reason.
///
/// # Errors
/// Those of the system calls, and EBUSY if there is more than one thread: the child would have only
/// one of them, and locks held by the others would never be released.
pub fn fork() -> nix::Result<ForkResult> {
    let threads = fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
    if threads > 1 + threads_of_emulator() {
        return Err(Errno::EBUSY);
    }
    let parent = nix::unistd::getpid();
    // SAFETY: with one thread, the child may do everything that this process may.
    let side = unsafe { nix::unistd::fork()? };
    if side.is_child() {
        die_with(parent)?;
    }
    Ok(side)
}

/// The threads of this process that belong to an emulator (QEMU's user mode, which Nix uses for builds
/// for another architecture). It has one of its own, which it restarts in the child.
fn threads_of_emulator() -> usize {
    let kernel = fs::read_to_string("/proc/sys/kernel/arch");
    kernel.is_ok_and(|kernel| kernel.trim_end() != ARCH).into()
}

/// Makes the kernel kill the child that `command` starts when the thread that started it exits, for
/// whatever reason (`PR_SET_PDEATHSIG`, prctl(2)). Start it on the main thread, or on one that
/// waits for it.
pub fn die_with_parent(command: &mut Command) -> &mut Command {
    let parent = nix::unistd::getpid();
    // SAFETY: between fork and exec only async-signal-safe calls are made: sigprocmask(2), prctl(2)
    // and getppid(2), and none allocates.
    unsafe {
        command.pre_exec(move || {
            SigSet::all().thread_unblock()?;
            Ok(die_with(parent)?)
        })
    }
}

fn die_with(parent: Pid) -> nix::Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    // The parent may have exited before the call above.
    match nix::unistd::getppid() == parent {
        true => Ok(()),
        false => Err(Errno::ESRCH),
    }
}

/// Keeps the child that `command` starts, and its own children, on the processor on which it begins
/// (sched_setaffinity(2)). The kernel chooses that one when it forks, among those that have least to do.
/// It may refuse, which changes nothing but the child's speed.
pub fn keep_on_one_processor(command: &mut Command) -> &mut Command {
    // SAFETY: between fork and exec only getcpu(2) and sched_setaffinity(2) are called, which are
    // async-signal-safe, and none allocates.
    unsafe {
        command.pre_exec(|| {
            let mut processor = CpuSet::new();
            let chosen = nix::sched::sched_getcpu().and_then(|number| processor.set(number));
            let _ = chosen.and_then(|()| sched_setaffinity(Pid::from_raw(0), &processor));
            Ok(())
        })
    }
}

/// Gives the child that `command` starts the file mode creation mask `mask` (umask(2)), independent
/// of ours.
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

/// Whether this process ignores `signal`. nohup(1) makes its child ignore SIGHUP, and a shell
/// without job control makes background processes ignore SIGINT.
pub fn ignores(signal: c_int) -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: without a new action, sigaction(2) only fills in the current one. If it fails, the
    // zeros are a valid value, too.
    let action = unsafe {
        libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr());
        action.assume_init()
    };
    action.sa_sigaction == libc::SIG_IGN
}

/// Gives `signal` its default action.
pub fn set_default(signal: c_int) {
    // SAFETY: the default action runs no code of this process.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
}

/// Makes a write beyond the file size limit (`ulimit -f`) fail with EFBIG instead of killing this
/// process. In children, the signal (SIGXFSZ) keeps its previous action.
///
/// # Errors
/// That of sigaction(2).
pub fn survive_file_size_signal() -> nix::Result<()> {
    extern "C" fn handler(_: c_int) {}
    if ignores(libc::SIGXFSZ) {
        return Ok(());
    }
    // The signal is handled, not ignored: execve(2) resets only handled signals to their default
    // action.
    let action = SigAction::new(
        SigHandler::Handler(handler),
        SaFlags::SA_RESTART,
        SigSet::empty(),
    );
    // SAFETY: the handler does nothing.
    unsafe { sigaction(Signal::SIGXFSZ, &action).map(drop) }
}

/// The numbers of the real-time signals (signal(7)), which `nix` has no names for.
pub fn real_time_signals() -> std::ops::RangeInclusive<c_int> {
    libc::SIGRTMIN()..=libc::SIGRTMAX()
}

/// Blocks `signals` in this thread and those that it starts, until they are waited for.
///
/// # Errors
/// That of sigprocmask(2).
pub fn block(signals: &[c_int]) -> nix::Result<()> {
    let set = set_of(signals);
    // SAFETY: the set lives through the call.
    let result =
        unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
    match result {
        0 => Ok(()),
        error => Err(Errno::from_raw(error)),
    }
}

/// Waits for one of `signals`, which must be blocked, and returns it.
///
/// # Errors
/// That of sigwaitinfo(2), if a number is not a signal.
pub fn wait_for_signal(signals: &[c_int]) -> io::Result<c_int> {
    let set = set_of(signals);
    loop {
        // SAFETY: the set lives through the call.
        match unsafe { libc::sigwaitinfo(&raw const set, std::ptr::null_mut()) } {
            -1 if Errno::last() == Errno::EINTR => {}
            -1 => return Err(io::Error::last_os_error()),
            signal => return Ok(signal),
        }
    }
}

/// Returns the set of `signals`. It may contain real-time signals, which `nix` does not support.
fn set_of(signals: &[c_int]) -> libc::sigset_t {
    let mut set = std::mem::MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: sigemptyset(3) initializes the set before the other calls use it.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for signal in signals {
            libc::sigaddset(set.as_mut_ptr(), *signal);
        }
        set.assume_init()
    }
}

/// Terminates this process by the default action of `signal`. It returns if there is none, as in
/// the first process of a PID namespace.
pub fn die_of(signal: c_int) {
    set_default(signal);
    let set = set_of(&[signal]);
    // SAFETY: the set lives through the call.
    unsafe {
        libc::raise(signal);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, std::ptr::null_mut());
    }
}

/// Returns a child that has exited, and its status, or `None` if all are still running.
///
/// # Errors
/// ECHILD if there are no children at all.
pub fn reap() -> nix::Result<Option<(Pid, ExitStatus)>> {
    let mut status = 0;
    // SAFETY: waitpid(2) writes only to `status`. (The wrapper of `nix` fails for a child that was
    // killed by a real-time signal.)
    let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
    match Errno::result(pid)? {
        0 => Ok(None),
        pid => Ok(Some((Pid::from_raw(pid), ExitStatus::from_raw(status)))),
    }
}

/// Returns the flags of the inode of `file`, as set by chattr(1) (`FS_IOC_GETFLAGS`,
/// ioctl_iflags(2)).
///
/// # Errors
/// If its file system has no flags, usually `ENOTTY`.
pub fn inode_flags(file: &impl AsFd) -> nix::Result<u32> {
    let mut flags: c_int = 0;
    // SAFETY: the descriptor is open as long as `file` is borrowed, and the kernel writes an int,
    // although the number of this call encodes a long.
    let result = unsafe {
        libc::ioctl(
            file.as_fd().as_raw_fd(),
            libc::FS_IOC_GETFLAGS,
            &raw mut flags,
        )
    };
    Errno::result(result)?;
    Ok(flags.cast_unsigned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_and_its_children_stay_on_one_processor() {
        let mut command = Command::new("sh");
        command.args(["-c", "sh -c 'grep Cpus_allowed_list: /proc/self/status'"]);
        let output = keep_on_one_processor(&mut command).output().unwrap();
        let line = String::from_utf8(output.stdout).unwrap();
        let number = line.strip_prefix("Cpus_allowed_list:").unwrap().trim();
        let number: usize = number.parse().expect(&line);
        let own = nix::sched::sched_getaffinity(Pid::from_raw(0)).unwrap();
        assert!(own.is_set(number).unwrap(), "{line}");
    }
}
