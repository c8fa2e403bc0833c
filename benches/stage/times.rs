//! The times of the steps, from the program's log.

/// Seconds of the guest stage.
pub struct Times {
    /// Planning the guest's disk and generating its metadata.
    pub plan: f64,
    /// From the start of the machine until the guest's init starts.
    pub boot: f64,
    /// The image's own programs in the guest.
    pub programs: f64,
    /// Merging the guest's changes into the tree.
    pub merge: f64,
    /// Planning the disk again.
    pub again: f64,
    /// Everything from the guest's initrd to its report.
    run: f64,
}

impl Times {
    /// Parses the log.
    pub fn read(log: &str) -> Times {
        Times {
            plan: step(log, "planning the guest's disk"),
            boot: after(log, "  the guest's init started after "),
            programs: after(log, "guest: the image's own programs took "),
            merge: step(log, "merging the guest's changes into the image"),
            again: step(log, "planning the disk"),
            run: step(log, "running the guest"),
        }
    }

    /// Returns the time that this program takes while the guest runs.
    pub fn guest(&self) -> f64 {
        self.run - self.boot - self.programs
    }

    /// Returns the total time of this program.
    pub fn ours(&self) -> f64 {
        self.plan + self.guest() + self.merge + self.again
    }

    /// Returns the time of the whole stage.
    pub fn whole(&self) -> f64 {
        self.ours() + self.boot + self.programs
    }
}

/// Returns the time of a step: the first line after `title` that contains only a time.
fn step(log: &str, title: &str) -> f64 {
    let mut lines = log.lines().skip_while(|line| *line != title);
    lines
        .find_map(|line| line.strip_prefix("  ")?.strip_suffix(" s")?.parse().ok())
        .unwrap_or_else(|| panic!("no time for \"{title}\" in: {log}"))
}

/// Returns the seconds after `prefix`.
fn after(log: &str, prefix: &str) -> f64 {
    log.lines()
        .find_map(|line| line.strip_prefix(prefix)?.strip_suffix(" s")?.parse().ok())
        .unwrap_or_else(|| panic!("no line \"{prefix}… s\" in: {log}"))
}
