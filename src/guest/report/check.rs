//! Whether a record is sound by itself.

use anyhow::{Result, bail, ensure};

use super::{LONGEST_PATH, MOST_RANGES, Record, RecordKind, Sparse};

const NANOSECONDS: u32 = 1_000_000_000;

/// Checks everything that is not a matter of the image's tree or of its file systems.
///
/// # Errors
/// What is wrong, without the path.
pub fn record(record: &Record) -> Result<()> {
    path(&record.path)?;
    ensure!(
        !record.path.is_empty() || record.kind == RecordKind::Directory,
        "the root is a directory"
    );
    ensure!(
        record.mtime.1 < NANOSECONDS,
        "its time has {} nanoseconds",
        record.mtime.1
    );
    let names = || record.xattrs.iter().map(|(name, _)| name);
    ensure!(
        names().is_sorted_by(|a, b| a < b),
        "the names of its extended attributes are not sorted"
    );
    ensure!(
        names().all(|name| !name.is_empty() && !name.contains(&0)),
        "the name of an extended attribute is empty or has a NUL in it"
    );
    match &record.kind {
        RecordKind::Link(first) => {
            path(first)?;
            ensure!(!first.is_empty(), "it is another name of the root");
        }
        RecordKind::Symlink(target) => ensure!(
            !target.is_empty() && !target.contains(&0),
            "the target of a link is empty or has a NUL in it"
        ),
        _ => {}
    }
    match &record.sparse {
        Some(_) if record.kind != RecordKind::File => bail!("only a file has holes"),
        Some(sparse) => holes(sparse),
        None => Ok(()),
    }?;
    ensure!(
        record.volume == 0 || matches!(record.kind, RecordKind::Directory | RecordKind::File),
        "a boot partition has only files and directories"
    );
    Ok(())
}

/// Whether `a` comes before `b` in a walk: parents first, names sorted.
pub fn in_order(a: &[u8], b: &[u8]) -> bool {
    let names = |path| <[u8]>::split(path, |&byte| byte == b'/');
    !b.is_empty() && (a.is_empty() || names(a).lt(names(b)))
}

fn path(path: &[u8]) -> Result<()> {
    ensure!(path.len() <= LONGEST_PATH, "a path of {} bytes", path.len());
    let bad = |name: &[u8]| name.is_empty() || name == b"." || name == b".." || name.contains(&0);
    ensure!(
        path.is_empty() || !path.split(|&byte| byte == b'/').any(bad),
        "not a path of names"
    );
    Ok(())
}

fn holes(sparse: &Sparse) -> Result<()> {
    ensure!(
        sparse.data.len() <= MOST_RANGES,
        "its data is in {} parts",
        sparse.data.len()
    );
    ensure!(
        i64::try_from(sparse.size).is_ok(),
        "a file of {} bytes",
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
                "{} bytes of data from {} on; the data before it ends at {end}, the file at {}",
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
    fn what_is_not_sound_is_refused() {
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
            (new(b"/a", RecordKind::File), "not a path of names"),
            (new(b"a/", RecordKind::File), "not a path of names"),
            (new(b"a//b", RecordKind::File), "not a path of names"),
            (new(b"a/../b", RecordKind::File), "not a path of names"),
            (new(b"./b", RecordKind::File), "not a path of names"),
            (new(b"a\0", RecordKind::File), "not a path of names"),
            (new(&[b'x'; 5000], RecordKind::File), "a path of 5000 bytes"),
            (new(b"", RecordKind::File), "the root is a directory"),
            (link(b""), "it is another name of the root"),
            (link(b"../etc"), "not a path of names"),
            (
                new(b"a", RecordKind::Symlink(Vec::new())),
                "the target of a link is empty or has a NUL in it",
            ),
            (
                Record {
                    mtime: (0, NANOSECONDS),
                    ..file()
                },
                "its time has 1000000000 nanoseconds",
            ),
            (
                xattrs(&[b"b", b"a"]),
                "the names of its extended attributes are not sorted",
            ),
            (
                xattrs(&[b"a", b"a"]),
                "the names of its extended attributes are not sorted",
            ),
            (
                xattrs(&[b""]),
                "the name of an extended attribute is empty or has a NUL in it",
            ),
            (
                sparse(9, &[(0, 10)]),
                "10 bytes of data from 0 on; the data before it ends at 0, the file at 9",
            ),
            (
                sparse(9, &[(2, 2), (3, 1)]),
                "1 bytes of data from 3 on; the data before it ends at 4, the file at 9",
            ),
            (
                sparse(9, &[(2, u64::MAX)]),
                "18446744073709551615 bytes of data from 2 on; the data before it ends at 0, the \
                 file at 9",
            ),
            (sparse(1 << 63, &[]), "a file of 9223372036854775808 bytes"),
            (
                sparse(1 << 20, &vec![(1, 1); 70_000]),
                "its data is in 70000 parts",
            ),
            (
                Record {
                    sparse: sparse(1, &[]).sparse,
                    ..link(b"b")
                },
                "only a file has holes",
            ),
            (
                Record {
                    volume: 1,
                    ..new(b"a", RecordKind::Fifo)
                },
                "a boot partition has only files and directories",
            ),
        ] {
            assert_eq!(record(&bad).unwrap_err().to_string(), message, "{bad:?}");
        }
    }

    #[test]
    fn the_order_is_that_of_a_walk() {
        let paths = ["", "a", "a/b", "a/b/c", "a/c", "a-b", "a.", "b"];
        for (i, a) in paths.iter().enumerate() {
            for (j, b) in paths.iter().enumerate() {
                assert_eq!(in_order(a.as_bytes(), b.as_bytes()), i < j, "{a} {b}");
            }
        }
    }
}
