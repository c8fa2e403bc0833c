//! Every spelling of a target, with every kind of source and of existing target.

use std::fs;
use std::path::Path;
use std::time::Duration;

use make_disk_image::stage::scan::{self, Policy};

use super::entries::{Entry, chown, compare, graft_into, shell, stage};
use crate::listing;

/// What may already be at `/srv` and `/a/srv`.
const PRESENT: [(&str, &str); 6] = [
    ("nothing", "true"),
    ("a file", "echo E >srv; echo E >a/srv"),
    ("a directory", "mkdir srv a/srv; echo E >srv/kept"),
    (
        "a link to a file",
        "echo E >real; echo E >a/real; ln -s real srv; ln -s real a/srv",
    ),
    (
        "a link to a directory",
        "mkdir real a/real; ln -s real srv; ln -s real a/srv",
    ),
    ("a link to nothing", "ln -s gone srv; ln -s gone a/srv"),
];

const SOURCES: [&str; 11] = [
    "file",
    "file/",
    "dir",
    "dir/",
    "to-file",
    "to-file/",
    "to-dir",
    "to-nothing",
    "*.conf",
    "dir/*",
    "d*/",
];

const TARGETS: [&str; 15] = [
    "/srv",
    "srv",
    "/srv/",
    "srv/",
    "/srv//",
    "//srv/",
    "/srv/.",
    "srv/./",
    "/srv/./x/",
    "/./srv",
    "/a/srv/",
    "/a//srv",
    "a/srv/.",
    "/b/c/",
    "/",
];

#[test]
fn a_target_means_what_it_means_to_rsync_however_it_is_written() {
    listing::require_root();
    let sources = tempfile::tempdir().unwrap();
    shell(
        sources.path(),
        "mkdir dir; echo one >dir/one; echo f >file; echo a >a.conf; echo b >b.conf; \
         ln -s file to-file; ln -s dir to-dir; ln -s gone to-nothing; chmod 640 file dir/one; \
         find . -exec touch -h -d @1000000000.123456789 {} +",
        &[],
    )
    .unwrap();
    let [nothing, present @ ..] = PRESENT;
    for source in SOURCES {
        for target in TARGETS {
            is_as_rsync_has_it(sources.path(), nothing, (source, target));
        }
    }
    for there in present {
        for source in ["file", "dir", "to-file", "*.conf"] {
            for target in ["/srv", "/srv/", "/srv/.", "/a//srv//", "/srv/x"] {
                is_as_rsync_has_it(sources.path(), there, (source, target));
            }
        }
    }
}

fn is_as_rsync_has_it(
    sources: &Path,
    (there, make): (&str, &str),
    (source, target): (&'static str, &'static str),
) {
    let name = format!("{source} to {target}, where {there} is");
    let root = tempfile::tempdir().unwrap();
    shell(
        root.path(),
        &format!("mkdir a; {make}; find . -exec touch -h -d @1 {{}} +"),
        &[],
    )
    .unwrap();
    let mut tree = scan::root(root.path(), Policy::FAITHFUL).unwrap();
    let entry: Entry = (source, target, "F600", Some((7, 8)));
    let ours = graft_into(&mut tree, sources, &[entry]);
    let now = listing_time();
    let theirs = stage(sources, root.path(), &entry);
    // rsync replaces a symlink that dangles on the build machine, wherever it points in the image.
    // We never replace it.
    let replaced = there == "a link to nothing" && theirs.is_ok() && target != "/";
    if replaced {
        let error = format!("{:#}", ours.unwrap_err());
        assert!(error.contains("duplicate entry"), "{name}: {error}");
        return;
    }
    assert_eq!(ours.is_ok(), theirs.is_ok(), "{name}: {ours:?}, {theirs:?}");
    let Err(error) = ours else {
        chown(root.path(), &entry);
        let theirs = listing::of_directory(root.path(), now);
        let ours = make_disk_image::tree::listing::listing(&tree);
        return compare(&name, &ours, &theirs);
    };
    let error = format!("{error:#}");
    if theirs.unwrap_err().starts_with("duplicate entry") {
        assert!(error.contains("duplicate entry"), "{name}: {error}");
    }
}

/// The file system's time in seconds since 1970.
fn listing_time() -> u64 {
    use std::os::unix::fs::MetadataExt;
    let now = tempfile::tempdir().unwrap();
    fs::metadata(now.path()).unwrap().mtime().cast_unsigned()
}

/// A slash means the same to chown: with it, the target of a symlink changes its owner; without it,
/// the symlink does.
#[test]
fn owners_are_given_to_what_the_target_means_to_chown() {
    listing::require_root();
    let sources = tempfile::tempdir().unwrap();
    shell(
        sources.path(),
        "echo f >x.conf; mkdir links; mkdir links/real; ln -s real links/to-dir; \
         find . -exec touch -h -d @1000000000.123456789 {} +",
        &[],
    )
    .unwrap();
    for target in ["/l/to-dir", "/l/to-dir/", "/l/to-dir//"] {
        let root = tempfile::tempdir().unwrap();
        let entries: [Entry; 2] = [
            ("links", "/l", "", None),
            ("*.conf", target, "", Some((7, 8))),
        ];
        let now = listing_time();
        for entry in &entries {
            stage(sources.path(), root.path(), entry).unwrap();
        }
        chown(root.path(), &entries[1]);
        let theirs = listing::of_directory(root.path(), now);
        let tree = super::entries::grafted(sources.path(), &entries).unwrap();
        let ours = make_disk_image::tree::listing::listing(&tree);
        compare(target, &ours, &theirs);
    }
}

/// Four times the entries take about four times as long. They would take sixteen times as long if
/// each were compared with all before it.
#[test]
fn many_entries_take_no_more_time_each_than_few() {
    let sources = tempfile::tempdir().unwrap();
    fs::write(sources.path().join("f"), "").unwrap();
    let time = |count: usize| {
        let entries: Vec<Entry> = (0..count)
            .map(|number| {
                let target: &'static str = format!("/srv/{number:06}").leak();
                ("f", target, "", None)
            })
            .collect();
        let start = processor_time();
        super::entries::grafted(sources.path(), &entries).unwrap();
        processor_time() - start
    };
    let (few, many) = (time(1_000), time(4_000));
    assert!(many < few * 8, "{few:?} for 1,000, {many:?} for 4,000");
}

/// The time of this thread, which other programs and tests do not affect.
fn processor_time() -> Duration {
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID)
        .unwrap()
        .into()
}
