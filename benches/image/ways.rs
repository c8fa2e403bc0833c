//! The ways from a directory of store paths to one file.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use mkext4::sink::FileSink;
use mkext4::{FsBuilder, InodeHandle, Meta, ROOT};
use serde_json::json;

/// A way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// This project.
    Ours,
    /// Nobody can do with less: read every file, write all of it to one.
    ReadAndWrite,
    /// e2fsprogs.
    Mke2fs,
    /// What nixpkgs's function does without its virtual machine.
    StageAndMke2fs,
    /// The crate as its own example uses it.
    Mkext4,
}

/// All, ours first.
pub const WAYS: [Way; 5] = [
    Way::Ours,
    Way::ReadAndWrite,
    Way::Mke2fs,
    Way::StageAndMke2fs,
    Way::Mkext4,
];

impl Way {
    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Way::Ours => "make-disk-image, raw, onlyNixStore",
            Way::ReadAndWrite => "read all files, write one of that size",
            Way::Mke2fs => "mke2fs -d",
            Way::StageAndMke2fs => "rsync -a to a staging directory, mke2fs -d",
            Way::Mkext4 => "mkext4, as its mkfs example",
        }
    }

    /// The command that goes this way from `store` to `image` of `length` bytes.
    pub fn command(self, store: &Path, image: &Path, stage: &Path, length: u64) -> Vec<OsString> {
        let kib = (length >> 10).to_string();
        let script = match self {
            Way::Mke2fs => MKE2FS.replace("FROM", "$0"),
            Way::StageAndMke2fs => {
                format!("rsync -a \"$0/\" \"$3/\"\n{}", MKE2FS.replace("FROM", "$3"))
            }
            Way::Ours => {
                let attributes = image.with_extension("attrs.json");
                write_attributes(store, &attributes);
                let mut variable = OsString::from("NIX_ATTRS_JSON_FILE=");
                variable.push(attributes);
                let program = env!("CARGO_BIN_EXE_make-disk-image");
                return vec!["env".into(), variable, program.into(), "build".into()];
            }
            Way::ReadAndWrite | Way::Mkext4 => {
                let program = std::env::current_exe().unwrap();
                let words = [OsStr::new("way"), OsStr::new(self.key()), store.as_os_str()];
                let mut command = vec![program.into_os_string()];
                command.extend(words.map(OsStr::to_owned));
                command.extend([image.into(), length.to_string().into()]);
                return command;
            }
        };
        let mut command: Vec<OsString> = ["sh", "-ec"].map(OsString::from).to_vec();
        command.push(script.into());
        command.extend([store.into(), image.into(), kib.into(), stage.into()]);
        command
    }

    fn key(self) -> &'static str {
        match self {
            Way::ReadAndWrite => "read-and-write",
            Way::Mkext4 => "mkext4",
            Way::Ours | Way::Mke2fs | Way::StageAndMke2fs => "none",
        }
    }
}

/// A line of shell: the image is `$1` and has `$2` KiB.
const MKE2FS: &str = "truncate -s \"$2K\" \"$1\" && PATH=$PATH:/usr/sbin:/sbin mke2fs -q -F -t ext4 -b 4096 -L nixos -d \"FROM\" \"$1\" \"$2k\"";

/// Goes one of the ways that are written here.
pub fn child(arguments: &[OsString]) {
    let [key, store, image, length] = arguments else {
        panic!("way, store, image and length are needed")
    };
    let (store, image) = (Path::new(store), Path::new(image));
    let length = length.to_str().unwrap().parse().unwrap();
    match key.to_str() {
        Some("read-and-write") => read_and_write(store, image),
        Some("mkext4") => by_mkext4(store, image, length),
        _ => panic!("no way {key:?}"),
    }
}

/// Where the program's output goes: a path of the store, as Nix has it.
pub fn out(store: &Path) -> PathBuf {
    store.join("00000000000000000000000000000000-nixos-disk-image")
}

/// Writes the attributes of a derivation for the program: an onlyNixStore image of the paths of
/// `store`, without partitions.
fn write_attributes(store: &Path, attributes: &Path) {
    // Not checked when an image is made, and computing it is no part of making one.
    let hash = "sha256:0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73";
    let closure: Vec<_> = sorted(store)
        .iter()
        .map(|path| json!({ "path": path, "narHash": hash, "narSize": 1, "references": [] }))
        .collect();
    let program = "/usr/bin/false";
    let value = json!({
        "name": "nixos-disk-image",
        "system": "x86_64-linux",
        "outputs": { "out": out(store) },
        "exportReferencesGraph": { "closure": [closure[0]["path"]] },
        "closure": closure,
        "image": {
            "additionalSpace": "512M", "baseName": "nixos", "bootSize": "256M", "channel": null,
            "configFile": null, "contents": [], "deterministic": true, "diskSize": "auto",
            "efiVariables": null, "format": "raw", "fsType": "ext4", "installBootLoader": false,
            "label": "nixos", "memSize": 1024, "onlyNixStore": true, "partitionTableType": "none",
            "postVM": "", "rootFSUID": "F222513B-DED1-49FA-B591-20CE86A2FE7F",
            "rootGPUID": "F222513B-DED1-49FA-B591-20CE86A2FE7F", "toplevel": null,
            "touchEFIVars": false, "storeDir": store,
        },
        "tools": {
            "bash": program, "mkfsFat": program, "mtools": "/usr/bin", "nixStore": program,
            "nixosInstall": null, "qemuImg": program, "path": ["/usr/bin"],
        },
    });
    fs::write(attributes, value.to_string()).unwrap();
}

fn sorted(directory: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths
}

fn read_and_write(store: &Path, image: &Path) {
    const BUFFER: usize = 1 << 20;
    let mut output = File::create(image).unwrap();
    let mut buffer = vec![0; BUFFER];
    let mut filled = 0;
    let mut stack = vec![store.to_owned()];
    while let Some(directory) = stack.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let entry = entry.unwrap();
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                stack.push(entry.path());
            } else if kind.is_file() {
                let mut file = File::open(entry.path()).unwrap();
                loop {
                    let got = file.read(&mut buffer[filled..]).unwrap();
                    if got == 0 {
                        break;
                    }
                    filled += got;
                    if filled == BUFFER {
                        output.write_all(&buffer).unwrap();
                        filled = 0;
                    }
                }
            }
        }
    }
    output.write_all(&buffer[..filled]).unwrap();
}

/// One thread, one file after the other, each at the place the crate says.
fn by_mkext4(store: &Path, image: &Path, length: u64) {
    let options = mkext4::Options::new(length, [0xf2; 16], 1);
    let mut builder = FsBuilder::new(options).unwrap();
    let mut fills = Vec::new();
    declare(&mut builder, ROOT, store, &mut fills);
    let layout = builder.seal().unwrap();
    let mut sink = FileSink::create(image, layout.image_len()).unwrap();
    let mut writer = layout.writer(&mut sink).unwrap();
    for (handle, path) in &fills {
        writer
            .fill(*handle, &mut File::open(path).unwrap())
            .unwrap();
    }
    writer.finish().unwrap();
}

fn declare(
    builder: &mut FsBuilder,
    parent: InodeHandle,
    directory: &Path,
    fills: &mut Vec<(InodeHandle, PathBuf)>,
) {
    use std::os::unix::fs::MetadataExt;

    for path in sorted(directory) {
        let name = path.file_name().unwrap().to_str().unwrap();
        let found = fs::symlink_metadata(&path).unwrap();
        let mode = u16::try_from(found.mode() & 0o7777).unwrap();
        let meta = Meta::new(mode, found.uid(), found.gid(), (found.mtime(), 0));
        if found.is_dir() {
            let child = builder.mkdir(parent, name, meta).unwrap();
            declare(builder, child, &path, fills);
        } else if found.is_symlink() {
            let target = fs::read_link(&path).unwrap();
            builder
                .symlink(parent, name, target.to_str().unwrap(), meta)
                .unwrap();
        } else {
            let handle = builder.file(parent, name, meta, found.len()).unwrap();
            if found.len() > 0 {
                fills.push((handle, path));
            }
        }
    }
}
