//! A file system of a different kind from ext4: planning writes its bytes to a file, and they
//! depend on the contents of the files in the tree.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use sha2::{Digest, Sha256};

use super::source::Opener;
use super::*;

/// Simulates a tool that makes a file system in `directory`.
pub(crate) struct Archiver {
    pub directory: PathBuf,
}

/// The names and hashes of all files, which are stored in both the first and the last block; and
/// the contents of the files.
struct Archive {
    directory: PathBuf,
    first: Vec<u8>,
    contents: Vec<Vec<u8>>,
}

struct Archived {
    file: FinishedFile,
    free: u64,
}

impl Archive {
    fn data(&self) -> u64 {
        self.contents.iter().map(|bytes| blocks(bytes)).sum()
    }
}

fn blocks(bytes: &[u8]) -> u64 {
    (bytes.len() as u64).next_multiple_of(BLOCK)
}

impl Format for Archiver {
    fn count(&self, tree: &Arc<Tree>, options: &Options) -> Result<Box<dyn Counted>, PlanError> {
        let mut first = options.label.clone().into_bytes();
        let mut contents = Vec::new();
        let mut files = Vec::new();
        tree.walk(|path, id| files.push((path.to_vec(), id)));
        for (path, id) in files {
            if path.contains(&b'?') {
                let problem = crate::escape::bytes(&path).to_string();
                return Err(PlanError::Unrepresentable(vec![problem]));
            }
            let Some(source) = DataSource::of_tree(tree, id) else {
                continue;
            };
            let mut bytes = vec![0; usize::try_from(source.length()).unwrap()];
            Opener::default().open(source)?.read(&mut bytes, 0)?;
            first.extend(&path);
            first.extend(Sha256::digest(&bytes));
            contents.push(bytes);
        }
        first.resize(4096, 0xee);
        Ok(Box::new(Archive {
            directory: self.directory.clone(),
            first,
            contents,
        }))
    }
}

impl Counted for Archive {
    fn plan(&self, length: u64) -> Result<Box<dyn Plan>, PlanError> {
        let needed = self.smallest(0)?;
        if length < needed {
            return Err(PlanError::TooSmall {
                needed,
                inodes: self.contents.len() as u64,
                length,
            });
        }
        let path = self.directory.join("root.archive");
        let make = || {
            let file = File::create_new(&path)?;
            file.set_len(length)?;
            file.write_all_at(&self.first, 0)?;
            let mut at = BLOCK;
            for bytes in &self.contents {
                file.write_all_at(bytes, at)?;
                at += blocks(bytes);
            }
            file.write_all_at(&self.first, length - BLOCK)
        };
        make().map_err(anyhow::Error::from)?;
        let file = FinishedFile::open(&path)?;
        fs::remove_file(&path).map_err(anyhow::Error::from)?;
        Ok(Box::new(Archived {
            file,
            free: length - needed,
        }))
    }

    fn smallest(&self, free: u64) -> Result<u64, PlanError> {
        Ok(2 * BLOCK + self.data() + free)
    }
}

impl Plan for Archived {
    fn length(&self) -> u64 {
        self.file.length()
    }

    fn usage(&self) -> Usage {
        Usage {
            length: self.length(),
            available: self.free,
            available_to_root: self.free,
            inodes: 0,
            inodes_used: 0,
        }
    }

    fn data(&self) -> &[DataExtent] {
        self.file.data()
    }

    fn source(&self, _: u32) -> Option<DataSource<'_>> {
        Some(DataSource::Finished(&self.file))
    }

    fn metadata(&self, _: &mut dyn FnMut(u64, &[u8]) -> anyhow::Result<()>) -> anyhow::Result<()> {
        Ok(())
    }
}
