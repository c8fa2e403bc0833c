//! An estimate for a closure whose files are not on this machine.

use std::fs;
use std::path::Path;

use anyhow::Result;

use crate::absent;
use crate::spec::{FileSystemKind, Spec, System};
use crate::tree::place::make_directories;
use crate::tree::{Content, Directory, Inode, InodeId, Kind, Metadata, Source, Timestamp, Tree};

/// The kind of file system of an estimate: the one that needs no files to be planned.
pub const KIND: FileSystemKind = FileSystemKind::Ext4;

/// The assumed length of a file in bytes, with its share of directories and links. In a large
/// closure of NixOS, an inode has 20 KiB on average (docs/performance.md has a smaller one).
const AVERAGE: u64 = 20 << 10;

/// The assumed length of Nix's database: what it has without paths, and for each path and each
/// reference.
const DATABASE: [u64; 3] = [96 << 10, 700, 50];

/// What an exact plan needs and this machine lacks.
pub struct Missing {
    /// The number of paths of the closure.
    pub paths: usize,
    /// Paths of other files: sources of `contents` and tools.
    pub others: Vec<String>,
}

impl Missing {
    /// Examines the files that `spec` names.
    pub fn find(spec: &Spec) -> Missing {
        let mut others = vec![&spec.tools.nix_store];
        if let System::Installed(installation) = &spec.system {
            others.extend(spec.tools.nixos_install.as_ref());
            others.extend(installation.config_file.as_ref());
        } else {
            others.clear();
        }
        others.extend(spec.tools.sqfstar.as_ref());
        let others = others.into_iter().filter(|path| is_absent(path));
        let others = others.map(|path| crate::escape::path(path)).collect();
        let infos = spec.closure.iter();
        let paths = infos.filter(|info| is_absent(Path::new(info.path.as_str())));
        Missing {
            paths: paths.count(),
            others,
        }
    }

    /// Returns whether nothing is missing.
    pub fn is_empty(&self) -> bool {
        self.paths == 0 && self.others.is_empty()
    }
}

fn is_absent(path: &Path) -> bool {
    matches!(absent::optional(fs::symlink_metadata(path)), Ok(None))
}

/// Returns a tree with about as many inodes and bytes as that of `spec` will have, without
/// `contents`.
///
/// # Errors
/// If the tree would be too large.
pub fn tree(spec: &Spec) -> Result<Tree> {
    let metadata = Metadata {
        mtime: Timestamp::from_seconds(spec.identity.time),
        ..Metadata::new(0o755)
    };
    let mut tree = Tree::new(metadata.clone());
    let store = match spec.system {
        System::StoreOnly => InodeId::ROOT,
        System::Installed(_) => {
            let nix = make_directories(&mut tree, Path::new("/nix/var/nix/db"), &metadata)?;
            let [base, path, reference] = DATABASE;
            let lengths = spec.closure.iter().map(|info| {
                // usize to u64: lossless on every target Rust has.
                let references = reference.saturating_mul(info.references.len() as u64);
                path.saturating_add(references)
            });
            let length = lengths.fold(base, u64::saturating_add);
            tree.insert(nix, b"db.sqlite", file(&metadata, length))?;
            make_directories(&mut tree, &spec.store_dir, &metadata)?
        }
    };
    for info in &spec.closure {
        let directory = Inode {
            metadata: metadata.clone(),
            kind: Kind::Directory(Directory::default()),
        };
        let name = info.path.base_name().as_bytes();
        let directory = tree.insert(store, name, directory)?;
        let count = info.nar_size.div_ceil(AVERAGE).max(1);
        let length = info.nar_size.div_ceil(count);
        for number in 0..count {
            let name = number.to_string();
            tree.insert(directory, name.as_bytes(), file(&metadata, length))?;
        }
    }
    Ok(tree)
}

/// Returns a file of which only the length is known. Its bytes are never read.
fn file(metadata: &Metadata, size: u64) -> Inode {
    Inode {
        metadata: metadata.clone(),
        kind: Kind::File(Content {
            size,
            source: Source::Bytes(Vec::new().into()),
            data: None,
        }),
    }
}
