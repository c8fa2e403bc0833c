//! A misbehaving `mkfs.fat` is detected.

use super::*;

/// The error with a `mkfs.fat` that runs `script` after the real one, with the image as `$image`.
fn error(script: &str) -> String {
    let work = tempfile::tempdir().unwrap();
    let mkfs = work.path().join("mkfs.fat");
    let real = tools().mkfs_fat;
    let text = format!(
        "#!/bin/sh\nfor image in \"$@\"; do :; done\n{} \"$@\"\n{script}\n",
        real.display()
    );
    fs::write(&mkfs, text).unwrap();
    fs::set_permissions(&mkfs, fs::Permissions::from_mode(0o755)).unwrap();
    let tree = empty();
    let made = fat::make(&tools_of(mkfs), &volume(&tree, 40), work.path());
    format!("{:#}", anyhow::Error::new(made.unwrap_err()))
}

#[test]
fn files_left_by_mkfs_are_checked_before_use() {
    let bytes = |at: usize, bytes: &str| {
        format!("printf '{bytes}' | dd of=$image bs=1 seek={at} conv=notrunc status=none")
    };
    for (script, message) in [
        ("rm $image", "mkfs.fat did not create "),
        ("rm $image; mkdir $image", "but left a directory"),
        (
            "rm $image; ln -s /dev/zero $image",
            "but left a symbolic link",
        ),
        ("rm $image; mkfifo $image", "but left a FIFO"),
        (": >$image", "should have left 41943040 bytes in "),
        ("truncate -s 1M $image", "but left 1048576"),
        ("truncate -s 41M $image", "but left 42991616"),
        (
            "rm $image; truncate -s 40M $image",
            "mkfs.fat wrote a boot sector with impossible sizes",
        ),
        (
            "dd if=/dev/urandom of=$image bs=4k count=9 conv=notrunc status=none; printf 1 | \
             dd of=$image bs=1 seek=11 conv=notrunc status=none",
            "mkfs.fat wrote a boot sector with impossible sizes",
        ),
        (
            &bytes(510, "\\000"),
            "does not have the signature of a boot sector",
        ),
        (&bytes(13, "\\010"), "readers would not agree on its width"),
        (&bytes(13, "\\000"), "impossible sizes"),
        (&bytes(14, "\\000\\000"), "impossible sizes"),
        (&bytes(16, "\\003"), "does not have two allocation tables"),
        (
            &bytes(28, "x"),
            "does not have the partition's first sector",
        ),
        (&bytes(33, "?"), "does not have the file system's length"),
        (&bytes(36, "\\001\\000"), "impossible sizes"),
        (&bytes(44, "\\003"), "impossible sizes"),
        (&bytes(48, "\\377"), "impossible sizes"),
        (&bytes(67, "x"), "does not have the volume ID"),
        (&bytes(71, "x"), "does not have the label"),
        (&bytes(82, "FAT16"), "readers would not agree on its width"),
        ("echo oops >&2; exit 3", "last output:\n  oops"),
    ] {
        let error = error(script);
        assert!(error.contains(message), "{script}: {error}");
    }
}

#[test]
fn garbage_behind_the_boot_sectors_stays_out_of_the_image() {
    let make = |script: &str| {
        let work = tempfile::tempdir().unwrap();
        let mkfs = work.path().join("mkfs.fat");
        let real = tools().mkfs_fat;
        let text = format!(
            "#!/bin/sh\n{} \"$@\"\nfor image in \"$@\"; do :; done\n{script}\n",
            real.display()
        );
        fs::write(&mkfs, text).unwrap();
        fs::set_permissions(&mkfs, fs::Permissions::from_mode(0o755)).unwrap();
        let tree = tree(&[("a file", 1, Some(Content::bytes(b"x".to_vec())))]);
        fs::read(fat::make(&tools_of(mkfs), &volume(&tree, 40), work.path()).unwrap()).unwrap()
    };
    let garbage =
        "yes | dd of=$image bs=1M seek=20 count=2 conv=notrunc iflag=fullblock status=none";
    assert!(make("") == make(garbage));
}
