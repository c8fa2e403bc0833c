//! QEMU's programs, which have a client of their own.

use super::*;
use crate::image;
use crate::output::tests::disk::is_same;

/// The disk, for QEMU's programs.
const SERVED: &str = "driver=nbd,server.type=fd,server.str=0";

/// Serves `disk` to a program that succeeds, and returns its output.
fn output(disk: &LazyImage, program: &str, arguments: &[&str]) -> String {
    let (output, served) = serve_to_program(disk, program, arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    assert!(served.connected, "{arguments:?}");
    assert!(served.unreadable.is_none(), "{served:?}");
    assert!(served.violation.is_none(), "{served:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn holes_are_reported() {
    let directory = tempfile::tempdir().unwrap();
    let disk = disk(directory.path());
    let arguments = ["map", "--output=json", "--image-opts", SERVED];
    let map = output(&disk, "qemu-img", &arguments);
    let map: serde_json::Value = serde_json::from_str(&map).unwrap();
    let mut data = Vec::new();
    let mut end = 0;
    for range in map.as_array().unwrap() {
        let number = |key: &str| range[key].as_u64().unwrap();
        assert_eq!(number("start"), end, "{map}");
        end += number("length");
        if range["data"] == true {
            assert_eq!(range["zero"], false, "{map}");
            data.push((number("start"), number("length")));
        } else {
            assert_eq!(range["zero"], true, "{map}");
        }
    }
    assert_eq!(end, LENGTH);
    assert_eq!(data, DATA);
}

#[test]
fn every_byte_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let disk = disk(directory.path());
    let raw = directory.path().join("raw");
    image::write(disk.image(), &raw, &|_| ()).unwrap();
    let file = format!(
        "driver=raw,file.driver=file,file.filename={}",
        raw.display()
    );
    output(
        &disk,
        "qemu-img",
        &["compare", "-s", "--image-opts", SERVED, &file],
    );
    let copy = directory.path().join("copy");
    let path = copy.to_str().unwrap();
    output(
        &disk,
        "qemu-img",
        &["convert", "--image-opts", SERVED, "-O", "raw", path],
    );
    assert!(is_same(&copy, &raw));
    // Another one is not identical.
    File::options()
        .write(true)
        .open(&raw)
        .unwrap()
        .write_all_at(b"x", LENGTH - 1)
        .unwrap();
    let (output, _) = serve_to_program(
        &disk,
        "qemu-img",
        &["compare", "-s", "--image-opts", SERVED, &file],
    );
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

#[test]
fn requests_of_any_offset_and_length_are_answered() {
    let directory = tempfile::tempdir().unwrap();
    let disk = disk(directory.path());
    let mut arguments = vec!["-r", "--image-opts", SERVED];
    let mut commands = Vec::new();
    // QEMU splits what is longer than the maximum.
    commands.push(format!("read -P 0 {} {}", 7 << 20, 33 << 20));
    commands.push(format!("read -P 0 {} 512", LENGTH - 512));
    for at in [
        0,
        511,
        4095,
        1 << 20,
        (1 << 20) + 513,
        (7 << 20) - 1,
        40 << 20,
    ] {
        commands.push(format!("read -P {} {at} 1", byte(at)));
    }
    commands.push(format!("read -P 0 {} 1", 7 << 20));
    commands.push("read 1048575 5242883".to_owned());
    for command in &commands {
        arguments.extend(["-c", command]);
    }
    let text = output(&disk, "qemu-io", &arguments);
    assert!(!text.contains("failed"), "{text}");
    assert_eq!(
        text.matches(" bytes at offset").count(),
        commands.len(),
        "{text}"
    );
}

#[test]
fn the_disk_is_read_only() {
    let directory = tempfile::tempdir().unwrap();
    let disk = disk(directory.path());
    let (output, served) = serve_to_program(
        &disk,
        "qemu-io",
        &["--image-opts", SERVED, "-c", "write 0 512"],
    );
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("Permission denied"), "{output:?}");
    assert!(served.violation.is_none(), "{served:?}");
}

#[test]
fn a_file_that_changes_is_reported_with_its_path() {
    let directory = tempfile::tempdir().unwrap();
    let disk = disk(directory.path());
    let path = directory.path().join("data");
    let file = File::options().write(true).open(&path).unwrap();
    file.set_len(3 << 20).unwrap();
    let copy = directory.path().join("copy");
    let copy = copy.to_str().unwrap();
    let arguments = ["convert", "--image-opts", SERVED, "-O", "raw", copy];
    let (output, served) = serve_to_program(&disk, "qemu-img", &arguments);
    assert!(!output.status.success());
    let error = format!("{:#}", served.unreadable.unwrap());
    assert!(
        error.contains(&format!("{} has at most ", path.display())),
        "{error}"
    );
}

#[test]
fn progress_counts_what_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let disk = disk(directory.path());
    let most = AtomicU64::new(0);
    let (ours, theirs) = UnixStream::pair().unwrap();
    let progress = |read| _ = most.fetch_max(read, Ordering::Relaxed);
    let copy = directory.path().join("copy");
    let (status, _) = serve(&disk, &ours, &progress, || {
        let mut convert = Command::new("qemu-img");
        convert.args(["convert", "--image-opts", SERVED, "-O", "raw"]);
        convert.arg(&copy).stdin(OwnedFd::from(theirs));
        convert.status().unwrap()
    })
    .unwrap();
    assert!(status.success());
    // Every range with data is read once, and no other.
    let data: u64 = DATA.iter().map(|range| range.1).sum();
    assert_eq!(most.into_inner(), data);
}
