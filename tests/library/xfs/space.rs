//! The smallest size is minimal and has the space that it should, and images can be filled, emptied
//! and grown.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use make_disk_image::fs::PlanError;
use make_disk_image::tree::{Content, InodeId, Kind, Source, Tree};

use super::images::*;
use crate::common::{command, next, scratch, stdout};
use crate::ext4_writer::kernel::compare_names;

/// A tree of `files` files with `blocks` blocks each.
fn files(files: usize, blocks: usize) -> Arc<Tree> {
    let bytes: Arc<[u8]> = vec![7; blocks * 4096].into();
    let mut tree = empty_tree();
    for number in 0..files {
        let content = Content {
            size: bytes.len() as u64,
            source: Source::Bytes(Arc::clone(&bytes)),
            data: None,
        };
        let name = format!("{number}");
        tree.insert(InodeId::ROOT, name.as_bytes(), inode(Kind::File(content)))
            .unwrap();
    }
    Arc::new(tree)
}

#[test]
fn no_smaller_size_fits() {
    // Files, how many of them have how many blocks, and how many sizes to try.
    for (number, long, blocks, free, tries) in [
        (0, 0, 0, 0, 60),
        (0, 0, 0, 300 * MIB, 60),
        (1, 1, 70_000, 0, 60),
        (1, 1, 70_000, MIB, 60),
        (3, 3, 400_000, GIB, 60),
        (5000, 5000, 14, 10 * MIB, 10),
        // Inodes in two groups.
        (150_000, 1, 45_000, 0, 2),
    ] {
        let tree = files(number, 0);
        let mut large = Tree::clone(&tree);
        for number in 0..long {
            let name = number.to_string();
            let id = tree.lookup(InodeId::ROOT, name.as_bytes()).unwrap();
            if let Kind::File(content) = &mut large.inode_mut(id).kind {
                content.size = blocks * 4096;
            }
        }
        let counted = count(&Arc::new(large));
        let fits = |length: u64| {
            counted
                .plan(length)
                .is_ok_and(|plan| plan.usage().available >= free)
        };
        let length = counted.smallest(free).unwrap();
        let case = format!("{number} files, {long} of {blocks} blocks, {free} bytes");
        assert!(fits(length), "{case}: {length}");
        if length == 300 * MIB {
            continue;
        }
        for below in (1..tries)
            .map(|less| length - less * 4096)
            .filter(|&l| l >= 300 * MIB)
        {
            assert!(!fits(below), "{case}: {below} < {length}");
        }
        for more in [MIB, 10 * MIB, 100 * MIB] {
            assert!(fits(length + more), "{case}: {length} + {more}");
        }
        let Err(PlanError::TooSmall {
            needed,
            length: given,
            ..
        }) = counted.plan(counted.smallest(0).unwrap() - 4096)
        else {
            panic!("{case}: one block too few is enough");
        };
        assert_eq!(needed, given + 4096, "{case}");
    }
}

/// Writes a file of `length` bytes as an ordinary user.
fn fill(top: &Path, length: u64) {
    fs::set_permissions(top, fs::Permissions::from_mode(0o777)).unwrap();
    stdout(
        command("setpriv")
            .args(["--reuid", "1000", "--regid", "1000", "--clear-groups"])
            .args([
                "dd",
                "if=/dev/zero",
                "bs=64k",
                "iflag=count_bytes",
                "conv=fsync",
            ])
            .arg(format!("count={length}"))
            .arg(format!("of={}", top.join("full").display())),
    );
}

#[test]
fn the_promised_space_can_be_filled_and_everything_deleted() {
    let scratch = scratch();
    for (number, blocks, free) in [
        (500, 130, 0),
        (10, 6600, 4096),
        (70_000, 1, 100_000),
        (500, 130, MIB),
        (10, 7000, 100 * MIB),
        (0, 0, 700 * MIB),
    ] {
        let tree = files(number, blocks);
        let counted = count(&tree);
        let length = counted.smallest(free).unwrap();
        let usage = counted.plan(length).unwrap().usage();
        let image = make(scratch.path(), &tree, length);
        let mounted = mount(&image, "rw");
        let available = mounted.available();
        assert!(available >= usage.available && usage.available >= free);
        if usage.available > 0 {
            assert_eq!(available, usage.available + 64 * 4096);
            fill(mounted.path(), usage.available);
        }
        mounted.unmount();
        check(&image);
        let mounted = mount(&image, "rw");
        stdout(
            command("sh")
                .args(["-c", "find \"$1\" -mindepth 1 -delete", "-"])
                .arg(mounted.path()),
        );
        mounted.unmount();
        check(&image);
        // Blocks become free in the background, but not later than at the end of the mount. Some go to
        // what Linux reserves for itself.
        let mounted = mount(&image, "rw");
        assert!(mounted.available() > (number * blocks) as u64 * 4096 / 2);
        mounted.unmount();
    }
}

#[test]
fn a_full_file_system_takes_files_after_it_has_grown() {
    let scratch = scratch();
    let tree = files(10, 7000);
    let length = count(&tree).smallest(0).unwrap();
    let image = make(scratch.path(), &tree, length);
    for more in [1000, 400 * MIB, GIB] {
        let grown = fs::metadata(&image).unwrap().len() + more / 4096 * 4096 + 4096;
        File::options()
            .write(true)
            .open(&image)
            .unwrap()
            .set_len(grown)
            .unwrap();
        let mounted = mount(&image, "rw");
        stdout(next::program("usr/sbin/xfs_growfs").arg(mounted.path()));
        if more < GIB {
            compare_names(mounted.path(), &tree, 0);
        }
        if more > MIB {
            let path = mounted.path().join("more");
            let mut file = File::create(&path).unwrap();
            for _ in 0..more / MIB / 2 / 64 {
                file.write_all(&vec![1; 64 << 20]).unwrap();
            }
            drop(file);
            fs::remove_file(path).unwrap();
            fs::set_permissions(mounted.path(), fs::Permissions::from_mode(0o755)).unwrap();
        }
        mounted.unmount();
        check(&image);
    }
}
