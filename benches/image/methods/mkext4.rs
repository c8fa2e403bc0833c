//! The crate mkext4 on one thread, one file after the other, in the order of the tree.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use mkext4::sink::FileSink;
use mkext4::{FsBuilder, InodeHandle, Meta, Options, ROOT};

use crate::place::sorted;

pub fn write(store: &Path, image: &Path, length: u64) {
    let mut builder = FsBuilder::new(Options::new(length, [0xf2; 16], 1)).unwrap();
    let mut fills = Vec::new();
    declare(&mut builder, ROOT, store, &mut fills);
    let layout = builder.seal().unwrap();
    let mut sink = FileSink::create(image, layout.image_len()).unwrap();
    let mut writer = layout.writer(&mut sink).unwrap();
    for (handle, path) in &fills {
        let mut file = File::open(path).unwrap();
        writer.fill(*handle, &mut file).unwrap();
    }
    writer.finish().unwrap();
}

fn declare(
    builder: &mut FsBuilder,
    parent: InodeHandle,
    directory: &Path,
    fills: &mut Vec<(InodeHandle, PathBuf)>,
) {
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
            let target = target.to_str().unwrap();
            builder.symlink(parent, name, target, meta).unwrap();
        } else {
            let handle = builder.file(parent, name, meta, found.len()).unwrap();
            if found.len() > 0 {
                fills.push((handle, path));
            }
        }
    }
}
