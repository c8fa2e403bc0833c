//! How a process ends: the signals that end one, and what each tells of the reason.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use indicatif::HumanBytes;
use nix::libc::{self, c_int};
use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage};
use nix::sys::signal::Signal;

use crate::sys;

/// Those that don't (signal(7)), and the two that nobody can do anything about.
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

/// Every signal that can be caught and ends a process that doesn't, but those that this process
/// ignores.
pub fn signals() -> Vec<c_int> {
    // The numbers between the two ranges are used by the C library.
    let all = (1..=libc::SIGSYS).chain(sys::real_time_signals());
    all.filter(|signal| !OTHERS.contains(signal) && !sys::ignores(*signal))
        .collect()
}

/// The name of a signal, as in `SIGTERM`.
fn name(signal: c_int) -> String {
    match Signal::try_from(signal) {
        Ok(signal) => signal.as_str().to_owned(),
        Err(_) => format!("signal {signal}"),
    }
}

const NO_MEMORY: &str = "most likely for want of memory";
const NO_TIME: &str = "its processor time is used up (ulimit -t)";
const TOO_LARGE: &str = "it may write no file as large as that (ulimit -f)";

/// What the end of a tool tells beyond its `status`: the reason for a signal that nobody sends on
/// purpose, to come right behind it.
pub fn hint(status: ExitStatus) -> String {
    match status.signal() {
        Some(libc::SIGKILL) => format!(", {NO_MEMORY}"),
        Some(libc::SIGXCPU) => format!(": {NO_TIME}"),
        Some(libc::SIGXFSZ) => format!(": {TOO_LARGE}"),
        _ => String::new(),
    }
}

/// Whether `signal` is how the kernel, or the program itself, ends a process that can't go on.
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

/// What a signal that ended the process that builds tells, for a message, and what to do.
pub fn of_build(signal: c_int) -> String {
    let name = name(signal);
    match signal {
        libc::SIGABRT => format!(
            "the build could not go on ({name}), {NO_MEMORY}; {}",
            memory()
        ),
        libc::SIGKILL if processor_time_is_used_up() => {
            format!("the build was killed ({name}): {NO_TIME}; allow it more")
        }
        libc::SIGKILL => format!(
            "the build was killed ({name}), {NO_MEMORY} on the machine or in its \
             control group; {}",
            memory()
        ),
        libc::SIGXCPU => format!("the build was ended by {name}: {NO_TIME}; allow it more"),
        _ => format!("the build was ended by {name}"),
    }
}

fn memory() -> String {
    let used = getrusage(UsageWho::RUSAGE_CHILDREN).map_or(0, |usage| usage.max_rss());
    let used = u64::try_from(used).unwrap_or(0).saturating_mul(1024);
    let limit = match getrlimit(Resource::RLIMIT_AS) {
        Ok((limit, _)) if limit != libc::RLIM_INFINITY => {
            format!(", and a process may have {} (ulimit -v)", HumanBytes(limit))
        }
        _ => String::new(),
    };
    format!(
        "its largest process had {} of memory{limit}: allow it more",
        HumanBytes(used)
    )
}

fn processor_time_is_used_up() -> bool {
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
    fn all_that_end_are_there() {
        let ending = signals();
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
            // What runs the tests may ignore some, as nohup does.
            let ends = !sys::ignores(signal);
            assert_eq!(ending.contains(&signal), ends, "{}", name(signal));
        }
        for signal in [libc::SIGPIPE, libc::SIGCHLD, libc::SIGKILL, 32] {
            assert!(!ending.contains(&signal), "{}", name(signal));
        }
        assert_eq!(name(libc::SIGRTMAX()), "signal 64");
        assert_eq!(name(libc::SIGXCPU), "SIGXCPU");
    }
}
