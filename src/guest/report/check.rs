//! Checks single records of a report.

use anyhow::{Result, bail, ensure};

use super::{MAX_PATH, MAX_RANGES, Record, RecordKind, Sparse};

const NANOSECONDS: u32 = 1_000_000_000;

/// Checks what does not depend on the image's tree or its file systems.
///
/// # Errors
/// If the record is invalid. The error does not contain its path.
pub fn record(record: &Record) -> Result<()> {
    path(&record.path)?;
    ensure!(
        !record.path.is_empty() || record.kind == RecordKind::Directory,
        "the root must be a directory"
    );
    ensure!(
        record.mtime.1 < NANOSECONDS,
        "its time has {} nanoseconds; expected fewer than {NANOSECONDS}",
        record.mtime.1
    );
    let names = || record.xattrs.iter().map(|(name, _)| name);
    ensure!(
        names().is_sorted_by(|a, b| a < b),
        "the names of its extended attributes are not sorted or not unique"
    );
    ensure!(
        names().all(|name| !name.is_empty() && !name.contains(&0)),
        "the name of an extended attribute is empty or contains NUL"
    );
    match &record.kind {
        RecordKind::Link(first) => {
            path(first)?;
            ensure!(!first.is_empty(), "it is a hard link to the root");
        }
        RecordKind::Symlink(target) => ensure!(
            !target.is_empty() && !target.contains(&0),
            "the target of a symbolic link is empty or contains NUL"
        ),
        _ => {}
    }
    match &record.sparse {
        Some(_) if record.kind != RecordKind::File => bail!("only a regular file can have holes"),
        Some(sparse) => holes(sparse),
        None => Ok(()),
    }?;
    ensure!(
        record.volume == 0 || matches!(record.kind, RecordKind::Directory | RecordKind::File),
        "a boot partition can only contain regular files and directories"
    );
    Ok(())
}

/// Returns whether `a` comes before `b` in a walk: parents first, names sorted.
pub fn in_order(a: &[u8], b: &[u8]) -> bool {
    let names = |path| <[u8]>::split(path, |&byte| byte == b'/');
    !b.is_empty() && (a.is_empty() || names(a).lt(names(b)))
}

fn path(path: &[u8]) -> Result<()> {
    ensure!(
        path.len() <= MAX_PATH,
        "a path has {} bytes; the limit is {MAX_PATH}",
        path.len()
    );
    let bad = |name: &[u8]| name.is_empty() || name == b"." || name == b".." || name.contains(&0);
    ensure!(
        path.is_empty() || !path.split(|&byte| byte == b'/').any(bad),
        "invalid path"
    );
    Ok(())
}

fn holes(sparse: &Sparse) -> Result<()> {
    ensure!(
        sparse.data.len() <= MAX_RANGES,
        "its data has {} ranges; the limit is {MAX_RANGES}",
        sparse.data.len()
    );
    ensure!(
        i64::try_from(sparse.size).is_ok(),
        "a size of {} bytes is too large",
        sparse.size
    );
    let mut end = 0;
    for range in sparse.ranges() {
        let next = range.offset.checked_add(range.length);
        match next {
            Some(next) if range.offset >= end && range.length > 0 && next <= sparse.size => {
                end = next;
            }
            _ => bail!(
                "invalid range of {} bytes at {}: the previous range ends at {end}, the file at {}",
                range.length,
                range.offset,
                sparse.size
            ),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tests::record as new;
    use super::*;

    #[test]
    fn rejects_invalid_records() {
        let file = || new(b"a", RecordKind::File);
        record(&file()).unwrap();
        record(&new(b"", RecordKind::Directory)).unwrap();
        let sparse = |size, data: &[(u64, u64)]| Record {
            sparse: Some(Sparse {
                size,
                data: data.into(),
            }),
            ..file()
        };
        record(&sparse(1 << 40, &[])).unwrap();
        record(&sparse(9, &[(0, 1), (1, 1), (8, 1)])).unwrap();
        let xattrs = |names: &[&[u8]]| Record {
            xattrs: names.iter().map(|name| (name.to_vec(), vec![])).collect(),
            ..file()
        };
        let link = |first: &[u8]| new(b"a", RecordKind::Link(first.to_vec()));
        for (bad, message) in [
            (new(b"/a", RecordKind::File), "invalid path"),
            (new(b"a/", RecordKind::File), "invalid path"),
            (new(b"a//b", RecordKind::File), "invalid path"),
            (new(b"a/../b", RecordKind::File), "invalid path"),
            (new(b"./b", RecordKind::File), "invalid path"),
            (new(b"a\0", RecordKind::File), "invalid path"),
            (
                new(&[b'x'; 5000], RecordKind::File),
                "a path has 5000 bytes; the limit is 4095",
            ),
            (new(b"", RecordKind::File), "the root must be a directory"),
            (link(b""), "it is a hard link to the root"),
            (link(b"../etc"), "invalid path"),
            (
                new(b"a", RecordKind::Symlink(Vec::new())),
                "the target of a symbolic link is empty or contains NUL",
            ),
            (
                Record {
                    mtime: (0, NANOSECONDS),
                    ..file()
                },
                "its time has 1000000000 nanoseconds; expected fewer than 1000000000",
            ),
            (
                xattrs(&[b"b", b"a"]),
                "the names of its extended attributes are not sorted or not unique",
            ),
            (
                xattrs(&[b"a", b"a"]),
                "the names of its extended attributes are not sorted or not unique",
            ),
            (
                xattrs(&[b""]),
                "the name of an extended attribute is empty or contains NUL",
            ),
            (
                sparse(9, &[(0, 10)]),
                "invalid range of 10 bytes at 0: the previous range ends at 0, the file at 9",
            ),
            (
                sparse(9, &[(2, 2), (3, 1)]),
                "invalid range of 1 bytes at 3: the previous range ends at 4, the file at 9",
            ),
            (
                sparse(9, &[(2, u64::MAX)]),
                "invalid range of 18446744073709551615 bytes at 2: the previous range ends at 0, \
                 the file at 9",
            ),
            (
                sparse(1 << 63, &[]),
                "a size of 9223372036854775808 bytes is too large",
            ),
            (
                sparse(1 << 20, &vec![(1, 1); 70_000]),
                "its data has 70000 ranges; the limit is 65536",
            ),
            (
                Record {
                    sparse: sparse(1, &[]).sparse,
                    ..link(b"b")
                },
                "only a regular file can have holes",
            ),
            (
                Record {
                    volume: 1,
                    ..new(b"a", RecordKind::Fifo)
                },
                "a boot partition can only contain regular files and directories",
            ),
        ] {
            assert_eq!(record(&bad).unwrap_err().to_string(), message, "{bad:?}");
        }
    }

    #[test]
    fn paths_are_ordered_as_in_a_walk() {
        let paths = ["", "a", "a/b", "a/b/c", "a/c", "a-b", "a.", "b"];
        for (i, a) in paths.iter().enumerate() {
            for (j, b) in paths.iter().enumerate() {
                assert_eq!(in_order(a.as_bytes(), b.as_bytes()), i < j, "{a} {b}");
            }
        }
    }
}
