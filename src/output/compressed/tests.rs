//! Compressed images, decompressed by the tools of their formats.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use proptest::prelude::*;

use super::*;
use crate::image::{Content, Part};
use crate::output::tests::disk::{cases, noise};

const MIB: u64 = 1 << 20;

const CODECS: [(&str, Codec); 3] = [
    (
        "zstd",
        Codec::Zstd {
            level: 1,
            checksum: true,
        },
    ),
    ("gzip", Codec::Gzip { level: 1 }),
    ("xz", Codec::Xz { level: 0 }),
];

/// A disk of `length` bytes with `data` at the given offsets.
fn image(length: u64, data: &[(u64, Vec<u8>)]) -> Image {
    let parts = data.iter().map(|(start, bytes)| Part {
        name: format!("at {start}"),
        start: *start,
        length: bytes.len() as u64,
        content: Content::Bytes(bytes.clone()),
    });
    Image {
        length,
        parts: parts.collect(),
    }
}

fn compressed(directory: &Path, codec: Codec, image: &Image) -> PathBuf {
    let path = directory.join("compressed");
    write(image, codec, &path, &|_| ()).unwrap();
    path
}

fn write_raw(directory: &Path, image: &Image) -> File {
    let raw = directory.join("raw");
    image::write(image, &raw, &|_| ()).unwrap();
    File::open(raw).unwrap()
}

/// Asserts that `tool` decompresses what was written to the disk `raw`.
fn check(directory: &Path, tool: &str, codec: Codec, image: &Image, raw: &File) {
    let input = File::open(compressed(directory, codec, image)).unwrap();
    let mut decompressor = Command::new(tool)
        .arg("-dc")
        .stdin(input)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = decompressor.stdout.take().unwrap();
    let [mut found, mut expected] = [(); 2].map(|()| vec![0; 64 << 10]);
    let mut at = 0;
    loop {
        let count = output.read(&mut found).unwrap();
        if count == 0 {
            break;
        }
        raw.read_exact_at(&mut expected[..count], at).unwrap();
        assert!(found[..count] == expected[..count], "{tool}: at {at}");
        at += count as u64;
    }
    assert!(decompressor.wait().unwrap().success(), "{tool}");
    assert_eq!(at, image.length, "{tool}");
}

#[test]
fn the_tools_restore_the_disk() {
    let directory = tempfile::tempdir().unwrap();
    let text = b"cluster, grain, block ".repeat(1 << 16);
    for (tool, codec) in CODECS {
        let frame = frame_length(codec).unwrap() as u64;
        for (length, starts) in [
            (512, &[0][..]),
            (frame, &[]),
            (frame - 512, &[frame - 1024]),
            (2 * frame + 512, &[]),
            (2 * frame + 512, &[2 * frame]),
            // Within a frame, up to its end, and over the border to the next one.
            (5 * frame, &[frame + 1, 3 * frame - 512, 4 * frame - 7]),
        ] {
            let data: Vec<(u64, Vec<u8>)> = starts
                .iter()
                .map(|&start| {
                    let end = (length - start).min(text.len() as u64);
                    (
                        start,
                        text[..usize::try_from(end).unwrap().min(4096)].to_vec(),
                    )
                })
                .collect();
            let image = image(length, &data);
            let raw = write_raw(directory.path(), &image);
            check(directory.path(), tool, codec, &image, &raw);
        }
        let start = 2 * frame - if frame > MIB { MIB / 2 } else { 1 };
        let data = [(start, text.clone())];
        let image = image(4 * frame, &data);
        let raw = write_raw(directory.path(), &image);
        check(directory.path(), tool, codec, &image, &raw);
    }
}

/// A length that ends within a frame, or is one or several whole frames.
fn gap() -> impl Strategy<Value = u64> {
    prop_oneof![0..3 * MIB, prop::sample::select(vec![0, MIB, 4 * MIB])]
}

proptest! {
    #![proptest_config(cases(8))]

    #[test]
    fn the_tools_restore_random_disks(
        gaps in prop::collection::vec((gap(), 1..200_000_usize, any::<u8>(), any::<bool>()), 0..5),
        rest in gap(),
        (tool, codec) in prop::sample::select(&CODECS),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let mut data = Vec::new();
        let mut end = 0;
        for (gap, length, seed, is_regular) in gaps {
            let bytes = match is_regular {
                // It may be 0.
                true => vec![seed; length],
                false => noise(length as u64, seed.into()),
            };
            data.push((end + gap, bytes));
            end += gap + length as u64;
        }
        let image = image((end + rest).max(1).next_multiple_of(512), &data);
        let raw = write_raw(directory.path(), &image);
        check(directory.path(), tool, codec, &image, &raw);
    }
}

/// Its frames of zeros are compressed once.
#[test]
fn a_long_sparse_disk_is_written() {
    const LENGTH: u64 = 1 << 37;
    let directory = tempfile::tempdir().unwrap();
    let image = image(LENGTH, &[(LENGTH / 2, vec![1; 4096])]);
    let [(tool, codec), ..] = CODECS;
    let path = compressed(directory.path(), codec, &image);
    assert!(std::fs::metadata(&path).unwrap().len() < 8 << 20);
    let mut list = Command::new(tool);
    let output = list.arg("-lv").arg(&path).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let listing = String::from_utf8(output.stdout).unwrap();
    assert!(listing.contains("(137438953472 B)"), "{listing}");
}

#[test]
fn a_stream_without_a_file_format_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("compressed");
    let codec = Codec::Zlib { level: 1 };
    let error = write(&image(512, &[]), codec, &path, &|_| ()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Zlib { level: 1 } is not for whole files"
    );
}
