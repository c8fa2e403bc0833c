//! The argument `contents`.

use std::ffi::OsString;

use serde_json::Value;

use super::attributes::{Attributes, number, quoted, shown};
use super::problems::Problems;
use super::{Graft, Ids, Names, Owner};
use crate::tree::Chmod;

/// The longest file name of ext4 in bytes.
const MAX_NAME: usize = 255;

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
    for index in 0..grafts.len() {
        refuse_duplicate(image, &grafts, index, problems);
    }
    grafts.into_iter().collect()
}

fn graft(entry: &Attributes<'_>, problems: &mut Problems) -> Option<Graft> {
    let source = entry.path("source", problems);
    let target = target(entry, problems);
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
        source: source?.into_os_string(),
        target: target?,
        mode,
        owner,
    })
}

/// The names of a target below the root. A leading slash means nothing, as in nixpkgs.
fn target(entry: &Attributes<'_>, problems: &mut Problems) -> Option<Vec<OsString>> {
    let text = entry.text("target", problems)?;
    let mut names = Vec::new();
    for name in text.split('/').filter(|name| !matches!(*name, "" | ".")) {
        if name == ".." {
            problems.add(
                entry.at("target"),
                format!(
                    "{} has \"..\" in it; write the path without it",
                    quoted(text)
                ),
            );
            return None;
        }
        if name.len() > MAX_NAME {
            problems.add(
                entry.at("target"),
                format!(
                    "the name {} has {} bytes; ext4 takes at most {MAX_NAME}",
                    quoted(name),
                    name.len()
                ),
            );
            return None;
        }
        names.push(OsString::from(name));
    }
    Some(names)
}

fn mode(entry: &Attributes<'_>, problems: &mut Problems) -> Option<Chmod> {
    // nixpkgs, too, takes an empty mode for none.
    let text = entry.optional_text("mode", problems)?;
    let text = Some(text).filter(|text| !text.is_empty())?;
    problems.check(&entry.at("mode"), Chmod::parse(text))
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
            return Some(Account::Name(name.clone()));
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

/// Notes that an earlier entry has made the target of `grafts[index]`. A pattern may add to it.
fn refuse_duplicate(
    image: &Attributes<'_>,
    grafts: &[Option<Graft>],
    index: usize,
    problems: &mut Problems,
) {
    let Some(graft) = &grafts[index] else { return };
    let source = graft.source.to_string_lossy();
    if source.contains('*') {
        return;
    }
    let earlier = grafts[..index].iter().position(|earlier| {
        earlier
            .as_ref()
            .is_some_and(|earlier| earlier.target == graft.target)
    });
    let contents = image.at("contents");
    let reason = match earlier {
        Some(earlier) => format!("{contents}[{earlier}] has made it already; change one of them"),
        None if graft.target.is_empty() => {
            "the root is there already; write source = \"…/*\" to copy into it".to_owned()
        }
        None => return,
    };
    let names = graft.target.iter().map(|name| name.to_string_lossy());
    let target = names.fold(String::new(), |path, name| format!("{path}/{name}"));
    let target = if target.is_empty() { "/" } else { &target };
    problems.add(
        format!("{contents}[{index}].target"),
        format!(
            "duplicate entry {} -> {}: {reason}",
            crate::escape::bytes(target.as_bytes()),
            crate::escape::bytes(source.as_bytes())
        ),
    );
}
