//! The directories that a method reads from and writes to.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};

/// The name of the program's output, in the form of a store path.
const OUT: &str = "00000000000000000000000000000000-nixos-disk-image";

/// A directory of store paths, and a directory for output.
pub struct Place {
    /// The directory of store paths.
    pub store: PathBuf,
    /// The directory for all output except our image: images, copies, temporary files.
    pub work: PathBuf,
    /// The directory with the same store paths in which our program creates its output, as under Nix.
    pub store_with_out: PathBuf,
    /// The store paths that are mounted in `store_with_out`.
    mounted: Vec<PathBuf>,
}

impl Place {
    /// Creates a place in memory, where the store is.
    pub fn memory(store: &Path, scratch: &Path) -> Place {
        let work = scratch.join("work");
        fs::create_dir(&work).unwrap();
        Place {
            store: store.to_owned(),
            work,
            store_with_out: store.to_owned(),
            mounted: Vec::new(),
        }
    }

    /// Creates a place on disk, in `scratch`. The store stays where it is; its paths are also mounted in
    /// `scratch`, only for this process and its children. Needs root.
    pub fn disk(store: &Path, scratch: &Path) -> Place {
        let none = None::<&str>;
        unshare(CloneFlags::CLONE_NEWNS).expect("mounting needs root");
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
        let store_with_out = scratch.join("store");
        let mut place = Place {
            store: store.to_owned(),
            work: scratch.join("work"),
            store_with_out,
            mounted: Vec::new(),
        };
        fs::create_dir(&place.work).unwrap();
        fs::create_dir(&place.store_with_out).unwrap();
        for from in sorted(store) {
            let to = place.store_with_out.join(from.file_name().unwrap());
            fs::create_dir(&to).unwrap();
            mount(Some(&from), &to, none, MsFlags::MS_BIND, none).unwrap();
            place.mounted.push(to);
        }
        place
    }

    /// Returns the directory that our program creates.
    pub fn out(&self) -> PathBuf {
        self.store_with_out.join(OUT)
    }

    /// Returns whether the output has to be synced to a disk.
    pub fn syncs(&self) -> bool {
        !self.mounted.is_empty()
    }

    /// Returns the file for the output of programs.
    pub fn log(&self) -> PathBuf {
        self.work.join("log")
    }

    /// Removes all output and waits for pending writes to the disk.
    pub fn clear(&self) {
        for directory in [&self.work, &self.out()] {
            if directory.exists() {
                fs::remove_dir_all(directory).unwrap();
            }
        }
        fs::create_dir(&self.work).unwrap();
        if self.syncs() {
            nix::unistd::syncfs(File::open(&self.work).unwrap()).unwrap();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.clear();
        for path in &self.mounted {
            umount2(path, MntFlags::MNT_DETACH).unwrap();
        }
    }
}

/// Returns the full paths of the entries of `directory`, sorted by name.
pub fn sorted(directory: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths
}
