//! Where a way reads and writes.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};

/// The name of the program's output: a path of the store, as Nix has it.
const OUT: &str = "00000000000000000000000000000000-nixos-disk-image";

/// A directory of store paths, and a directory for what is made of it.
pub struct Place {
    /// The store paths.
    pub store: PathBuf,
    /// Everything that is made but our image: images, copies, temporary files.
    pub work: PathBuf,
    /// The same store paths beside which our program may make its output, as Nix has it.
    pub store_with_out: PathBuf,
    /// The store paths that are mounted there.
    mounted: Vec<PathBuf>,
}

impl Place {
    /// In memory, where the store is.
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

    /// On disk, in `scratch`; the store stays where it is, and its paths are mounted there, too,
    /// for this process and its children only. Takes root.
    pub fn disk(store: &Path, scratch: &Path) -> Place {
        let none = None::<&str>;
        unshare(CloneFlags::CLONE_NEWNS).expect("mounting takes root");
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

    /// The directory that our program makes.
    pub fn out(&self) -> PathBuf {
        self.store_with_out.join(OUT)
    }

    /// Whether what is written there has to reach a disk.
    pub fn syncs(&self) -> bool {
        !self.mounted.is_empty()
    }

    /// What programs said.
    pub fn log(&self) -> PathBuf {
        self.work.join("log")
    }

    /// Removes what was made, also from what the disk has still to do.
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

/// The entries of `directory`, whole paths, by name.
pub fn sorted(directory: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths
}
