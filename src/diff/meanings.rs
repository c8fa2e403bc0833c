//! Compares the bytes of file systems that are not the contents of files, and says what they mean.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::found::{Difference, Findings, Layer};
use super::{Pair, bytes, contents, outside};
use crate::escape;
use crate::inspect::join;
use crate::volume::{FileSystem, Kind, Meaning, Owner, Owners, Weight};

/// The most structures that are remembered.
const MOST: usize = 10_000;

/// The most levels of directories in which names are looked for.
const DEEPEST: usize = 2048;

/// What differs in a structure.
#[derive(Debug)]
struct Change {
    /// The most important of its bytes, which are those that are counted and shown.
    weight: Weight,
    /// The first byte.
    at: u64,
    /// Number of bytes.
    bytes: u64,
    fields: Vec<(&'static str, Weight)>,
    /// The first bytes.
    details: Vec<String>,
    file: Option<u64>,
}

/// The structures that differ.
#[derive(Debug, Default)]
struct Changes {
    by_structure: BTreeMap<String, Change>,
    /// Bytes in structures that were not remembered.
    others: u64,
}

/// Compares the bytes of `pair` that are not the contents of a file in one of the images.
///
/// # Errors
/// If an image cannot be read.
pub fn compare(
    pair: &Pair<'_>,
    a: &dyn FileSystem,
    b: &dyn FileSystem,
    findings: &mut Findings,
) -> Result<()> {
    let owners = match (a.owners(), b.owners()) {
        (Ok(a), Ok(b)) => [a, b],
        (Err(error), _) | (_, Err(error)) => {
            let place = "what its bytes are used for";
            findings.trouble(Some(pair.number()), place, &error);
            return outside::partition(pair, findings);
        }
    };
    let length = pair.a.length().min(pair.b.length());
    let mut changes = Changes::default();
    let systems = [a, b];
    bytes::each(
        [&pair.regions[0], &pair.regions[1]],
        0..length,
        &mut |at, buffers| {
            changes.add(systems, &owners, at, buffers);
        },
    )?;
    let names = changes.names(systems);
    for (structure, change) in changes.by_structure {
        if let Some(difference) = change.difference(pair.number(), structure, &names) {
            findings.add(difference);
        }
    }
    if changes.others > 0 {
        findings.add(Difference {
            layer: Layer::Bytes,
            partition: Some(pair.number()),
            place: format!("more than {MOST} structures"),
            property: Some(format!("{} bytes in the others", changes.others)),
            a: None,
            b: None,
            details: Vec::new(),
        });
    }
    Ok(())
}

/// Whether a byte is the contents of a file, or not in use.
fn is_data(owner: Owner) -> bool {
    matches!(owner, Owner::Contents(_) | Owner::Free)
}

/// Whether the comparison of files has found that bytes with these owners differ: they are the contents
/// of a file in one image, and at most the rest of a file's last block in the other.
fn is_covered(a: Owner, b: Owner) -> bool {
    let is_contents = |owner: Owner| matches!(owner, Owner::Contents(_));
    let is_at_most_rest = |owner: Owner| is_data(owner) || matches!(owner, Owner::Slack(_));
    (is_contents(a) && is_at_most_rest(b)) || (is_contents(b) && is_at_most_rest(a))
}

impl Changes {
    /// Adds the bytes from `at` on, all of which differ.
    fn add(
        &mut self,
        systems: [&dyn FileSystem; 2],
        owners: &[Owners; 2],
        at: u64,
        buffers: [&[u8]; 2],
    ) {
        let mut done = 0;
        while done < buffers[0].len() {
            // usize to u64: lossless on every target Rust has.
            let position = at.saturating_add(done as u64);
            let [(a, end_a), (b, end_b)] = [owners[0].at(position), owners[1].at(position)];
            // What only one image uses for something says more than free space.
            let side = usize::from(is_data(a) && !is_data(b));
            let mut meaning = systems[side].explain(&owners[side], position);
            if a == b {
                let other = systems[1].explain(&owners[1], position);
                // A file that is only in one image has been found.
                if meaning.file.is_some() != other.file.is_some() {
                    meaning.weight = Weight::Covered;
                }
            }
            let end = meaning.end.min(end_a).min(end_b);
            let rest = buffers[0].len().saturating_sub(done);
            let count = usize::try_from(end.saturating_sub(position)).unwrap_or(rest);
            let count = count.clamp(1, rest);
            if !is_covered(a, b) {
                let shown = buffers.map(|buffer| &buffer[done..done.saturating_add(count)]);
                self.record(meaning, position, shown);
            }
            done = done.saturating_add(count);
        }
    }

    fn record(&mut self, meaning: Meaning, at: u64, buffers: [&[u8]; 2]) {
        // usize to u64: lossless on every target Rust has.
        let count = buffers[0].len() as u64;
        if self.by_structure.len() >= MOST && !self.by_structure.contains_key(&meaning.structure) {
            self.others = self.others.saturating_add(count);
            return;
        }
        let new = || Change {
            weight: meaning.weight,
            at,
            bytes: 0,
            fields: Vec::new(),
            details: contents::hex(0, buffers, at),
            file: meaning.file,
        };
        let change = self
            .by_structure
            .entry(meaning.structure)
            .or_insert_with(new);
        if meaning.weight == Weight::Own && change.weight != Weight::Own {
            let fields = std::mem::take(&mut change.fields);
            *change = Change { fields, ..new() };
        }
        if meaning.weight == change.weight {
            change.bytes = change.bytes.saturating_add(count);
        }
        if let Some(name) = meaning.field
            && !change.fields.iter().any(|(it, _)| *it == name)
        {
            change.fields.push((name, meaning.weight));
        }
    }

    /// The paths of the files that the structures concern.
    fn names(&self, systems: [&dyn FileSystem; 2]) -> BTreeMap<u64, String> {
        let mut wanted: BTreeSet<u64> = self
            .by_structure
            .values()
            .filter_map(|it| it.file)
            .collect();
        let mut names = BTreeMap::new();
        for system in systems {
            find(system, &mut wanted, &mut names);
        }
        names
    }
}

/// Looks for files until all that are `wanted` have names. What cannot be read has none.
fn find(system: &dyn FileSystem, wanted: &mut BTreeSet<u64>, names: &mut BTreeMap<u64, String>) {
    let mut note = |id: Option<u64>, path: &[u8], wanted: &mut BTreeSet<u64>| {
        if let Some(id) = id.filter(|id| wanted.remove(id)) {
            names.insert(id, escape::short(path));
        }
    };
    let root = system.root();
    note(system.identity(root).ok(), b"/", wanted);
    let mut seen = BTreeSet::from([root.id]);
    let mut stack = vec![(b"/".to_vec(), system.list(root).unwrap_or_default())];
    while let Some((above, rest)) = stack.last_mut() {
        if wanted.is_empty() {
            return;
        }
        let Some((name, node)) = rest.pop() else {
            stack.pop();
            continue;
        };
        let path = join(above, &name);
        note(system.identity(node).ok(), &path, wanted);
        let is_directory = system
            .meta(node)
            .is_ok_and(|meta| meta.kind == Kind::Directory);
        if is_directory && stack.len() < DEEPEST && seen.insert(node.id) {
            stack.push((path, system.list(node).unwrap_or_default()));
        }
    }
}

impl Change {
    /// The difference, unless the other layers say all of it.
    fn difference(
        self,
        partition: u32,
        structure: String,
        names: &BTreeMap<u64, String>,
    ) -> Option<Difference> {
        let has = |weight: Weight| self.fields.iter().any(|(_, it)| *it == weight);
        if has(Weight::Covered) && !has(Weight::Own) {
            return None;
        }
        let is_derived = !has(Weight::Own);
        let fields = self.fields.iter();
        let fields = fields.filter(|(_, weight)| *weight == Weight::Own || is_derived);
        let fields: Vec<&str> = fields.map(|(name, _)| *name).collect();
        let fields = match fields.is_empty() {
            true => String::new(),
            false => format!("{}: ", fields.join(", ")),
        };
        let bytes = match self.bytes {
            1 => "1 byte differs".to_owned(),
            bytes => format!("{bytes} bytes differ"),
        };
        let path = self.file.and_then(|file| names.get(&file));
        let path = path.map_or_else(String::new, |path| format!(" ({path})"));
        Some(Difference {
            layer: Layer::Bytes,
            partition: Some(partition),
            place: format!("{structure}{path}"),
            property: Some(format!("{fields}{bytes}, the first is byte {}", self.at)),
            a: None,
            b: None,
            details: self.details,
        })
    }
}
