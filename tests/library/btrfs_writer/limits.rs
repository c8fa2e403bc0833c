//! What exceeds btrfs's limits is an error with the path and the limit, before anything is written.

use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use make_disk_image::fs::{Format, PlanError};
use make_disk_image::tree::{Content, DataRange, Device, InodeId, Kind, Source, Timestamp, Tree};

use super::images::*;
use super::kernel::mount_and_compare;
use crate::common::scratch;

/// The error of counting `tree`.
fn problems(tree: &Tree) -> Vec<String> {
    let tree = Arc::new(tree.clone());
    let Err(PlanError::Unrepresentable(problems)) = writer().count(&tree, &options()) else {
        panic!("counted what btrfs can't hold");
    };
    problems
}

fn content(size: u64, data: &[(u64, u64)]) -> Kind {
    let ranges = data
        .iter()
        .map(|&(offset, length)| DataRange { offset, length });
    Kind::File(Content {
        size,
        source: Source::Bytes(Arc::from(&b""[..])),
        data: Some(Box::new(ranges.collect())),
    })
}

#[test]
fn inode_limits_are_reported_with_the_path() {
    let device = |major, minor| Kind::CharacterDevice(Device { major, minor });
    let cases: Vec<(Kind, &str)> = vec![
        (
            Kind::Symlink(vec![b'x'; 4096].into()),
            "the link target has 4096 bytes; Linux's limit is 4095",
        ),
        (
            Kind::Symlink(Box::default()),
            "the link target is empty or contains a NUL",
        ),
        (
            Kind::Symlink(b"a\0b".as_slice().into()),
            "the link target is empty or contains a NUL",
        ),
        (
            content(1 << 63, &[]),
            "the file has 9223372036854775808 bytes; Linux's limit is 9223372036854775807",
        ),
        (
            content(10, &[(8, 3)]),
            "invalid data range of 3 bytes at 8: the previous one ends at 0, the file at 10",
        ),
        (
            content(10, &[(4, 4), (6, 1)]),
            "invalid data range of 1 bytes at 6: the previous one ends at 8, the file at 10",
        ),
        (
            content(10, &[(u64::MAX, 2)]),
            "invalid data range of 2 bytes at 18446744073709551615: the previous one ends at 0, the file at 10",
        ),
        (
            device(4096, 0),
            "the device number is 4096:0; Linux's limit is 4095:1048575",
        ),
        (
            device(0, 1 << 20),
            "the device number is 0:1048576; Linux's limit is 4095:1048575",
        ),
    ];
    for (kind, message) in cases {
        let mut tree = empty_tree();
        let parent = tree.insert(InodeId::ROOT, b"a", directory()).unwrap();
        tree.insert(parent, b"b\n", inode(kind)).unwrap();
        assert_eq!(problems(&tree), [format!("/a/b\\n: {message}")]);
    }
}

#[test]
fn metadata_limits_are_reported_with_the_path() {
    let mut tree = empty_tree();
    let mut timed = file(b"");
    timed.metadata.mtime = Timestamp {
        seconds: 0,
        nanoseconds: 1_000_000_000,
    };
    tree.insert(InodeId::ROOT, b"3", timed).unwrap();
    let mut owned = file(b"");
    (owned.metadata.uid, owned.metadata.gid) = (u32::MAX, u32::MAX);
    owned.metadata.xattrs = vec![xattr("user.x", &[0; 16_223])].into();
    tree.insert(InodeId::ROOT, b"4", owned).unwrap();
    let name = [b'n'; 256];
    tree.insert(InodeId::ROOT, &name, file(b"")).unwrap();
    assert_eq!(
        problems(&tree),
        [
            "/3: the time has 1000000000 ns; the limit is 999999999".to_owned(),
            "/4: the owner ID is 4294967295; the limit is 4294967294".to_owned(),
            "/4: the group ID is 4294967295; the limit is 4294967294".to_owned(),
            "/4: the extended attribute user.x has a name and a value of 16229 bytes; btrfs's \
             limit is 16228"
                .to_owned(),
            format!(
                "/{}: the name has 256 bytes; btrfs's limit is 255",
                "n".repeat(256)
            ),
        ]
    );
}

#[test]
fn a_file_has_at_most_65_535_names() {
    let mut tree = empty_tree();
    let top = tree.insert(InodeId::ROOT, b"top", directory()).unwrap();
    let linked = tree.insert(top, b"linked", file(b"linked")).unwrap();
    for number in 1..65_535 {
        tree.link(top, format!("{number:0>20}").as_bytes(), linked)
            .unwrap();
    }
    let directory = scratch();
    let shared = Arc::new(tree.clone());
    let image = write(
        directory.path(),
        plan(&shared, smallest(&shared, MIB)).unwrap(),
    );
    // `btrfs check` takes time for each pair of names.
    let mount = mount(&image, "ro");
    for name in ["linked", "00000000000000000001", "00000000000000065534"] {
        let path = mount.path().join("top").join(name);
        assert_eq!(std::fs::metadata(&path).unwrap().nlink(), 65_535);
        assert_eq!(std::fs::read(&path).unwrap(), b"linked");
    }
    let listed = std::fs::read_dir(mount.path().join("top")).unwrap();
    assert_eq!(listed.count(), 65_535);
    mount.unmount();
    tree.link(top, b"one more", linked).unwrap();
    tree.link(top, b"yet another", linked).unwrap();
    assert_eq!(
        problems(&tree),
        ["/top/yet another: the file has more than 65535 hard links, which is btrfs's limit"]
            .map(|problem| problem.replace("yet another", "one more"))
    );
}

/// Names whose hashes are the same: CRC-32C is linear, so that changes of bytes that leave it
/// unchanged can be combined.
fn colliding(count: usize) -> Vec<Vec<u8>> {
    let hash = |name: &[u8]| crc32c::crc32c(name);
    let base = vec![b'p'; 250];
    // Bits that can be changed without making a slash or a NUL: the lowest ones of 'p'.
    let bits: Vec<(usize, u8)> = (0..240).map(|at| (at, 1)).collect();
    let zero = hash(&base);
    // Gaussian elimination: sets of bits that change nothing.
    let mut rows: Vec<(u32, Vec<usize>)> = Vec::new();
    let mut same: Vec<Vec<usize>> = Vec::new();
    for (number, &(at, bit)) in bits.iter().enumerate() {
        let mut name = base.clone();
        name[at] ^= bit;
        let mut value = hash(&name) ^ zero;
        let mut set = vec![number];
        for (other, others) in &rows {
            if value ^ other < value {
                value ^= other;
                set.extend(others);
            }
        }
        match value {
            0 => same.push(set),
            _ => {
                rows.push((value, set));
                rows.sort_unstable_by_key(|row| std::cmp::Reverse(row.0));
            }
        }
    }
    (0..count)
        .map(|number| {
            let mut name = base.clone();
            for (bit, set) in same.iter().enumerate() {
                if bit < 6 && number >> bit & 1 == 1 {
                    for &number in set {
                        let (at, bit) = bits[number];
                        name[at] ^= bit;
                    }
                }
            }
            assert_eq!(hash(&name), zero);
            name
        })
        .collect()
}

#[test]
fn names_with_the_same_hash_share_an_item_up_to_its_length() {
    // 16,258 bytes in an item, 280 for each name.
    for (count, fits) in [(2, true), (58, true), (59, false)] {
        let mut tree = empty_tree();
        let top = tree.insert(InodeId::ROOT, b"top", directory()).unwrap();
        let linked = tree.insert(InodeId::ROOT, b"linked", file(b"x")).unwrap();
        for name in colliding(count) {
            tree.link(top, &name, linked).unwrap();
        }
        if !fits {
            assert_eq!(
                problems(&tree),
                [
                    "/top: names of the directory that have the same hash need 16520 bytes; btrfs's \
                  limit is 16258"
                ]
            );
            continue;
        }
        let directory = scratch();
        let tree = Arc::new(tree);
        let image = make(directory.path(), &tree, smallest(&tree, 0));
        mount_and_compare(&image, &tree);
    }
}

#[test]
fn a_directory_cycle_is_reported_and_not_followed() {
    let mut tree = empty_tree();
    let top = tree.insert(InodeId::ROOT, b"top", directory()).unwrap();
    tree.link(top, b"root", InodeId::ROOT).unwrap();
    assert_eq!(problems(&tree), ["/top/root: a hard link to a directory"]);
}

#[test]
fn labels_have_255_bytes() {
    let directory = scratch();
    let mut options = options();
    options.label = "é".repeat(128);
    let tree = Arc::new(empty_tree());
    let Err(PlanError::Unrepresentable(problems)) = writer().count(&tree, &options) else {
        panic!("counted a label of 256 bytes");
    };
    let message = format!(
        "the label \"{}\" has 256 bytes; btrfs's limit is 255, without NUL",
        options.label
    );
    assert_eq!(problems, [message]);
    options.label = options.label.replacen('é', "e", 1);
    let counted = writer().count(&tree, &options).unwrap();
    let image = write(directory.path(), counted.plan(100 * MIB).unwrap());
    check(&image);
    let label = btrfs(&["filesystem", "label"], &image);
    assert_eq!(label.trim(), options.label);
}

#[test]
fn more_than_16_tib_is_rejected() {
    let limit = 16u64 << 40;
    let tree = Arc::new(empty_tree());
    plan(&tree, limit).unwrap();
    let Err(error) = plan(&tree, limit + 4096) else {
        panic!("planned more than 16 TiB");
    };
    let message = "a file system of 17592186048512 bytes; this btrfs writer's limit is 17592186044416 (16 TiB)";
    assert!(error.to_string().contains(message), "{error}");
    let mut tree = empty_tree();
    let long = content(1 << 62, &[(0, 1 << 62)]);
    tree.insert(InodeId::ROOT, b"long", inode(long)).unwrap();
    let message =
        "4611686018427387904 bytes of data; this btrfs writer's limit is 17592186044416 (16 TiB)";
    assert_eq!(problems(&tree), [message]);
    let counted = writer().count(&Arc::new(empty_tree()), &options()).unwrap();
    let Err(error) = counted.smallest(u64::MAX) else {
        panic!("found room for 16 EiB");
    };
    assert!(matches!(error, PlanError::Unrepresentable(_)), "{error}");
}
