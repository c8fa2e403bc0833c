//! The contents of a file.

use anyhow::Result;

use super::{Region, Run};

/// Where the contents of a file are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Contents {
    /// In the metadata.
    Inline(Vec<u8>),
    /// In the file system.
    Runs {
        /// Length in bytes. What no run covers is zeros.
        size: u64,
        /// In the order of the file.
        runs: Vec<Run>,
    },
}

impl Contents {
    /// Their length in bytes.
    pub fn size(&self) -> u64 {
        match self {
            // usize to u64: lossless on every target Rust has.
            Contents::Inline(bytes) => bytes.len() as u64,
            Contents::Runs { size, .. } => *size,
        }
    }

    /// Fills `buffer` with the bytes from `at` on, of the file system in `region`. Beyond the end, they
    /// are zeros.
    ///
    /// # Errors
    /// If the image cannot be read.
    pub fn read(&self, region: &Region<'_>, at: u64, buffer: &mut [u8]) -> Result<()> {
        buffer.fill(0);
        let runs = match self {
            Contents::Inline(bytes) => {
                let from = usize::try_from(at).ok().and_then(|at| bytes.get(at..));
                for (to, from) in buffer.iter_mut().zip(from.unwrap_or_default()) {
                    *to = *from;
                }
                return Ok(());
            }
            Contents::Runs { runs, .. } => runs,
        };
        // As above.
        let end = at.saturating_add(buffer.len() as u64).min(self.size());
        let first = runs.partition_point(|run| run.at.saturating_add(run.length) <= at);
        for run in runs.iter().skip(first).take_while(|run| run.at < end) {
            let from = at.max(run.at);
            let until = end.min(run.at.saturating_add(run.length));
            let Some(place) = run.place else { continue };
            let start = usize::try_from(from.saturating_sub(at))?;
            let stop = usize::try_from(until.saturating_sub(at))?;
            let place = place.saturating_add(from.saturating_sub(run.at));
            region.read(place, &mut buffer[start..stop], "a part of a file")?;
        }
        Ok(())
    }

    /// The first byte from `at` on that may be something else than zero; the length if there is none.
    pub fn next_data(&self, at: u64) -> u64 {
        match self {
            Contents::Inline(_) => at,
            Contents::Runs { size, runs } => {
                let first = runs.partition_point(|run| run.at.saturating_add(run.length) <= at);
                let stored = runs.iter().skip(first).find(|run| run.place.is_some());
                stored.map_or(*size, |run| run.at.max(at).min(*size))
            }
        }
    }
}
