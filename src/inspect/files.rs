//! Lists directories and prints files of an image.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;

use anyhow::{Context, Result, bail};
use serde::Serialize;

use super::paths::{self, find_file, find_partition, join};
use crate::container::Disk;
use crate::escape;
use crate::partitions::Table;
use crate::stdout::WRITING;
use crate::volume::{self, FileSystem, Kind, Meta, Node, Region};

/// The most levels of directories, which Linux could not reach by a path.
const DEEPEST: usize = 2048;

/// How files are listed.
#[derive(Debug, Clone, Copy)]
pub struct Listing {
    /// With everything below a directory.
    pub recursive: bool,
    /// In JSON, one file in each line.
    pub json: bool,
}

/// A file in JSON, one in each line.
#[derive(Serialize)]
struct Line<'a> {
    path: String,
    kind: &'a str,
    /// In octal.
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gid: Option<u32>,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    inode: Option<u64>,
    links: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    mtime: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
}

impl Listing {
    /// Prints what `place`, a partition and maybe a path, is. Returns whether all of it could be read.
    ///
    /// # Errors
    /// If there is no such thing, or it cannot be read.
    pub(super) fn print(
        &self,
        disk: &Disk,
        table: &Table,
        place: &OsStr,
        out: &mut dyn Write,
    ) -> Result<bool> {
        let mut parts = place.as_bytes().splitn(2, |&byte| byte == b':');
        let partition = find_partition(table, parts.next().unwrap_or_default())?;
        let path = parts.next().unwrap_or(b"/");
        let region = Region::of(disk, partition);
        let title = partition.title();
        let opened = volume::open(&region).with_context(|| format!("reading {title}"))?;
        let Some(system) = opened else {
            match volume::probe(&region)? {
                Some(volume) => bail!(
                    "{title} has a file system of the type {}; files can be read only from ext2, ext3, \
                     ext4 and FAT",
                    volume.kind
                ),
                None => bail!("{title} has no known file system"),
            }
        };
        let node = find_file(&*system, &region, path)?;
        let meta = system.meta(node)?;
        match meta.kind {
            Kind::Directory => self.list(&*system, &region, node, path, out),
            Kind::File => {
                copy(&*system, &region, node, out)?;
                Ok(true)
            }
            kind => bail!(
                "{} is a {}, which has no contents",
                escape::short(path),
                kind.name()
            ),
        }
    }

    /// Lists a directory.
    fn list(
        &self,
        system: &dyn FileSystem,
        region: &Region<'_>,
        directory: Node,
        path: &[u8],
        out: &mut dyn Write,
    ) -> Result<bool> {
        let above = if self.recursive { path } else { b"" };
        let mut complete = true;
        let mut seen = BTreeSet::from([directory.id]);
        // The files that are left in each directory on the way down, last one first.
        let mut stack = vec![(above.to_vec(), sorted(system, directory)?)];
        while let Some((above, rest)) = stack.last_mut() {
            let Some((name, node)) = rest.pop() else {
                stack.pop();
                continue;
            };
            let path = match self.recursive {
                true => join(above, &name),
                false => name,
            };
            let meta = match system.meta(node) {
                Ok(meta) => meta,
                Err(error) => {
                    complete = false;
                    log_problem(&path, &error);
                    continue;
                }
            };
            let line = self.line(system, region, &path, node, &meta);
            out.write_all(line.as_bytes()).context(WRITING)?;
            if self.recursive && meta.kind == Kind::Directory {
                let entered = match seen.insert(node.id) && stack.len() < DEEPEST {
                    true => sorted(system, node),
                    false => Err(anyhow::anyhow!(
                        "the directory is also somewhere else: the file system is damaged"
                    )),
                };
                match entered {
                    Ok(names) => stack.push((path, names)),
                    Err(error) => {
                        complete = false;
                        log_problem(&path, &error);
                    }
                }
            }
        }
        Ok(complete)
    }

    /// The line of a file.
    fn line(
        &self,
        system: &dyn FileSystem,
        region: &Region<'_>,
        path: &[u8],
        node: Node,
        meta: &Meta,
    ) -> String {
        let target = match meta.kind {
            Kind::Symlink => paths::target(system, region, node).ok(),
            _ => None,
        };
        let target = target.map(|target| escape::short(&target));
        let mtime = meta.times.first().map(|(_, time)| *time);
        if self.json {
            let line = Line {
                path: escape::bytes(path),
                kind: meta.kind.name(),
                mode: meta.mode.map(|mode| format!("{mode:04o}")),
                uid: meta.owner.map(|(uid, _)| uid),
                gid: meta.owner.map(|(_, gid)| gid),
                size: meta.size,
                inode: meta.inode,
                links: meta.links,
                mtime: mtime.map(|time| time.seconds),
                target,
            };
            return serde_json::to_string(&line).unwrap_or_default() + "\n";
        }
        let size = match meta.device {
            Some((major, minor)) => format!("{major},{minor}"),
            None => meta.size.to_string(),
        };
        let (uid, gid) = match meta.owner {
            Some((uid, gid)) => (uid.to_string(), gid.to_string()),
            None => ("-".to_owned(), "-".to_owned()),
        };
        let time = mtime.map_or_else(String::new, |time| volume::seconds(time.seconds));
        let target = target.map_or_else(String::new, |target| format!(" -> {target}"));
        format!(
            "{}{} {uid:>5} {gid:>5} {size:>12} {time} {}{target}\n",
            meta.kind.letter(),
            mode(meta.mode),
            escape::bytes(path)
        )
    }
}

/// Permissions as in `ls -l`.
fn mode(mode: Option<u16>) -> String {
    let Some(mode) = mode else {
        return "---------".to_owned();
    };
    let special = [0o4000, 0o2000, 0o1000].map(|bit| mode & bit != 0);
    let mut text = String::with_capacity(9);
    for ((shift, special), letter) in [6, 3, 0].into_iter().zip(special).zip(['s', 's', 't']) {
        let bits = mode >> shift;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (bits & 1 != 0, special) {
            (true, false) => 'x',
            (false, false) => '-',
            (true, true) => letter,
            (false, true) => letter.to_ascii_uppercase(),
        });
    }
    text
}

/// The files in a directory, last one first.
fn sorted(system: &dyn FileSystem, directory: Node) -> Result<Vec<(Vec<u8>, Node)>> {
    let mut names = system.list(directory)?;
    names.sort_by(|(a, _), (b, _)| b.cmp(a));
    Ok(names)
}

/// Reports a file that cannot be read; the others are still listed.
fn log_problem(path: &[u8], error: &anyhow::Error) {
    log::error!("{}: {error:#}", escape::short(path));
}

/// Writes the contents of a file to `out`.
fn copy(
    system: &dyn FileSystem,
    region: &Region<'_>,
    node: Node,
    out: &mut dyn Write,
) -> Result<()> {
    let contents = system.contents(node)?;
    let size = contents.size();
    let mut buffer = vec![0; 1 << 20];
    let mut at = 0;
    while at < size {
        let most = usize::try_from(size.saturating_sub(at)).unwrap_or(usize::MAX);
        let count = most.min(buffer.len());
        contents.read(region, at, &mut buffer[..count])?;
        out.write_all(&buffer[..count]).context(WRITING)?;
        // usize to u64: lossless on every target Rust has.
        at = at.saturating_add(count as u64);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn permissions_are_those_of_ls() {
        for (bits, text) in [
            (0o755, "rwxr-xr-x"),
            (0o4755, "rwsr-xr-x"),
            (0o6644, "rwSr-Sr--"),
            (0o1777, "rwxrwxrwt"),
            (0o1000, "--------T"),
        ] {
            assert_eq!(super::mode(Some(bits)), text);
        }
    }
}
