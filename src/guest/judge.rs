//! What became of a guest, as an error that says what to change.

use anyhow::{Result, bail};

use super::attempt::Ended;
use super::console::End;
use super::machine::Unwritable;
use crate::escape;
use crate::spec::Machine;

/// Memory with which a guest without further needs is known to work, in MiB.
const USUAL_MEMORY: u64 = 1024;

/// An error, unless the guest did all that it should.
pub fn judge(machine: &Machine, run: &Ended) -> Result<()> {
    let console = &run.console;
    if let Err(error) = &run.served {
        bail!(
            "{error:#}\nthe guest can't go on without that, and was ended\n{}",
            console.said().tail()
        );
    }
    if let Some(why) = &run.unwritable {
        bail!("{}\n{}", unwritable(why), console.said().tail());
    }
    let what = match (run.end, &console.said().panic) {
        (End::Exit(0), _) => return Ok(()),
        (End::Exit(_), _) => {
            let reason = console.failure.clone();
            format!("the guest failed: {}", reason.unwrap_or_default())
        }
        (End::Closed, Some(reason)) => format!("the guest's kernel panicked ({reason})"),
        (End::Closed, None) => format!(
            "the guest ended after {} s without having finished",
            run.time.as_secs()
        ),
        (End::NotStarted, _) => format!("the guest did not start within {} s", run.time.as_secs()),
        (End::Stopped, _) => "the guest was ended".to_owned(),
        (End::Late, _) => format!(
            "the guest did not finish within {} s, and was ended",
            run.time.as_secs()
        ),
    };
    let said = match run.said.as_str() {
        "" => String::new(),
        said => format!("\n{} said: {said}", run.machine),
    };
    bail!(
        "{what}{}{said}\n{}",
        advice(machine, run),
        console.said().tail()
    )
}

fn unwritable(why: &Unwritable) -> String {
    let bytes = |free: Option<u64>| free.map_or("?".to_owned(), |free| free.to_string());
    let (before, now) = why.free;
    format!(
        "{} does not take what the guest writes: {}; {} bytes were free there when the guest began, \
         and {} when it could not go on; it can take up to {}: make room there, or set TMPDIR to a \
         directory that has more",
        escape::path(&why.directory),
        escape::bytes(why.reason.as_bytes()),
        bytes(before),
        bytes(now),
        why.needed
    )
}

/// What to change, where that can be known.
fn advice(machine: &Machine, run: &Ended) -> String {
    let console = &run.console;
    // With much too little, there is no word of it, or the initrd is not there.
    let silent = !console.started() && machine.memory < USUAL_MEMORY / 4;
    if console.said().memory || silent {
        let more = machine.memory.saturating_mul(2).max(USUAL_MEMORY);
        return format!(
            ": {} MiB of memory were too little: set memSize to at least {more}",
            machine.memory
        );
    }
    if console.said().full {
        return ": a file system was full: of the image, set a larger diskSize (the root file system) or \
                bootSize (the boot partitions); of the guest ($HOME, /run), set a larger memSize"
            .to_owned();
    }
    match run.end {
        End::Late | End::NotStarted => ": set guestTimeout to a larger number of seconds if the \
                                        machine is only slow"
            .to_owned(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests;
