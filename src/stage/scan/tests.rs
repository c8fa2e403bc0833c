use std::fs::{self, hard_link};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::{Duration, Instant};

use super::*;
use crate::tree::{InsertError, Metadata, listing::listing};

/// Creates many directories with hard links between them, in an order that is not sorted.
fn create_wide_tree(top: &Path) {
    for outer in 0..8 {
        for inner in 0..7 {
            let directory = top.join(format!("{}/{}", outer * 5 % 8, inner * 4 % 7));
            fs::create_dir_all(&directory).unwrap();
            for file in 0..3 {
                fs::write(directory.join(format!("f{file}")), vec![b'x'; file]).unwrap();
            }
            symlink("../0", directory.join("link")).unwrap();
            hard_link(directory.join("f1"), top.join(format!("{outer}-{inner}"))).unwrap();
        }
    }
}

#[test]
fn the_result_does_not_depend_on_the_number_of_threads() {
    let top = tempfile::tempdir().unwrap();
    create_wide_tree(top.path());
    let one = root_on(1, top.path(), Policy::FAITHFUL).unwrap();
    let text = listing(&one);
    assert_eq!(text.matches("directory").count(), 1 + 8 + 56);
    assert_eq!(text.matches(" = /").count(), 56);
    for threads in [2, 16] {
        let many = root_on(threads, top.path(), Policy::FAITHFUL).unwrap();
        assert_eq!(listing(&many), text);
    }
}

#[test]
fn handles_hard_links_according_to_the_policy() {
    let top = tempfile::tempdir().unwrap();
    let path = |name: &str| top.path().join(name);
    fs::create_dir(path("in")).unwrap();
    for (names, bytes) in [(["in/a", "in/b"], "one"), (["in/c", "out"], "two")] {
        fs::write(path(names[0]), bytes).unwrap();
        hard_link(path(names[0]), path(names[1])).unwrap();
    }
    hard_link(path("in/c"), path("in/d")).unwrap();
    for (hard_links, ab, cd) in [
        (HardLinks::Kept, true, true),
        (HardLinks::Complete, true, false),
        (HardLinks::Broken, false, false),
    ] {
        let policy = Policy {
            hard_links,
            ..Policy::FAITHFUL
        };
        let tree = root(&path("in"), policy).unwrap();
        let same = |a, b| tree.lookup(InodeId::ROOT, a) == tree.lookup(InodeId::ROOT, b);
        assert_eq!(
            (same(b"a", b"b"), same(b"c", b"d")),
            (ab, cd),
            "{hard_links:?}"
        );
    }
}

#[test]
fn a_closure_scan_keeps_only_what_a_nar_contains() {
    let top = tempfile::tempdir().unwrap();
    fs::create_dir(top.path().join("d")).unwrap();
    fs::write(top.path().join("d/file"), "x").unwrap();
    fs::set_permissions(top.path().join("d/file"), PermissionsExt::from_mode(0o555)).unwrap();
    hard_link(top.path().join("d/file"), top.path().join("d/same")).unwrap();
    symlink("file", top.path().join("d/link")).unwrap();
    xattr::set(top.path().join("d/file"), "user.x", b"y").unwrap();
    fs::File::create(top.path().join("d/sparse"))
        .and_then(|file| file.set_len(1 << 20))
        .unwrap();
    let mut tree = Tree::new(Metadata::new(0o755));
    let source = Subtree {
        path: top.path().join("d"),
        parent: InodeId::ROOT,
        name: b"0-d".to_vec(),
    };
    entries(&mut tree, std::slice::from_ref(&source), Policy::CLOSURE).unwrap();
    assert_eq!(
        listing(&tree),
        "directory 0755 0:0 1.000000000 /\n\
         directory 0755 0:0 1.000000000 /0-d\n\
         file 0555 0:0 1.000000000 1 /0-d/file\n\
         symlink 0777 0:0 1.000000000 /0-d/link -> file\n\
         file 0555 0:0 1.000000000 1 /0-d/same\n\
         file 0644 0:0 1.000000000 1048576 /0-d/sparse\n"
    );
    let error = entries(&mut tree, &[source], Policy::CLOSURE).unwrap_err();
    assert_eq!(
        format!("{error:#}"),
        format!(
            "adding {} to the image as 0-d: the name already exists",
            top.path().join("d").display()
        )
    );
    assert_eq!(error.downcast_ref(), Some(&InsertError::Exists));
}

#[test]
fn lists_missing_paths_in_order() {
    let mut tree = Tree::new(Metadata::new(0o755));
    let source = |n: u32| Subtree {
        path: format!("/nonexistent/{n:02}\n").into(),
        parent: InodeId::ROOT,
        name: b"x".to_vec(),
    };
    let sources: Vec<Subtree> = (1..=12).rev().map(source).collect();
    let error = entries(&mut tree, &sources, Policy::CLOSURE)
        .unwrap_err()
        .to_string();
    let lines: Vec<&str> = error.lines().collect();
    assert_eq!(lines.len(), 11);
    assert_eq!(
        lines[0],
        "reading the metadata of /nonexistent/01\\n: No such file or directory (os error 2)"
    );
    assert_eq!(lines[10], "and 2 more like these");
}

#[test]
fn a_root_must_be_a_directory_or_a_symlink_to_one() {
    let top = tempfile::tempdir().unwrap();
    fs::create_dir(top.path().join("d")).unwrap();
    fs::write(top.path().join("d/f"), "x").unwrap();
    symlink("d", top.path().join("link")).unwrap();
    let tree = root(&top.path().join("link"), Policy::CLOSURE).unwrap();
    assert!(tree.lookup(InodeId::ROOT, b"f").is_some());
    let error = root(&top.path().join("d/f"), Policy::CLOSURE).unwrap_err();
    assert!(error.to_string().ends_with("d/f is not a directory"));
}

/// Measures time and memory for a tree as large as a desktop's closure.
#[test]
#[ignore = "a measurement; run it in release mode, with --nocapture"]
fn measure_a_large_scan() {
    let top = tempfile::tempdir().unwrap();
    let mut sources = Vec::new();
    // 300 store paths: 16,800 directories, 100,800 files and 43,200 links.
    for number in 0..300 {
        let name = format!("{number:032x}-package-{number}");
        for directory in 0..48 {
            let path = top
                .path()
                .join(&name)
                .join(format!("share/d{}/lib{directory}", directory % 6));
            fs::create_dir_all(&path).unwrap();
            for file in 0..7 {
                fs::write(path.join(format!("file-{file}.h")), "").unwrap();
            }
            for link in 0..3 {
                let target =
                    format!("/nix/store/{number:032x}-package/share/libsomething-{link}.so.1");
                symlink(target, path.join(format!("link-{link}"))).unwrap();
            }
        }
        sources.push(Subtree {
            path: top.path().join(&name),
            parent: InodeId::ROOT,
            name: name.into(),
        });
    }
    for (name, policy) in [("closure", Policy::CLOSURE), ("faithful", Policy::FAITHFUL)] {
        for threads in [1, 2, 4] {
            let before = resident();
            let start = Instant::now();
            let busy = processor_seconds();
            let mut tree = Tree::new(Metadata::new(0o755));
            entries_on(threads, &mut tree, &sources, policy).unwrap();
            let inodes = tree.inodes().len();
            println!(
                "{name}, {threads} threads: {inodes} inodes in {:.3} s ({:.3} s of processors), {} bytes resident for each",
                start.elapsed().as_secs_f64(),
                processor_seconds() - busy,
                resident().saturating_sub(before) / inodes
            );
        }
    }
}

/// Returns the processor time, which depends less on the machine's load than elapsed time does.
fn processor_seconds() -> f64 {
    let clock = nix::time::ClockId::CLOCK_PROCESS_CPUTIME_ID;
    Duration::from(nix::time::clock_gettime(clock).unwrap()).as_secs_f64()
}

fn resident() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}
