//! Files with holes.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use make_disk_image::tree::{Content, DataRange, Kind, Source};

use super::images::*;
use super::kernel::{compare, mount};
use crate::common::scratch;

/// A file of `size` bytes with a block of data at each of `places`.
fn sparse(size: u64, places: &[u64]) -> Content {
    let mut bytes = Vec::new();
    let mut data = Vec::new();
    for (number, &offset) in (1..=255).cycle().zip(places) {
        let length = 4096.min(size - offset);
        data.push(DataRange { offset, length });
        bytes.resize(usize::try_from(offset).unwrap(), 0);
        bytes.resize(usize::try_from(offset + length).unwrap(), number);
    }
    bytes.resize(usize::try_from(size).unwrap(), 0);
    Content {
        size,
        source: Source::Bytes(bytes.into()),
        data: Some(data.into()),
    }
}

#[test]
fn holes_of_any_length() {
    let directory = scratch();
    let mut tree = empty_tree();
    let files = [
        (10_000, vec![]),
        (5000, vec![4096]),
        (5000, vec![100]),
        (100_000, vec![0, 8192, 65_536]),
        (5_000_000, vec![4096, 4_997_120]),
        (5_000_001, (0..600).map(|number| number * 8192).collect()),
        (33_554_432, vec![16_777_216, 16_781_312]),
    ];
    for (number, (size, places)) in files.iter().enumerate() {
        let content = sparse(*size, places);
        add(&mut tree, &format!("{number}"), inode(Kind::File(content)));
    }
    let tree = Arc::new(tree);
    for compression in [None, ALL[1]] {
        let image = make(directory.path(), &tree, compression);
        // 5 MB are every second block of 5 MB.
        assert!(std::fs::metadata(&image).unwrap().len() < 3 * MIB);
        let mount = mount(&image);
        compare(mount.path(), &tree);
        mount.unmount();
    }
}

#[test]
fn a_file_of_4_eib_and_one_of_5_gib() {
    const HUGE: u64 = 1 << 62;
    let directory = scratch();
    let mut tree = empty_tree();
    let content = |size, data: &[(u64, u64)]| {
        let ranges = data
            .iter()
            .map(|&(offset, length)| DataRange { offset, length });
        inode(Kind::File(Content {
            size,
            source: Source::Bytes(Arc::from(&b""[..])),
            data: Some(Box::new(ranges.collect())),
        }))
    };
    add(&mut tree, "huge", content(HUGE, &[]));
    add(&mut tree, "long", content(5 << 30, &[(0, 5 << 30)]));
    let tree = Arc::new(tree);
    let plan = plan(directory.path(), &tree, None).unwrap();
    check_plan(plan.as_ref());
    assert!(plan.length() < (5 << 30) + 4096 * 1024);
    let image = directory.path().join("erofs.img");
    let file = File::create(&image).unwrap();
    file.set_len(plan.length()).unwrap();
    plan.metadata(&mut |offset, bytes| Ok(file.write_all_at(bytes, offset)?))
        .unwrap();
    let [data] = plan.data() else {
        panic!("{:?}", plan.data())
    };
    file.write_all_at(b"first", data.offset).unwrap();
    let end = data.offset + data.length;
    file.write_all_at(b"last", end - 4).unwrap();
    drop(file);
    let mount = mount(&image);
    let open = |name: &str| File::open(mount.path().join(name)).unwrap();
    let mut bytes = [1; 8];
    assert_eq!(open("huge").metadata().unwrap().len(), HUGE);
    open("huge").read_exact_at(&mut bytes, 1 << 61).unwrap();
    assert_eq!(bytes, [0; 8]);
    open("long").read_exact_at(&mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"first\0\0\0");
    open("long")
        .read_exact_at(&mut bytes, (5 << 30) - 8)
        .unwrap();
    assert_eq!(&bytes, b"\0\0\0\0last");
    mount.unmount();
}
