//! How `contents` and the rest of the image interact, with the whole program.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use crate::common::program::{Attributes, hash};
use crate::common::{command, oracles, stdout};
use serde_json::{Value, json};

static ATTRIBUTES: LazyLock<Attributes> = LazyLock::new(|| {
    Attributes::of(r#"copyChannel = false; partitionTableType = "none"; additionalSpace = "1M";"#)
});

/// A directory of the closure with a file and a symbolic link at its top.
fn store_path() -> PathBuf {
    let has = |path: &Path, found: fn(&fs::FileType) -> bool| {
        let entries = fs::read_dir(path).into_iter().flatten();
        entries
            .flatten()
            .any(|entry| found(&entry.file_type().unwrap()))
    };
    let closure = ATTRIBUTES.closure();
    let found = closure
        .into_iter()
        .find(|path| has(path, fs::FileType::is_file) && has(path, fs::FileType::is_symlink));
    found.expect("a path with a file and a link")
}

fn first(path: &Path, wanted: fn(&fs::FileType) -> bool) -> String {
    let entries = fs::read_dir(path).unwrap().map(Result::unwrap);
    let mut names: Vec<String> = entries
        .filter(|entry| wanted(&entry.file_type().unwrap()))
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort();
    names.swap_remove(0)
}

/// Changes the copy of a store path.
type Change<'a> = &'a dyn Fn(&Path);

/// The hash of an image with `contents`.
fn image_of(contents: Value) -> String {
    let mut job = ATTRIBUTES.job();
    job.image("contents", contents);
    let ended = job.run();
    let image = ended.image("nixos.img");
    oracles::check_ext4(&image, 0);
    hash(image)
}

fn error_of(contents: Value) -> String {
    let mut job = ATTRIBUTES.job();
    job.image("contents", contents);
    job.run().error()
}

#[test]
fn contents_may_hold_an_unmodified_path_of_the_closure() {
    let path = store_path();
    let path = path.to_str().unwrap();
    let file = first(Path::new(path), fs::FileType::is_file);
    let without = image_of(json!([]));
    // A NAR stores only whether a file is executable, and no times.
    let copy = tempfile::tempdir().unwrap();
    let copied = copy.path().join("copy");
    stdout(
        command("cp")
            .arg("-R")
            .arg("--no-preserve=all")
            .arg(path)
            .arg(&copied),
    );
    stdout(
        command("cp")
            .args(["-a", "--no-preserve=timestamps", path])
            .arg(copy.path()),
    );
    let whole = copy.path().join(Path::new(path).file_name().unwrap());
    stdout(command("chmod").args(["-R", "u+w"]).arg(&whole));
    for contents in [
        json!([{ "source": path, "target": path }]),
        json!([{ "source": whole, "target": path }]),
        json!([{ "source": format!("{path}/*"), "target": path }]),
        json!([{ "source": format!("{path}/{file}"), "target": format!("{path}/{file}") }]),
        json!([{ "source": format!("{path}*"), "target": "/nix/store/" }]),
    ] {
        assert_eq!(image_of(contents.clone()), without, "{contents}");
    }
}

#[test]
fn contents_that_the_closure_would_replace_are_rejected() {
    let path = store_path();
    let file = first(&path, fs::FileType::is_file);
    let link = first(&path, fs::FileType::is_symlink);
    let path = path.to_str().unwrap();
    let make = |change: Change<'_>| {
        let directory = tempfile::tempdir().unwrap();
        let copy = directory.path().join("copy");
        stdout(command("cp").args(["-a", path]).arg(&copy));
        stdout(command("chmod").args(["-R", "u+w"]).arg(&copy));
        change(&copy);
        directory
    };
    let is_executable = fs::metadata(Path::new(path).join(&file))
        .unwrap()
        .permissions()
        .mode()
        & 0o100
        != 0;
    let other_mode = if is_executable { 0o644 } else { 0o755 };
    let changes: [(&str, Change<'_>); 6] = [
        ("more", &|copy: &Path| {
            fs::write(copy.join("more"), "").unwrap()
        }),
        (&file, &|copy: &Path| {
            fs::OpenOptions::new()
                .append(true)
                .open(copy.join(&file))
                .and_then(|mut file| std::io::Write::write_all(&mut file, b"x"))
                .unwrap();
        }),
        (&file, &|copy: &Path| {
            let mut bytes = fs::read(copy.join(&file)).unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            fs::write(copy.join(&file), bytes).unwrap();
        }),
        (&file, &|copy: &Path| {
            fs::set_permissions(copy.join(&file), Permissions::from_mode(other_mode)).unwrap();
        }),
        (&link, &|copy: &Path| {
            fs::remove_file(copy.join(&link)).unwrap();
            symlink("elsewhere", copy.join(&link)).unwrap();
        }),
        (&link, &|copy: &Path| {
            fs::remove_file(copy.join(&link)).unwrap();
            fs::create_dir(copy.join(&link)).unwrap();
        }),
    ];
    for (name, change) in changes {
        let directory = make(change);
        let source = directory.path().join("copy");
        let source = source.to_str().unwrap();
        let error = error_of(json!([
            { "source": directory.path(), "target": "/etc/other" },
            { "source": source, "target": path },
        ]));
        let expected = format!(
            "contents: {source} -> {path}: {path}/{name} does not match the image's closure, \
             which would replace it; remove it from the source, or give the entry another target"
        );
        assert_eq!(error, expected);
    }
}

/// As in nixpkgs: Nix does not know the path and deletes it at the next garbage collection.
#[test]
fn other_names_in_the_store_stay() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let name = format!("{}-none", "9".repeat(32));
    let mut job = ATTRIBUTES.job();
    let target = format!("/nix/store/{name}");
    job.image(
        "contents",
        json!([{ "source": file.path(), "target": target }]),
    );
    let ended = job.run();
    let image = ended.image("nixos.img");
    oracles::check_ext4(&image, 0);
    assert!(oracles::debugfs_names(&image, "/nix/store").contains(&name));
}

#[test]
fn contents_in_the_nix_database_are_rejected() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("db")).unwrap();
    fs::write(directory.path().join("db/db.sqlite-wal"), "").unwrap();
    let source = directory.path().to_str().unwrap();
    let error = error_of(json!([
        { "source": format!("{source}/db"), "target": "/srv" },
        { "source": format!("{source}/*"), "target": "/nix/var/nix" },
    ]));
    assert_eq!(
        error,
        format!(
            "contents: {source}/* -> /nix/var/nix: /nix/var/nix/db/db.sqlite-wal is part of \
             Nix's database, which is generated from the closure; remove it, and to add store \
             paths to the image, list them in additionalPaths"
        )
    );
}

#[test]
fn files_hidden_by_a_boot_partition_cause_a_warning() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let source = file.path().to_str().unwrap();
    let contents = json!([
        { "source": source, "target": "/etc/not" },
        { "source": source, "target": "/boot/a/b" },
        { "source": source, "target": "boot/c" },
        { "source": source, "target": "/efi/d" },
    ]);
    for (table, warnings) in [
        ("none", &[][..]),
        ("legacy+gpt", &[]),
        (
            "legacy+boot",
            &[("/boot/a/b (and 1 more)", "/boot", "boot partition")],
        ),
        ("hybrid", &[("/boot/a/b (and 1 more)", "/boot", "ESP")]),
        (
            "efixbootldr",
            &[
                ("/boot/a/b (and 1 more)", "/boot", "XBOOTLDR partition"),
                ("/efi/d", "/efi", "ESP"),
            ],
        ),
    ] {
        let mut job = ATTRIBUTES.job();
        job.image("contents", contents.clone());
        job.table(table);
        let ended = job.run();
        ended.image("nixos.img");
        let said = ended.said();
        let found: Vec<&str> = said
            .lines()
            .filter(|line| line.contains("hidden"))
            .collect();
        let expected: Vec<String> = warnings
            .iter()
            .map(|(entry, directory, partition)| {
                format!(
                    "warning: contents: {source} -> {entry}: files below {directory} go into \
                     the root file system and are hidden when the {partition} is mounted there; to \
                     put files on that partition, use the boot loader's extraFiles or \
                     extraInstallCommands, or copy them in an activation script"
                )
            })
            .collect();
        assert_eq!(found, expected, "{table}: {said}");
    }
}
