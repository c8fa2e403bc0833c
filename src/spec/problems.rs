//! What is wrong with the attributes, all of it.

use std::fmt;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where: `image.contents[2].mode`.
    pub attribute: String,
    /// What is wrong and what to write instead, safe to print.
    pub message: String,
}

/// Everything that is wrong with the attributes, in the order of the checks; printed one a line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Each problem.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds one. What is outside our control in `message` must be escaped.
    pub(super) fn add(&mut self, attribute: impl Into<String>, message: impl fmt::Display) {
        self.0.push(Problem {
            attribute: attribute.into(),
            message: message.to_string(),
        });
    }

    /// The value, or `None` and one more problem.
    pub(super) fn check<T, E: fmt::Display>(
        &mut self,
        attribute: &str,
        result: Result<T, E>,
    ) -> Option<T> {
        result.map_err(|error| self.add(attribute, error)).ok()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        let plural = if count == 1 { "" } else { "s" };
        write!(f, "{count} problem{plural} in the attributes of the image:")?;
        self.0
            .iter()
            .try_for_each(|Problem { attribute, message }| {
                write!(f, "\n  - {attribute}: {message}")
            })
    }
}

impl std::error::Error for Problems {}
