//! Comparison of what the kernel lists with the tree, and changes by the kernel.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use make_disk_image::tree::{Content, Inode, InodeId, Kind, Source, Timestamp, Tree};
use sha2::{Digest, Sha256};

use super::checks::check;
use super::guest;
use super::images::*;
use crate::common::listing::{Entry, Listing};
use crate::common::scratch;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn seconds(time: Timestamp) -> String {
    let Timestamp {
        seconds,
        nanoseconds,
    } = time;
    match seconds < 0 && nanoseconds > 0 {
        // stat(1) prints the sum of both.
        true => format!("-{}.{:09}", -(seconds + 1), 1_000_000_000 - nanoseconds),
        false => format!("{seconds}.{nanoseconds:09}"),
    }
}

/// The hash of a file, if all its bytes are known.
fn hash(content: &Content) -> Option<String> {
    let Source::Bytes(bytes) = &content.source else {
        return None;
    };
    let missing = usize::try_from(content.size)
        .ok()?
        .checked_sub(bytes.len())?;
    if content.data.is_none() && missing > 0 || missing > 1 << 24 {
        return None;
    }
    let mut hash = Sha256::new();
    hash.update(bytes);
    hash.update(vec![0; missing]);
    Some(hex(&hash.finalize()))
}

/// What is expected for an inode with so many links. Numbers of inodes and blocks are left out.
fn expected(inode: &Inode, links: u32) -> Entry {
    let metadata = &inode.metadata;
    let time = seconds(metadata.mtime);
    let mut entry = Entry {
        mode: metadata.mode.into(),
        uid: metadata.uid,
        gid: metadata.gid,
        links,
        device: "0:0".to_owned(),
        ..Entry::default()
    };
    for xattr in &metadata.xattrs {
        let name = String::from_utf8_lossy(&xattr.name).into_owned();
        let value = format!("0x{}", hex(&xattr.value));
        entry.xattrs.insert(name, value);
    }
    entry.times = [time.clone(), time.clone(), time, String::new()];
    (entry.kind, entry.size) = match &inode.kind {
        Kind::Directory(_) => ('d', 0),
        Kind::File(content) => {
            entry.sha256 = hash(content);
            ('f', content.size)
        }
        Kind::Symlink(target) => {
            entry.target = PathBuf::from(OsStr::from_bytes(target));
            ('l', target.len() as u64)
        }
        Kind::Fifo => ('p', 0),
        Kind::Socket => ('s', 0),
        Kind::CharacterDevice(device) | Kind::BlockDevice(device) => {
            entry.device = format!("{:x}:{:x}", device.major, device.minor);
            match inode.kind {
                Kind::BlockDevice(_) => ('b', 0),
                _ => ('c', 0),
            }
        }
    };
    entry
}

/// Asserts that `listing` is that of `tree`.
pub fn compare(listing: &Listing, tree: &Tree) {
    let mut links = vec![0u32; tree.inodes().len()];
    let mut paths = vec![(PathBuf::new(), InodeId::ROOT)];
    tree.walk(|path, id| {
        links[id.index()] += 1;
        paths.push((PathBuf::from(OsStr::from_bytes(path)), id));
    });
    let mut numbers: BTreeMap<u64, BTreeSet<InodeId>> = BTreeMap::new();
    for (path, id) in &paths {
        let mut found = listing
            .get(path)
            .unwrap_or_else(|| panic!("{path:?} is missing"))
            .clone();
        numbers.entry(found.inode).or_default().insert(*id);
        let inode = tree.inode(*id);
        let links = match tree.directory(*id) {
            Some(entries) => {
                let is_directory = |id| tree.directory(id).is_some();
                2 + entries.iter().filter(|(_, id)| is_directory(*id)).count()
            }
            None => links[id.index()] as usize,
        };
        let wanted = expected(inode, u32::try_from(links).unwrap());
        (found.inode, found.blocks) = (0, 0);
        found.mtime.clear();
        found.times[3].clear();
        if found.kind == 'd' {
            found.size = 0;
        }
        if wanted.sha256.is_none() {
            found.sha256 = None;
        }
        assert_eq!(found, wanted, "{path:?}");
    }
    assert!(
        numbers.values().all(|ids| ids.len() == 1),
        "inodes have merged"
    );
    assert_eq!(listing.len(), paths.len(), "something is additional");
}

/// Makes and checks an image of each tree with `free` bytes of space, and compares all of them with
/// what one guest lists.
pub fn make_and_compare(trees: Vec<Tree>, free: u64) {
    let mut images = Vec::new();
    let trees: Vec<Arc<Tree>> = trees.into_iter().map(Arc::new).collect();
    for tree in &trees {
        let directory = scratch();
        let image = make(directory.path(), tree, smallest(tree, free));
        images.push((image, directory));
    }
    let paths: Vec<&Path> = images.iter().map(|(image, _)| image.as_path()).collect();
    for (listing, tree) in guest::list(&paths).iter().zip(&trees) {
        compare(listing, tree);
    }
    // The kernel has written a checkpoint.
    for path in paths {
        check(path);
    }
}

#[test]
fn directories_take_and_lose_files() {
    let mut tree = empty_tree();
    for (name, count, length) in [("few", 50usize, 8), ("more", 120, 20), ("many", 200, 240)] {
        let top = add(&mut tree, InodeId::ROOT, name, directory());
        for number in 0..count {
            let file = format!("{number:0>length$}");
            add(&mut tree, top, file, super::images::file(b"x"));
        }
    }
    let tree = Arc::new(tree);
    let directory = scratch();
    let image = make(directory.path(), &tree, smallest(&tree, 40 * MIB));
    let answer = guest::script(
        &[&image],
        r#"
        mount -t f2fs /dev/vda /mnt
        cd /mnt
        for top in *; do
          cd $top
          before=$(ls | wc -l)
          ls | while read -r name; do
            case $name in
              *[147]) echo "$name" >&3 ;;
              *[258]) echo "$name renamed-$name" >&4 ;;
            esac
          done 3>/removed 4>/renamed
          xargs rm </removed
          while read -r old new; do [ ${#new} -gt 255 ] || mv "$old" "$new"; done </renamed 
          for number in $(seq 300); do echo new >new-$number; done
          after=$(ls | wc -l)
          echo $top $((before - $(wc -l </removed) + 300)) $after
          mkdir directory-$top
          setfattr -n user.new -v value new-1
          cd ..
        done
        cd /
        umount /mnt
        mount -t f2fs -o ro /dev/vda /mnt
        for top in /mnt/*; do
          while read -r line; do [ "$line" = new ]; done < <(cat $top/new-*)
          getfattr --only-values -n user.new $top/new-1
        done
        umount /mnt
        "#,
    );
    let text = answer.text("console");
    let mut counted = 0;
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        if let [_, wanted, found] = words[..] {
            assert_eq!(wanted, found, "{text}");
            counted += 1;
        }
    }
    assert_eq!(counted, 3, "{text}");
    guest::assert_quiet(&answer);
    check(&image);
}
