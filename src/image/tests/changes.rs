//! Sources that are not what they were when they were listed.

use std::fs::{File, FileTimes};
use std::os::unix::fs::symlink;
use std::time::{Duration, SystemTime};

use super::*;
use crate::fs::source::Opener;
use crate::stage::scan::{self, Policy};

#[test]
fn a_source_that_changed_is_named() {
    type Change = fn(&Path);
    let cases: [(Change, &str); 4] = [
        (|path| fs::remove_file(path).unwrap(), "No such file"),
        (
            |path| fs::write(path, b"short").unwrap(),
            "has 5 bytes and had 6000",
        ),
        (
            |path| fs::write(path, noise(6001, 1)).unwrap(),
            "has 6001 bytes and had 6000",
        ),
        (
            |path| {
                fs::remove_file(path).unwrap();
                nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRUSR).unwrap();
            },
            "was a file when it was listed and is none now",
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
        let lazy = LazyImage::new(image, &path).unwrap();
        let read = lazy.reader().read_at(&mut [0; 16384], 0).unwrap_err();
        for error in [written, read] {
            let error = format!("{error:#}");
            assert!(error.contains("/0001"), "{error}");
            assert!(error.contains(message), "{error} lacks {message}");
        }
    }
}

/// Bytes of a small file and of one that is copied in pieces.
const LENGTHS: [usize; 2] = [6000, 300_000];

/// `directory` as a scan finds it, with the data of its files `d/0` and `d/1` in an image.
fn scanned(directory: &Path, policy: Policy) -> Image {
    fs::create_dir_all(directory.join("d")).unwrap();
    let mut data = Vec::new();
    for (number, length) in LENGTHS.into_iter().enumerate() {
        fs::write(directory.join(format!("d/{number}")), noise(length, 1)).unwrap();
    }
    // The kernel gives times by a clock that stands still for some milliseconds.
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

fn errors(directory: &Path, image: Image) -> [Result<()>; 2] {
    let path = directory.join("image");
    let written = write(&image, &path, &|_| {});
    let lazy = LazyImage::new(image, &path).unwrap();
    let read = lazy.reader().read_at(&mut vec![0; 1 << 20], 0).map(drop);
    [written, read]
}

#[test]
fn a_source_that_changed_and_kept_its_length_is_noticed() {
    for (number, length) in LENGTHS.into_iter().enumerate() {
        for (policy, set_back, is_noticed) in [
            (Policy::FAITHFUL, false, true),
            // Times of modification are set by rsync, tar and others; of changes by nobody.
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
                match is_noticed {
                    true => assert_eq!(
                        format!("{:#}", result.unwrap_err())
                            .trim_start_matches("writing the part \"test\": "),
                        format!(
                            "{} was changed during the build; build again when nothing writes to it",
                            path.display()
                        )
                    ),
                    false => result.unwrap(),
                }
            }
        }
    }
}

/// Nix does so while others build: `auto-optimise-store`.
#[test]
fn a_link_to_a_file_of_the_store_is_no_change() {
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("source");
    let image = scanned(&source, Policy::CLOSURE);
    fs::hard_link(source.join("d/0"), directory.path().join("link")).unwrap();
    for result in errors(directory.path(), image) {
        result.unwrap();
    }
}

#[test]
fn a_change_while_a_file_is_read_is_noticed() {
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
        error.contains("/source/d/0 was changed during the build"),
        "{error}"
    );
}

#[test]
fn a_directory_that_became_a_link_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("source");
    let image = scanned(&source, Policy::CLOSURE);
    // All the same is there, with the same times.
    fs::rename(source.join("d"), directory.path().join("moved")).unwrap();
    symlink("../moved", source.join("d")).unwrap();
    for result in errors(directory.path(), image) {
        let error = format!("{:#}", result.unwrap_err());
        let expected = format!(
            " to copy it: the way to {}/d was one of directories when it was \
             listed, and has a symbolic link or a file in it now: it was changed during the build",
            source.display()
        );
        assert!(error.ends_with(&expected), "{error}");
    }
}

/// What leads to the directory that was asked for is nobody's business.
#[test]
fn links_on_the_way_to_what_was_asked_for_are_followed() {
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("source");
    drop(scanned(&source, Policy::FAITHFUL));
    symlink(&source, directory.path().join("link")).unwrap();
    let link = directory.path().join("link");
    for result in errors(directory.path(), scanned(&link, Policy::FAITHFUL)) {
        result.unwrap();
    }
}
