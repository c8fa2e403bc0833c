//! The part of a guest's console output that is logged.

/// The most bytes that are logged: as much as a person can read, and less than a slow log may delay.
const MAX_LOGGED: usize = 1 << 20;

/// Passes lines to the log.
pub struct Echo {
    /// Bytes that may still be logged.
    left: usize,
    /// Lines and bytes that were not logged.
    omitted: (u64, u64),
}

impl Echo {
    /// Returns an echo that has logged nothing.
    pub fn new() -> Echo {
        Echo {
            left: MAX_LOGGED,
            omitted: (0, 0),
        }
    }

    /// Logs a line, unless the limit is reached.
    pub fn line(&mut self, line: &str) {
        match self.left.checked_sub(line.len()) {
            Some(left) if self.omitted.0 == 0 => {
                self.left = left;
                log::info!("{line}");
            }
            _ => {
                if self.omitted.0 == 0 {
                    log::info!(
                        "guest: more than {MAX_LOGGED} bytes of output; the rest is not logged"
                    );
                }
                self.omitted.0 += 1;
                // usize to u64: lossless on every target Rust has.
                self.omitted.1 = self.omitted.1.saturating_add(line.len() as u64);
            }
        }
    }

    /// Logs how much was left out.
    pub fn finish(&self) {
        if let (lines @ 1.., bytes) = self.omitted {
            log::info!("guest: {lines} lines of output ({bytes} bytes) were not logged");
        }
    }
}
