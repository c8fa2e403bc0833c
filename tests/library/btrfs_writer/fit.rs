//! The smallest sizes, and free space that can really be filled.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use make_disk_image::fs::PlanError;
use make_disk_image::tree::{Content, InodeId, Kind, Source, Tree};

use super::images::*;
use crate::common::{command, scratch, stdout};

/// A tree of `count` files with `length` bytes each.
fn files(count: usize, length: usize) -> Tree {
    let bytes: Arc<[u8]> = vec![7; length].into();
    let mut tree = empty_tree();
    for number in 0..count {
        let content = Content {
            size: bytes.len() as u64,
            source: Source::Bytes(Arc::clone(&bytes)),
            data: None,
        };
        let name = format!("{number}");
        tree.insert(InodeId::ROOT, name.as_bytes(), inode(Kind::File(content)))
            .unwrap();
    }
    tree
}

#[test]
fn one_sector_less_than_the_smallest_is_too_small() {
    for (count, length) in [(0, 0), (10, 3_000_000), (5000, 2000), (400, 5000)] {
        let tree = Arc::new(files(count, length));
        let length = smallest(&tree, 0);
        plan(&tree, length).unwrap();
        let Err(error) = plan(&tree, length - 4096) else {
            panic!("one sector too few is enough");
        };
        let PlanError::TooSmall {
            needed,
            inodes,
            length: given,
        } = error
        else {
            panic!("{error}");
        };
        assert_eq!(
            (needed, inodes, given),
            (length, count as u64 + 1, length - 4096)
        );
    }
}

#[test]
fn longer_file_systems_have_at_least_as_much_free_space() {
    use make_disk_image::fs::Format;
    let tree = Arc::new(files(3000, 2000));
    let counted = writer().count(&tree, &options()).unwrap();
    let mut last = 0;
    let mut length = counted.smallest(0).unwrap();
    for step in 0..3000u64 {
        let available = counted.plan(length).unwrap().usage().available;
        assert!(available >= last, "{length}: {available} < {last}");
        // A length of this much free space exists, and no smaller one has as much.
        let found = counted.smallest(available).unwrap();
        assert!(
            found <= length.next_multiple_of(65_536),
            "{found} > {length}"
        );
        last = available;
        length += 4096 * (1 + step * step / 50);
    }
    assert!(last > 100 * GIB);
}

/// Writes `bytes` bytes to the file `path` as an ordinary user.
fn fill(path: &Path, bytes: u64) {
    let directory = path.parent().unwrap();
    std::os::unix::fs::chown(directory, Some(65_534), Some(65_534)).unwrap();
    let mut child = command("setpriv")
        .args([
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            "sh",
            "-c",
        ])
        .args(["cat > \"$1\" && sync -f \"$1\"", "-"])
        .arg(path)
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let noise = noise(1 << 20);
    let mut left = usize::try_from(bytes).unwrap();
    while left > 0 {
        let count = left.min(noise.len());
        input.write_all(&noise[..count]).unwrap();
        left -= count;
    }
    drop(input);
    assert!(child.wait().unwrap().success(), "{bytes} bytes do not fit");
    assert_eq!(fs::metadata(path).unwrap().len(), bytes);
}

/// Makes a file system with `free` bytes of free space and fills it.
fn make_and_fill(tree: Tree, free: u64) {
    let directory = scratch();
    let tree = Arc::new(tree);
    let image = make_smallest(&writer(), directory.path(), &tree, free);
    let mount = mount(&image, "rw");
    let available = mount.available();
    let planned = plan(&tree, fs::metadata(&image).unwrap().len())
        .unwrap()
        .usage()
        .available;
    assert!(available >= planned && planned >= free);
    let top = mount.path().join("user");
    fs::create_dir(&top).unwrap();
    fill(&top.join("file"), planned);
    // Almost nothing was left, and files can be removed from the full file system.
    assert!(mount.available() < 2 * MIB, "{}", mount.available());
    fs::remove_file(top.join("file")).unwrap();
    stdout(command("sync").arg("-f").arg(mount.path()));
    mount.unmount();
    check(&image);
}

#[test]
fn free_space_of_an_empty_file_system_can_be_filled() {
    for free in [0, 20 * MIB, 150 * MIB] {
        make_and_fill(empty_tree(), free);
    }
}

#[test]
fn free_space_beside_much_metadata_can_be_filled() {
    for free in [MIB, 60 * MIB] {
        make_and_fill(files(8000, 1500), free);
    }
}

/// Takes 10 seconds for each GiB: set `BTRFS_FILL` to the number of GiB.
#[test]
fn much_free_space_can_be_filled() {
    let gib = std::env::var("BTRFS_FILL").map_or(0, |gib| gib.parse().unwrap());
    if gib > 0 {
        make_and_fill(files(3000, 10_000), gib * GIB);
    }
}

#[test]
fn a_full_file_system_is_changed() {
    let directory = scratch();
    let tree = Arc::new(files(500, 10_000));
    let image = make(directory.path(), &tree, smallest(&tree, 0));
    let mount = mount(&image, "rw");
    for number in 0..250 {
        fs::remove_file(mount.path().join(number.to_string())).unwrap();
    }
    for number in 250..500 {
        fs::rename(
            mount.path().join(number.to_string()),
            mount.path().join(format!("renamed-{number}")),
        )
        .unwrap();
    }
    stdout(command("sync").arg("-f").arg(mount.path()));
    fs::write(mount.path().join("new"), noise(1 << 20)).unwrap();
    mount.unmount();
    check(&image);
}
