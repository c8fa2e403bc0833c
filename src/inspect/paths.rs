//! Finds partitions and files by name.

use std::collections::VecDeque;

use anyhow::{Context, Result, bail, ensure};

use crate::escape;
use crate::partitions::{Partition, Place, Table};
use crate::volume::{Contents, FileSystem, Kind, Node, Region};

/// The most symbolic links that a path may lead through, as in Linux.
const MOST_LINKS: u32 = 40;

/// The longest target of a symbolic link, in bytes (`PATH_MAX`).
const LONGEST_TARGET: u64 = 4096;

/// Finds a partition by number, role or name.
///
/// # Errors
/// If there is none, or more than one.
pub(crate) fn find_partition<'a>(table: &'a Table, name: &[u8]) -> Result<&'a Partition> {
    let shown = escape::short(name);
    let text = std::str::from_utf8(name).unwrap_or_default();
    let all = || {
        table
            .partitions
            .iter()
            .filter(|it| it.place != Place::Extended)
    };
    if let Ok(number) = text.parse::<u32>() {
        let found = table.partitions.iter().find(|it| it.number == number);
        let found = found.with_context(|| {
            format!(
                "there is no partition {number}; there are {}",
                numbers(table)
            )
        })?;
        ensure!(
            found.place != Place::Extended,
            "partition {number} only contains other partitions"
        );
        return Ok(found);
    }
    let named: Vec<&Partition> = all()
        .filter(|it| it.role == text || it.name == text || (it.number == 0 && text == "root"))
        .collect();
    match named[..] {
        [found] if !text.is_empty() => Ok(found),
        [] if text.starts_with('/') => bail!(
            "a path follows a partition and a colon, as in root:{shown}; the partitions are {}",
            numbers(table)
        ),
        [] => bail!(
            "there is no partition \"{shown}\"; there are {}",
            numbers(table)
        ),
        _ => bail!("several partitions are called \"{shown}\"; give the number of one"),
    }
}

/// The numbers of all partitions, with their roles.
fn numbers(table: &Table) -> String {
    let all = table.partitions.iter().take(20);
    let shown = all.map(|it| format!("{} ({})", it.number, it.role));
    shown.collect::<Vec<_>>().join(", ")
}

/// A name below the path of a directory.
pub(crate) fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    let above = directory.strip_suffix(b"/").unwrap_or(directory);
    [above, b"/", name].concat()
}

/// Finds the file `path`, which may lead through symbolic links.
///
/// # Errors
/// If there is none.
pub fn find_file(system: &dyn FileSystem, region: &Region<'_>, path: &[u8]) -> Result<Node> {
    let mut at = vec![system.root()];
    let split = |path: &[u8]| -> Vec<Vec<u8>> {
        let names = path.split(|&byte| byte == b'/');
        names
            .filter(|name| !name.is_empty())
            .map(<[u8]>::to_vec)
            .collect()
    };
    let mut names: VecDeque<Vec<u8>> = split(path).into();
    let mut links = 0_u32;
    while let Some(name) = names.pop_front() {
        if name == b"." {
            continue;
        }
        if name == b".." {
            at.truncate(at.len().saturating_sub(1).max(1));
            continue;
        }
        let directory = *at.last().context("there is no top directory")?;
        let kind = system.meta(directory)?.kind;
        ensure!(
            kind == Kind::Directory,
            "{}: a part of the path is a {}, not a directory",
            escape::short(path),
            kind.name()
        );
        let found = look_up(system, directory, &name)?;
        let found =
            found.with_context(|| format!("{}: no such file or directory", escape::short(path)))?;
        if system.meta(found)?.kind == Kind::Symlink {
            links = links.saturating_add(1);
            ensure!(
                links <= MOST_LINKS,
                "{}: too many symbolic links",
                escape::short(path)
            );
            let target = target(system, region, found)?;
            if target.starts_with(b"/") {
                at.truncate(1);
            }
            for name in split(&target).into_iter().rev() {
                names.push_front(name);
            }
            continue;
        }
        at.push(found);
    }
    at.pop().context("there is no top directory")
}

/// Finds a name in a directory.
fn look_up(system: &dyn FileSystem, directory: Node, name: &[u8]) -> Result<Option<Node>> {
    let names = system.list(directory)?;
    let lower = |name: &[u8]| String::from_utf8_lossy(name).to_lowercase();
    let exact = names.iter().find(|(found, _)| found == name);
    let found = exact.or_else(|| {
        let mut names = names.iter();
        let wanted = lower(name);
        names.find(|(found, _)| system.ignores_case() && lower(found) == wanted)
    });
    Ok(found.map(|(_, node)| *node))
}

/// The target of a symbolic link.
///
/// # Errors
/// If it cannot be read, or is too long.
pub fn target(system: &dyn FileSystem, region: &Region<'_>, node: Node) -> Result<Vec<u8>> {
    let contents: Contents = system.contents(node)?;
    let length = contents.size();
    ensure!(
        length <= LONGEST_TARGET,
        "the target of a symbolic link has {length} bytes"
    );
    let mut target = vec![0; usize::try_from(length)?];
    contents.read(region, 0, &mut target)?;
    Ok(target)
}
