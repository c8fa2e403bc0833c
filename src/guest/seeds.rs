//! Seeds and identities. Each machine must generate its own, so the guest's do not get into an image
//! that many machines are created from.

use std::collections::{HashMap, HashSet};
use std::fs;

use super::report::{Entry, RecordKind, Report};
use crate::tree::{Content, InodeId, Kind, Source, Tree};

/// The most symbolic links that Linux follows (path_resolution(7)).
const MAX_SYMLINKS: u32 = 40;

/// The size limit of a seed that a configuration declares, in bytes.
const LARGEST: u64 = 1 << 16;

/// The link that activation creates to the files that the configuration declares in `/etc`.
const STATIC: &[u8] = b"etc/static";

/// Returns the paths of `report` on `volume` to leave out: regular files that are seeds of the guest, and
/// hard links to them. Kept are symbolic links, which contain nothing random, and what the user
/// declares: a copy of a file in `/etc/static`, a file whose bytes come from `contents` (the guest
/// changes only its mode or owner), and the placeholders of machine-id(5), which are no identity.
pub fn of<'a>(tree: &Tree, report: &'a Report, volume: u32) -> HashSet<&'a [u8]> {
    let entries = report.entries.iter();
    let entries = entries.filter(|entry| entry.record.volume == volume);
    let entries: Entries<'a> = entries.map(|e| (e.record.path.as_slice(), e)).collect();
    let mut seeds = HashSet::new();
    for path in entries.keys().filter(|path| is_seed(volume, path)) {
        if let Some((path, content)) = file(&entries, path)
            && !is_declared(tree, &entries, path, content)
        {
            seeds.insert(path);
        }
    }
    for (path, entry) in &entries {
        if let RecordKind::Link(first) = &entry.record.kind
            && seeds.contains(first.as_slice())
        {
            seeds.insert(path);
        }
    }
    seeds
}

type Entries<'a> = HashMap<&'a [u8], &'a Entry>;

/// Returns whether this path of a volume is the path of a seed.
fn is_seed(volume: u32, path: &[u8]) -> bool {
    // Written by bootctl install (random-seed(7) of systemd).
    const BOOT: [&[u8]; 1] = [b"loader/random-seed"];
    const ROOT: [&[u8]; 5] = [
        b"etc/machine-id",
        b"var/lib/dbus/machine-id",
        b"var/lib/systemd/credential.secret",
        b"var/lib/systemd/random-seed",
        b"var/lib/NetworkManager/secret_key",
    ];
    if volume > 0 {
        return BOOT.iter().any(|known| known.eq_ignore_ascii_case(path));
    }
    // If /etc is an overlay (system.etc.overlay of NixOS), files written to it are there.
    let upper = path.strip_prefix(b".rw-etc/upper/");
    let upper = upper.map(|rest| [b"etc/", rest].concat());
    let path = upper.as_deref().unwrap_or(path);
    let host_key = path
        .strip_prefix(b"etc/ssh/ssh_host_")
        .is_some_and(|rest| rest.ends_with(b"_key") || rest.ends_with(b"_key.pub"));
    ROOT.contains(&path)
        || host_key
        || BOOT
            .iter()
            .any(|known| path.strip_prefix(b"boot/") == Some(*known))
}

/// Returns the regular file in the report that `path` leads to, through links in the report.
fn file<'a>(entries: &Entries<'a>, path: &[u8]) -> Option<(&'a [u8], &'a Content)> {
    let mut path = path.to_vec();
    for _ in 0..MAX_SYMLINKS {
        let (here, entry) = entries.get_key_value(path.as_slice())?;
        path = match &entry.record.kind {
            RecordKind::File => return Some((here, entry.content.as_ref()?)),
            RecordKind::Symlink(target) => join(here, target),
            RecordKind::Link(first) => first.clone(),
            _ => return None,
        };
    }
    None
}

/// Returns the path that a symbolic link at `path` leads to, judging by names alone.
fn join(path: &[u8], target: &[u8]) -> Vec<u8> {
    let mut names: Vec<&[u8]> = path.split(|&byte| byte == b'/').collect();
    names.pop();
    if target.starts_with(b"/") {
        names.clear();
    }
    for name in target.split(|&byte| byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." => drop(names.pop()),
            name => names.push(name),
        }
    }
    names.join(&b'/')
}

fn is_declared(tree: &Tree, entries: &Entries<'_>, path: &[u8], content: &Content) -> bool {
    let Some(bytes) = bytes(content) else {
        return false;
    };
    if matches!(bytes.trim_ascii(), b"" | b"uninitialized") {
        return true;
    }
    let content_of = |found: InodeId| match &tree.inode(found).kind {
        Kind::File(content) => self::bytes(content),
        _ => None,
    };
    if resolve(tree, path).and_then(content_of).as_ref() == Some(&bytes) {
        return true;
    }
    let declared = || {
        let target = match entries.get(STATIC).map(|entry| &entry.record.kind) {
            Some(RecordKind::Symlink(target)) => target.clone(),
            _ => STATIC.strip_prefix(b"etc/")?.to_vec(),
        };
        let name = path.strip_prefix(b"etc/")?;
        let found = resolve(tree, &[&join(STATIC, &target), name].join(&b'/'))?;
        content_of(found)
    };
    declared() == Some(bytes)
}

/// Returns the bytes of a small file, or `None`.
fn bytes(content: &Content) -> Option<Vec<u8>> {
    if content.size > LARGEST || content.data.is_some() {
        return None;
    }
    match &content.source {
        Source::Bytes(bytes) => Some(bytes.to_vec()),
        Source::File(file) => fs::read(file.path()).ok(),
    }
}

/// Resolves `path` with `tree` as the root directory, following all symbolic links.
fn resolve(tree: &Tree, path: &[u8]) -> Option<InodeId> {
    let mut passed = vec![InodeId::ROOT];
    let mut ahead: Vec<Vec<u8>> = Vec::new();
    let names = |path: &[u8]| -> Vec<Vec<u8>> {
        let names = path.split(|&byte| byte == b'/').rev();
        names.map(<[u8]>::to_vec).collect()
    };
    ahead.extend(names(path));
    let mut symlinks = 0;
    while let Some(name) = ahead.pop() {
        let here = *passed.last()?;
        match name.as_slice() {
            b"" | b"." => {}
            b".." if passed.len() > 1 => drop(passed.pop()),
            b".." => {}
            name => {
                let id = tree.lookup(here, name)?;
                if let Kind::Symlink(target) = &tree.inode(id).kind {
                    symlinks += 1;
                    if symlinks > MAX_SYMLINKS {
                        return None;
                    }
                    if target.starts_with(b"/") {
                        passed.truncate(1);
                    }
                    ahead.extend(names(target));
                } else {
                    passed.push(id);
                }
            }
        }
    }
    passed.pop()
}

#[cfg(test)]
mod tests;
