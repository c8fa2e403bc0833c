//! The signals that end a process.

use nix::libc::{self, c_int};

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
pub fn ending() -> Vec<c_int> {
    // The numbers between the two ranges are used by the C library.
    let all = (1..=libc::SIGSYS).chain(sys::real_time_signals());
    all.filter(|signal| !OTHERS.contains(signal) && !sys::ignores(*signal))
        .collect()
}

/// The name of a signal, as in `SIGTERM`.
pub fn name(signal: c_int) -> String {
    match nix::sys::signal::Signal::try_from(signal) {
        Ok(signal) => signal.as_str().to_owned(),
        Err(_) => format!("signal {signal}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_end_are_there() {
        let ending = ending();
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
            assert!(ending.contains(&signal), "{}", name(signal));
        }
        for signal in [libc::SIGPIPE, libc::SIGCHLD, libc::SIGKILL, 32] {
            assert!(!ending.contains(&signal), "{}", name(signal));
        }
        assert_eq!(name(libc::SIGRTMAX()), "signal 64");
        assert_eq!(name(libc::SIGXCPU), "SIGXCPU");
    }
}
