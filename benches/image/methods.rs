//! The methods of making one file from a directory of store paths.

mod floor;
mod mkext4;
mod ours;
mod protofile;
mod qemu;
mod shell;
mod tools;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::place::Place;

pub use tools::Tool;

/// One of our root file systems.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Root {
    /// The name for the page.
    pub name: &'static str,
    /// `fsType`.
    pub kind: &'static str,
    /// `fsOptions` as JSON.
    pub options: &'static str,
}

/// One of this project's formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    /// The name for the page.
    pub name: &'static str,
    /// The name of the image file.
    pub file: &'static str,
    /// The attributes of the image that select the format.
    pub image: &'static [(&'static str, &'static str)],
}

/// A conversion of a finished raw disk by `qemu-img`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conversion {
    /// The arguments of `qemu-img convert -f raw`.
    pub arguments: &'static [&'static str],
}

/// A method of making an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// This project.
    Ours,
    /// The lower bound on one core: reads every file and writes all data to one file.
    Floor,
    /// The same on all cores.
    ParallelFloor,
    /// Reads every file on all cores.
    Read,
    /// Writes a file of the given length on all cores.
    Write,
    /// e2fsprogs.
    Mke2fs,
    /// The crate mkext4, used as in its own example.
    Mkext4,
    /// systemd-repart, with the `mkfs.ext4` of its Debian release.
    Repart,
    /// The steps of nixpkgs' function without its virtual machine.
    StageAndMke2fs,
    /// This project, in one of its formats.
    Format(&'static Format),
    /// qemu-img, from the raw disk [`raw_disk`].
    Conversion(&'static Conversion),
    /// This project, with one of its root file systems.
    Root(&'static Root),
    /// A file system's own tools.
    Tool(&'static Tool),
}

/// Where the raw disk is that [`Method::Conversion`] reads.
pub fn raw_disk(place: &Place) -> PathBuf {
    place.store.with_file_name("disk.raw")
}

/// All methods, ours first.
pub const METHODS: [Method; 7] = [
    Method::Ours,
    Method::Floor,
    Method::ParallelFloor,
    Method::Mkext4,
    Method::Mke2fs,
    Method::Repart,
    Method::StageAndMke2fs,
];

impl Method {
    /// Returns the name for the page.
    pub fn name(self) -> String {
        let name = match self {
            Method::Ours => "make-disk-image, raw, onlyNixStore",
            Method::Floor => "read all files, write one file of the same size",
            Method::ParallelFloor => "the same on all cores",
            Method::Read => "read all files on all cores",
            Method::Write => "pwrite on all cores",
            Method::Mke2fs => "mke2fs -d",
            Method::Mkext4 => "mkext4, as its mkfs example",
            Method::Repart => "systemd-repart of Debian 13",
            Method::StageAndMke2fs => "rsync -a to a staging directory, mke2fs -d",
            Method::Format(format) => return format!("make-disk-image, {}", format.name),
            Method::Conversion(conversion) => {
                return format!("qemu-img convert {}", conversion.arguments.join(" "));
            }
            Method::Root(root) => return format!("make-disk-image, {}", root.name),
            Method::Tool(tool) if tool.staged => {
                return format!("rsync -a to a staging directory, {}", tool.name);
            }
            Method::Tool(tool) => tool.name,
        };
        name.to_owned()
    }

    /// Returns the command that makes an image of `length` bytes with this method. Our program and the
    /// floor determine the length themselves.
    pub fn command(self, place: &Place, length: u64) -> Vec<OsString> {
        match self {
            Method::Ours => ours::command(place, &[]),
            Method::Format(format) => {
                let image = format.image.iter();
                let image: Vec<_> = image.map(|&(name, text)| (name, json!(text))).collect();
                ours::command(place, &image)
            }
            Method::Root(root) => {
                let options: Value = serde_json::from_str(root.options).unwrap();
                let uuid = match root.kind {
                    "squashfs" => Value::Null,
                    _ => json!("F222513B-DED1-49FA-B591-20CE86A2FE7F"),
                };
                let image = [
                    ("fsType", json!(root.kind)),
                    ("fsOptions", options),
                    ("rootFSUID", uuid),
                    ("additionalSpace", json!("0M")),
                ];
                ours::command(place, &image)
            }
            Method::Tool(tool) => tools::command(place, &self.image(place), length, tool),
            Method::Conversion(conversion) => {
                qemu::convert(&raw_disk(place), &self.image(place), conversion)
            }
            Method::Floor
            | Method::ParallelFloor
            | Method::Read
            | Method::Write
            | Method::Mkext4 => {
                let program = std::env::current_exe().unwrap();
                let key = format!("{self:?}");
                let length = length.to_string();
                vec![
                    program.into(),
                    "method".into(),
                    key.into(),
                    place.store.clone().into(),
                    self.image(place).into(),
                    length.into(),
                ]
            }
            Method::Mke2fs => shell::mke2fs(place, &self.image(place), length),
            Method::StageAndMke2fs => shell::stage_and_mke2fs(place, &self.image(place), length),
            Method::Repart => shell::repart(place, &self.image(place), length),
        }
    }

    /// Returns the path of the image.
    pub fn image(self, place: &Place) -> PathBuf {
        match self {
            Method::Ours | Method::Root(_) => place.out().join("nixos.img"),
            Method::Format(format) => place.out().join(format.file),
            _ => place.work.join("image"),
        }
    }
}

/// Runs a method that is part of this benchmark.
pub fn child(arguments: &[OsString]) {
    let [key, store, image, length] = arguments else {
        panic!("method: expected a method, a store, an image and a length")
    };
    let (store, image) = (Path::new(store), Path::new(image));
    let length = length.to_str().unwrap().parse().unwrap();
    match key.to_str() {
        Some("Floor") => floor::one_core(store, image),
        Some("ParallelFloor") => floor::all_cores(store, image),
        Some("Read") => floor::read(store),
        Some("Write") => floor::write(image, length),
        Some("Mkext4") => mkext4::write(store, image, length),
        _ => panic!("unknown method {key:?}"),
    }
}
