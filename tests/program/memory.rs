//! Memory use of the whole program with many files: at most 64 MiB, plus 300 bytes and the name for
//! each file.
//!
//! `MEMORY_FILES` is the number of files of a test (100,000).

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use crate::common::program::Attributes;
use crate::common::{oracles, run, said, scratch};
use crate::formats::{FORMATS, Format};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::resource::{UsageWho, getrusage};
use nix::unistd::Pid;

const MIB: u64 = 1 << 20;

/// An image of the store alone.
static ATTRIBUTES: LazyLock<Attributes> =
    LazyLock::new(|| Attributes::of(r#"onlyNixStore = true; partitionTableType = "none";"#));

/// An image of a system.
static INSTALLED: LazyLock<Attributes> =
    LazyLock::new(|| Attributes::of(r#"copyChannel = false; partitionTableType = "none";"#));

/// The memory limit in bytes for an image of `files` files whose names have `name` bytes.
fn bound(files: u64, name: u64) -> u64 {
    64 * MIB + (300 + name) * files
}

/// Runs `$MEASURED` and prints its peak resident memory in KiB. This is a separate process, because
/// the kernel reports all children together (getrusage(2)), and a small one, because a child
/// briefly has its parent's memory.
#[test]
#[ignore = "run by the other tests as another process"]
fn measures_a_program() {
    // Each thread needs memory, and there is one for each processor.
    let mut two = CpuSet::new();
    let all = sched_getaffinity(Pid::from_raw(0)).unwrap();
    let allowed = (0..CpuSet::count()).filter(|cpu| all.is_set(*cpu).unwrap());
    allowed.take(2).for_each(|cpu| two.set(cpu).unwrap());
    sched_setaffinity(Pid::from_raw(0), &two).unwrap();
    let status = Command::new(std::env::var_os("MEASURED").unwrap())
        .arg("build")
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
    println!("peak={} KiB", usage.max_rss());
}

/// A directory in memory if there is room: many files take the least time there.
fn place() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let room = nix::sys::statvfs::statvfs(memory)
        .map_or(0, |found| found.blocks_available() * found.fragment_size());
    match room > 2048 * MIB {
        true => tempfile::tempdir_in(memory).unwrap(),
        false => scratch(),
    }
}

/// Makes an image of a store with one path, which `fill` fills; `fill` returns the number of
/// inodes. Returns the peak memory in bytes and the number of inodes.
fn peak_of(fill: impl FnOnce(&Path) -> u64) -> (u64, u64) {
    peak_in(&FORMATS[0], fill)
}

/// The same for an image in `format`.
fn peak_in(format: &Format, fill: impl FnOnce(&Path) -> u64) -> (u64, u64) {
    let directory = place();
    let store = directory.path().join("store");
    let path = store.join(format!("{}-files", "1".repeat(32)));
    fs::create_dir_all(&path).unwrap();
    let files = 1 + fill(&path);

    let out = store.join(format!("{}-image", "0".repeat(32)));
    let mut json = ATTRIBUTES.job().json.clone();
    format.select(&mut json["image"]);
    json["outputs"]["out"] = out.to_str().unwrap().into();
    json["image"]["storeDir"] = store.to_str().unwrap().into();
    json["exportReferencesGraph"]["closure"] = serde_json::json!([path]);
    let mut info = json["closure"][0].clone();
    info["path"] = path.to_str().unwrap().into();
    info["references"] = serde_json::json!([]);
    json["closure"] = serde_json::json!([info]);
    (peak_with(directory.path(), &json, &out, format), files)
}

/// The same for an image with `contents`: `fill` fills the directory that `pattern` is below.
fn peak_of_contents(pattern: &str, fill: impl FnOnce(&Path) -> u64) -> (u64, u64) {
    let directory = place();
    let source = directory.path().join("source");
    fs::create_dir(&source).unwrap();
    let files = fill(&source);
    let job = INSTALLED.job();
    let mut json = job.json.clone();
    let source = source.join(pattern);
    json["image"]["contents"] = serde_json::json!([{ "source": source, "target": "/srv" }]);
    let peak = peak_with(directory.path(), &json, &job.out, &FORMATS[0]);
    fs::remove_dir_all(&job.out).unwrap();
    (peak, files)
}

/// The peak memory in bytes of a run with the attributes `json`. Checks the image in `out`, too.
fn peak_with(directory: &Path, json: &serde_json::Value, out: &Path, format: &Format) -> u64 {
    let attributes = directory.join("attrs.json");
    fs::write(&attributes, json.to_string()).unwrap();

    let mut helper = Command::new(std::env::current_exe().unwrap());
    helper
        .args([
            "--exact",
            "memory::measures_a_program",
            "--ignored",
            "--nocapture",
        ])
        .env("MEASURED", crate::common::nix::PROGRAM)
        .env("NIX_ATTRS_JSON_FILE", &attributes)
        .env("TMPDIR", directory);
    let output = run(&mut helper);
    let said = said(&output);
    assert!(output.status.success(), "{said}");
    let peak = said
        .lines()
        .find_map(|line| line.split_once("peak=")?.1.strip_suffix(" KiB"))
        .unwrap_or_else(|| panic!("no peak in: {said}"));
    if let Some(qemu) = format.qemu {
        oracles::check(&out.join(format.file), qemu, "none");
    }
    peak.parse::<u64>().unwrap() << 10
}

/// Asserts the limit for `files` files whose names have `name` bytes, and returns the peak.
fn stays_below_the_bound((peak, files): (u64, u64), name: u64) -> u64 {
    stays_below(peak, bound(files, name), files);
    peak
}

fn stays_below(peak: u64, bound: u64, files: u64) {
    assert!(
        peak <= bound,
        "a peak of {peak} bytes for {files} files; the bound is {bound}"
    );
    // Less than a megabyte would mean that another process was measured.
    assert!(peak > 10 * MIB, "{peak}");
    println!("a peak of {peak} bytes for {files} files; the bound is {bound}");
}

/// How many files a test makes.
fn count() -> u64 {
    match std::env::var("MEMORY_FILES") {
        Ok(count) => count.parse().expect("MEMORY_FILES is a number"),
        Err(_) => 100_000,
    }
}

/// Calls `make` for `count` names in directories of 1,000; returns how many inodes that makes.
fn in_directories(path: &Path, count: u64, make: impl Fn(PathBuf)) -> u64 {
    let mut parent = PathBuf::new();
    for number in 0..count {
        if number % 1000 == 0 {
            parent = path.join(format!("directory-{}", number / 1000));
            fs::create_dir(&parent).unwrap();
        }
        make(parent.join(format!("name-{number}.txt")));
    }
    count + count.div_ceil(1000)
}

/// Makes `count` files in `path`, whose names have `length` bytes, 15 at least.
fn in_one_directory(path: &Path, count: u64, length: usize) -> u64 {
    for number in 0..count {
        let name = format!("{number:07}");
        File::create(path.join(format!("{name:n>length$}"))).unwrap();
    }
    count
}

#[test]
fn small_files_in_directories() {
    let peak =
        peak_of(|path| in_directories(path, count(), |path| fs::write(path, b"small").unwrap()));
    let peak = stays_below_the_bound(peak, 15);
    // Most of the 64 MiB is for machines with many processors and for long targets. Without it, the
    // cost of each file shows.
    let usual = 16 * MIB + 300 * (count() + count().div_ceil(1000));
    assert!(peak <= usual, "{peak} bytes, more than {usual}");
}

#[test]
fn links_with_targets_that_need_a_block() {
    let target = format!("/nix/store/{}", "t".repeat(80));
    let peak =
        peak_of(|path| in_directories(path, count(), |path| symlink(&target, path).unwrap()));
    stays_below_the_bound(peak, 15);
}

#[test]
fn one_directory() {
    let peak = peak_of(|path| in_one_directory(path, count(), 15));
    stays_below_the_bound(peak, 15);
}

#[test]
fn names_of_255_bytes() {
    let peak = peak_of(|path| {
        in_directories(path, count(), |path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            File::create(path.with_file_name(format!("{name:x>255}"))).unwrap();
        })
    });
    stays_below_the_bound(peak, 255);
}

#[test]
fn names_of_255_bytes_in_one_directory() {
    let peak = peak_of(|path| in_one_directory(path, count(), 255));
    stays_below_the_bound(peak, 255);
}

#[test]
fn a_directory_in_contents() {
    let peak = peak_of_contents("", |path| in_one_directory(path, count(), 15));
    stays_below_the_bound(peak, 15);
}

#[test]
fn a_pattern_with_many_matches_in_contents() {
    let peak = peak_of_contents("*", |path| in_one_directory(path, count(), 15));
    stays_below_the_bound(peak, 15);
}

/// Formats also need memory for each thread, of which there are two here: 4 MiB. Only xz needs more.
#[test]
fn every_format_of_large_files() {
    for format in &FORMATS {
        let (peak, files) = peak_in(format, |path| {
            let program = fs::read(crate::common::nix::PROGRAM).unwrap();
            for number in 0..5 {
                fs::write(path.join(format!("program-{number}")), &program).unwrap();
            }
            in_directories(path, 2000, |path| fs::write(path, b"small").unwrap()) + 5
        });
        println!("{}: {} MiB", format.name(), peak / MIB);
        if format.file.ends_with(".xz") {
            stays_below(peak, bound(files, 15) + 2 * 64 * MIB, files);
        } else {
            // The 64 MiB are for many files; this shows what the threads take.
            stays_below(peak, bound(files, 15) - 48 * MIB + 2 * 4 * MIB, files);
        }
    }
}
