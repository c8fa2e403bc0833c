//! Sources that change after they were listed.

use std::fs::{File, FileTimes};
use std::os::unix::fs::symlink;
use std::time::{Duration, SystemTime};

use super::*;
use crate::code::Code;
use crate::fs::source::Opener;
use crate::stage::scan::{self, Policy};

#[test]
fn a_changed_source_is_reported_with_its_path() {
    type Change = fn(&Path);
    let cases: [(Change, &str); 5] = [
        (
            |path| fs::remove_file(path).unwrap(),
            "it existed when it was listed, but does not now",
        ),
        (
            |path| {
                fs::rename(path, path.with_extension("moved")).unwrap();
                symlink(path.with_extension("moved"), path).unwrap();
            },
            "it was a regular file when it was listed, but is a symbolic link now",
        ),
        (
            |path| fs::write(path, b"short").unwrap(),
            "has 5 bytes but had 6000",
        ),
        (
            |path| fs::write(path, noise(6001, 1)).unwrap(),
            "has 6001 bytes but had 6000",
        ),
        (
            |path| {
                fs::remove_file(path).unwrap();
                nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRUSR).unwrap();
            },
            "was a regular file when it was listed, but is not one now",
        ),
    ];
    for (change, message) in cases {
        let directory = tempfile::tempdir().unwrap();
        let contents = [noise(6000, 1), noise(6000, 2)];
        let (tree, ids) = tree(directory.path(), &contents);
        let (data, _) = placed(&contents, &ids, 0);
        change(&directory.path().join("0001"));
        let content = Content::FileSystem(Box::new(Chosen {
            tree,
            length: 1 << 20,
            data,
            metadata: Vec::new(),
        }));
        let image = image(1 << 20, vec![(0, 1 << 20, content)]);
        let path = directory.path().join("image");
        let written = write(&image, &path, &|_| {}).unwrap_err();
        let alone = write_alone(&image, &path).unwrap_err();
        let lazy = LazyImage::new(image, &path).unwrap();
        let read = lazy.reader().read_at(&mut [0; 16384], 0).unwrap_err();
        for error in [written, alone, read] {
            assert_eq!(Code::added_to(&error), Some(Code::ChangedFile), "{error:#}");
            let error = format!("{error:#}");
            assert!(error.contains("/0001"), "{error}");
            assert!(error.contains(message), "{error} lacks {message}");
        }
    }
}

/// The lengths of a small file and of one that is copied in pieces, in bytes.
const LENGTHS: [usize; 2] = [6000, 300_000];

/// Writes the files `d/0` and `d/1` to `directory`, scans it, and returns an image with their data.
fn scanned(directory: &Path, policy: Policy) -> Image {
    fs::create_dir_all(directory.join("d")).unwrap();
    let mut data = Vec::new();
    for (number, length) in LENGTHS.into_iter().enumerate() {
        fs::write(directory.join(format!("d/{number}")), noise(length, 1)).unwrap();
    }
    // The kernel takes timestamps from a clock with a resolution of some milliseconds.
    std::thread::sleep(Duration::from_millis(20));
    let tree = scan::root(directory, policy).unwrap();
    let d = tree.lookup(InodeId::ROOT, b"d").unwrap();
    let mut offset = 0;
    for (number, length) in LENGTHS.into_iter().enumerate() {
        data.push(DataExtent {
            file: super::number(tree.lookup(d, number.to_string().as_bytes()).unwrap()),
            file_offset: 0,
            offset,
            length: length as u64,
        });
        offset += (length as u64).next_multiple_of(4096);
    }
    let content = Content::FileSystem(Box::new(Chosen {
        tree: tree.into(),
        length: 1 << 20,
        data,
        metadata: Vec::new(),
    }));
    image(1 << 20, vec![(0, 1 << 20, content)])
}

fn set_modified(path: &Path, time: SystemTime) {
    let times = FileTimes::new().set_modified(time);
    File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_times(times)
        .unwrap();
}

fn errors(directory: &Path, image: Image) -> [Result<()>; 3] {
    let path = directory.join("image");
    let written = write(&image, &path, &|_| {}).map(drop);
    let alone = write_alone(&image, &path);
    let lazy = LazyImage::new(image, &path).unwrap();
    let read = lazy.reader().read_at(&mut vec![0; 1 << 20], 0).map(drop);
    [written, alone, read]
}

#[test]
fn a_changed_source_of_the_same_length_is_detected() {
    for (number, length) in LENGTHS.into_iter().enumerate() {
        for (policy, set_back, is_detected) in [
            (Policy::FAITHFUL, false, true),
            // rsync, tar and others set modification times, but no program can set change times.
            (Policy::FAITHFUL, true, true),
            (Policy::CLOSURE, false, true),
            (Policy::CLOSURE, true, false),
        ] {
            let directory = tempfile::tempdir().unwrap();
            let source = directory.path().join("source");
            let image = scanned(&source, policy);
            let path = source.join(format!("d/{number}"));
            let before = fs::metadata(&path).unwrap().modified().unwrap();
            fs::write(&path, noise(length, 2)).unwrap();
            if set_back {
                set_modified(&path, before);
            }
            for result in errors(directory.path(), image) {
                match is_detected {
                    true => {
                        let error = result.unwrap_err();
                        assert_eq!(Code::added_to(&error), Some(Code::ChangedFile));
                        assert_eq!(
                            format!("{error:#}").trim_start_matches("writing the part \"test\": "),
                            format!(
                                "{} was modified after it was listed: it was changed during the \
                                 build; build again when nothing writes to it",
                                path.display()
                            )
                        );
                    }
                    false => result.unwrap(),
                }
            }
        }
    }
}

/// Nix creates such links during builds (`auto-optimise-store`).
#[test]
fn a_new_hard_link_to_a_store_file_is_not_a_change() {
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("source");
    let image = scanned(&source, Policy::CLOSURE);
    fs::hard_link(source.join("d/0"), directory.path().join("link")).unwrap();
    for result in errors(directory.path(), image) {
        result.unwrap();
    }
}

#[test]
fn a_change_while_a_file_is_read_is_detected() {
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("source");
    let image = scanned(&source, Policy::FAITHFUL);
    let content = &image.parts[0].content;
    let mut buffer = vec![0; 5000];
    let data = content.source(&content.copied()[0]).unwrap();
    let opened = Opener::default().open(data).unwrap();
    opened.read(&mut buffer, 0).unwrap();
    fs::write(source.join("d/0"), noise(6000, 2)).unwrap();
    let error = opened.read(&mut buffer, 0).unwrap_err().to_string();
    assert!(
        error.contains(
            "/source/d/0 was modified after it was listed: it was changed during the build"
        ),
        "{error}"
    );
}

#[test]
fn a_directory_that_became_a_symbolic_link_is_detected() {
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("source");
    let image = scanned(&source, Policy::CLOSURE);
    // The files are the same, with the same times.
    fs::rename(source.join("d"), directory.path().join("moved")).unwrap();
    symlink("../moved", source.join("d")).unwrap();
    for result in errors(directory.path(), image) {
        let error = result.unwrap_err();
        assert_eq!(Code::added_to(&error), Some(Code::ChangedFile));
        let error = format!("{error:#}");
        let expected = format!(
            " to copy it: the path to {}/d consisted of directories when it was listed, but now \
             contains a symbolic link or a file: it was changed during the build; build again when \
             nothing writes to it",
            source.display()
        );
        assert!(error.ends_with(&expected), "{error}");
    }
}

/// Only the path below the requested directory is checked.
#[test]
fn symbolic_links_to_the_requested_directory_are_followed() {
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("source");
    drop(scanned(&source, Policy::FAITHFUL));
    symlink(&source, directory.path().join("link")).unwrap();
    let link = directory.path().join("link");
    for result in errors(directory.path(), scanned(&link, Policy::FAITHFUL)) {
        result.unwrap();
    }
}
