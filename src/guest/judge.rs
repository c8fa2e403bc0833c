//! Turns the end of a guest into success, or an error with advice.

use anyhow::Result;

use super::attempt::Ended;
use super::console::End;
use super::halt::{Failure, Unwritable};
use crate::code::Code;
use crate::escape;
use crate::spec::Machine;

/// Memory that is known to be enough for a guest without special needs, in MiB.
const USUAL_MEMORY: u64 = 1024;

/// Returns an error unless the guest did all its tasks.
pub fn judge(machine: &Machine, run: &Ended) -> Result<()> {
    let console = &run.console;
    match &run.failure {
        Some(Failure::Unreadable(error)) => {
            let code = Code::added_to(error).unwrap_or(Code::Guest);
            return Err(code.error(format!(
                "{error:#}\nthe guest cannot continue and was stopped\n{}",
                console.history().tail()
            )));
        }
        Some(Failure::Unwritable(failure)) => {
            let tail = console.history().tail();
            return Err(Code::NoSpace.error(format!("{}\n{tail}", unwritable(failure))));
        }
        None => {}
    }
    let failure = match (run.end, &console.history().panic) {
        (End::Exit(0), _) => return Ok(()),
        (End::Exit(_), _) => {
            let reason = console.failure.clone();
            format!("the guest failed: {}", reason.unwrap_or_default())
        }
        (End::Closed, Some(reason)) => format!("the guest's kernel panicked ({reason})"),
        (End::Closed, None) => format!(
            "the guest ended after {} s without finishing",
            run.time.as_secs()
        ),
        (End::NotStarted, _) => format!("the guest did not start within {} s", run.time.as_secs()),
        (End::Stopped, _) => "the guest was stopped".to_owned(),
        (End::Late, _) => format!(
            "the guest did not finish within {} s and was stopped",
            run.time.as_secs()
        ),
    };
    let messages = match run.messages.as_str() {
        "" => String::new(),
        messages => format!("\nlast output of {}: {messages}", run.machine),
    };
    let (code, advice) = advice(machine, run);
    Err(code.error(format!(
        "{failure}{advice}{messages}\n{}",
        console.history().tail()
    )))
}

fn unwritable(failure: &Unwritable) -> String {
    let bytes = |free: Option<u64>| free.map_or("?".to_owned(), |free| free.to_string());
    let (before, after) = failure.free;
    format!(
        "storing the guest's writes in {}: {}; {} bytes were free there when the guest started, and \
         {} when it failed; the guest can need up to {}: free space there, or set TMPDIR to a \
         directory with more space",
        escape::path(&failure.directory),
        escape::bytes(failure.reason.as_bytes()),
        bytes(before),
        bytes(after),
        failure.needed
    )
}

/// Returns the code of the error, and what to change, if that is known.
fn advice(machine: &Machine, run: &Ended) -> (Code, String) {
    let console = &run.console;
    // With far too little memory, the kernel reports nothing about it, or does not find its initrd.
    let silent = !console.started() && machine.memory < USUAL_MEMORY / 4;
    if console.history().memory || silent {
        let more = machine.memory.saturating_mul(2).max(USUAL_MEMORY);
        let text = format!(
            ": {} MiB of memory is not enough: set memSize to at least {more}",
            machine.memory
        );
        return (Code::GuestMemory, text);
    }
    let panic = console.history().panic.as_deref().unwrap_or_default();
    // SIGBUS: a page of the guest's memory, which is a file, could not be stored.
    if panic.contains("Kernel mode signal 7") {
        let text = ": the file system with the guest's memory is full: free space in /dev/shm and TMPDIR, \
                    or set guestMachine to \"tcg\"";
        return (Code::NoSpace, text.to_owned());
    }
    if console.history().full {
        let text = ": a file system is full: if it is the image's, set a larger diskSize (root file \
                    system) or bootSize (boot partitions); if it is the guest's ($HOME, /run), set a \
                    larger memSize";
        return (Code::Guest, text.to_owned());
    }
    match run.end {
        End::Late | End::NotStarted => {
            let text = ": if the machine is just slow, set a larger guestTimeout (in seconds)";
            (Code::GuestTime, text.to_owned())
        }
        _ => (Code::Guest, String::new()),
    }
}

#[cfg(test)]
mod tests;
