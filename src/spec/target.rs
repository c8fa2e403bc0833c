//! The target of an entry of `contents`.

use std::ffi::OsString;
use std::path::PathBuf;

use super::attributes::quoted;
use crate::escape;

/// The maximum length of a file name on ext4 in bytes.
const MAX_NAME: usize = 255;

/// The target of an entry of `contents`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// The names below the root, without `.`, `..` or empty names. The root has none.
    pub names: Vec<OsString>,
    /// Whether it ends in a slash, like a directory. A source that is not a directory is then
    /// copied into it, under its own name.
    pub below: bool,
}

impl Target {
    /// Parses a target. As in nixpkgs, a leading slash is ignored. `of_pattern` is whether the
    /// source is a shell pattern.
    ///
    /// # Errors
    /// If the target is invalid. The message is safe to print.
    pub fn parse(text: &str, of_pattern: bool) -> Result<Target, String> {
        let mut names = Vec::new();
        for name in text.split('/').filter(|name| !matches!(*name, "" | ".")) {
            if name == ".." {
                return Err(format!(
                    "{} contains \"..\"; write the path without it",
                    quoted(text)
                ));
            }
            if name.len() > MAX_NAME {
                return Err(format!(
                    "the name {} is {} bytes long; ext4's limit is {MAX_NAME}",
                    quoted(name),
                    name.len()
                ));
            }
            names.push(OsString::from(name));
        }
        let ends_in_dot = text.trim_end_matches('/').ends_with("/.");
        let target = Target {
            names,
            below: text.ends_with('/') || ends_in_dot,
        };
        if ends_in_dot && !of_pattern && !target.names.is_empty() {
            return Err(format!(
                "{} is a duplicate entry: nixpkgs creates the directory before \"/.\" and then \
                 finds that the target exists; write {name}/ to put a file into that directory, or \
                 {name} to create a file or directory of this name",
                quoted(text),
                name = target.shown_name(),
            ));
        }
        Ok(target)
    }

    /// Returns the path in the image with a leading slash, and with a trailing slash if the target
    /// has one.
    pub(crate) fn path(&self) -> PathBuf {
        let mut path = PathBuf::from("/");
        path.extend(&self.names);
        if self.below {
            path.push("");
        }
        path
    }

    /// Returns the path without a trailing slash, escaped.
    pub(super) fn shown_name(&self) -> String {
        let mut path = PathBuf::from("/");
        path.extend(&self.names);
        escape::short(path.as_os_str().as_encoded_bytes())
    }
}
