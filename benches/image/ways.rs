//! The ways from a directory of store paths to one file.

mod floor;
mod mkext4;
mod ours;
mod shell;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::place::Place;

/// A way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// This project.
    Ours,
    /// Nobody can do with less on one core: read every file, write all of it to one.
    Floor,
    /// The same on all cores.
    ParallelFloor,
    /// e2fsprogs.
    Mke2fs,
    /// The crate as its own example uses it.
    Mkext4,
    /// systemd's, with the `mkfs.ext4` of its Debian.
    Repart,
    /// What nixpkgs's function does without its virtual machine.
    StageAndMke2fs,
}

/// All, ours first.
pub const WAYS: [Way; 7] = [
    Way::Ours,
    Way::Floor,
    Way::ParallelFloor,
    Way::Mkext4,
    Way::Mke2fs,
    Way::Repart,
    Way::StageAndMke2fs,
];

impl Way {
    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Way::Ours => "make-disk-image, raw, onlyNixStore",
            Way::Floor => "read all files, write one of that size",
            Way::ParallelFloor => "the same on all cores",
            Way::Mke2fs => "mke2fs -d",
            Way::Mkext4 => "mkext4, as its mkfs example",
            Way::Repart => "systemd-repart of Debian 13",
            Way::StageAndMke2fs => "rsync -a to a staging directory, mke2fs -d",
        }
    }

    /// The command that goes this way to an image of `length` bytes; ours and the floor find their
    /// own length.
    pub fn command(self, place: &Place, length: u64) -> Vec<OsString> {
        match self {
            Way::Ours => ours::command(place),
            Way::Floor | Way::ParallelFloor | Way::Mkext4 => {
                let program = std::env::current_exe().unwrap();
                let key = format!("{self:?}");
                let length = length.to_string();
                vec![
                    program.into(),
                    "way".into(),
                    key.into(),
                    place.store.clone().into(),
                    self.image(place).into(),
                    length.into(),
                ]
            }
            Way::Mke2fs => shell::mke2fs(place, &self.image(place), length),
            Way::StageAndMke2fs => shell::stage_and_mke2fs(place, &self.image(place), length),
            Way::Repart => shell::repart(place, &self.image(place), length),
        }
    }

    /// Where the image will be.
    pub fn image(self, place: &Place) -> PathBuf {
        match self {
            Way::Ours => place.out().join("nixos.img"),
            _ => place.work.join("image"),
        }
    }
}

/// Goes one of the ways that are written here.
pub fn child(arguments: &[OsString]) {
    let [key, store, image, length] = arguments else {
        panic!("way, store, image and length are needed")
    };
    let (store, image) = (Path::new(store), Path::new(image));
    let length = length.to_str().unwrap().parse().unwrap();
    match key.to_str() {
        Some("Floor") => floor::one_core(store, image),
        Some("ParallelFloor") => floor::all_cores(store, image),
        Some("Mkext4") => mkext4::write(store, image, length),
        _ => panic!("no way {key:?}"),
    }
}
