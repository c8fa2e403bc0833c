//! Disks that are too small: the image's, and those of the build machine.

use std::fs;
use std::ops::RangeInclusive;

use super::{ATTRIBUTES, job, qed};
use crate::common::oracles;
use crate::common::program::{Ended, Job};
use crate::common::tables;

/// The number that follows `words` in a message.
fn number_after(error: &str, words: &str) -> u64 {
    let at = error
        .find(words)
        .unwrap_or_else(|| panic!("no {words:?} in {error}"));
    let digits: String = error[at + words.len()..]
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    digits
        .parse()
        .unwrap_or_else(|_| panic!("no number after {words:?} in {error}"))
}

fn sized(table: &str, mebibytes: u64) -> Ended {
    let mut job = job();
    job.image("partitionTableType", table)
        .image("format", "raw");
    // The second boot partition of efixbootldr begins at 100 MiB.
    job.image("bootSize", "128M").image("diskSize", mebibytes);
    job.run()
}

#[test]
fn the_advised_disk_size_is_the_smallest_with_room_for_a_first_boot() {
    for table in tables() {
        let first = sized(table, 140).error();
        let named = number_after(&first, "set diskSize to at least ");
        let needed = number_after(&first, "the root file system needs ");
        assert!(needed > 1 << 20, "{first}");
        assert!(number_after(&first, " bytes and ") > 1000, "{first}");

        let ended = sized(table, named - 1);
        let image = ended.image("nixos.img");
        oracles::check(&image, "raw", table);
        let less = ended.said();
        let warning = format!("warning: diskSize is {} MiB, which leaves ", named - 1);
        assert!(less.contains(&warning), "{less}");
        let again = number_after(&less, "set diskSize to at least ");
        assert_eq!(again, named, "{table}: {less}");

        let ended = sized(table, named);
        let image = ended.image("nixos.img");
        assert!(!ended.said().contains("warning: "), "{}", ended.said());
        assert_eq!(fs::metadata(&image).unwrap().len(), named << 20, "{table}");
        oracles::check(&image, "raw", table);
    }
}

#[test]
fn empty_files_need_room_too() {
    // In memory, since creating so many files on a disk may take a minute.
    let crowd = tempfile::tempdir_in("/dev/shm").unwrap();
    for number in 0..20_000 {
        fs::write(crowd.path().join(number.to_string()), "").unwrap();
    }
    let sized = |size: u64| {
        let mut job = job();
        let contents = serde_json::json!([{ "source": crowd.path(), "target": "/crowd" }]);
        job.image("contents", contents).image("format", "raw");
        job.image("partitionTableType", "none")
            .image("diskSize", size);
        job.run()
    };
    let error = sized(100).error();
    assert!(number_after(&error, " bytes and ") > 20_000, "{error}");
    let named = number_after(&error, "set diskSize to at least ");
    oracles::check(&sized(named).image("nixos.img"), "raw", "none");
}

#[test]
fn trees_beyond_the_limits_of_ext4_are_rejected() {
    let mut job = job();
    job.image("additionalSpace", "17T");
    let error = job.run().error();
    assert!(
        error.starts_with(
            "additionalSpace is 18691697672192 bytes, and without it the root file system needs "
        ),
        "{error}"
    );
    assert!(
        error.contains(" bytes; reduce additionalSpace: "),
        "{error}"
    );
    assert!(error.contains("(16 TiB)"), "{error}");
}

/// Mounts a tmpfs of that many bytes at a directory, for the program only.
fn small(job: &mut Job, directory: &str, bytes: u64) {
    let script =
        format!("mount -t tmpfs -o size={bytes},mode=755 small {directory} && exec \"$@\"");
    job.wrapped(&["unshare", "-m", "bash", "-c", &script, "bash"]);
}

/// The end of the message about a full file system.
const FULL: &str = "No space left on device (os error 28)";

/// `need` is the path and the words in front of the bytes needed, which are more than any of `room`.
fn assert_reports_space(error: &str, need: &str, room: &RangeInclusive<u64>) {
    let needed = number_after(error, need);
    let found = number_after(error, " bytes, available: ");
    assert!(needed > *room.end(), "{error}");
    assert!(room.contains(&found), "{error}");
}

/// `qemu-img` reads from there what is not copied from files.
#[test]
fn a_full_temporary_directory_is_reported_with_the_space_needed() {
    let mut job = job();
    qed(&mut job);
    let temporary = job.place().join("temporary");
    fs::create_dir(&temporary).unwrap();
    job.environment.insert("TMPDIR", temporary.clone().into());
    small(&mut job, temporary.to_str().unwrap(), 40 << 20);
    let room = 256 << 10;
    // The last tool before that file is written.
    let fill = format!(
        "$real \"$@\"; for target; do :; done; cd ${{target%/*}}
         free=$(df --output=avail -B1 . | tail -n 1)
         head -c $((free - {room})) /dev/zero >filler"
    );
    job.tool("mkfsFat", &fill);
    let error = job.run().error();
    // The program deletes some files before it writes that one.
    assert_reports_space(&error, "/disk.made: the image needs ", &(room..=4 << 20));
    assert!(error.ends_with(FULL), "{error}");
}

/// The bytes available in the store, some of which may be in use.
const STORE: RangeInclusive<u64> = 20 << 20..=40 << 20;

/// Lets the program see the store and write up to 40 MiB to it.
fn small_store(job: &mut Job) {
    let layer = job.place().join("layer");
    fs::create_dir(&layer).unwrap();
    let script = format!(
        "set -e\n\
         mount -t tmpfs -o size=40m small {layer}\n\
         mkdir {layer}/upper {layer}/work\n\
         mount -t overlay store /nix/store \
           -o lowerdir=/nix/store,upperdir={layer}/upper,workdir={layer}/work\n\
         exec \"$@\"",
        layer = layer.display()
    );
    job.wrapped(&["unshare", "-m", "bash", "-c", &script, "bash"]);
}

#[test]
fn a_full_store_is_reported_with_the_space_needed() {
    for (format, cores, need) in [
        ("raw", "0", "/.nixos.img.part: the image needs "),
        ("raw", "1", "/.nixos.img.part: the image needs "),
        ("qcow2", "0", "/.nixos.qcow2.part: the image needs at most "),
    ] {
        let mut job = ATTRIBUTES.job();
        job.image("format", format);
        job.environment.insert("NIX_BUILD_CORES", cores.into());
        small_store(&mut job);
        let error = job.run().error();
        assert_reports_space(&error, need, &STORE);
        assert!(error.ends_with(FULL), "{error}");
    }
}

#[test]
fn a_store_that_is_full_for_qemu_img_is_reported_with_both_figures() {
    let mut job = job();
    qed(&mut job);
    small_store(&mut job);
    let error = job.run().error();
    let step = "converting the disk to qed: writing /nix/store/";
    assert!(error.starts_with(step), "{error}");
    let need = "/.nixos.qed.part: the files on the disk have ";
    assert_reports_space(&error, need, &STORE);
    assert!(error.ends_with(": No space left on device"), "{error}");
}
