//! Trees written as ext4 images, checked by e2fsck and by the kernel that mounts them.

mod guest;
mod source;

use std::fmt::Write as _;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use make_disk_image::fs::{Counted, Ext4, Format, Options};
use make_disk_image::image::{Content, Image, Part, write};
use make_disk_image::stage::scan::{self, Policy};
use make_disk_image::tree::{InodeId, Metadata, Timestamp, Tree};
use uuid::Uuid;

use crate::common::mount::Mount;
use crate::common::{command, oracles, run, said, scratch, stdout};
use source::fill;

fn options() -> Options {
    Options {
        uuid: Uuid::from_u128(0xf222_0000_1111_4222_8333_4444_5555_6666),
        label: "nixos".to_owned(),
        time: Timestamp::STORE,
    }
}

fn counted(tree: &Arc<Tree>) -> Box<dyn Counted> {
    Ext4.count(tree, &options()).unwrap()
}

fn smallest(tree: &Tree, free: u64) -> u64 {
    counted(&Arc::new(tree.clone())).smallest(free).unwrap()
}

fn image(tree: Tree, length: u64) -> Image {
    let tree = Arc::new(tree);
    let plan = counted(&tree).plan(length).unwrap();
    Image {
        length,
        parts: vec![Part {
            name: "root file system".to_owned(),
            start: 0,
            length,
            content: Content::FileSystem(plan),
        }],
    }
}

/// Runs every file system oracle.
fn check(image: &Path) {
    oracles::check_ext4(image, 0);
    oracles::check_by_mkext4(image, false);
}

/// A disk of 32 MiB with the file system of `mkfs.ext4`, mounted in `scratch`.
fn small_disk(scratch: &Path) -> Mount {
    let disk = scratch.join("disk");
    File::create(&disk).unwrap().set_len(32 << 20).unwrap();
    stdout(command("mkfs.ext4").arg("-q").arg(&disk));
    Mount::new(&disk, "rw")
}

/// Everything below `root` except `lost+found`, one line each, as the kernel shows it.
fn listing(root: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let mut stack = vec![root.to_owned()];
    while let Some(path) = stack.pop() {
        let relative = path.strip_prefix(root).unwrap();
        if relative == Path::new("lost+found") {
            continue;
        }
        let found = fs::symlink_metadata(&path).unwrap();
        let mut line = format!(
            "{relative:?} {:o} {}:{} {}.{:09} {}",
            found.mode(),
            found.uid(),
            found.gid(),
            found.mtime(),
            found.mtime_nsec(),
            found.rdev(),
        );
        let mut names: Vec<_> = xattr::list(&path).unwrap().collect();
        names.sort();
        for name in names {
            let value = xattr::get(&path, &name).unwrap().unwrap();
            write!(line, " {name:?}={value:?}").unwrap();
        }
        if found.is_dir() {
            stack.extend(fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
        } else {
            write!(line, " {} links, {} bytes", found.nlink(), found.len()).unwrap();
        }
        if found.is_symlink() {
            write!(line, " -> {:?}", fs::read_link(&path).unwrap()).unwrap();
        }
        lines.push(line);
    }
    // Hashing is left to a program that is always optimised.
    let mut hash = command("sh");
    hash.args([
        "-c",
        "find . -path ./lost+found -prune -o -type f -exec sha256sum -z {} +",
    ]);
    let hashes = run(hash.current_dir(root));
    assert!(hashes.status.success(), "{}", said(&hashes));
    let hashes = hashes.stdout.split(|byte| *byte == 0);
    lines.extend(hashes.map(|line| line.escape_ascii().to_string()));
    lines.sort();
    lines
}

#[test]
fn the_kernel_reads_the_sources_back() {
    let scratch = scratch();
    let source = scratch.path().join("source");
    fs::create_dir(&source).unwrap();
    fill(&source);
    let tree = scan::root(&source, Policy::FAITHFUL).unwrap();
    let free = 100 << 20;
    let length = smallest(&tree, free);
    let path = scratch.path().join("image");
    write(&image(tree.clone(), length), &path, &|_| {}).unwrap();
    check(&path);
    assert!(fs::metadata(&path).unwrap().blocks() * 512 < 80 << 20);

    let mounted = Mount::new(&path, "ro");
    assert_eq!(listing(mounted.path()), listing(&source));
    for name in ["sparse", "holes", "hole"] {
        let kept = fs::metadata(mounted.path().join(name)).unwrap().blocks();
        let had = fs::metadata(source.join(name)).unwrap().blocks();
        // Extent blocks count, too, and the source may have fewer and longer extents.
        assert!(
            kept <= had + 64,
            "{name}: {kept} blocks, {had} in the source"
        );
    }
    let usage = counted(&Arc::new(tree)).plan(length).unwrap().usage();
    assert!(usage.available >= free);
    assert_eq!(mounted.available(), usage.available);
    drop(mounted);

    // A second image of the same tree has the same bytes.
    let again = scratch.path().join("again");
    let tree = scan::root(&source, Policy::FAITHFUL).unwrap();
    write(&image(tree, length), &again, &|_| {}).unwrap();
    stdout(command("cmp").arg(&path).arg(&again));
}

#[test]
fn inode_flags_of_the_sources_are_in_the_image() {
    let scratch = scratch();
    // A separate disk, so that immutable files are not left behind if the test fails.
    let disk = small_disk(scratch.path());
    let source = disk.path().join("source");
    fs::create_dir(&source).unwrap();
    // The flags that are kept, and others that Linux ignores on ext4. (Journaling data needs a
    // capability that cloud machines lack.)
    for (name, kept, dropped) in [
        ("file", "+SiadA", "+suct"),
        ("directory", "+SiadADT", "+suctP"),
    ] {
        let path = source.join(name);
        match name {
            "file" => fs::write(&path, "x").unwrap(),
            _ => fs::create_dir(&path).unwrap(),
        }
        stdout(command("chattr").args([dropped, kept]).arg(&path));
    }
    fs::write(source.join("plain"), "x").unwrap();
    nix::unistd::mkfifo(&source.join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let tree = scan::root(&source, Policy::FAITHFUL).unwrap();
    let path = scratch.path().join("image");
    write(&image(tree, 16 << 20), &path, &|_| {}).unwrap();
    check(&path);
    drop(disk);

    let mounted = Mount::new(&path, "rw");
    let flags = |name: &str| {
        let line = stdout(command("lsattr").arg("-d").arg(mounted.path().join(name)));
        line.split(' ').next().unwrap().replace('-', "")
    };
    assert_eq!(flags("file"), "SiadAe");
    assert_eq!(flags("directory"), "SDiadATe");
    assert_eq!(flags("plain"), "e");
    for refused in [
        fs::write(mounted.path().join("file"), "y"),
        fs::remove_file(mounted.path().join("file")),
        fs::write(mounted.path().join("directory/new"), "y"),
    ] {
        let error = refused.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied);
    }
}

#[test]
fn every_length_is_clean() {
    let scratch = scratch();
    let source = scratch.path().join("source");
    fs::create_dir(&source).unwrap();
    for index in 0..300 {
        fs::write(source.join(format!("{index}")), vec![1; index * 100]).unwrap();
    }
    let path = scratch.path().join("image");
    let lengths = [
        16 << 20,
        (16 << 20) + 4096,
        (127 << 20) + 8192,
        128 << 20,
        (128 << 20) + 4096,
        (136 << 20) + 4096,
        512 << 20,
        (2 << 30) + (9 << 20),
        (20 << 30) + (1 << 20),
    ];
    for length in lengths {
        for tree in [
            Tree::new(Metadata::new(0o755)),
            scan::root(&source, Policy::FAITHFUL).unwrap(),
        ] {
            write(&image(tree, length), &path, &|_| {}).unwrap();
            check(&path);
        }
    }
}

#[test]
fn large_files_come_back() {
    let scratch = scratch();
    let source = scratch.path().join("source");
    fs::create_dir(&source).unwrap();
    // Six extents, since its holes are not kept here. An inode has room for four.
    let dense = fs::File::create(source.join("dense")).unwrap();
    dense.set_len((700 << 20) + 1).unwrap();
    for part in 0..700 {
        dense.write_all_at(b"here", part << 20).unwrap();
    }
    let policy = Policy {
        holes: false,
        ..Policy::FAITHFUL
    };
    let mut tree = scan::root(&source, policy).unwrap();
    let sparse = source.join("sparse");
    let size = (6 << 30) + 1;
    let file = fs::File::create(&sparse).unwrap();
    let places = [(1 << 31) - 2, (1 << 32) - 2, size - 4];
    for place in places {
        file.write_all_at(b"here", place).unwrap();
    }
    let entry = scan::Subtree {
        path: sparse,
        parent: InodeId::ROOT,
        name: b"sparse".to_vec(),
    };
    scan::entries(&mut tree, &[entry], Policy::FAITHFUL).unwrap();
    let length = smallest(&tree, 0);
    assert!(length < 800 << 20);
    let path = scratch.path().join("image");
    write(&image(tree, length), &path, &|_| {}).unwrap();
    check(&path);
    let mounted = Mount::new(&path, "ro");
    stdout(
        command("cmp")
            .arg(source.join("dense"))
            .arg(mounted.path().join("dense")),
    );
    let sparse = fs::File::open(mounted.path().join("sparse")).unwrap();
    assert_eq!(sparse.metadata().unwrap().len(), size);
    for place in places {
        let mut found = [0; 8];
        sparse.read_at(&mut found, place - 2).unwrap();
        assert_eq!(&found[..6], b"\0\0here", "at {place}");
    }
}

#[test]
fn a_full_file_system_is_an_error_with_figures() {
    let scratch = scratch();
    let source = scratch.path().join("source");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("file"), vec![1; 12 << 20]).unwrap();
    let tree = scan::root(&source, Policy::FAITHFUL).unwrap();
    let image = image(tree, 64 << 20);
    let small = Mount::with(&["-t", "tmpfs", "-o", "size=8m"], Path::new("tmpfs"));
    let path = small.path().join("image");
    let error = format!("{:#}", write(&image, &path, &|_| {}).unwrap_err());
    let beginning = format!("writing {}: the image needs 1", path.display());
    assert!(error.contains(&beginning), "{error}");
    assert!(error.contains("bytes, available: 8388608 bytes"), "{error}");
    assert!(error.contains("No space left on device"), "{error}");
}

#[test]
fn a_disk_without_room_is_found_full_before_a_file_is_read() {
    let scratch = scratch();
    let source = scratch.path().join("source");
    fs::create_dir(&source).unwrap();
    for name in ["one", "two", "three"] {
        fs::write(source.join(name), vec![1; 12 << 20]).unwrap();
    }
    let tree = scan::root(&source, Policy::FAITHFUL).unwrap();
    let image = image(tree, 64 << 20);
    let small = small_disk(scratch.path());
    let path = small.path().join("image");
    let read = AtomicU64::new(0);
    let error = write(&image, &path, &|bytes| read.store(bytes, Ordering::Relaxed)).unwrap_err();
    let error = format!("{error:#}");
    assert!(error.contains("No space left on device"), "{error}");
    let (_, behind) = error.split_once("the image needs ").unwrap();
    let (needed, behind) = behind.split_once(" bytes, available: ").unwrap();
    let (room, _) = behind.split_once(" bytes; free some space there").unwrap();
    let [needed, room] = [needed, room].map(|figure| figure.parse::<u64>().unwrap());
    assert!(needed > 36 << 20, "{error}");
    assert!((16 << 20..32 << 20).contains(&room), "{error}");
    assert_eq!(read.into_inner(), 0, "bytes of files that were read");
}

#[test]
fn on_an_ext4_disk_an_image_has_the_same_bytes_and_keeps_its_holes() {
    let scratch = scratch();
    let source = scratch.path().join("source");
    fs::create_dir(&source).unwrap();
    for (name, length) in [("long", 3 << 20), ("short", 5), ("empty", 0)] {
        fs::write(source.join(name), vec![7; length]).unwrap();
    }
    let tree = scan::root(&source, Policy::FAITHFUL).unwrap();
    let image = image(tree, 64 << 20);
    let mounted = small_disk(scratch.path());
    let memory = Mount::with(&["-t", "tmpfs"], Path::new("tmpfs"));
    let [on_disk, in_memory] = [&mounted, &memory].map(|place| {
        let path = place.path().join("image");
        write(&image, &path, &|_| {}).unwrap();
        path
    });
    check(&in_memory);
    stdout(command("cmp").arg(&on_disk).arg(&in_memory));
    let [on_disk, in_memory] = [on_disk, in_memory].map(|path| fs::metadata(path).unwrap());
    assert_eq!(on_disk.len(), 64 << 20);
    // The file system's own block map counts, too.
    let most = in_memory.blocks() + 16;
    assert!(on_disk.blocks() <= most, "{} > {most}", on_disk.blocks());
}
