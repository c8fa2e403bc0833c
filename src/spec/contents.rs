//! The argument `contents`.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};

use serde_json::Value;

use super::attributes::{Attributes, MAX_PATH, bounded, list, number, path, quoted, shown};
use super::problems::{Problems, Read};
use super::{Chmod, Graft, Ids, Names, Owner, Target};
use crate::escape;

/// The maximum length of a program argument, such as rsync's `--chmod=`, in bytes (Linux,
/// `MAX_ARG_STRLEN` without the NUL).
const MAX_MODE: usize = 131_071;

/// The maximum length of the name of a user or group in bytes (`LOGIN_NAME_MAX`).
const MAX_ACCOUNT: usize = 256;

/// The largest user or group ID. The next one, -1, means "unchanged" in chown(2).
const MAX_ID: u32 = u32::MAX - 1;

/// The argument `contents`, as far as it could be read.
pub(super) struct Contents {
    /// The entries, in the caller's order.
    pub(super) grafts: Read<Vec<Graft>>,
    /// Whether an owner or a group is a name other than "root".
    pub(super) names_owners: Read<bool>,
}

/// An entry, as far as it could be read.
struct Entry {
    source: Read<OsString>,
    target: Read<Target>,
    mode: Read<Option<Chmod>>,
    owner: Read<Option<Owner>>,
}

pub(super) fn contents(image: &Attributes<'_>, problems: &mut Problems) -> Contents {
    let entries = match image.required("contents", list, problems) {
        Ok(entries) => entries,
        Err(noted) => {
            return Contents {
                grafts: Err(noted),
                names_owners: Err(noted),
            };
        }
    };
    let at = image.at("contents");
    let entries: Vec<Entry> = entries
        .iter()
        .enumerate()
        .map(|(index, value)| {
            let value = Attributes::new(format!("{at}[{index}]"), value, problems);
            entry(&value, problems)
        })
        .collect();
    reject_duplicates(&at, &entries, problems);
    Contents {
        names_owners: names_owners(&entries),
        grafts: entries.into_iter().map(graft).collect(),
    }
}

fn entry(entry: &Attributes<'_>, problems: &mut Problems) -> Entry {
    let source = entry.required("source", path, problems);
    let source = source.map(OsString::from);
    let of_pattern = source.as_deref().is_ok_and(is_pattern);
    let target = |at: &str, value, problems: &mut Problems| {
        let text = bounded(at, value, MAX_PATH, problems)?;
        problems.check(at, Target::parse(text, of_pattern))
    };
    let target = entry.required("target", target, problems);
    let mode = entry.optional("mode", mode, problems).map(Option::flatten);
    let owner = owner(entry, problems);
    for (key, _) in entry.entries().unwrap_or_default() {
        if !["source", "target", "mode", "user", "group"].contains(&key) {
            problems.add(
                entry.at(key),
                "is unknown; the attributes of an entry are source, target, mode, user and group",
            );
        }
    }
    Entry {
        source,
        target,
        mode,
        owner,
    }
}

fn graft(entry: Entry) -> Read<Graft> {
    Ok(Graft {
        source: entry.source?,
        target: entry.target?,
        mode: entry.mode?,
        owner: entry.owner?,
    })
}

fn names_owners(entries: &[Entry]) -> Read<bool> {
    let named = |entry: &Entry| matches!(entry.owner, Ok(Some(Owner::Names(_))));
    if entries.iter().any(named) {
        return Ok(true);
    }
    for entry in entries {
        entry.owner.as_ref().map_err(|noted| *noted)?;
    }
    Ok(false)
}

/// Returns whether nixpkgs treats `source` as a shell pattern.
fn is_pattern(source: &OsStr) -> bool {
    source.as_encoded_bytes().contains(&b'*')
}

fn mode(at: &str, value: &Value, problems: &mut Problems) -> Read<Option<Chmod>> {
    match bounded(at, value, MAX_MODE, problems)? {
        // In nixpkgs, too, an empty mode means none.
        "" => Ok(None),
        text => problems.check(at, Chmod::parse(text)).map(Some),
    }
}

fn owner(entry: &Attributes<'_>, problems: &mut Problems) -> Read<Option<Owner>> {
    let user = entry.optional("user", account, problems);
    let group = entry.optional("group", account, problems);
    let missing = match (user?, group?) {
        (None, None) => return Ok(None),
        (Some(Account::Id(uid)), Some(Account::Id(gid))) => {
            return Ok(Some(Owner::Ids(Ids { uid, gid })));
        }
        (Some(user), Some(group)) => {
            return Ok(Some(Owner::Names(Names {
                user: user.name(),
                group: group.name(),
            })));
        }
        (Some(_), None) => "group",
        (None, Some(_)) => "user",
    };
    Err(problems.add(
        entry.at(missing),
        "is missing; set both user and group, or neither (the owner is then root)",
    ))
}

/// A user or a group.
enum Account {
    Id(u32),
    Name(String),
}

impl Account {
    fn name(self) -> String {
        match self {
            Account::Id(id) => id.to_string(),
            Account::Name(name) => name,
        }
    }
}

fn account(at: &str, value: &Value, problems: &mut Problems) -> Read<Account> {
    if let Some(id) = number(value) {
        let id = u32::try_from(id).ok().filter(|id| *id <= MAX_ID);
        let message = || format!("{} is too large; the largest ID is {MAX_ID}", shown(value));
        return problems.check(at, id.map(Account::Id).ok_or_else(message));
    }
    let message = match value {
        // User and group 0 on every NixOS system.
        Value::String(name) if name == "root" => return Ok(Account::Id(0)),
        // passwd(5) separates fields by colons and entries by newlines.
        Value::String(name) if name.contains(':') || name.contains(char::is_control) => format!(
            "{} is not a valid name: it contains a colon or a control character",
            quoted(name)
        ),
        Value::String(name) if name.bytes().any(|byte| !byte.is_ascii_digit()) => {
            let name = bounded(at, value, MAX_ACCOUNT, problems)?;
            return Ok(Account::Name(name.to_owned()));
        }
        other => format!(
            "{} is not a valid ID; use a name, or a number in a string, such as \"1000\"",
            shown(other)
        ),
    };
    Err(problems.add(at, message))
}

/// Reports each target that an earlier entry creates. A pattern may add files to an existing
/// target.
fn reject_duplicates(contents: &str, entries: &[Entry], problems: &mut Problems) {
    let mut made: HashMap<&[OsString], usize> = HashMap::new();
    for (index, entry) in entries.iter().enumerate() {
        let (Ok(source), Ok(target)) = (&entry.source, &entry.target) else {
            continue;
        };
        let earlier = *made.entry(&target.names).or_insert(index);
        if is_pattern(source) {
            continue;
        }
        let name = target.shown_name();
        let reason = match earlier < index {
            true if target.below => format!(
                "{contents}[{earlier}] already creates it; change one of them or, if it is a \
                 directory, set a target inside it, such as {name}/NAME"
            ),
            true => {
                format!("{contents}[{earlier}] already creates it; change one of them")
            }
            false if target.names.is_empty() => {
                "the root already exists; set source = \"…/*\" to copy into it".to_owned()
            }
            false => continue,
        };
        problems.add(
            format!("{contents}[{index}].target"),
            format!(
                "duplicate entry {name} -> {}: {reason}",
                escape::short(source.as_encoded_bytes())
            ),
        );
    }
}
