//! Bad input, bad tools, full disks and signals: what the program says, and that it leaves nothing.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on panics"
)]

#[path = "../common/mod.rs"]
mod common;
mod room;
mod signals;
mod table;
mod tools;

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::sync::LazyLock;

use common::program::{Attributes, Job};

/// An installed system with a boot partition, in a format that has to be converted.
static ATTRIBUTES: LazyLock<Attributes> = LazyLock::new(|| {
    Attributes::of(
        r#"additionalSpace = "0M"; partitionTableType = "efi"; bootSize = "64M"; format = "qcow2";
           copyChannel = false;"#,
    )
});

/// A job with sources for `contents` in the directory `source` of its place.
fn job() -> Job {
    let job = ATTRIBUTES.job();
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
