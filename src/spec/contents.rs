//! The argument `contents`.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};

use serde_json::Value;

use super::attributes::{Attributes, MAX_PATH, bounded, list, number, path, quoted, shown};
use super::problems::{Problems, Read};
use super::{Chmod, Graft, Ids, Names, Owner, Target};
use crate::escape;

/// The longest argument of a program in bytes (Linux, `MAX_ARG_STRLEN` without the NUL), such as
/// rsync's `--chmod=`.
const MAX_MODE: usize = 131_071;

/// More bytes than any name of a user or group has (`LOGIN_NAME_MAX`).
const MAX_ACCOUNT: usize = 256;

/// The largest user or group ID: the next one, -1, is "unchanged" for chown(2).
const MAX_ID: u32 = u32::MAX - 1;

/// What is known of `contents`.
pub(super) struct Contents {
    /// The entries, in the caller's order.
    pub(super) grafts: Read<Vec<Graft>>,
    /// Whether an owner or a group is a name that is not "root".
    pub(super) names_owners: Read<bool>,
}

/// What is known of one entry.
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
    refuse_duplicates(&at, &entries, problems);
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
                "is unknown; an entry has source, target, mode, user and group",
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

/// Whether nixpkgs takes `source` for a shell pattern.
fn is_pattern(source: &OsStr) -> bool {
    source.as_encoded_bytes().contains(&b'*')
}

fn mode(at: &str, value: &Value, problems: &mut Problems) -> Read<Option<Chmod>> {
    match bounded(at, value, MAX_MODE, problems)? {
        // nixpkgs, too, takes an empty mode for none.
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
        "is missing; set both user and group, or neither of them (root owns the files then)",
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
        // User and group 0 of every NixOS, whatever its configuration.
        Value::String(name) if name == "root" => return Ok(Account::Id(0)),
        // passwd(5) has colons between fields and a line for each user.
        Value::String(name) if name.contains(':') || name.contains(char::is_control) => format!(
            "{} can't be a name: it has a colon or a control character in it",
            quoted(name)
        ),
        Value::String(name) if name.bytes().any(|byte| !byte.is_ascii_digit()) => {
            let name = bounded(at, value, MAX_ACCOUNT, problems)?;
            return Ok(Account::Name(name.to_owned()));
        }
        other => format!(
            "{} is no ID; write a name, or a number in a string, as in \"1000\"",
            shown(other)
        ),
    };
    Err(problems.add(at, message))
}

/// Notes every target that an earlier entry has made. A pattern may add to one.
fn refuse_duplicates(contents: &str, entries: &[Entry], problems: &mut Problems) {
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
                "{contents}[{earlier}] has made it already; change one of them or, if it is a \
                 directory, name what goes into it, as in {name}/NAME"
            ),
            true => {
                format!("{contents}[{earlier}] has made it already; change one of them")
            }
            false if target.names.is_empty() => {
                "the root is there already; write source = \"…/*\" to copy into it".to_owned()
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
