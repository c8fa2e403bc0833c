//! One round: the image of a system is built without a guest, and on each machine.

use std::fmt;
use std::path::Path;

use crate::image::{Usage, build};
use crate::system::System;
use crate::times::Times;

/// The figures of a round.
pub struct Round {
    /// The build without a guest.
    pub without: Usage,
    /// The build with a guest in User-Mode Linux.
    pub uml: Guest,
    /// The build with an emulated guest.
    pub emulated: Guest,
}

/// The figures of a build with a guest.
pub struct Guest {
    /// The whole build.
    pub build: Usage,
    /// The times of the stage.
    pub times: Times,
    /// Seconds of CPU time of the stage: that of the build minus that of the build without a guest.
    pub cpu: f64,
}

impl Round {
    /// Builds the images of `system`, with files in `scratch`. If `check` is true, other programs check
    /// those with a guest.
    pub fn run(system: &System, scratch: &Path, check: bool) -> Round {
        let (without, _) = build(system, None, scratch, false);
        let guest = |machine| {
            let (build, log) = build(system, Some(machine), scratch, check);
            Guest {
                build,
                times: Times::read(&log),
                cpu: build.cpu - without.cpu,
            }
        };
        Round {
            without,
            uml: guest("uml"),
            emulated: guest("tcg"),
        }
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, guest) in [("uml", &self.uml), ("emulated", &self.emulated)] {
            write!(
                f,
                "{name} {:.2} s of {:.2} s, CPU {:.2} s  ",
                guest.times.ours(),
                guest.times.whole(),
                guest.cpu
            )?;
        }
        let Usage { seconds, cpu } = self.without;
        write!(f, "without {seconds:.2} s, CPU {cpu:.2} s")
    }
}
