//! What of the root file system is the host's alone: the guest neither sends it nor may its report
//! name it.

use std::path::{Path, PathBuf};

use crate::store::DATABASE;

/// What ext4 has of its own.
const LOST_FOUND: &str = "lost+found";

/// What a path is to a protected one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// It is protected, or below what is.
    Inside,
    /// It is a directory on the way to what is protected; the root is one.
    Above,
    /// Neither.
    Apart,
}

/// The protected paths, relative to the root: the store, the Nix database, and what ext4 has of its
/// own. What is below them is protected, too. The host has made the database, and a program that
/// only looks into it leaves traces.
#[derive(Debug, Clone)]
pub struct Protected([PathBuf; 3]);

impl Protected {
    /// Those of an image that has its store at `store`, an absolute path.
    pub fn new(store: &Path) -> Protected {
        let store = store.strip_prefix("/").unwrap_or(store);
        Protected([store.into(), DATABASE.into(), LOST_FOUND.into()])
    }

    /// What `path`, relative to the root, is to them.
    pub fn relation(&self, path: &[u8]) -> Relation {
        let mut relation = Relation::Apart;
        for top in &self.0 {
            let top = top.as_os_str().as_encoded_bytes();
            if is_at_or_below(path, top) {
                return Relation::Inside;
            }
            if path.is_empty() || is_at_or_below(top, path) {
                relation = Relation::Above;
            }
        }
        relation
    }
}

fn is_at_or_below(path: &[u8], top: &[u8]) -> bool {
    path.strip_prefix(top)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_inside_above_and_apart() {
        let protected = Protected::new(Path::new("/nix/store"));
        for (path, relation) in [
            ("", Relation::Above),
            ("nix", Relation::Above),
            ("nix/var", Relation::Above),
            ("nix/var/nix", Relation::Above),
            ("nix/store", Relation::Inside),
            ("nix/store/a/b", Relation::Inside),
            ("nix/var/nix/db", Relation::Inside),
            ("nix/var/nix/db/db.sqlite", Relation::Inside),
            ("lost+found", Relation::Inside),
            ("nix/store2", Relation::Apart),
            ("nix/var/nix/profiles", Relation::Apart),
            ("ni", Relation::Apart),
            ("nixos", Relation::Apart),
            ("etc/nix/store", Relation::Apart),
        ] {
            assert_eq!(protected.relation(path.as_bytes()), relation, "{path}");
        }
    }
}
