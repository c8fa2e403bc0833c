//! Store paths.

use crate::escape;

/// A store path: `/nix/store/<hash>-<name>`, without a file below it or a trailing slash.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StorePath(String);

/// Why a text is not a [`StorePath`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StorePathError {
    /// It is outside the store directory, whose path is safe to print.
    #[error("it is not below the store directory {0}")]
    OutsideStore(String),
    /// It is below a store path.
    #[error("it is below a store path; use the store path itself")]
    Below,
    /// The hash is missing, has the wrong length, or contains a character that Nix does not use.
    #[error("the name must start with a hash of 32 characters from {ALPHABET} and a \"-\"")]
    Hash,
    /// The name is empty, too long, or contains a character that Nix does not allow.
    #[error(
        "the hash must be followed by a name of 1 to 211 characters from A-Z a-z 0-9 + - . _ ? ="
    )]
    Name,
}

const ALPHABET: &str = "0123456789abcdfghijklmnpqrsvwxyz";
const HASH_LENGTH: usize = 32;
const MAX_NAME: usize = 211;

impl StorePath {
    /// Checks `path` against the rules in the Nix manual, "Store Path". `store_dir` has no trailing
    /// slash; on most systems it is `/nix/store`.
    ///
    /// # Errors
    /// See [`StorePathError`].
    pub fn new(path: &str, store_dir: &str) -> Result<StorePath, StorePathError> {
        let base = path
            .strip_prefix(store_dir)
            .and_then(|rest| rest.strip_prefix('/'))
            .ok_or_else(|| StorePathError::OutsideStore(escape::short(store_dir.as_bytes())))?;
        if base.contains('/') {
            return Err(StorePathError::Below);
        }
        let (hash, name) = base.split_once('-').ok_or(StorePathError::Hash)?;
        if hash.len() != HASH_LENGTH || !hash.chars().all(|c| ALPHABET.contains(c)) {
            return Err(StorePathError::Hash);
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || "+-._?=".contains(c);
        // A first component of one or two dots could be mistaken for a directory.
        let dots = matches!(name.split('-').next(), Some("." | ".."));
        if name.is_empty() || name.len() > MAX_NAME || dots || !name.chars().all(allowed) {
            return Err(StorePathError::Name);
        }
        Ok(StorePath(path.to_owned()))
    }

    /// Returns the whole path.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the base name: `<hash>-<name>`.
    pub(crate) fn base_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }
}

impl std::fmt::Display for StorePath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::{StorePath, StorePathError};

    const HASH: &str = "0123456789abcdfghijklmnpqrsvwxyz";

    #[test]
    fn accepts_store_paths() {
        for (dir, name) in [
            ("/nix/store", "hello-2.12"),
            ("/nix/store", "A+b-c.d_e?f=1"),
            ("/nix/store", ".hidden"),
            ("/srv/other store", "x"),
        ] {
            let text = format!("{dir}/{HASH}-{name}");
            let path = StorePath::new(&text, dir).unwrap();
            assert_eq!(path.as_str(), text);
            assert_eq!(path.base_name(), format!("{HASH}-{name}"));
        }
    }

    #[test]
    fn rejects_other_texts_with_the_reason() {
        let outside = StorePathError::OutsideStore("/nix/store".to_owned());
        for (text, error) in [
            (String::new(), outside.clone()),
            ("/etc/passwd".to_owned(), outside.clone()),
            (format!("/nix/stores/{HASH}-a"), outside.clone()),
            (format!("/nix/store{HASH}-a"), outside),
            (format!("/nix/store/{HASH}-a/bin"), StorePathError::Below),
            (format!("/nix/store/{HASH}-a/"), StorePathError::Below),
            (format!("/nix/store//{HASH}-a"), StorePathError::Below),
            ("/nix/store/".to_owned(), StorePathError::Hash),
            (format!("/nix/store/{HASH}"), StorePathError::Hash),
            (format!("/nix/store/{HASH}0-a"), StorePathError::Hash),
            ("/nix/store/abc-a".to_owned(), StorePathError::Hash),
            (
                format!("/nix/store/{}-a", "e".repeat(32)),
                StorePathError::Hash,
            ),
            (
                format!("/nix/store/{}-a", "é".repeat(16)),
                StorePathError::Hash,
            ),
            (format!("/nix/store/{HASH}-"), StorePathError::Name),
            (format!("/nix/store/{HASH}-a b"), StorePathError::Name),
            (format!("/nix/store/{HASH}-a\n"), StorePathError::Name),
            (format!("/nix/store/{HASH}-.."), StorePathError::Name),
            (format!("/nix/store/{HASH}-.-a"), StorePathError::Name),
            (
                format!("/nix/store/{HASH}-{}", "a".repeat(212)),
                StorePathError::Name,
            ),
        ] {
            assert_eq!(StorePath::new(&text, "/nix/store"), Err(error), "{text:?}");
        }
    }
}
