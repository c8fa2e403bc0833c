//! Names that share an inode on the host.

use std::collections::HashMap;

use super::policy::{HardLinks, Policy};
use super::read::HostInode;
use super::workers::Scan;
use crate::tree::{InodeId, Kind, Tree};

/// Makes names that share an inode on the host share one in `tree`, if `policy` says so. The inode
/// of the first of these names, in the order of the walk, is used; the others stay in the tree
/// without a name.
pub fn join(tree: &mut Tree, scan: &mut Scan, policy: Policy) {
    // The walk is not needed if nothing is shared, as in a store.
    if scan.shared.is_empty() {
        return;
    }
    let shared = &scan.shared;
    let mut known = match policy.hard_links {
        HardLinks::Complete => incomplete(shared),
        HardLinks::Broken | HardLinks::Kept => HashMap::new(),
    };
    let mut representative = |id: InodeId| match shared.get(&id) {
        None => id,
        Some(inode) => known.entry(*inode).or_insert(Some(id)).unwrap_or(id),
    };
    for top in &mut scan.tops {
        *top = representative(*top);
        // A stack instead of recursion: a hostile tree may be deeper than the thread's stack
        // allows.
        let mut directories = vec![*top];
        while let Some(id) = directories.pop() {
            if let Kind::Directory(directory) = &mut tree.inode_mut(id).kind {
                directory.map_inodes(&mut representative);
            }
            let entries = tree
                .directory(id)
                .into_iter()
                .flat_map(|found| found.iter());
            let below = entries.filter(|(_, id)| tree.directory(*id).is_some());
            let first = directories.len();
            directories.extend(below.map(|(_, id)| id));
            // The last one is popped first.
            directories[first..].reverse();
        }
    }
}

/// Returns those inodes of `shared` that also have names outside the scan. `None` means that each
/// name keeps an inode of its own.
fn incomplete(shared: &HashMap<InodeId, HostInode>) -> HashMap<HostInode, Option<InodeId>> {
    let mut names: HashMap<HostInode, u64> = HashMap::new();
    for inode in shared.values() {
        *names.entry(*inode).or_default() += 1;
    }
    names.retain(|inode, &mut count| count < inode.links);
    names.into_keys().map(|inode| (inode, None)).collect()
}
