//! Images in the qcow2 format, read by `qemu-img`.

mod layout;
mod random;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::*;
use crate::image::{Content, Part};
use crate::output::tests::disk::{noise, words};

const DEFLATE: Codec = Codec::Deflate {
    level: 6,
    window_bits: 12,
};

const ZSTD: Codec = Codec::Zstd {
    level: 3,
    checksum: false,
};

const CODECS: [Option<Codec>; 3] = [None, Some(DEFLATE), Some(ZSTD)];

/// A disk of `length` bytes with these bytes at these offsets.
fn image(length: u64, pieces: impl IntoIterator<Item = (u64, Vec<u8>)>) -> Image {
    let part = |(start, bytes): (u64, Vec<u8>)| Part {
        name: "test".to_owned(),
        start,
        length: bytes.len() as u64,
        content: Content::Bytes(bytes),
    };
    let parts = pieces.into_iter().map(part).collect();
    Image { length, parts }
}

fn qemu_img(arguments: &[&str], files: &[&Path]) -> String {
    let mut command = Command::new("qemu-img");
    let output = command.args(arguments).args(files).output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    let out = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{command:?}: {message}{out}");
    out.into_owned()
}

/// What `qemu-img check` says of a file, in which it must find no error.
fn checked(path: &Path) -> Value {
    let found = qemu_img(&["check", "-f", "qcow2", "--output=json"], &[path]);
    let found: Value = serde_json::from_str(&found).unwrap();
    for problem in ["corruptions", "leaks"] {
        assert!(found.get(problem).is_none(), "{found}");
    }
    assert_eq!(found["check-errors"], 0, "{found}");
    let length = fs::metadata(path).unwrap().len();
    assert_eq!(found["image-end-offset"], length, "{found}");
    found
}

/// A number in what `qemu-img check` says; it leaves out some that are 0.
fn number(found: &Value, name: &str) -> u64 {
    found.get(name).map_or(0, |number| number.as_u64().unwrap())
}

/// A directory with the file `raw` of a disk.
struct Disk {
    image: Image,
    directory: tempfile::TempDir,
}

impl Disk {
    fn new(image: Image) -> Disk {
        let directory = tempfile::tempdir().unwrap();
        image::write(&image, &directory.path().join("raw"), &|_| {}).unwrap();
        Disk { image, directory }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes the disk to the file `qcow2`, and checks that it has the bytes of `raw`. Returns what
    /// `qemu-img check` says of it.
    fn write(&self, codec: Option<Codec>) -> Value {
        let (raw, path) = (self.path("raw"), self.path("qcow2"));
        write(&self.image, codec, &path, &|_| {}).unwrap();
        qemu_img(&["compare", "-f", "raw", "-F", "qcow2"], &[&raw, &path]);
        checked(&path)
    }
}

/// What `qemu-img info` says of a file, but for what depends on the clusters in use.
fn info(path: &Path) -> Value {
    let info = qemu_img(&["info", "--output=json"], &[path]);
    let info = info.replace(path.to_str().unwrap(), "");
    let mut info: Value = serde_json::from_str(&info).unwrap();
    let fields = info.as_object_mut().unwrap();
    fields.remove("actual-size").unwrap();
    // The file itself, with its length; QEMU 7.2 does not have it.
    fields.remove("children");
    info
}

/// The options of `qemu-img convert` for what [`write()`] does with `codec`.
fn options(codec: Option<Codec>) -> Vec<&'static str> {
    match codec {
        None => vec!["-O", "qcow2"],
        Some(Codec::Zstd { .. }) => vec!["-O", "qcow2", "-c", "-o", "compression_type=zstd"],
        Some(_) => vec!["-O", "qcow2", "-c"],
    }
}

#[test]
fn zero_clusters_are_not_in_the_file() {
    let zeros = vec![0; 5 << CLUSTER_BITS];
    let mut mixed = zeros.clone();
    mixed[..1 << CLUSTER_BITS].copy_from_slice(&noise(CLUSTER, 1));
    mixed[(3 << CLUSTER_BITS) + 77] = 1;
    let disk = Disk::new(image(20 * CLUSTER, [(0, zeros), (5 * CLUSTER, mixed)]));
    for codec in CODECS {
        let found = disk.write(codec);
        assert_eq!(number(&found, "total-clusters"), 20);
        assert_eq!(number(&found, "allocated-clusters"), 2);
        let compressed = u64::from(codec.is_some());
        assert_eq!(number(&found, "compressed-clusters"), compressed);
        // The header, two clusters, and a cluster for each of the four tables.
        assert_eq!(number(&found, "image-end-offset"), 7 * CLUSTER);
    }
}

#[test]
fn files_are_like_those_of_qemu_img() {
    let mut bytes = Vec::new();
    for number in 0..50 {
        bytes.extend(match number % 7 {
            3 => noise(CLUSTER, number),
            _ => words(CLUSTER, number),
        });
    }
    let disks = [0, 512, bytes.len() as u64 + 1536].map(|length| {
        let used = usize::try_from(length).unwrap().min(bytes.len());
        image(length, [(0, bytes[..used].to_vec())])
    });
    for disk in disks.map(Disk::new) {
        let [raw, ours, theirs] = ["raw", "qcow2", "theirs"].map(|name| disk.path(name));
        for codec in CODECS {
            disk.write(codec);
            let options = options(codec);
            let arguments = [&["convert", "-f", "raw"], &options[..]].concat();
            qemu_img(&arguments, &[&raw, &theirs]);
            assert_eq!(info(&ours), info(&theirs));
            let [ours, theirs] =
                [ours.as_path(), &theirs].map(|it| fs::metadata(it).unwrap().len());
            // Theirs may end within a cluster.
            let most = (theirs + theirs / 100).next_multiple_of(CLUSTER);
            assert!(ours <= most, "{codec:?}: {ours}, {theirs}");
        }
    }
}

#[test]
fn the_longest_disk_is_read_to_its_end() {
    let directory = tempfile::tempdir().unwrap();
    let [path, out] = ["qcow2", "out"].map(|name| directory.path().join(name));
    for codec in [None, Some(ZSTD)] {
        let end = words(CLUSTER, 1);
        let image = image(LONGEST, [(LONGEST - CLUSTER, end.clone())]);
        write(&image, codec, &path, &|_| {}).unwrap();
        assert_eq!(number(&checked(&path), "total-clusters"), LONGEST / CLUSTER);
        let (from, to) = (
            format!("if={}", path.display()),
            format!("of={}", out.display()),
        );
        let skip = format!("skip={}", LONGEST / CLUSTER - 1);
        let arguments = [
            "dd", "-f", "qcow2", "-O", "raw", "bs=64k", &skip, &from, &to,
        ];
        qemu_img(&arguments, &[]);
        assert!(fs::read(&out).unwrap() == end, "{codec:?}");
    }
    let image = image(LONGEST + 512, []);
    let error = write(&image, None, &path, &|_| {}).unwrap_err().to_string();
    assert!(
        error.contains("the disk has 2251799813685760 bytes"),
        "{error}"
    );
}

#[test]
fn a_codec_that_qcow2_does_not_have_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("qcow2");
    for codec in [
        Codec::Zlib { level: 6 },
        Codec::Deflate {
            level: 6,
            window_bits: 15,
        },
    ] {
        let error = write(&image(512, []), Some(codec), &path, &|_| {}).unwrap_err();
        assert!(error.to_string().contains("cannot be compressed with"));
        assert!(!path.exists());
    }
}
