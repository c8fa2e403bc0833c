//! `compressImage`: raw images in one compressed file.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use crate::common::nix::Build;
use crate::common::program::{Attributes, Ended, hash};
use crate::common::{command, oracles, scratch, stdout};

const ARGUMENTS: &str = r#"onlyNixStore = true; config = { }; copyChannel = false; additionalSpace = "0M";
    partitionTableType = "efi"; bootSize = "16M"; additionalPaths = [ fixture.pkgs.attr ];"#;

static ATTRIBUTES: LazyLock<Attributes> = LazyLock::new(|| Attributes::of(ARGUMENTS));

/// `compressImage`, which is also the name of the tool; file name
const ALGORITHMS: [(&str, &str); 3] = [
    ("zstd", "nixos.img.zst"),
    ("xz", "nixos.img.xz"),
    ("gzip", "nixos.img.gz"),
];

fn raw() -> Ended {
    let ended = ATTRIBUTES.job().run();
    ended.image("nixos.img");
    ended
}

/// Decompresses an image with the tool of its format.
fn decompressed(tool: &str, image: &Path, directory: &Path) -> PathBuf {
    let raw = directory.join("raw");
    let script = r#""$0" -dc "$1" >"$2""#;
    stdout(
        command("bash")
            .args(["-c", script, tool])
            .arg(image)
            .arg(&raw),
    );
    raw
}

#[test]
fn each_is_the_raw_image_and_the_only_file() {
    let raw = raw();
    let raw = raw.image("nixos.img");
    let scratch = scratch();
    for (tool, name) in ALGORITHMS {
        let mut job = ATTRIBUTES.job();
        job.image("compressImage", tool)
            .post_vm(r#"echo "$diskImage" >"$out/path""#);
        let ended = job.run();
        let image = ended.image(name);
        let restored = decompressed(tool, &image, scratch.path());
        stdout(command("cmp").arg(&raw).arg(&restored));
        oracles::check(&restored, "raw", "efi");

        let mut names: Vec<_> = fs::read_dir(&ended.out)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["nix-support", name, "path"]);
        let path = format!("{}\n", image.display());
        assert_eq!(fs::read_to_string(ended.out.join("path")).unwrap(), path);
        let products = ended.out.join("nix-support/hydra-build-products");
        assert_eq!(
            fs::read_to_string(products).unwrap(),
            format!("file raw-image {path}")
        );
    }
}

#[test]
fn bytes_depend_on_the_level_and_not_on_the_number_of_threads() {
    for ((algorithm, name), level) in ALGORITHMS.into_iter().zip([1, 0, 1]) {
        let built = |cores: &'static str, level: Option<u64>| {
            let mut job = ATTRIBUTES.job();
            job.environment.insert("NIX_BUILD_CORES", cores.into());
            job.image("compressImage", algorithm)
                .image("compressionLevel", level);
            hash(job.run().image(name))
        };
        let first = built("0", None);
        assert_eq!(first, built("1", None), "{algorithm}");
        assert_ne!(first, built("0", Some(level)), "{algorithm}");
    }
}

#[test]
fn one_is_built_by_nix_under_the_name_that_it_announces() {
    let arguments = format!(r#"{ARGUMENTS} installBootLoader = false; compressImage = "zstd";"#);
    let built = Build::image(&arguments).run();
    let path = crate::common::nix::evaluate(&format!(
        "(fixture.makeDiskImage {{ {arguments} }}).passthru.filePath"
    ));
    stdout(command("zstd").arg("-t").arg(built.out.join(path)));
}

/// Attributes that only a change of the derivation can bring about.
#[test]
fn other_formats_and_unknown_levels_are_refused() {
    for (name, value, message) in [
        (
            "format",
            "qcow2",
            "image.compressImage: only a raw image is compressed as a whole, and image.format is \
             \"qcow2\"; set format to \"raw\", or compressImage to null",
        ),
        (
            "compressImage",
            "lzma",
            "image.compressImage: \"lzma\" is unsupported; use one of \"zstd\", \"xz\", \"gzip\"",
        ),
        (
            "compressionLevel",
            "20",
            "image.compressionLevel: \"20\" is not a level of zstd; use a whole number from 1 to 19, \
             or null for the default",
        ),
    ] {
        let mut job = ATTRIBUTES.job();
        job.image("compressImage", "zstd").image(name, value);
        let error = job.run().error();
        assert!(error.contains(message), "{error}");
    }
}
