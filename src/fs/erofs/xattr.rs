//! Extended attributes: in the inode, or, if several inodes have the same, once for all of them.
//! ACLs have the same form as in system calls.

use std::collections::{BTreeMap, HashMap};

use zerocopy::IntoBytes;
use zerocopy::little_endian::{U16, U32};

use super::acl;
use super::ondisk::{XattrEntry, XattrIbodyHeader};
use crate::escape;
use crate::fs::number::{TooWide, le8, le16};
use crate::tree::{Xattr, Xattrs};

/// Prefixes of names, the numbers that represent them, and whether they are whole names.
const PREFIXES: [(&[u8], u8, bool); 5] = [
    (b"user.", 1, false),
    (b"system.posix_acl_access", 2, true),
    (b"system.posix_acl_default", 3, true),
    (b"trusted.", 4, false),
    (b"security.", 6, false),
];

/// An attribute is shared if more inodes than this have it, as `mkfs.erofs` does by default.
const TOLERANCE: u32 = 2;

/// Number of shared attributes that an inode can have.
const MOST_SHARED: usize = u8::MAX as usize; // u8 to usize: lossless

/// Length of the longest attributes of an inode: `i_xattr_icount` has 16 bits.
const LONGEST: usize = size_of::<XattrIbodyHeader>() + 4 * (u16::MAX as usize - 1); // u16 to usize: lossless

/// Splits a name into the number of its prefix and the rest.
fn split(name: &[u8]) -> Option<(u8, &[u8])> {
    PREFIXES.iter().find_map(|&(prefix, number, whole)| {
        let rest = name.strip_prefix(prefix)?;
        (whole == rest.is_empty()).then_some((number, rest))
    })
}

/// Returns the length of an attribute's entry in bytes.
fn entry_length(xattr: &Xattr) -> usize {
    let name = split(&xattr.name).map_or(0, |(_, rest)| rest.len());
    (size_of::<XattrEntry>() + name + xattr.value.len()).next_multiple_of(4)
}

/// Appends an attribute's entry to `out`.
fn put_entry(name: &[u8], value: &[u8], out: &mut Vec<u8>) -> Result<(), TooWide> {
    let (number, rest) = split(name).unwrap_or_default();
    let entry = XattrEntry {
        e_name_len: le8(rest.len())?,
        e_name_index: number,
        e_value_size: le16(value.len())?,
    };
    out.extend_from_slice(entry.as_bytes());
    out.extend_from_slice(rest);
    out.extend_from_slice(value);
    out.resize(out.len().next_multiple_of(4), 0);
    Ok(())
}

/// Describes all problems with the attributes of an inode.
pub fn check(xattrs: &Xattrs, problem: &mut dyn FnMut(String)) {
    let mut length = size_of::<XattrIbodyHeader>();
    for xattr in xattrs {
        length += entry_length(xattr);
        let shown = escape::bytes(&xattr.name);
        let Some((_, rest)) = split(&xattr.name) else {
            problem(format!(
                "EROFS does not support the extended attribute {shown}"
            ));
            continue;
        };
        if rest.len() > usize::from(u8::MAX) {
            problem(format!(
                "the extended attribute {shown} has a name of {} bytes after its prefix; EROFS's limit is {}",
                rest.len(),
                u8::MAX
            ));
        }
        if xattr.value.len() > usize::from(u16::MAX) {
            problem(format!(
                "the extended attribute {shown} has {} bytes; EROFS's limit is {}",
                xattr.value.len(),
                u16::MAX
            ));
        }
        if rest.is_empty()
            && let Err(error) = acl::check(&xattr.value)
        {
            problem(format!("{shown}: {error}"));
        }
    }
    if length > LONGEST {
        problem(format!(
            "extended attributes need {length} bytes; EROFS's limit is {LONGEST}"
        ));
    }
}

/// The numbers of shared attributes with the same name by their values.
type Values = BTreeMap<Box<[u8]>, u32>;

/// Attributes that several inodes have, and their numbers: their places in the shared area in units
/// of 4 bytes.
#[derive(Debug, Default)]
pub struct Shared {
    numbers: BTreeMap<Box<[u8]>, Values>,
    length: u64,
}

impl Shared {
    /// Finds the attributes that more than [`TOLERANCE`] inodes have.
    pub fn new<'a>(inodes: impl Iterator<Item = &'a Xattrs>) -> Shared {
        let mut counts: HashMap<(&[u8], &[u8]), u32> = HashMap::new();
        for xattr in inodes.flatten() {
            let count = counts.entry((&xattr.name, &xattr.value)).or_default();
            *count = count.saturating_add(1);
        }
        let mut shared = Shared::default();
        for ((name, value), count) in counts {
            if count > TOLERANCE {
                let values = shared.numbers.entry(name.into()).or_default();
                values.insert(value.into(), 0);
            }
        }
        let mut at = 0;
        for (name, values) in &mut shared.numbers {
            let rest = split(name).map_or(0, |(_, rest)| rest.len());
            values.retain(|value, number| {
                let length = (size_of::<XattrEntry>() + rest + value.len()).next_multiple_of(4);
                let Ok(place) = u32::try_from(at / 4) else {
                    // Such attributes stay in their inodes.
                    return false;
                };
                *number = place;
                // usize to u64: lossless on every target Rust has.
                at += length as u64;
                true
            });
        }
        shared.length = at;
        shared
    }

    /// Length of the shared area in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Passes the entries of the shared area to `emit`, in order.
    ///
    /// # Errors
    /// Those of `emit`.
    pub fn encode(&self, mut emit: impl FnMut(&[u8]) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let mut entry = Vec::new();
        for (name, values) in &self.numbers {
            for value in values.keys() {
                entry.clear();
                put_entry(name, value, &mut entry)?;
                emit(&entry)?;
            }
        }
        Ok(())
    }

    fn number(&self, xattr: &Xattr) -> Option<u32> {
        let values = self.numbers.get(&xattr.name)?;
        values.get(&xattr.value).copied()
    }

    /// Returns the numbers of the shared attributes in `xattrs`, and the other attributes.
    fn divide<'a>(&self, xattrs: &'a Xattrs) -> (Vec<u32>, Vec<&'a Xattr>) {
        let (mut numbers, mut others) = (Vec::new(), Vec::new());
        for xattr in xattrs {
            match self.number(xattr) {
                Some(number) if numbers.len() < MOST_SHARED => numbers.push(number),
                _ => others.push(xattr),
            }
        }
        (numbers, others)
    }

    /// Returns how many bytes `xattrs` take after the inode.
    pub fn inline_length(&self, xattrs: &Xattrs) -> u64 {
        if xattrs.is_empty() {
            return 0;
        }
        let (numbers, others) = self.divide(xattrs);
        let entries: usize = others.into_iter().map(entry_length).sum();
        // usize to u64: lossless on every target Rust has.
        (size_of::<XattrIbodyHeader>() + 4 * numbers.len() + entries) as u64
    }

    /// Appends what follows an inode with `xattrs` to `out`.
    ///
    /// # Errors
    /// If a number is too large for its field.
    pub fn put_inline(&self, xattrs: &Xattrs, out: &mut Vec<u8>) -> Result<(), TooWide> {
        if xattrs.is_empty() {
            return Ok(());
        }
        let (numbers, others) = self.divide(xattrs);
        let header = XattrIbodyHeader {
            h_name_filter: U32::ZERO,
            h_shared_count: le8(numbers.len())?,
            h_reserved2: [0; 7],
        };
        out.extend_from_slice(header.as_bytes());
        for number in numbers {
            out.extend_from_slice(U32::new(number).as_bytes());
        }
        for xattr in others {
            put_entry(&xattr.name, &xattr.value, out)?;
        }
        Ok(())
    }
}

/// Returns the `i_xattr_icount` of attributes of `length` bytes.
///
/// # Errors
/// If it is too large for its field.
pub fn count(length: u64) -> Result<U16, TooWide> {
    // usize to u64: lossless on every target Rust has.
    match length.checked_sub(size_of::<XattrIbodyHeader>() as u64) {
        None => Ok(U16::ZERO),
        Some(rest) => le16(1 + rest / 4),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn xattrs(list: &[(&str, &[u8])]) -> Xattrs {
        let list = list.iter().map(|(name, value)| Xattr {
            name: name.as_bytes().into(),
            value: (*value).into(),
        });
        Xattrs::from(list.collect::<Vec<_>>())
    }

    #[test]
    fn attributes_of_more_than_two_inodes_are_shared() {
        let often = xattrs(&[("security.selinux", b"label"), ("user.x", b"1")]);
        let rare = xattrs(&[("user.x", b"2"), ("user.y", b"")]);
        let all = [&often, &rare, &often, &rare, &often];
        let shared = Shared::new(all.into_iter());
        // "selinux" and "label" with a header take exactly 16 bytes, "x" and "1" 8.
        assert_eq!(shared.length(), 24);
        let mut bytes = Vec::new();
        shared.put_inline(&often, &mut bytes).unwrap();
        assert_eq!(bytes[4], 2);
        assert_eq!(bytes[12..], [0, 0, 0, 0, 4, 0, 0, 0]);
        assert_eq!(shared.inline_length(&often), 20);
        assert_eq!(count(20).unwrap().get(), 3);
        bytes.clear();
        shared.put_inline(&rare, &mut bytes).unwrap();
        assert_eq!(
            bytes[12..],
            [1, 1, 1, 0, b'x', b'2', 0, 0, 1, 1, 0, 0, b'y', 0, 0, 0]
        );
        assert_eq!(shared.inline_length(&rare), 28);
        assert_eq!(shared.inline_length(&Xattrs::default()), 0);
        assert_eq!(count(0).unwrap().get(), 0);
    }

    #[test]
    fn reports_exceeded_limits() {
        let long = format!("user.{}", "x".repeat(256));
        let big = [0; 65_536];
        let name = |number: usize| format!("user.{number}");
        let names: Vec<String> = (0..5).map(name).collect();
        let much: Vec<(&str, &[u8])> = names
            .iter()
            .map(|name| (name.as_str(), &big[..60_000]))
            .collect();
        for (xattrs, message) in [
            (
                xattrs(&[("foo.x", b"")]),
                "EROFS does not support the extended attribute foo.x",
            ),
            (
                xattrs(&[("user.", b"")]),
                "EROFS does not support the extended attribute user.",
            ),
            (
                xattrs(&[("user.x", &big)]),
                "the extended attribute user.x has 65536 bytes; EROFS's limit is 65535",
            ),
            (
                xattrs(&[("system.posix_acl_access", b"")]),
                "system.posix_acl_access: 0 bytes are too few for an ACL",
            ),
            (
                xattrs(&much),
                "extended attributes need 300052 bytes; EROFS's limit is 262148",
            ),
            (
                xattrs(&[(&long, b"")]),
                &format!(
                    "the extended attribute {long} has a name of 256 bytes after its prefix; EROFS's limit is 255"
                ),
            ),
        ] {
            let mut problems = Vec::new();
            check(&xattrs, &mut |problem| problems.push(problem));
            assert_eq!(problems, [message]);
        }
    }
}
