//! A tar archive of a tree (POSIX, pax Interchange Format), with extended attributes as star and GNU
//! tar store them. `sqfstar` reads it from a pipe.

use std::io::Write;
use std::iter::Peekable;
use std::ops::Range;

use anyhow::{Context, Result};
use tar::{EntryType, Header};

use super::census::Census;
use super::links::Links;
use super::{pseudo, sparse};
use crate::escape;
use crate::fs::DataSource;
use crate::fs::number::index;
use crate::fs::source::{Opened, Opener};
use crate::progress;
use crate::tree::{Content, DataRange, Inode, InodeId, Kind, Tree};

/// The length of a record.
const RECORD: u64 = 512;
/// The longest name in a header.
const SHORT: usize = 100;
/// How much of a file is read at once, in bytes.
const PIECE: usize = 1 << 20;

static ZEROS: [u8; 65_536] = [0; 65_536];

/// Writes the archive to `out`.
///
/// # Errors
/// Those of `out`, and if a file can't be read or has changed.
pub fn write(tree: &Tree, census: &Census, out: &mut dyn Write) -> Result<()> {
    let mut archive = Archive {
        out,
        opener: Opener::default(),
        buffer: Vec::new(),
    };
    let mut result = Ok(());
    tree.walk(|path, id| {
        if result.is_ok() {
            result = archive.entry(tree, &census.links, path, id);
        }
    });
    result?;
    // Two empty records are the end.
    Ok(archive.out.write_all(&ZEROS[..index(2 * RECORD)])?)
}

struct Archive<'a> {
    out: &'a mut dyn Write,
    opener: Opener,
    buffer: Vec<u8>,
}

impl Archive<'_> {
    fn entry(&mut self, tree: &Tree, links: &Links, path: &[u8], id: InodeId) -> Result<()> {
        let inode = tree.inode(id);
        if pseudo::is_pseudo(&inode.kind) {
            return Ok(());
        }
        if let Some(target) = links.target(path, id) {
            return self.header(EntryType::Link, path, target, inode, 0, Vec::new());
        }
        let kind = match &inode.kind {
            Kind::File(content) => return self.file(path, inode, content),
            Kind::Directory(_) => EntryType::Directory,
            Kind::Symlink(target) => {
                let records = attributes(inode);
                return self.header(EntryType::Symlink, path, target, inode, 0, records);
            }
            _ => EntryType::Fifo,
        };
        self.header(kind, path, b"", inode, 0, attributes(inode))
    }

    /// Writes the header of an entry, after a pax header if it needs one. `records` are the records
    /// of that so far.
    fn header(
        &mut self,
        kind: EntryType,
        path: &[u8],
        target: &[u8],
        inode: &Inode,
        size: u64,
        mut records: Vec<u8>,
    ) -> Result<()> {
        let metadata = &inode.metadata;
        let mut header = Header::new_gnu();
        header.set_mode(u32::from(metadata.mode));
        header.set_uid(u64::from(metadata.uid));
        header.set_gid(u64::from(metadata.gid));
        header.set_mtime(u64::try_from(metadata.mtime.seconds).context("a time before 1970")?);
        let fields = header.as_old_mut();
        for (field, key, name) in [
            (&mut fields.name, "path", path),
            (&mut fields.linkname, "linkpath", target),
        ] {
            match name.len() <= SHORT {
                true => field[..name.len()].copy_from_slice(name),
                false => record(&mut records, key.as_bytes(), name),
            }
        }
        if !records.is_empty() {
            // usize to u64: lossless.
            let length = records.len() as u64;
            let mut pax = Header::new_gnu();
            pax.as_old_mut().name[..3].copy_from_slice(b"pax");
            self.finish(&mut pax, EntryType::XHeader, length)?;
            self.out.write_all(&records)?;
            self.pad(length)?;
        }
        self.finish(&mut header, kind, size)
    }

    fn finish(&mut self, header: &mut Header, kind: EntryType, size: u64) -> Result<()> {
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_cksum();
        Ok(self.out.write_all(header.as_bytes())?)
    }

    fn file(&mut self, path: &[u8], inode: &Inode, content: &Content) -> Result<()> {
        let mut records = attributes(inode);
        let mut size = content.size;
        let whole = 0..size;
        let parts = sparse::parts(content);
        let mut map = Vec::new();
        if let Some(parts) = &parts {
            record(&mut records, b"GNU.sparse.major", b"1");
            record(&mut records, b"GNU.sparse.minor", b"0");
            record(&mut records, b"GNU.sparse.name", path);
            let real = size.to_string();
            record(&mut records, b"GNU.sparse.realsize", real.as_bytes());
            map = sparse::map(parts, size);
            // usize to u64: lossless.
            size = map.len() as u64 + parts.iter().map(|part| part.end - part.start).sum::<u64>();
        }
        self.header(EntryType::Regular, path, b"", inode, size, records)?;
        self.out.write_all(&map)?;
        if content.size > 0 {
            let opened = self
                .opener
                .open(DataSource::Tree(content))
                .with_context(|| format!("reading the contents of /{}", escape::bytes(path)))?;
            let mut ranges = content.data_ranges().peekable();
            for part in parts.as_deref().unwrap_or(&[whole]) {
                self.part(part.clone(), &opened, &mut ranges)?;
            }
        }
        self.pad(size)
    }

    /// Writes a part of a file whose next data is in `ranges`.
    fn part(
        &mut self,
        part: Range<u64>,
        opened: &Opened<'_>,
        ranges: &mut Peekable<impl Iterator<Item = DataRange>>,
    ) -> Result<()> {
        let mut at = part.start;
        while let Some(range) = ranges.next_if(|range| range.offset < part.end) {
            self.zeros(range.offset - at)?;
            at = range.offset;
            let end = range.offset + range.length;
            while at < end {
                let length = index(end - at).min(PIECE);
                self.buffer.resize(length, 0);
                opened.read(&mut self.buffer, at)?;
                progress::moved(length);
                self.out.write_all(&self.buffer)?;
                // usize to u64: lossless.
                at += length as u64;
            }
        }
        self.zeros(part.end - at)
    }

    fn zeros(&mut self, mut length: u64) -> Result<()> {
        while length > 0 {
            let piece = index(length).min(ZEROS.len());
            self.out.write_all(&ZEROS[..piece])?;
            // usize to u64: lossless.
            length -= piece as u64;
        }
        Ok(())
    }

    fn pad(&mut self, size: u64) -> Result<()> {
        self.zeros(size.next_multiple_of(RECORD) - size)
    }
}

/// Returns the records of the extended attributes.
fn attributes(inode: &Inode) -> Vec<u8> {
    let mut records = Vec::new();
    for xattr in &inode.metadata.xattrs {
        let key = [b"SCHILY.xattr.", &xattr.name[..]].concat();
        record(&mut records, &key, &xattr.value);
    }
    records
}

/// Adds a record of a pax header: its length in decimal, which includes the number itself, a space,
/// key, `=`, value, and a newline.
fn record(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while rest + length.to_string().len() != length {
        length = rest + length.to_string().len();
    }
    records.extend_from_slice(length.to_string().as_bytes());
    records.push(b' ');
    records.extend_from_slice(key);
    records.push(b'=');
    records.extend_from_slice(value);
    records.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_a_record_includes_its_own_digits() {
        for (length, expected) in [(1, 6), (4, 9), (5, 11), (93, 99), (94, 101), (95, 102)] {
            let mut records = Vec::new();
            record(&mut records, b"a", &vec![b'x'; length]);
            let text = String::from_utf8(records.clone()).unwrap();
            let number = text.split(' ').next().unwrap();
            assert_eq!(number, records.len().to_string());
            assert_eq!(records.len(), expected, "{length}");
        }
    }
}
