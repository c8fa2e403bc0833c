//! Bad input, bad tools, full disks and signals: the program's messages, and that it leaves nothing
//! behind.

mod leftovers;
mod limits;
mod log;
mod room;
mod signals;
mod table;
mod tools;

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::LazyLock;

use crate::common::program::{Attributes, Job, qemu_img};

/// An installed system with a boot partition.
static ATTRIBUTES: LazyLock<Attributes> = LazyLock::new(|| {
    Attributes::of(
        r#"additionalSpace = "0M"; partitionTableType = "efi"; bootSize = "64M"; format = "qcow2";
           copyChannel = false;"#,
    )
});

/// An image that is made quickly and without tools.
static ALONE: LazyLock<Attributes> = LazyLock::new(|| {
    Attributes::of(
        r#"onlyNixStore = true; config = { }; copyChannel = false; additionalSpace = "0M";
           partitionTableType = "none"; additionalPaths = [ fixture.pkgs.attr ];"#,
    )
});

/// A job with `qemu-img`, for formats that need it, and with sources for `contents` in its directory
/// `source`.
fn job() -> Job {
    let mut job = ATTRIBUTES.job();
    job.json["tools"]["qemuImg"] = qemu_img().into();
    let source = job.place().join("source");
    fs::create_dir_all(source.join("directory")).unwrap();
    fs::write(source.join("file"), "one\n").unwrap();
    fs::write(source.join("directory/inner"), "two\n").unwrap();
    symlink("/etc", source.join("absolute")).unwrap();
    symlink("../../etc", source.join("upwards")).unwrap();
    symlink("nowhere", source.join("dangling")).unwrap();
    symlink("circle", source.join("circle")).unwrap();
    drop(UnixListener::bind(source.join("socket")).unwrap());
    job
}

/// Sets a format that `qemu-img` writes.
fn qed(job: &mut Job) {
    job.image("format", "qed");
}

/// Writes a script.
fn script(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
}
