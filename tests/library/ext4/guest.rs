//! What a Linux guest sees in our image and does to it: it lists, grows, creates, renames and
//! deletes while the file system is mounted.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, chown};
use std::path::Path;
use std::time::Duration;

use make_disk_image::image::write;
use make_disk_image::stage::scan::{self, Policy};
use make_disk_image::tree::InodeId;

use super::source::fill;
use super::{check, image, smallest};
use crate::common::listing::{self, Listing};
use crate::common::nix::Build;
use crate::common::qemu::{Boot, Machine};
use crate::common::{command, oracles, repository, scratch, stdout};

const LIMIT: Duration = Duration::from_secs(600);

/// The sizes that the mounted image grows to: first this one, then the whole disk.
const FIRST: u64 = 100 << 30;
const DISK: u64 = 3 << 40;

/// Names in the directory `modes`, with owners and groups. Sources belong to the build user;
/// `contents` may set other owners.
const OWNED: [(&str, u32, u32); 3] = [
    ("0", 4_294_967_294, 1000),
    ("4755", 70_000, 0),
    ("directory-2775", 1, 4_294_967_294),
];

/// A directory with everything, including the files that change.sh changes.
fn source(root: &Path) {
    fill(root);
    // Reading holes takes long in an emulated guest, so there are fewer and shorter ones.
    for name in ["sparse", "hole"] {
        fs::remove_file(root.join(name)).unwrap();
    }
    let sparse = File::create(root.join("sparse")).unwrap();
    sparse.set_len((3 << 20) + 5).unwrap();
    sparse.write_all_at(b"middle", 1_000_003).unwrap();
    File::create(root.join("hole"))
        .unwrap()
        .set_len(1_234_567)
        .unwrap();
    for (name, uid, gid) in OWNED {
        let path = root.join("modes").join(name);
        let mode = fs::metadata(&path).unwrap().permissions();
        chown(&path, Some(uid), Some(gid)).unwrap();
        // Changing the owner clears the set-ID bits.
        fs::set_permissions(&path, mode).unwrap();
    }
    for directory in ["moved", "linked"] {
        fs::create_dir(root.join(directory)).unwrap();
    }
    // A single block, an index of one level, and one of two, since 15 names fill a leaf.
    for (name, count, length) in [("few", 60, 8), ("more", 1500, 40), ("most", 8000, 255)] {
        let directory = root.join("big").join(name);
        fs::create_dir_all(&directory).unwrap();
        for number in 0..count {
            let name = format!("{name}{number:0>width$}", width = length - name.len());
            File::create(directory.join(name)).unwrap();
        }
    }
}

/// The guest's listing without what only ext4 has.
fn without_lost_and_found(mut listing: Listing) -> Listing {
    let found = listing.remove(Path::new("lost+found"));
    assert_eq!(found.map(|entry| entry.mode), Some(0o700));
    listing
}

fn assert_equal(found: &Listing, expected: &Listing) {
    listing::assert_same(found, expected);
    assert_eq!(listing::hard_links(found), listing::hard_links(expected));
}

#[test]
fn a_guest_reads_the_sources_back_and_grows_and_changes_the_image() {
    let scratch = scratch();
    let root = scratch.path().join("source");
    fs::create_dir(&root).unwrap();
    source(&root);
    let mut tree = scan::root(&root, Policy::FAITHFUL).unwrap();
    let modes = tree.lookup(InodeId::ROOT, b"modes").unwrap();
    for (name, uid, gid) in OWNED {
        let id = tree.lookup(modes, name.as_bytes()).unwrap();
        let metadata = &mut tree.inode_mut(id).metadata;
        (metadata.uid, metadata.gid) = (uid, gid);
    }
    // At most to 1,024 times the size.
    let length = smallest(&tree, 3 << 30);
    let disk = scratch.path().join("image");
    write(&image(tree, length), &disk, &|_| {}).unwrap();
    check(&disk);
    for (request, shown) in [
        ("htree /big/more", "Indirect levels: 0"),
        ("htree /big/most", "Indirect levels: 1"),
        ("extents -n /holes", " 0/ 2 "),
    ] {
        let text = stdout(command("debugfs").args(["-R", request]).arg(&disk));
        assert!(text.contains(shown), "{request}: {text}");
    }
    let before = listing::here(&root);
    assert!(before.len() > 14_000, "{}", before.len());

    let changer = Build::expression("fixture.changer").run();
    let answer = scratch.path().join("answer");
    for (path, length) in [(&disk, DISK), (&answer, 1 << 30)] {
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .unwrap();
        file.set_len(length).unwrap();
    }
    let booted = Machine {
        disk: &disk,
        format: "raw",
        boot: &Boot::Kernel(&changer.out, &format!("fixture.grow={}K", FIRST >> 10)),
        limit: LIMIT,
        second: Some(&answer),
        keep: true,
        variables: None,
    }
    .run();
    println!("{:?}", booted.time);

    let found = without_lost_and_found(listing::in_tar(&answer, "before"));
    assert_equal(&found, &before);
    for (path, entry) in &found {
        let data = &entry.times[1];
        assert!(
            entry.times.iter().all(|time| time == data),
            "{}: {:?}",
            path.display(),
            entry.times
        );
    }

    // change.sh changes the sources as it changed the image.
    let script = repository().join("tests/fixtures/system/change.sh");
    stdout(command("bash").arg(script).arg(&root));
    let after = listing::here(&root);
    assert_ne!(before.len(), after.len());
    let found = without_lost_and_found(listing::in_tar(&answer, "after"));
    assert_equal(&found, &after);

    // As many as the disk has, minus what the file system uses itself.
    let blocks: u64 = booted.fact("blocks").parse().unwrap();
    assert!(
        (DISK / 4096 / 100 * 97..DISK / 4096).contains(&blocks),
        "{blocks}"
    );
    oracles::check_ext4(&disk, 0);
    oracles::check_by_mkext4(&disk, true);
    let header = stdout(command("dumpe2fs").arg("-h").arg(&disk));
    let line = format!("Block count:              {}\n", DISK / 4096);
    assert!(header.contains(&line), "{header}");
}
