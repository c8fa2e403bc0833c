//! What squashfs can't store, and tools that fail.

use std::sync::Arc;

use make_disk_image::stage::scan::{self, Policy};
use make_disk_image::tree::{Content, Device, InodeId, Kind, Source, Timestamp, Tree};

use super::*;
use crate::common::scratch;

fn error(script: &str) -> String {
    let directory = scratch();
    let mut format = squashfs(directory.path(), ZSTD, 1 << 20);
    format.sqfstar = program(directory.path(), script);
    match count(&format, &Arc::new(big_tree())) {
        Err(PlanError::Failed(error)) => format!("{error:#}"),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("a broken tool made a file system"),
    }
}

/// A tree whose archive does not fit in a pipe.
fn big_tree() -> Tree {
    let mut tree = empty_tree();
    for number in 0..40 {
        let name = format!("{number}");
        tree.insert(InodeId::ROOT, name.as_bytes(), file(&[1; 1 << 20]))
            .unwrap();
    }
    tree
}

#[test]
fn what_squashfs_cannot_store_is_reported_with_figures() {
    let directory = scratch();
    let mut tree = empty_tree();
    for (name, seconds) in [("1", -1), ("2", 1 << 32)] {
        let mut file = file(b"");
        file.metadata.mtime = Timestamp::from_seconds(seconds);
        tree.insert(InodeId::ROOT, name.as_bytes(), file).unwrap();
    }
    let mut attributes = file(b"");
    attributes.metadata.xattrs = vec![
        xattr("system.posix_acl_access", b"\x02\0\0\0"),
        xattr("user.a=b", b""),
    ]
    .into();
    attributes.metadata.uid = u32::MAX;
    tree.insert(InodeId::ROOT, b"3", attributes).unwrap();
    let device = Kind::BlockDevice(Device {
        major: 4096,
        minor: 0,
    });
    tree.insert(InodeId::ROOT, b"4", inode(device)).unwrap();
    let long = Content {
        size: (1 << 51) + 1,
        source: Source::Bytes(Arc::from(&b""[..])),
        data: Some(Box::default()),
    };
    tree.insert(InodeId::ROOT, b"5", inode(Kind::File(long)))
        .unwrap();
    tree.insert(InodeId::ROOT, &[b'n'; 256], file(b"")).unwrap();
    let format = squashfs(directory.path(), ZSTD, 1 << 20);
    let Err(PlanError::Unrepresentable(problems)) = count(&format, &Arc::new(tree)) else {
        panic!("made what squashfs can't store");
    };
    let name = "n".repeat(256);
    let range = "squashfs's range is 0 to 4294967295";
    assert_eq!(
        problems,
        [
            format!("/1: the time is -1 s after 1970; {range}"),
            format!("/2: the time is 4294967296 s after 1970; {range}"),
            "/3: the owner ID is 4294967295; the limit is 4294967294".to_owned(),
            "/3: squashfs does not support the extended attribute system.posix_acl_access".to_owned(),
            "/3: the name of the extended attribute user.a=b contains = or a NUL, which tar can't \
             represent"
                .to_owned(),
            "/4: the device number is 4096:0; Linux's limit is 4095:1048575".to_owned(),
            "/5: the file has 2251799813685249 bytes; sqfstar's limit with blocks of 1048576 bytes is \
             2251799812636672"
                .to_owned(),
            format!("/{name}: the name has 256 bytes; squashfs's limit is 255"),
        ]
    );
}

#[test]
fn more_than_65_535_owners_are_reported() {
    let directory = scratch();
    let mut tree = empty_tree();
    for number in 0..65_536u32 {
        let mut file = file(b"");
        file.metadata.uid = number;
        let name = format!("{number}");
        tree.insert(InodeId::ROOT, name.as_bytes(), file).unwrap();
    }
    let format = squashfs(directory.path(), ZSTD, 1 << 20);
    let Err(PlanError::Unrepresentable(problems)) = count(&format, &Arc::new(tree)) else {
        panic!("made what squashfs can't store");
    };
    let message = "the files have 65536 different owners and groups; squashfs's limit is 65535";
    assert_eq!(problems, [message]);
}

#[test]
fn an_old_or_wrong_tool_is_named_with_its_version() {
    let error = error("#!/bin/sh\necho 'sqfstar version 4.5.1 (2022/03/17)'\n");
    assert!(
        error.ends_with(
            "/sqfstar has version 4.5, but 4.6 or newer is needed: update squashfs-tools"
        ),
        "{error}"
    );
    let error = super::errors::error("#!/bin/sh\necho 'BusyBox v1.36.1'\n");
    assert!(
        error.ends_with("/sqfstar -version did not print a version, but: BusyBox v1.36.1"),
        "{error}"
    );
}

#[test]
fn a_failure_is_reported_with_the_method_and_the_tools_last_output() {
    let version = "#!/bin/sh\n[ \"$1\" = -version ] && echo 'sqfstar version 4.7' && exit\n";
    let error = |rest: &str| super::errors::error(&format!("{version}{rest}"));
    let found = error("echo 'FATAL ERROR: Compressor \"zstd\" is not supported!' >&2; exit 1\n");
    assert!(
        found.starts_with("making a squashfs file system with zstd: ")
            && found.ends_with("Compressor \"zstd\" is not supported!"),
        "{found}"
    );
    // Without reading everything.
    let found = error("exit 0\n");
    assert!(found.contains("sqfstar"), "{found}");
    let found = error("cat > /dev/null 2>&1\n");
    assert!(
        found.contains("sqfstar did not create ") && found.contains("exited with status 0"),
        "{found}"
    );
    let found = error("for last; do :; done; cat > /dev/null; echo none > \"$last\"\n");
    assert!(
        found.contains("checking ") && found.contains("the superblock"),
        "{found}"
    );
}

#[test]
fn a_file_that_changed_is_reported_and_not_the_tool() {
    let directory = scratch();
    let sources = scratch();
    std::fs::write(sources.path().join("file"), vec![1; 3 << 20]).unwrap();
    let tree = scan::root(sources.path(), Policy::FAITHFUL).unwrap();
    std::fs::write(sources.path().join("file"), vec![1; 10]).unwrap();
    let format = squashfs(directory.path(), ZSTD, 1 << 20);
    let Err(PlanError::Failed(error)) = count(&format, &Arc::new(tree)) else {
        panic!("made a file system of a changed file");
    };
    let text = format!("{error:#}");
    assert!(text.contains("it was changed during the build"), "{text}");
}
