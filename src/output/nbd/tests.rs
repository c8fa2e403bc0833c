//! Clients of the server: QEMU's, and hostile ones.

mod clients;
mod hostile;

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Output};

use super::*;
use crate::fs::FinishedFile;
use crate::image::{Content, Image, Part};

/// The length of the disk: no multiple of a block.
const LENGTH: u64 = (64 << 20) + 512;

/// Where the disk has data: first byte and length.
const DATA: [(u64, u64); 3] = [(0, 4096), (1 << 20, 6 << 20), (40 << 20, 4096)];

/// The byte at `offset` of the data, never 0.
fn byte(offset: u64) -> u8 {
    u8::try_from(offset / 512 % 251).unwrap() + 1
}

/// A disk with [`DATA`], which is in the file `data` of `directory` except for its beginning.
fn disk(directory: &Path) -> LazyImage {
    let bytes = |(start, length): (u64, u64)| -> Vec<u8> {
        let sectors = (start..start + length).step_by(512);
        sectors
            .map(|at| [byte(at); 512])
            .collect::<Vec<_>>()
            .concat()
    };
    let start = 1 << 20;
    let path = directory.join("data");
    let file = File::create(&path).unwrap();
    file.set_len(50 << 20).unwrap();
    for range in &DATA[1..] {
        file.write_all_at(&bytes(*range), range.0 - start).unwrap();
    }
    let part = |start, length, content| Part {
        name: "test".to_owned(),
        start,
        length,
        content,
    };
    let image = Image {
        length: LENGTH,
        parts: vec![
            part(0, 4096, Content::Bytes(bytes(DATA[0]))),
            part(
                start,
                50 << 20,
                Content::File(FinishedFile::open(&path).unwrap()),
            ),
        ],
    };
    LazyImage::new(image, &directory.join("made")).unwrap()
}

/// Serves `disk` to `client`, which gets the other end.
fn serve_to<T>(disk: &LazyImage, client: impl FnOnce(UnixStream) -> T) -> (T, Served) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    serve(disk, &ours, &|_| (), || client(theirs)).unwrap()
}

/// Serves `disk` to a program, as its standard input.
fn serve_to_program(disk: &LazyImage, program: &str, arguments: &[&str]) -> (Output, Served) {
    serve_to(disk, |theirs| {
        Command::new(program)
            .args(arguments)
            .stdin(OwnedFd::from(theirs))
            .output()
            .unwrap()
    })
}
