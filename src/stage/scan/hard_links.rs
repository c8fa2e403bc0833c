//! Names that share an inode of this machine.

use std::collections::HashMap;

use super::policy::{HardLinks, Policy};
use super::read::HostInode;
use super::workers::Scan;
use crate::tree::{InodeId, Kind, Tree};

/// Has the names of one inode of this machine name one inode of `tree`, where `policy` wants that:
/// the one that was found under the first of these names, in the order of names. The others stay in
/// the tree without a name.
pub fn join(tree: &mut Tree, scan: &mut Scan, policy: Policy) {
    // In a store, where nothing is shared, there is nothing to walk for.
    if scan.shared.is_empty() {
        return;
    }
    let shared = &scan.shared;
    let mut known = match policy.hard_links {
        HardLinks::Complete => incomplete(shared),
        HardLinks::Broken | HardLinks::Kept => HashMap::new(),
    };
    let mut one = |id: InodeId| match shared.get(&id) {
        None => id,
        Some(inode) => known.entry(*inode).or_insert(Some(id)).unwrap_or(id),
    };
    for top in &mut scan.tops {
        *top = one(*top);
        // A stack and not recursion: a hostile tree may be deeper than the thread's stack.
        let mut directories = vec![*top];
        while let Some(id) = directories.pop() {
            if let Kind::Directory(directory) = &mut tree.inode_mut(id).kind {
                directory.map_inodes(&mut one);
            }
            let entries = tree
                .directory(id)
                .into_iter()
                .flat_map(|found| found.iter());
            let below = entries.filter(|(_, id)| tree.directory(*id).is_some());
            let first = directories.len();
            directories.extend(below.map(|(_, id)| id));
            // The last of them is taken first.
            directories[first..].reverse();
        }
    }
}

/// Those of `shared` that have a name elsewhere: each name keeps an inode of its own, which `None`
/// says.
fn incomplete(shared: &HashMap<InodeId, HostInode>) -> HashMap<HostInode, Option<InodeId>> {
    let mut names: HashMap<HostInode, u64> = HashMap::new();
    for inode in shared.values() {
        *names.entry(*inode).or_default() += 1;
    }
    names.retain(|inode, &mut count| count < inode.links);
    names.into_keys().map(|inode| (inode, None)).collect()
}
