//! The list of problems with the attributes.

use std::fmt;

use crate::code::Code;

/// The maximum number of problems that are kept. The number of problems is unbounded, and users do
/// not read more.
const KEPT: usize = 50;

/// A problem with an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The full name of the attribute, such as `image.contents[2].mode`.
    pub attribute: String,
    /// What is wrong and how to fix it, safe to print.
    pub message: String,
}

/// A value, or proof that its problem has been reported.
pub(super) type Read<T> = Result<T, Noted>;

/// Proof that a problem has been reported. Only [`Problems`] creates it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Noted(());

/// The problems with the attributes, in the order of the checks. The first 50 are kept and
/// displayed one per line; the rest are counted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Problems {
    kept: Vec<Problem>,
    more: usize,
}

impl Problems {
    /// Iterates over the problems that are kept.
    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.kept.iter()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Returns the code of the first problem, by the attribute that it is about.
    pub(crate) fn code(&self) -> Code {
        let first = self.kept.first();
        first.map_or(Code::Attributes, |problem| code(&problem.attribute))
    }

    /// Adds a problem. Untrusted text in `attribute` and `message` must be escaped and short.
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

    /// Returns the value, or adds the error as a problem.
    pub(super) fn check<T, E: fmt::Display>(
        &mut self,
        attribute: &str,
        result: Result<T, E>,
    ) -> Read<T> {
        result.map_err(|error| self.add(attribute, error))
    }
}

/// Returns the code of a problem with this attribute.
fn code(attribute: &str) -> Code {
    let top = attribute.split(['.', '[']).next().unwrap_or_default();
    match top {
        "image" if attribute.starts_with("image.contents[") => Code::Contents,
        "image" if attribute != "image" => Code::Argument,
        "closure" => Code::Closure,
        // What the caller passes and what the function adds.
        "postVM" | "memSize" | "guest" => Code::Argument,
        // `env` may hold overridden attributes, and others were added to the derivation.
        "env" | "QEMU_OPTS" | "buildCommand" | "preVM" => Code::Override,
        _ => Code::Attributes,
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
