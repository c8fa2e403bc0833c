//! What the program's log says of times.

/// Seconds of the guest stage.
pub struct Times {
    /// Planning the guest's disk and making its metadata.
    pub plan: f64,
    /// From QEMU's start to the first word of the guest's init.
    pub boot: f64,
    /// What the image's own programs took in the guest.
    pub programs: f64,
    /// Putting what the guest changed into the tree.
    pub merge: f64,
    /// Planning the disk once more.
    pub again: f64,
    /// Everything from the guest's initrd to its report.
    run: f64,
    /// Whether the guest's processor was emulated.
    pub emulated: bool,
}

impl Times {
    /// Reads them in the log.
    pub fn read(log: &str) -> Times {
        Times {
            plan: step(log, "planning the disk that the guest boots"),
            boot: after(log, "  the guest's init ran after "),
            programs: after(log, "guest: the image's own programs took "),
            merge: step(log, "putting what the guest changed into the image"),
            again: step(log, "planning the disk"),
            run: step(log, "running the guest"),
            emulated: log.contains("the guest is emulated"),
        }
    }

    /// What is ours of the time of the guest.
    pub fn guest(&self) -> f64 {
        self.run - self.boot - self.programs
    }

    /// All that is ours.
    pub fn ours(&self) -> f64 {
        self.plan + self.guest() + self.merge + self.again
    }

    /// The whole stage.
    pub fn whole(&self) -> f64 {
        self.ours() + self.boot + self.programs
    }
}

/// The time of a step: the first line behind `what` that has only that.
fn step(log: &str, what: &str) -> f64 {
    let mut lines = log.lines().skip_while(|line| *line != what);
    lines
        .find_map(|line| line.strip_prefix("  ")?.strip_suffix(" s")?.parse().ok())
        .unwrap_or_else(|| panic!("no time of \"{what}\" in: {log}"))
}

/// The seconds behind `prefix`.
fn after(log: &str, prefix: &str) -> f64 {
    log.lines()
        .find_map(|line| line.strip_prefix(prefix)?.strip_suffix(" s")?.parse().ok())
        .unwrap_or_else(|| panic!("no line \"{prefix}… s\" in: {log}"))
}
