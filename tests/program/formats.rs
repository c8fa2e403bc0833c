//! Every format: the room and the memory that it takes, and a full disk.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::common::mount::Mount;
use crate::common::program::{Attributes, Ended, Job, hash};
use crate::common::{command, next, oracles, scratch, stdout};

const MIB: u64 = 1 << 20;

/// A format.
pub struct Format {
    /// The attributes of the image that select it.
    pub image: &'static [(&'static str, &'static str)],
    /// The name of the image file.
    pub file: &'static str,
    /// The format for `qemu-img`; `None` if the file is a compressed raw disk.
    pub qemu: Option<&'static str>,
}

const fn format(
    image: &'static [(&'static str, &'static str)],
    file: &'static str,
    qemu: Option<&'static str>,
) -> Format {
    Format { image, file, qemu }
}

/// All formats that this program writes itself.
pub const FORMATS: [Format; 13] = [
    format(&[("format", "raw")], "nixos.img", Some("raw")),
    format(&[("format", "qcow2")], "nixos.qcow2", Some("qcow2")),
    format(
        &[("format", "qcow2-compressed"), ("compression", "zlib")],
        "nixos.qcow2",
        Some("qcow2"),
    ),
    format(
        &[("format", "qcow2-compressed"), ("compression", "zstd")],
        "nixos.qcow2",
        Some("qcow2"),
    ),
    format(&[("format", "vdi")], "nixos.vdi", Some("vdi")),
    format(&[("format", "vpc")], "nixos.vhd", Some("vpc")),
    format(&[("format", "vpc-fixed")], "nixos.vhd", Some("vpc")),
    format(&[("format", "vmdk")], "nixos.vmdk", Some("vmdk")),
    format(
        &[("format", "vmdk-stream-optimized")],
        "nixos.vmdk",
        Some("vmdk"),
    ),
    format(&[("format", "vhdx")], "nixos.vhdx", Some("vhdx")),
    format(
        &[("format", "raw"), ("compressImage", "zstd")],
        "nixos.img.zst",
        None,
    ),
    format(
        &[("format", "raw"), ("compressImage", "gzip")],
        "nixos.img.gz",
        None,
    ),
    format(
        &[("format", "raw"), ("compressImage", "xz")],
        "nixos.img.xz",
        None,
    ),
];

impl Format {
    /// Its name in messages.
    pub fn name(&self) -> String {
        format!("{:?}", self.image)
    }

    /// Sets the attributes that select it.
    pub fn select(&self, image: &mut Value) {
        for (name, value) in self.image {
            image[name] = json!(value);
        }
    }
}

/// An image of the store alone.
static ATTRIBUTES: LazyLock<Attributes> = LazyLock::new(|| {
    Attributes::of(r#"onlyNixStore = true; partitionTableType = "none"; additionalSpace = "60M";"#)
});

/// A store path: a program, bytes that do not shrink, zeros, and small files.
struct Store {
    path: PathBuf,
}

impl Store {
    fn new(directory: &Path) -> Store {
        let path = in_store(directory);
        fs::create_dir(&path).unwrap();
        let mut program = fs::read(crate::common::nix::PROGRAM).unwrap();
        program.truncate(12 << 20);
        fs::write(path.join("program"), &program).unwrap();
        let mut state = 1_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        };
        let noise: Vec<u8> = (0..4 << 20).map(|_| next()).collect();
        fs::write(path.join("noise"), noise).unwrap();
        fs::write(path.join("zeros"), vec![0; 6 << 20]).unwrap();
        for number in 0..500 {
            let text = format!("file {number}\n").repeat(number);
            fs::write(path.join(format!("text-{number}")), text).unwrap();
        }
        Store { path }
    }

    /// A job that makes an image of it in `format`, with the output and all temporary files in `place`.
    fn job(&self, format: &Format, place: &Path) -> Job {
        let mut job = ATTRIBUTES.job();
        let out = place.join(format!("{}-image", "0".repeat(32)));
        let path = in_store(place);
        if path != self.path {
            // For the program, so that it does not take space there.
            fs::create_dir(&path).unwrap();
            let mount = r#"mount --bind "$0" "$1" && shift && exec "$@""#;
            let paths = [&self.path, &path].map(|path| path.to_str().unwrap());
            job.wrapped(&["unshare", "-m", "bash", "-c", mount]);
            job.wrapped(&paths);
        }
        job.json["outputs"]["out"] = out.to_str().unwrap().into();
        job.out = out;
        job.json["image"]["storeDir"] = place.to_str().unwrap().into();
        job.json["exportReferencesGraph"]["closure"] = json!([path]);
        let mut info = job.json["closure"][0].clone();
        info["path"] = path.to_str().unwrap().into();
        info["references"] = json!([]);
        job.json["closure"] = json!([info]);
        format.select(&mut job.json["image"]);
        job.environment.insert("TMPDIR", place.into());
        job
    }
}

/// The store path in a store directory.
fn in_store(directory: &Path) -> PathBuf {
    directory.join(format!("{}-files", "1".repeat(32)))
}

/// A file system in memory.
fn memory(bytes: u64) -> Mount {
    Mount::with(
        &["-t", "tmpfs", "-o", &format!("size={bytes}")],
        Path::new("tmpfs"),
    )
}

fn space(path: &Path) -> u64 {
    fs::metadata(path).unwrap().blocks() * 512
}

#[test]
fn every_format_holds_the_same_disk_and_needs_no_more_room_than_its_file() {
    let files = scratch();
    let store = Store::new(files.path());
    let place = scratch();
    let raw = store.job(&FORMATS[0], place.path()).run();
    let disk = raw.image("nixos.img");
    for format in &FORMATS {
        let name = format.name();
        let place = scratch();
        let first = store.job(format, place.path()).run();
        let image = first.image(format.file);
        match format.qemu {
            Some("raw") => {}
            Some(qemu) => oracles::compare(&image, qemu, &disk),
            None => decompresses_to(&image, &disk),
        }
        let (sum, size) = (hash(&image), space(&image));
        drop(first);

        let mount = memory(size + 64 * MIB);
        let mut second = store.job(format, mount.path());
        second.environment.insert("NIX_BUILD_CORES", "1".into());
        let second = second.run();
        assert_eq!(hash(second.image(format.file)), sum, "{name}");
        drop(second);

        // Enough for the file that the image would be without its last quarter.
        let mount = memory(size / 4 * 3);
        let failed = store.job(format, mount.path()).run();
        is_reported(&name, &failed, mount.path());
    }
}

fn is_reported(name: &str, failed: &Ended, place: &Path) {
    let error = failed.error();
    assert!(error.contains("No space left on device"), "{name}: {error}");
    assert!(error.contains(place.to_str().unwrap()), "{name}: {error}");
    let figures = error.contains("the image needs ") && error.contains(" bytes, available: ");
    assert!(figures, "{name}: {error}");
}

/// Asserts that the program of the file's extension restores the disk.
fn decompresses_to(image: &Path, disk: &Path) {
    let program = match image.extension().and_then(|end| end.to_str()) {
        Some("zst") => "zstd",
        Some("gz") => "gzip",
        Some("xz") => "xz",
        end => panic!("{end:?}"),
    };
    let script = r#"set -o pipefail; "$0" -t "$1" && "$0" -dc <"$1" | cmp - "$2""#;
    let arguments = ["-c", script, program];
    stdout(command("bash").args(arguments).arg(image).arg(disk));
}

#[test]
fn a_raw_image_shares_blocks_with_the_store_on_btrfs() {
    let scratch = scratch();
    let file = scratch.path().join("btrfs");
    fs::File::create(&file).unwrap().set_len(1 << 30).unwrap();
    stdout(next::program("usr/sbin/mkfs.btrfs").arg("-q").arg(&file));
    let mount = Mount::with(&["-t", "btrfs", "-o", "loop"], &file);
    let store = Store::new(mount.path());
    let used = || {
        stdout(Command::new("sync").arg("-f").arg(mount.path()));
        (mount.figure("%b") - mount.figure("%f")) * mount.figure("%S")
    };
    let before = used();
    let ended = store.job(&FORMATS[0], mount.path()).run();
    let image = ended.image("nixos.img");
    assert!(space(&image) > 20 * MIB);
    let said = ended.said();
    assert!(
        said.contains("MiB of them share blocks with their sources"),
        "{said}"
    );
    let more = used() - before;
    assert!(more < 6 * MIB, "{more} more bytes are used");
    oracles::check(&image, "raw", "none");
    drop(ended);
}
