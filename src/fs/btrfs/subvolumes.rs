//! The directories that become subvolumes.

use std::collections::BTreeSet;

use crate::escape;
use crate::tree::{InodeId, Tree};

/// Returns the directories at `paths`, which may be relative to the root or absolute. What is wrong
/// with a path is added to `problems`.
pub fn find(tree: &Tree, paths: &[Box<[u8]>], problems: &mut Vec<String>) -> BTreeSet<InodeId> {
    let mut found = BTreeSet::new();
    for path in paths {
        match directory(tree, path) {
            Ok(id) if !found.insert(id) => {
                problems.push(format!(
                    "{}: the subvolume is given twice",
                    escape::short(path)
                ));
            }
            Ok(_) => {}
            Err(problem) => problems.push(format!("{}: {problem}", escape::short(path))),
        }
    }
    found
}

/// Returns the directory at `path`, or the reason why it can't be a subvolume.
fn directory(tree: &Tree, path: &[u8]) -> Result<InodeId, &'static str> {
    let mut id = InodeId::ROOT;
    for name in path.split(|&byte| byte == b'/') {
        match name {
            b"" | b"." => continue,
            b".." => return Err("the path of a subvolume can't contain \"..\""),
            _ => {}
        }
        let Some(child) = tree.lookup(id, name) else {
            return Err("there is no such directory for a subvolume");
        };
        if tree.directory(child).is_none() {
            return Err("a subvolume must be a directory, not a file or a symbolic link");
        }
        id = child;
    }
    match id {
        InodeId::ROOT => Err("the root directory is a subvolume in any case"),
        _ => Ok(id),
    }
}
