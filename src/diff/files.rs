//! Compares all files of two file systems, directory by directory.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::iter::Peekable;
use std::vec::IntoIter;

use anyhow::{Error, Result};

use super::Pair;
use super::contents::{self, Side};
use super::found::{Findings, Layer};
use crate::escape;
use crate::inspect::join;
use crate::volume::{FileSystem, Kind, Meta, Node};

/// The most levels of directories.
const DEEPEST: usize = 2048;

/// A name in a directory.
type Name = (Vec<u8>, Node);

/// A directory of which a part has been compared.
struct Level {
    path: Vec<u8>,
    a: Peekable<IntoIter<Name>>,
    b: Peekable<IntoIter<Name>>,
}

/// A comparison.
struct Walk<'a> {
    pair: &'a Pair<'a>,
    systems: [&'a dyn FileSystem; 2],
    findings: &'a mut Findings,
    /// Directories of the first file system that were entered.
    seen: BTreeSet<u64>,
}

/// Compares the files of `pair`. What cannot be read is noted.
pub fn compare(pair: &Pair<'_>, a: &dyn FileSystem, b: &dyn FileSystem, findings: &mut Findings) {
    let mut walk = Walk {
        pair,
        systems: [a, b],
        findings,
        seen: BTreeSet::new(),
    };
    walk.both(b"/", [a.root(), b.root()]);
    let mut levels: Vec<Level> = walk
        .enter(b"/".to_vec(), [a.root(), b.root()])
        .into_iter()
        .collect();
    while let Some(level) = levels.last_mut() {
        let order = match (level.a.peek(), level.b.peek()) {
            (None, None) => {
                levels.pop();
                continue;
            }
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((a, _)), Some((b, _))) => a.cmp(b),
        };
        let a = level.a.next_if(|_| order != Ordering::Greater);
        let b = level.b.next_if(|_| order != Ordering::Less);
        match (a, b) {
            (Some((name, a)), Some((_, b))) => {
                let path = join(&level.path, &name);
                if walk.both(&path, [a, b]) && levels.len() < DEEPEST {
                    levels.extend(walk.enter(path, [a, b]));
                }
            }
            (Some((name, node)), None) => walk.only(&join(&level.path, &name), node, 0),
            (None, Some((name, node))) => walk.only(&join(&level.path, &name), node, 1),
            (None, None) => {}
        }
    }
}

impl Walk<'_> {
    fn trouble(&mut self, path: &[u8], error: &Error) {
        let number = self.pair.number();
        self.findings
            .trouble(Some(number), &escape::bytes(path), error);
    }

    /// Lists a directory that both have, once.
    fn enter(&mut self, path: Vec<u8>, nodes: [Node; 2]) -> Option<Level> {
        if !self.seen.insert(nodes[0].id) {
            let error = anyhow::anyhow!("the directory is also somewhere else");
            self.trouble(&path, &error);
            return None;
        }
        let mut lists = Vec::new();
        for (system, node) in self.systems.into_iter().zip(nodes) {
            match system.list(node) {
                Ok(mut names) => {
                    names.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
                    lists.push(names.into_iter().peekable());
                }
                Err(error) => {
                    self.trouble(&path, &error);
                    return None;
                }
            }
        }
        let b = lists.pop()?;
        let a = lists.pop()?;
        Some(Level { path, a, b })
    }

    /// Adds a file that only the image `side` has.
    fn only(&mut self, path: &[u8], node: Node, side: usize) {
        let description = match self.systems[side].meta(node) {
            Ok(meta) => match meta.kind {
                Kind::File => format!("file of {} bytes", meta.size),
                kind => kind.name().to_owned(),
            },
            Err(error) => {
                self.trouble(path, &error);
                return;
            }
        };
        let number = Some(self.pair.number());
        let place = escape::bytes(path);
        self.findings
            .only(Layer::Files, number, &place, description, side == 0);
    }

    /// Compares a file that both have. Returns whether both are directories.
    fn both(&mut self, path: &[u8], nodes: [Node; 2]) -> bool {
        match self.properties(path, nodes) {
            Ok(is_directory) => is_directory,
            Err(error) => {
                self.trouble(path, &error);
                false
            }
        }
    }

    fn properties(&mut self, path: &[u8], nodes: [Node; 2]) -> Result<bool> {
        let [first, second] = self.systems;
        let metas = [first.meta(nodes[0])?, second.meta(nodes[1])?];
        let [a, b] = &metas;
        let place = escape::bytes(path);
        for (name, [a, b]) in differences(a, b) {
            let number = Some(self.pair.number());
            self.findings
                .property(Layer::Files, number, &place, name, [&a, &b]);
        }
        self.attributes(&place, nodes)?;
        if a.kind == b.kind && matches!(a.kind, Kind::File | Kind::Symlink) {
            let [region_a, region_b] = &self.pair.regions;
            let sides = [
                Side {
                    contents: first.contents(nodes[0])?,
                    region: region_a,
                },
                Side {
                    contents: second.contents(nodes[1])?,
                    region: region_b,
                },
            ];
            let room = self.findings.has_room(Layer::Files);
            let found = contents::compare(self.pair.number(), &place, &sides, room)?;
            if let Some(found) = found {
                self.findings.add(found);
            }
        }
        Ok(a.kind == Kind::Directory && b.kind == Kind::Directory)
    }

    /// Compares extended attributes.
    fn attributes(&mut self, place: &str, nodes: [Node; 2]) -> Result<()> {
        let [a, b] = self.systems;
        let (a, b) = (a.xattrs(nodes[0])?, b.xattrs(nodes[1])?);
        if a == b {
            return Ok(());
        }
        let names: BTreeSet<&Vec<u8>> = a.iter().chain(&b).map(|(name, _)| name).collect();
        for name in names {
            let value = |all: &[(Vec<u8>, Vec<u8>)]| {
                let found = all.iter().find(|(it, _)| it == name);
                found.map_or_else(|| "none".to_owned(), |(_, value)| attribute(value))
            };
            let property = format!("extended attribute {}", escape::short(name));
            let values = [value(&a), value(&b)];
            let number = Some(self.pair.number());
            let values = [values[0].as_str(), &values[1]];
            self.findings
                .property(Layer::Files, number, place, &property, values);
        }
        Ok(())
    }
}

/// A value of an extended attribute: a text, or bytes in hexadecimal.
fn attribute(value: &[u8]) -> String {
    match std::str::from_utf8(value) {
        Ok(text) if !text.contains(|c: char| c.is_control()) => format!("\"{text}\""),
        _ => {
            let shown = &value[..value.len().min(64)];
            format!(
                "{} ({} bytes)",
                data_encoding::HEXLOWER.encode(shown),
                value.len()
            )
        }
    }
}

/// The properties that differ, with their values.
fn differences(a: &Meta, b: &Meta) -> Vec<(&'static str, [String; 2])> {
    let both = [a, b];
    let mut all = vec![
        ("kind", both.map(|it| it.kind.name().to_owned())),
        (
            "mode",
            both.map(|it| {
                it.mode
                    .map_or_else(String::new, |mode| format!("{mode:04o}"))
            }),
        ),
        (
            "owner",
            both.map(|it| {
                it.owner
                    .map_or_else(String::new, |(uid, gid)| format!("{uid}:{gid}"))
            }),
        ),
        ("links", both.map(|it| it.links.to_string())),
        (
            "device",
            both.map(|it| {
                it.device
                    .map_or_else(String::new, |(a, b)| format!("{a},{b}"))
            }),
        ),
    ];
    if a.kind == Kind::File || b.kind == Kind::File {
        all.push(("size", both.map(|it| it.size.to_string())));
    }
    for (name, _) in a.times.iter().chain(&b.times) {
        let value = |meta: &Meta| {
            let found = meta.times.iter().find(|(it, _)| it == name);
            found.map_or_else(String::new, |(_, time)| time.to_string())
        };
        all.push((name, both.map(value)));
    }
    for (name, _) in a.others.iter().chain(&b.others) {
        let value = |meta: &Meta| {
            let found = meta.others.iter().find(|(it, _)| it == name);
            found.map_or_else(String::new, |(_, value)| value.clone())
        };
        all.push((name, both.map(value)));
    }
    let mut seen = BTreeSet::new();
    all.retain(|(name, [a, b])| a != b && seen.insert(*name));
    all
}
