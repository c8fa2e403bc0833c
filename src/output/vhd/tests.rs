//! Files compared with those of `qemu-img`.

use std::fs;
use std::os::unix::fs::MetadataExt;

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::output::tests::disk::{
    Raw, cases, get, identity, image, is_same, noise, put, qemu_img, ranges, samples, sparse, text,
    write_longer,
};
use crate::output::tests::dump::dump;

const DYNAMIC: [&str; 2] = ["-o", "force_size=on"];
const FIXED: [&str; 2] = ["-o", "force_size=on,subformat=fixed"];

/// Replaces the time and the UUID in the footer at `offset`, as `qemu-img` wrote it.
fn fix(path: &Path, offset: u64) {
    let mut footer = get(path, offset, 512);
    assert_eq!(footer[..8], *b"conectix");
    footer[24..28].fill(0);
    let uuid = Uuid::new_v5(&identity().root_file_system, b"VHD");
    footer[68..84].copy_from_slice(uuid.as_bytes());
    footer[64..68].fill(0);
    let sum: u32 = footer.iter().copied().map(u32::from).sum();
    footer[64..68].copy_from_slice(&(!sum).to_be_bytes());
    put(path, offset, &footer);
}

/// Where the last sector of the file begins.
fn last_sector(path: &Path) -> u64 {
    fs::metadata(path).unwrap().len() - 512
}

/// Checks that a dynamic disk is that of `qemu-img`.
fn assert_dynamic(name: &str, image: &Image) -> Raw {
    let raw = Raw::new(image);
    let path = raw.file("vhd");
    write_dynamic(image, &identity(), &path, &|_| ()).unwrap();
    let expected = raw.convert("vpc", &DYNAMIC);
    fix(&expected, 0);
    fix(&expected, last_sector(&expected));
    assert!(is_same(&path, &expected), "{name}");
    raw
}

#[test]
fn dynamic_disks_are_those_of_qemu_img() {
    for (name, image) in samples() {
        let raw = assert_dynamic(name, &image);
        raw.compare("vpc", &raw.file("vhd"));
    }
}

#[test]
fn fixed_disks_are_those_of_qemu_img() {
    let mut tried = 0;
    for (name, image) in samples() {
        if !image.length.is_multiple_of(MEBIBYTE) || image.length == 0 {
            continue;
        }
        let raw = Raw::new(&image);
        let path = raw.file("vhd");
        write_fixed(&image, &identity(), &path, &|_| ()).unwrap();
        let expected = raw.convert("vpc", &FIXED);
        fix(&expected, last_sector(&expected));
        assert!(is_same(&path, &expected), "{name}");
        raw.compare("vpc", &path);
        tried += 1;
    }
    assert!(tried >= 4, "{tried}");
}

#[test]
fn headers_are_readable() {
    let image = image(5 << 20, vec![(3 << 20, vec![b'x'; 1])]);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("vhd");
    write_dynamic(&image, &identity(), &path, &|_| ()).unwrap();
    let bytes = fs::read(&path).unwrap();
    assert_eq!(dump(&bytes[..2048]), include_str!("tests/dynamic.txt"));
    let block = 2048;
    assert_eq!(bytes[block..block + 512], [0xff; 512]);
    assert_eq!(bytes[block + 512 + (1 << 20)], b'x');
    let end = bytes.len() - 512;
    assert_eq!(end, block + 512 + (2 << 20));
    assert_eq!(bytes[end..], bytes[..512]);

    write_fixed(&image, &identity(), &path, &|_| ()).unwrap();
    let bytes = fs::read(&path).unwrap();
    assert_eq!(dump(&bytes[5 << 20..]), include_str!("tests/fixed.txt"));
}

#[test]
fn holes_in_blocks_are_holes_in_the_file() {
    let length = 64 << 20;
    let data = |at: u64| (at << 20, noise(4096, at));
    let image = image(length, (0..64).map(data).collect());
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("vhd");
    for write in [write_dynamic, write_fixed] {
        write(&image, &identity(), &path, &|_| ()).unwrap();
        let found = fs::metadata(&path).unwrap();
        assert!(found.len() > length);
        // Of each MiB one piece, in twice as much because its pages are not those of the file.
        assert!(
            found.blocks() * 512 < 64 * (128 << 10),
            "{}",
            found.blocks()
        );
    }
}

#[test]
fn a_shorter_disk_replaces_a_longer_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("vhd");
    write_longer(&path);
    let image = image(4 << 20, vec![]);
    write_dynamic(&image, &identity(), &path, &|_| ()).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().len(), 2048 + 512);
    write_longer(&path);
    write_fixed(&image, &identity(), &path, &|_| ()).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().len(), (4 << 20) + 512);
}

#[test]
fn the_time_is_that_of_the_build_if_it_need_not_be_reproducible() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("vhd");
    for (time, expected) in [
        (Footer::EPOCH + 0x0102_0304, 0x0102_0304_u32),
        (Footer::EPOCH - 1, 0),
        (i64::MAX, 0),
    ] {
        let identity = Identity {
            deterministic: false,
            time,
            ..identity()
        };
        write_dynamic(&image(512, vec![]), &identity, &path, &|_| ()).unwrap();
        let bytes = fs::read(&path).unwrap();
        assert_eq!(bytes[24..28], expected.to_be_bytes(), "{time}");
        // QEMU ignores a wrong checksum, but says so.
        let info = qemu_img(&["info", text(&path)]);
        assert!(!info.contains("incorrect"), "{info}");
    }
}

type Write = fn(&Image, &Identity, &Path, &(dyn Fn(u64) + Sync)) -> Result<()>;

/// The message of `write` for a disk of `length` bytes, of which nothing is written.
fn refused(length: u64, write: Write) -> String {
    let path = Path::new("/nonexistent/nixos.vhd");
    let error = write(&image(length, vec![]), &identity(), path, &|_| ());
    format!("{:#}", error.unwrap_err())
}

#[test]
fn disks_that_are_too_long_are_refused() {
    let message = "writing /nonexistent/nixos.vhd: the disk has 2190433321472 bytes (2088961 MiB), \
                   but a VHD has at most 2190433320960 (2088960 MiB); set diskSize to at most \
                   2088960, or use another format, such as \"vhdx\" or \"qcow2\"";
    assert_eq!(refused(LONGEST + 512, write_dynamic), message);
    assert_eq!(refused(LONGEST + 512, write_fixed), message);
    // The longest disk has the limit that qemu-img has.
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("vhd");
    let create = ["create", "-f", "vpc", "-o", "force_size=on", text(&path)];
    qemu_img(&[&create[..], &["2190433320960"]].concat());
    let mut command = std::process::Command::new("qemu-img");
    let output = command.args(create).arg("2190433321472").output().unwrap();
    assert!(!output.status.success());
    let image = image(LONGEST, vec![(LONGEST - 512, noise(512, 1))]);
    assert_dynamic("longest", &image);
}

#[test]
fn disks_that_azure_does_not_take_are_refused() {
    let message = "writing /nonexistent/nixos.vhd: the disk has 1049088 bytes, which is not a whole \
                   number of MiB, so Azure would not take it; set diskSize to at least 2";
    assert_eq!(refused(MEBIBYTE + 512, write_fixed), message);
}

#[test]
fn disks_that_are_not_whole_sectors_are_refused() {
    let message = "writing /nonexistent/nixos.vhd: the disk has 1049087 bytes, which is not a \
                   multiple of 512, the length of a sector";
    assert_eq!(refused(MEBIBYTE + 511, write_dynamic), message);
}

proptest! {
    #![proptest_config(cases(8))]

    #[test]
    fn any_sparse_disk_is_that_of_qemu_img(
        sectors in prop_oneof![1..200_000_u64, 1..2_000_000_u64, 1..=LONGEST / 512],
        ranges in ranges(),
    ) {
        assert_dynamic("random", &sparse(sectors * 512, &ranges));
    }
}
