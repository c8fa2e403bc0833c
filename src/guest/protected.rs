//! The protected paths of the root file system: the guest does not send them, and a report that names
//! them is rejected.

use std::path::{Path, PathBuf};

use crate::store::DATABASE;

/// The directory that ext4 reserves for e2fsck.
const LOST_FOUND: &str = "lost+found";

/// The relation of a path to the protected paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// It is a protected path or below one.
    Inside,
    /// It is a directory above a protected path, such as the root.
    Above,
    /// None of these.
    Apart,
}

/// The protected paths, relative to the root: the store, the Nix database, and `lost+found`. Everything
/// below them is protected, too. The database is protected because the host has created it, and even
/// programs that only read it leave traces.
#[derive(Debug, Clone)]
pub struct Protected([PathBuf; 3]);

impl Protected {
    /// Returns the protected paths of an image whose store is at `store`, an absolute path.
    pub fn new(store: &Path) -> Protected {
        let store = store.strip_prefix("/").unwrap_or(store);
        Protected([store.into(), DATABASE.into(), LOST_FOUND.into()])
    }

    /// Returns the relation of `path`, relative to the root, to the protected paths.
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
    fn distinguishes_inside_above_and_apart() {
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
