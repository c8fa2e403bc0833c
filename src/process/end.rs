//! How a process ends: the signals that terminate it, and the likely reason for each.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use indicatif::HumanBytes;
use nix::libc::{self, c_int};
use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage};
use nix::sys::signal::Signal;

use crate::sys;

/// The signals that do not terminate a process (signal(7)), and the two that cannot be caught.
const OTHERS: [c_int; 9] = [
    libc::SIGCHLD,
    libc::SIGCONT,
    libc::SIGTSTP,
    libc::SIGTTIN,
    libc::SIGTTOU,
    libc::SIGURG,
    libc::SIGWINCH,
    libc::SIGKILL,
    libc::SIGSTOP,
];

/// Every signal that can be caught and otherwise terminates a process, except those that this
/// process ignores.
pub fn signals() -> Vec<c_int> {
    // The numbers between the two ranges are used by the C library.
    let all = (1..=libc::SIGSYS).chain(sys::real_time_signals());
    all.filter(|signal| !OTHERS.contains(signal) && !sys::ignores(*signal))
        .collect()
}

/// The name of a signal, such as `SIGTERM`.
fn name(signal: c_int) -> String {
    match Signal::try_from(signal) {
        Ok(signal) => signal.as_str().to_owned(),
        Err(_) => format!("signal {signal}"),
    }
}

const NO_MEMORY: &str = "probably due to a lack of memory";
const NO_TIME: &str = "it exceeded its CPU time limit (ulimit -t)";
const TOO_LARGE: &str = "it exceeded its file size limit (ulimit -f)";

/// Returns the likely reason for a signal that killed a tool, if it is one that users do not send.
/// Messages append it to the `status`.
pub fn hint(status: ExitStatus) -> String {
    match status.signal() {
        Some(libc::SIGKILL) => format!(", {NO_MEMORY}"),
        Some(libc::SIGXCPU) => format!(": {NO_TIME}"),
        Some(libc::SIGXFSZ) => format!(": {TOO_LARGE}"),
        _ => String::new(),
    }
}

/// Whether the kernel, or the program itself, uses `signal` to terminate a process that cannot
/// continue.
pub fn is_fault(signal: c_int) -> bool {
    [
        libc::SIGKILL,
        libc::SIGABRT,
        libc::SIGSEGV,
        libc::SIGBUS,
        libc::SIGILL,
        libc::SIGFPE,
        libc::SIGTRAP,
        libc::SIGSYS,
    ]
    .contains(&signal)
}

/// Returns the message for a signal that terminated the build process: the likely reason, and what
/// to do.
pub fn of_build(signal: c_int) -> String {
    let name = name(signal);
    match signal {
        libc::SIGABRT => format!(
            "the build could not continue ({name}), {NO_MEMORY}; {}",
            memory()
        ),
        libc::SIGKILL if cpu_time_is_used_up() => {
            format!("the build was killed ({name}): {NO_TIME}; raise the limit")
        }
        libc::SIGKILL => format!(
            "the build was killed ({name}), {NO_MEMORY} on the machine or in its \
             control group; {}",
            memory()
        ),
        libc::SIGXCPU => format!("the build was terminated by {name}: {NO_TIME}; raise the limit"),
        // The memory of a guest is a file that this program has mapped.
        libc::SIGBUS => format!(
            "the build was terminated by {name}: if a guest was running, the file system with its memory \
             is full: free space in /dev/shm and TMPDIR, or set guestMachine to \"tcg\""
        ),
        _ => format!("the build was terminated by {name}"),
    }
}

fn memory() -> String {
    let used = getrusage(UsageWho::RUSAGE_CHILDREN).map_or(0, |usage| usage.max_rss());
    let used = u64::try_from(used).unwrap_or(0).saturating_mul(1024);
    let limit = match getrlimit(Resource::RLIMIT_AS) {
        Ok((limit, _)) if limit != libc::RLIM_INFINITY => {
            format!(", and its limit is {} (ulimit -v)", HumanBytes(limit))
        }
        _ => String::new(),
    };
    format!(
        "its largest process used {} of memory{limit}: provide more",
        HumanBytes(used)
    )
}

fn cpu_time_is_used_up() -> bool {
    let Ok((_, limit)) = getrlimit(Resource::RLIMIT_CPU) else {
        return false;
    };
    let Ok(usage) = getrusage(UsageWho::RUSAGE_CHILDREN) else {
        return false;
    };
    let used = usage.user_time() + usage.system_time();
    u64::try_from(used.tv_sec()).is_ok_and(|seconds| seconds.saturating_add(1) >= limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_every_fatal_signal() {
        let fatal = signals();
        // Rust's runtime ignores SIGPIPE.
        for signal in [
            libc::SIGHUP,
            libc::SIGQUIT,
            libc::SIGSEGV,
            libc::SIGUSR1,
            libc::SIGALRM,
            libc::SIGSTKFLT,
            libc::SIGXCPU,
            libc::SIGXFSZ,
            libc::SIGVTALRM,
            libc::SIGPROF,
            libc::SIGIO,
            libc::SIGPWR,
            libc::SIGSYS,
            libc::SIGRTMAX(),
        ] {
            // Some may be ignored in the environment of the tests, for example by nohup.
            let ends = !sys::ignores(signal);
            assert_eq!(fatal.contains(&signal), ends, "{}", name(signal));
        }
        for signal in [libc::SIGPIPE, libc::SIGCHLD, libc::SIGKILL, 32] {
            assert!(!fatal.contains(&signal), "{}", name(signal));
        }
        assert_eq!(name(libc::SIGRTMAX()), "signal 64");
        assert_eq!(name(libc::SIGXCPU), "SIGXCPU");
    }

    #[test]
    fn a_lack_of_room_for_the_memory_of_a_guest_is_explained() {
        assert_eq!(
            of_build(libc::SIGBUS),
            "the build was terminated by SIGBUS: if a guest was running, the file system with its \
             memory is full: free space in /dev/shm and TMPDIR, or set guestMachine to \"tcg\""
        );
        assert_eq!(
            of_build(libc::SIGTERM),
            "the build was terminated by SIGTERM"
        );
    }
}
