//! The argument `contents`.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};

use serde_json::Value;

use super::attributes::{Attributes, MAX_PATH, bounded, number, quoted, shown};
use super::problems::Problems;
use super::{Chmod, Graft, Ids, Names, Owner, Target};
use crate::escape;

/// The longest argument of a program in bytes (Linux, `MAX_ARG_STRLEN` without the NUL), such as
/// rsync's `--chmod=`.
const MAX_MODE: usize = 131_071;

/// More bytes than any name of a user or group has (`LOGIN_NAME_MAX`).
const MAX_ACCOUNT: usize = 256;

/// The largest user or group ID: the next one, -1, is "unchanged" for chown(2).
const MAX_ID: u32 = u32::MAX - 1;

pub(super) fn contents(image: &Attributes<'_>, problems: &mut Problems) -> Option<Vec<Graft>> {
    let entries = image.list("contents", problems)?;
    let mut grafts = Vec::with_capacity(entries.len());
    for (index, entry) in entries.iter().enumerate() {
        let at = format!("{}[{index}]", image.at("contents"));
        let entry = Attributes::new(at, entry, problems);
        grafts.push(entry.and_then(|entry| graft(&entry, problems)));
    }
    refuse_duplicates(image, &grafts, problems);
    grafts.into_iter().collect()
}

fn graft(entry: &Attributes<'_>, problems: &mut Problems) -> Option<Graft> {
    let source = entry.path("source", problems).map(OsString::from);
    let is_pattern = source.as_deref().is_some_and(is_pattern);
    let target = target(entry, is_pattern, problems);
    let mode = mode(entry, problems);
    let owner = owner(entry, problems);
    for (key, _) in entry.iter() {
        if !["source", "target", "mode", "user", "group"].contains(&key) {
            problems.add(
                entry.at(key),
                "is unknown; an entry has source, target, mode, user and group",
            );
        }
    }
    Some(Graft {
        source: source?,
        target: target?,
        mode,
        owner,
    })
}

fn target(entry: &Attributes<'_>, of_pattern: bool, problems: &mut Problems) -> Option<Target> {
    let at = entry.at("target");
    let text = bounded(&at, entry.required("target", problems)?, MAX_PATH, problems)?;
    problems.check(&at, Target::parse(text, of_pattern))
}

/// Whether nixpkgs takes `source` for a shell pattern.
fn is_pattern(source: &OsStr) -> bool {
    source.as_encoded_bytes().contains(&b'*')
}

fn mode(entry: &Attributes<'_>, problems: &mut Problems) -> Option<Chmod> {
    // nixpkgs, too, takes an empty mode for none.
    let at = entry.at("mode");
    let text = bounded(&at, entry.optional("mode")?, MAX_MODE, problems)?;
    let text = Some(text).filter(|text| !text.is_empty())?;
    problems.check(&at, Chmod::parse(text))
}

fn owner(entry: &Attributes<'_>, problems: &mut Problems) -> Option<Owner> {
    let missing = match (entry.optional("user"), entry.optional("group")) {
        (None, None) => return None,
        (Some(user), Some(group)) => {
            let user = account(&entry.at("user"), user, problems);
            let group = account(&entry.at("group"), group, problems);
            return Some(match (user?, group?) {
                (Account::Id(uid), Account::Id(gid)) => Owner::Ids(Ids { uid, gid }),
                (user, group) => Owner::Names(Names {
                    user: user.name(),
                    group: group.name(),
                }),
            });
        }
        (Some(_), None) => "group",
        (None, Some(_)) => "user",
    };
    problems.add(
        entry.at(missing),
        "is missing; set both user and group, or neither of them (root owns the files then)",
    );
    None
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

fn account(at: &str, value: &Value, problems: &mut Problems) -> Option<Account> {
    if let Some(id) = number(value) {
        let id = u32::try_from(id).ok().filter(|id| *id <= MAX_ID);
        if id.is_none() {
            problems.add(
                at,
                format!("{} is too large; the largest ID is {MAX_ID}", shown(value)),
            );
        }
        return id.map(Account::Id);
    }
    match value {
        // User and group 0 of every NixOS, whatever its configuration.
        Value::String(name) if name == "root" => return Some(Account::Id(0)),
        // passwd(5) has colons between fields and a line for each user.
        Value::String(name) if name.contains(':') || name.contains(char::is_control) => problems
            .add(
                at,
                format!(
                    "{} can't be a name: it has a colon or a control character in it",
                    quoted(name)
                ),
            ),
        Value::String(name) if name.bytes().any(|byte| !byte.is_ascii_digit()) => {
            let name = bounded(at, value, MAX_ACCOUNT, problems)?;
            return Some(Account::Name(name.to_owned()));
        }
        other => problems.add(
            at,
            format!(
                "{} is no ID; write a name, or a number in a string, as in \"1000\"",
                shown(other)
            ),
        ),
    }
    None
}

/// Notes every target that an earlier entry has made. A pattern may add to one.
fn refuse_duplicates(image: &Attributes<'_>, grafts: &[Option<Graft>], problems: &mut Problems) {
    let contents = image.at("contents");
    let mut made: HashMap<&[OsString], usize> = HashMap::new();
    for (index, graft) in grafts.iter().enumerate() {
        let Some(graft) = graft else { continue };
        let earlier = *made.entry(&graft.target.names).or_insert(index);
        if is_pattern(&graft.source) {
            continue;
        }
        let target = graft.target.shown_name();
        let reason = match earlier < index {
            true if graft.target.below => format!(
                "{contents}[{earlier}] has made it already; change one of them or, if it is a \
                 directory, name what goes into it, as in {target}/NAME"
            ),
            true => {
                format!("{contents}[{earlier}] has made it already; change one of them")
            }
            false if graft.target.names.is_empty() => {
                "the root is there already; write source = \"…/*\" to copy into it".to_owned()
            }
            false => continue,
        };
        problems.add(
            format!("{contents}[{index}].target"),
            format!(
                "duplicate entry {target} -> {}: {reason}",
                escape::short(graft.source.as_encoded_bytes())
            ),
        );
    }
}
