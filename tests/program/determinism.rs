//! The bytes of an image depend on its attributes and the contents of its sources, and on nothing else.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::LazyLock;

use crate::common::program::{Attributes, Job, hash};
use crate::common::{command, stdout};
use serde_json::json;

/// Covers everything that is made on the build machine: root, FAT, channel. A VHD has identifiers
/// and a time of its own and stores the whole disk.
static ATTRIBUTES: LazyLock<Attributes> = LazyLock::new(|| {
    Attributes::of(
        r#"additionalSpace = "0M"; partitionTableType = "efixbootldr"; bootSize = "128M"; format = "vpc";"#,
    )
});

/// The same with a squashfs, which has no UUID and needs a tool.
static SQUASHFS: LazyLock<Attributes> = LazyLock::new(|| {
    Attributes::of(
        r#"fsType = "squashfs"; partitionTableType = "efixbootldr"; bootSize = "128M"; format = "vpc";"#,
    )
});

/// Creates files for `contents` in a new directory, and the job that uses them.
fn job() -> Job {
    job_of(&ATTRIBUTES)
}

fn job_of(attributes: &Attributes) -> Job {
    let mut job = attributes.job();
    let source = job.place().join("source");
    fs::create_dir(&source).unwrap();
    // Each kind of file system lists these in another order.
    for name in ["z", "b", "Z", "10", "9", "a"] {
        fs::write(source.join(name), name.repeat(5000)).unwrap();
    }
    fs::hard_link(source.join("a"), source.join("again")).unwrap();
    std::os::unix::fs::symlink("a", source.join("link")).unwrap();
    for path in ["z", "b", "Z", "10", "9", "a", "link", "."] {
        stdout(
            command("touch")
                .args(["-h", "-d", "@1000000000"])
                .arg(source.join(path)),
        );
    }
    job.image(
        "contents",
        json!([{ "source": source, "target": "/srv", "mode": "u+rwX,go-w", "user": "1", "group": "2" }]),
    );
    job
}

fn hash_of(job: Job) -> String {
    let ended = job.run();
    hash(ended.image("nixos.vhd"))
}

/// The hash that every build must have.
static HASH: LazyLock<String> = LazyLock::new(|| hash_of(job()));

#[test]
fn the_environment_does_not_affect_the_bytes() {
    /// What the case changes.
    type Change = fn(&mut Job);
    let cases: [(&str, Change); 11] = [
        ("nothing, at another time", |_| {}),
        ("time zone and locale", |job| {
            for (name, value) in [
                ("TZ", "Pacific/Kiritimati"),
                ("LC_ALL", "tr_TR.UTF-8"),
                ("LANG", "C"),
            ] {
                job.environment.insert(name, value.into());
            }
        }),
        ("umask", |job| {
            job.wrapped(&["sh", "-c", "umask 0077; exec \"$@\"", "sh"]);
        }),
        ("no umask", |job| {
            job.wrapped(&["sh", "-c", "umask 0; exec \"$@\"", "sh"]);
        }),
        ("home and user", |job| {
            for (name, value) in [
                ("HOME", "/nonexistent"),
                ("USER", "somebody"),
                ("LOGNAME", "x"),
            ] {
                job.environment.insert(name, value.into());
            }
        }),
        ("the environment of tools", |job| {
            for (name, value) in [
                ("SOURCE_DATE_EPOCH", "1234567890"),
                ("MTOOLSRC", "/dev/full"),
                ("MTOOLS_SKIP_CHECK", "0"),
                ("NIX_CONFIG", "auto-optimise-store = true"),
                ("NIX_STATE_DIR", "/nonexistent"),
                ("MKE2FS_CONFIG", "/nonexistent"),
                ("TAR_OPTIONS", "--totals"),
                ("RUST_LOG", "warn"),
            ] {
                job.environment.insert(name, value.into());
            }
        }),
        ("one core", |job| {
            job.wrapped(&["taskset", "-c", "0"]);
        }),
        ("another user", |job| {
            stdout(command("chown").args(["-R", "1000"]).arg(job.build()));
            job.wrapped(&[
                "setpriv",
                "--reuid",
                "1000",
                "--regid",
                "nixbld",
                "--clear-groups",
            ]);
        }),
        ("another build directory", |job| {
            let other = job.build().join("a longer name with blanks/and-more");
            fs::create_dir_all(&other).unwrap();
            job.environment.insert("TMPDIR", other.into());
        }),
        ("a clock since the start that is days ahead", |job| {
            job.wrapped(&[
                "unshare",
                "--time",
                "--boottime",
                "1000000",
                "--monotonic",
                "1000000",
            ]);
        }),
        ("an open file limit", |job| {
            job.wrapped(&["prlimit", "--nofile=64"]);
        }),
    ];
    for (what, change) in cases {
        let mut job = job();
        change(&mut job);
        assert_eq!(hash_of(job), *HASH, "{what}");
    }
}

/// The other root file systems: `fsType` and `fsOptions`.
fn roots() -> Vec<(&'static str, serde_json::Value)> {
    let compressed = |method: &str| json!({ "compression": method });
    let quickly = |method: &str| json!({ "compression": method, "compressionLevel": 1 });
    vec![
        ("btrfs", json!({})),
        ("btrfs", compressed("zlib")),
        (
            "btrfs",
            json!({ "compression": "zstd", "subvolumes": ["nix", "srv"] }),
        ),
        ("erofs", json!({})),
        ("erofs", compressed("lz4")),
        ("erofs", compressed("deflate")),
        ("erofs", compressed("zstd")),
        ("ext2", json!({})),
        ("ext3", json!({})),
        ("f2fs", json!({})),
        ("squashfs", quickly("zstd")),
        ("squashfs", quickly("gzip")),
        ("xfs", json!({})),
    ]
}

#[test]
fn only_the_sources_affect_the_bytes_of_each_root_file_system() {
    for (kind, options) in roots() {
        let job = || {
            let mut job = match kind {
                "squashfs" => job_of(&SQUASHFS),
                _ => job(),
            };
            job.image("fsType", kind)
                .image("fsOptions", options.clone());
            job
        };
        let usual = hash_of(job());
        let mut other = job();
        for (name, value) in [
            ("TZ", "Pacific/Kiritimati"),
            ("LC_ALL", "tr_TR.UTF-8"),
            ("SOURCE_DATE_EPOCH", "1234567890"),
            ("NIX_BUILD_CORES", "1"),
        ] {
            other.environment.insert(name, value.into());
        }
        stdout(command("chown").args(["-R", "1000"]).arg(other.build()));
        other.wrapped(&[
            "setpriv",
            "--reuid",
            "1000",
            "--regid",
            "nixbld",
            "--clear-groups",
        ]);
        other.wrapped(&[
            "taskset",
            "-c",
            "0",
            "sh",
            "-c",
            "umask 0077; exec \"$@\"",
            "sh",
        ]);
        assert_eq!(hash_of(other), usual, "{kind} {options}");

        let changed = job();
        let file = changed.place().join("source/z");
        let mut bytes = fs::read(&file).unwrap();
        bytes[1234] ^= 1;
        fs::write(&file, bytes).unwrap();
        stdout(command("touch").args(["-d", "@1000000000"]).arg(&file));
        assert_ne!(hash_of(changed), usual, "{kind} {options}");
    }
}

/// Mounts copies of the closure over the originals, on a tmpfs, in the program's own mount
/// namespace. `script` may change them first; they are in `$copy`.
fn on_tmpfs(job: &mut Job, script: &str) {
    let list = job.place().join("closure");
    let paths: Vec<_> = ATTRIBUTES
        .closure()
        .iter()
        .map(|path| format!("{}\n", path.display()))
        .collect();
    fs::write(&list, paths.concat()).unwrap();
    let copy = job.place().join("copy");
    fs::create_dir(&copy).unwrap();
    let script = format!(
        "set -e\n\
         copy={copy}\n\
         mount -t tmpfs copies $copy\n\
         xargs cp -a -t $copy <{list}\n\
         {script}\n\
         while read -r path; do mount --bind $copy/${{path##*/}} $path; done <{list}\n\
         exec \"$@\"",
        copy = copy.display(),
        list = list.display()
    );
    job.wrapped(&["unshare", "-m", "bash", "-c", &script, "bash"]);
}

#[test]
fn the_file_system_of_the_store_does_not_affect_the_bytes() {
    let mut job = job();
    on_tmpfs(&mut job, "");
    assert_eq!(hash_of(job), *HASH);
}

#[test]
fn an_optimised_store_does_not_affect_the_bytes() {
    let mut job = job();
    on_tmpfs(
        &mut job,
        "hardlink $copy >$copy.log\n\
         find $copy -type d -exec touch -d @1 {} +\n\
         # There was something to do.\n\
         find $copy -type f -links +1 | grep -q .",
    );
    assert_eq!(hash_of(job), *HASH);
}

#[test]
fn every_change_to_a_source_changes_the_bytes() {
    /// What the case changes in the directory of sources.
    type Change = fn(&Path);
    let cases: [(&str, Change); 6] = [
        ("one byte", |source| {
            let mut bytes = fs::read(source.join("z")).unwrap();
            bytes[1234] ^= 1;
            fs::write(source.join("z"), bytes).unwrap();
            stdout(
                command("touch")
                    .args(["-d", "@1000000000"])
                    .arg(source.join("z")),
            );
        }),
        ("one mode", |source| {
            fs::set_permissions(source.join("z"), Permissions::from_mode(0o600)).unwrap();
        }),
        ("one time", |source| {
            stdout(
                command("touch")
                    .args(["-d", "@1000000001"])
                    .arg(source.join("z")),
            );
        }),
        ("the time of a symlink", |source| {
            stdout(
                command("touch")
                    .args(["-h", "-d", "@1000000001"])
                    .arg(source.join("link")),
            );
        }),
        ("one name", |source| {
            fs::rename(source.join("z"), source.join("y")).unwrap();
            stdout(command("touch").args(["-d", "@1000000000"]).arg(source));
        }),
        ("an extended attribute", |source| {
            stdout(
                command("setfattr")
                    .args(["-n", "user.x", "-v", "1"])
                    .arg(source.join("z")),
            );
        }),
    ];
    let mut hashes = vec![HASH.clone()];
    for (what, change) in cases {
        let job = job();
        change(&job.place().join("source"));
        let hash = hash_of(job);
        assert!(!hashes.contains(&hash), "{what}");
        hashes.push(hash);
    }
}

#[test]
fn one_byte_of_a_store_path_changes_the_bytes() {
    let mut job = job();
    let system = job.json["image"]["toplevel"].as_str().unwrap().to_owned();
    let name = system.trim_start_matches("/nix/store/");
    on_tmpfs(
        &mut job,
        &format!(
            "file=$copy/{name}/nixos-version\n\
             chmod u+w $file; printf X | dd of=$file conv=notrunc status=none; chmod u-w $file; touch -d @1 $file"
        ),
    );
    assert_ne!(hash_of(job), *HASH);
}

#[test]
fn without_deterministic_two_images_differ_and_are_valid() {
    let images = [(); 2].map(|()| {
        let mut job = ATTRIBUTES.job();
        job.image("deterministic", false).image("format", "raw");
        let ended = job.run();
        let image = ended.image("nixos.img");
        let table = crate::common::oracles::check(&image, "raw", "efixbootldr").unwrap();
        let mut ids = vec![table.id];
        ids.extend(
            table
                .partitions
                .into_iter()
                .filter_map(|partition| partition.uuid),
        );
        (hash(&image), ids)
    });
    let [(one, ids), (other, others)] = images;
    assert_ne!(one, other);
    assert_eq!(ids.len(), 4);
    for id in &ids {
        assert!(!others.contains(id), "{ids:?} {others:?}");
    }
}
