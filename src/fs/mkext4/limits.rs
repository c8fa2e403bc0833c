//! What a tree may not have for the crate to store it.

use super::{Options, PlanError, xattr};
use crate::escape;
use crate::tree::{Device, InodeId, Kind, Timestamp, Tree};

/// Most names of one inode that is no directory (`EXT4_LINK_MAX` in the kernel).
const LINKS: u32 = 65_000;
/// Longest name in bytes.
const NAME: usize = 255;
/// Longest target of a symbolic link in bytes.
const TARGET: usize = 4095;
/// Longest label in bytes.
const LABEL: usize = 16;
/// Longest file: 2^32 blocks less one.
const FILE: u64 = (1 << 44) - 4096;
/// Largest device numbers.
const DEVICE: Device = Device {
    major: 0xFFF,
    minor: 0xF_FFFF,
};
/// Seconds an inode can hold: 34 bits that begin in 1901.
const SECONDS: std::ops::Range<i64> = -(1 << 31)..(1 << 34) - (1 << 31);

/// # Errors
/// [`PlanError::Unrepresentable`] with a line for everything that has no form.
pub fn check(tree: &Tree, options: &Options) -> Result<(), PlanError> {
    let mut lines = Vec::new();
    if options.label.len() > LABEL || options.label.contains('\0') {
        lines.push(format!(
            "the label \"{}\": {LABEL} bytes without a NUL at most",
            escape::bytes(options.label.as_bytes())
        ));
    }
    if u32::try_from(options.time.seconds).is_err() {
        lines.push(format!(
            "the time {} of the file system: it has to be from 1970 to 2106",
            options.time.seconds
        ));
    }
    let mut names = vec![0u32; tree.inodes().len()];
    inode(tree, InodeId::ROOT, b"", &mut lines);
    tree.walk(|path, id| {
        let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or(path);
        let mut complain = |what: &str| lines.push(format!("/{}: {what}", escape::bytes(path)));
        if path == b"lost+found" {
            complain("the file system has a directory of this name of its own");
        }
        if name.len() > NAME {
            complain(&format!(
                "the name has {} bytes, {NAME} at most",
                name.len()
            ));
        }
        if std::str::from_utf8(name).is_err() {
            complain("the name is not UTF-8");
        }
        names[id.index()] = names[id.index()].saturating_add(1);
        match (names[id.index()], tree.directory(id)) {
            (1, _) => inode(tree, id, path, &mut lines),
            (2, Some(_)) => complain("a directory with a second name"),
            (links, None) if links == LINKS + 1 => {
                complain(&format!("a file with more than {LINKS} names"));
            }
            _ => {}
        }
    });
    if lines.is_empty() {
        Ok(())
    } else {
        Err(PlanError::Unrepresentable(lines))
    }
}

fn inode(tree: &Tree, id: InodeId, path: &[u8], lines: &mut Vec<String>) {
    let inode = tree.inode(id);
    let mut complain = |what: &str| lines.push(format!("/{}: {what}", escape::bytes(path)));
    let Timestamp {
        seconds,
        nanoseconds,
    } = inode.metadata.mtime;
    if !SECONDS.contains(&seconds) || nanoseconds >= 1_000_000_000 {
        complain(&format!(
            "the time {seconds}.{nanoseconds:09} is not from 1901 to 2446"
        ));
    }
    if let Err(what) = xattr::blocks(&inode.metadata.xattrs) {
        complain(&what);
    }
    match &inode.kind {
        Kind::File(content) if content.size > FILE => complain(&format!(
            "the file has {} bytes, {FILE} at most",
            content.size
        )),
        Kind::Symlink(target) if target.is_empty() || target.len() > TARGET => {
            complain(&format!(
                "the target has {} bytes, 1 to {TARGET} are possible",
                target.len()
            ));
        }
        Kind::Symlink(target) if std::str::from_utf8(target).is_err() => complain(&format!(
            "the target {} is not UTF-8",
            escape::bytes(target)
        )),
        Kind::CharacterDevice(device) | Kind::BlockDevice(device)
            if device.major > DEVICE.major || device.minor > DEVICE.minor =>
        {
            complain(&format!(
                "the device {}:{} is beyond {}:{}",
                device.major, device.minor, DEVICE.major, DEVICE.minor
            ));
        }
        _ => {}
    }
}
