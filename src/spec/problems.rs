//! What is wrong with the attributes, all of it.

use std::fmt;

/// How many problems are kept. Nobody reads more, and attributes may have any number of them.
const KEPT: usize = 50;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where: `image.contents[2].mode`.
    pub attribute: String,
    /// What is wrong and what to write instead, safe to print.
    pub message: String,
}

/// A value, or proof that its problem is noted.
pub(super) type Read<T> = Result<T, Noted>;

/// Proof that a problem is noted: only [`Problems`] gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Noted(());

/// Everything that is wrong with the attributes, in the order of the checks; printed one a line.
/// The first 50 are kept, and the rest are counted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Problems {
    kept: Vec<Problem>,
    more: usize,
}

impl Problems {
    /// Each problem that is kept.
    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.kept.iter()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Adds one. What is outside our control in `attribute` and `message` must be escaped and short.
    pub(super) fn add(
        &mut self,
        attribute: impl Into<String>,
        message: impl fmt::Display,
    ) -> Noted {
        if self.kept.len() == KEPT {
            self.more = self.more.saturating_add(1);
        } else {
            self.kept.push(Problem {
                attribute: attribute.into(),
                message: message.to_string(),
            });
        }
        Noted(())
    }

    /// The value, or one more problem.
    pub(super) fn check<T, E: fmt::Display>(
        &mut self,
        attribute: &str,
        result: Result<T, E>,
    ) -> Read<T> {
        result.map_err(|error| self.add(attribute, error))
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.kept.len().saturating_add(self.more);
        let plural = if count == 1 { "" } else { "s" };
        write!(f, "{count} problem{plural} in the attributes of the image:")?;
        for Problem { attribute, message } in &self.kept {
            write!(f, "\n  - {attribute}: {message}")?;
        }
        match self.more {
            0 => Ok(()),
            more => write!(f, "\n  and {more} more"),
        }
    }
}

impl std::error::Error for Problems {}
