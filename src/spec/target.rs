//! Where an entry of `contents` goes.

use std::ffi::OsString;
use std::path::PathBuf;

use super::attributes::quoted;
use crate::escape;

/// The longest file name of ext4 in bytes.
const MAX_NAME: usize = 255;

/// Where an entry of `contents` goes in the image.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// Names below the root, without `.`, `..` or empty ones. None: the root.
    pub names: Vec<OsString>,
    /// Whether it ends like a directory, in a slash: a source that is none itself goes below it
    /// then, under its own name.
    pub below: bool,
}

impl Target {
    /// The target that `text` is. A slash in front means nothing, as in nixpkgs. `of_pattern` says
    /// whether what a shell pattern matches goes there.
    ///
    /// # Errors
    /// What is wrong with it, safe to print.
    pub fn parse(text: &str, of_pattern: bool) -> Result<Target, String> {
        let mut names = Vec::new();
        for name in text.split('/').filter(|name| !matches!(*name, "" | ".")) {
            if name == ".." {
                return Err(format!(
                    "{} has \"..\" in it; write the path without it",
                    quoted(text)
                ));
            }
            if name.len() > MAX_NAME {
                return Err(format!(
                    "the name {} has {} bytes; ext4 takes at most {MAX_NAME}",
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
                "{} is a duplicate entry: nixpkgs makes the directory in front of \"/.\" before it \
                 looks whether the target is there; write {name}/ to put a file into that \
                 directory, or {name} for a file or directory of this name",
                quoted(text),
                name = target.shown_name(),
            ));
        }
        Ok(target)
    }

    /// The path in the image, with a slash in front, and one at the end if there was one.
    pub(crate) fn path(&self) -> PathBuf {
        let mut path = PathBuf::from("/");
        path.extend(&self.names);
        if self.below {
            path.push("");
        }
        path
    }

    /// The path without a slash at its end, escaped.
    pub(super) fn shown_name(&self) -> String {
        let mut path = PathBuf::from("/");
        path.extend(&self.names);
        escape::short(path.as_os_str().as_encoded_bytes())
    }
}
