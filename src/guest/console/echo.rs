//! What of a guest's console goes to the log.

/// How much that is at most, in bytes: what a person reads, and less than may wait for the log.
const MOST: usize = 1 << 20;

/// Lines on their way to the log.
pub struct Echo {
    /// Bytes that may still come.
    left: usize,
    /// Lines and bytes that came after them.
    omitted: (u64, u64),
}

impl Echo {
    /// Nothing yet.
    pub fn new() -> Echo {
        Echo {
            left: MOST,
            omitted: (0, 0),
        }
    }

    /// One more line, unless there were too many.
    pub fn line(&mut self, line: &str) {
        match self.left.checked_sub(line.len()) {
            Some(left) if self.omitted.0 == 0 => {
                self.left = left;
                log::info!("{line}");
            }
            _ => {
                if self.omitted.0 == 0 {
                    log::info!("guest: it says more than the {MOST} bytes that go to the log");
                }
                self.omitted.0 += 1;
                // usize to u64: lossless on every target Rust has.
                self.omitted.1 = self.omitted.1.saturating_add(line.len() as u64);
            }
        }
    }

    /// Says how much was left out.
    pub fn finish(&self) {
        if let (lines @ 1.., bytes) = self.omitted {
            log::info!("guest: {lines} lines of it, {bytes} bytes, are not in the log");
        }
    }
}
