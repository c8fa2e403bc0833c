//! Conversions with the real `qemu-img`, and with others.

use std::fs::File;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::PathBuf;

use uuid::Uuid;

use super::*;
use crate::fs::FinishedFile;
use crate::image::{Content, Part};

/// The length of the disk of [`image()`].
const LENGTH: u64 = 64 << 20;

/// A disk with some data from the file `data` of `directory`.
fn image(directory: &Path) -> Image {
    let path = directory.join("data");
    let file = File::create(&path).unwrap();
    file.set_len(40 << 20).unwrap();
    let bytes: Vec<[u8; 32]> = (0..9375_u32).map(|n| [n.to_le_bytes()[0]; 32]).collect();
    let bytes = bytes.concat();
    for at in [0, 5 << 20, (7 << 20) + 12_345, 30 << 20] {
        file.write_all_at(&bytes, at).unwrap();
    }
    let part = |start, length, content| Part {
        name: "test".to_owned(),
        start,
        length,
        content,
    };
    Image {
        length: LENGTH,
        parts: vec![
            part(0, 512, Content::Bytes(b"table".to_vec())),
            part(
                1 << 20,
                50 << 20,
                Content::File(FinishedFile::open(&path).unwrap()),
            ),
        ],
    }
}

fn identity() -> Identity {
    Identity {
        deterministic: true,
        disk: Uuid::nil(),
        root_partition: Uuid::nil(),
        other_partitions: [Uuid::nil(); 2],
        root_file_system: Uuid::nil(),
        time: 1,
    }
}

/// Directories for a conversion, which are removed at the end.
struct Place {
    top: tempfile::TempDir,
    work: PathBuf,
}

impl Place {
    fn new() -> Place {
        let top = tempfile::tempdir().unwrap();
        // Longer than the address of a socket, with characters that have a meaning in QEMU's options.
        let work = top
            .path()
            .join("work,server.str=9:%\"'")
            .join("x".repeat(120));
        fs::create_dir_all(&work).unwrap();
        Place { top, work }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.top.path().join(name)
    }

    /// A program that is called instead of `qemu-img`: a shell script, where `$target` is the last
    /// argument.
    fn program(&self, script: &str) -> PathBuf {
        let path = self.path("program");
        let script = format!("#!/bin/sh\nfor target; do :; done\n{script}\n");
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn convert(&self, program: &Path, format: &str) -> Result<PathBuf> {
        let target = self.path(format);
        convert(
            program,
            image(self.top.path()),
            format,
            &identity(),
            &self.work,
            &target,
            &|_| (),
        )?;
        assert_eq!(fs::read_dir(&self.work).unwrap().count(), 0);
        Ok(target)
    }

    /// Checks that `converted` has the bytes of the disk.
    fn compare(&self, converted: &Path, format: &str) {
        let raw = self.path("expected");
        crate::image::write(&image(self.top.path()), &raw, &|_| ()).unwrap();
        let output = Command::new("qemu-img")
            .args(["compare", "-f", "raw", "-F", format])
            .args([raw.as_path(), converted])
            .output()
            .unwrap();
        assert!(output.status.success(), "{format}: {output:?}");
    }
}

#[test]
fn every_other_format_gets_the_disk_without_a_raw_file() {
    // Fails if it is asked to read a file.
    let served = "case \"$*\" in *'-f raw'*) exit 1; esac; exec qemu-img \"$@\"";
    for format in ["qed", "parallels", "qcow", "qcow2"] {
        let place = Place::new();
        let converted = place.convert(&place.program(served), format).unwrap();
        place.compare(&converted, format);
    }
}

/// The order in which requests are answered and the way of the bytes do not matter.
#[test]
fn formats_without_identifiers_are_the_same_each_time() {
    for format in ["qed", "parallels", "qcow"] {
        let convert = |script| {
            let place = Place::new();
            fs::read(place.convert(&place.program(script), format).unwrap()).unwrap()
        };
        let served = convert("exec qemu-img \"$@\"");
        let from_file = convert("exec qemu-img \"$@\" </dev/null");
        assert!(served == from_file, "{format}");
    }
}

#[test]
fn a_program_that_cannot_be_served_gets_a_file() {
    // No connection; another protocol; a program that does not know the driver.
    for refuse in [
        "exec qemu-img \"$@\" </dev/null",
        "case \"$*\" in *nbd*) echo hello >&0; exit 1; esac; exec qemu-img \"$@\"",
        "case \"$*\" in *nbd*) echo \"Unknown driver 'nbd'\" >&2; exit 1; esac; exec qemu-img \"$@\"",
    ] {
        let place = Place::new();
        let program = place.program(refuse);
        let converted = place.convert(&program, "qcow2").unwrap();
        place.compare(&converted, "qcow2");
    }
}

#[test]
fn the_log_says_why_on_one_line() {
    for (script, reason) in [
        (
            "echo one >&2; echo \"Unknown driver 'nbd'\" >&2; exit 1",
            "Unknown driver 'nbd'",
        ),
        ("exit 3", "no output"),
        (
            "echo 123456789 >&0; cat <&0 >/dev/null; exit 1",
            "unknown flags: 0x31323334",
        ),
    ] {
        let place = Place::new();
        let disk = LazyImage::new(image(place.top.path()), &place.path("made")).unwrap();
        let conversion = Conversion {
            qemu_img: &place.program(script),
            format: "qed",
            target: &place.path("target"),
            limit: process::USUAL,
            progress: &|_| (),
        };
        let refused = conversion.served(&disk).unwrap().unwrap_err();
        assert!(refused.ends_with(reason), "{refused}");
        assert!(!refused.contains('\n'), "{refused}");
    }
}

#[test]
fn a_program_that_fails_after_it_was_served_is_not_called_again() {
    let place = Place::new();
    let script = "echo called >>$0.log; exec qemu-img \"$@\"";
    let error = place
        .convert(&place.program(script), "unheard-of")
        .unwrap_err();
    let error = format!("{error:#}");
    assert!(
        error.starts_with("converting the disk to unheard-of: "),
        "{error}"
    );
    assert!(error.contains("Unknown file format"), "{error}");
    assert_eq!(
        fs::read_to_string(place.path("program.log")).unwrap(),
        "called\n"
    );
}

#[test]
fn a_file_that_changes_is_the_error() {
    let place = Place::new();
    let data = place.path("data");
    let script = format!("truncate -s 1M '{}'; exec qemu-img \"$@\"", data.display());
    let error = place.convert(&place.program(&script), "qed").unwrap_err();
    let error = format!("{error:#}");
    let expected = format!(
        "converting the disk to qed: {} has at most ",
        data.display()
    );
    assert!(error.starts_with(&expected), "{error}");
    assert!(!error.contains("qemu-img"), "{error}");
}

#[test]
fn the_output_is_checked() {
    for (script, message) in [
        ("exit 0", "qemu-img did not create "),
        (": >$target", ": the file is empty"),
        ("echo junk >$target", ": not a qed image: "),
        (
            "qemu-img create -q -f qed $target 1M",
            "found one of 1048576",
        ),
    ] {
        let place = Place::new();
        let error = place.convert(&place.program(script), "qed").unwrap_err();
        let error = format!("{error:#}");
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn a_full_file_system_is_reported_with_both_figures() {
    // With and without a part of the file.
    for script in ["head -c 1000 /dev/zero >$target", "true"] {
        let place = Place::new();
        let script = format!("{script}; echo error: No space left on device >&2; exit 1");
        let error = place.convert(&place.program(&script), "qed").unwrap_err();
        let error = format!("{error:#}");
        let data = image(place.top.path()).data_length();
        let expected = format!(
            "converting the disk to qed: writing {}: the files on the disk have {data} bytes, \
             available: ",
            place.path("qed").display()
        );
        assert!(error.starts_with(&expected), "{error}");
        assert!(error.ends_with(": No space left on device"), "{error}");
    }
}
