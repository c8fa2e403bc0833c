//! Users and groups of the image, by name.

use std::fs;

use anyhow::{Context, Result};

use super::target::{VIEW, below};
use crate::escape;
use crate::owner::{Ids, Names};

/// What `names` stand for in the image's own `/etc/passwd` and `/etc/group`.
pub fn look_up(names: &[Names]) -> Result<Vec<Ids>> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let users = read("/etc/passwd")?;
    let groups = read("/etc/group")?;
    let ids = names.iter().map(|names| {
        Ok(Ids {
            uid: find(&users, &names.user).with_context(|| unknown("user", &names.user))?,
            gid: find(&groups, &names.group).with_context(|| unknown("group", &names.group))?,
        })
    });
    ids.collect()
}

fn read(path: &str) -> Result<Vec<u8>> {
    fs::read(below(VIEW.as_ref(), path)).with_context(|| format!("reading the image's {path}"))
}

fn unknown(what: &str, name: &str) -> String {
    format!(
        "contents: the image has no {what} {} after its activation; declare it in the \
         configuration, or write a number",
        escape::bytes(name.as_bytes())
    )
}

/// The ID that `name` has in a `passwd` or `group` (passwd(5), group(5)); a number that nobody is
/// named after is the ID itself, as chown(1) has it.
fn find(table: &[u8], name: &str) -> Option<u32> {
    table
        .split(|&byte| byte == b'\n')
        .find_map(|line| {
            let mut fields = line.split(|&byte| byte == b':');
            let id = fields.clone().nth(2)?;
            (fields.next()? == name.as_bytes())
                .then(|| std::str::from_utf8(id).ok()?.parse().ok())?
        })
        .or_else(|| name.parse().ok())
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_come_before_numbers() {
        let table = b"root:x:0:0::/root:/bin/sh\n\n# no\nalice:x:1000:100\n7:x:8:9\nbad:x:-1:0\n";
        for (name, id) in [
            ("root", Some(0)),
            ("alice", Some(1000)),
            ("7", Some(8)),
            ("6", Some(6)),
            ("bad", None),
            ("bob", None),
            ("", None),
        ] {
            assert_eq!(super::find(table, name), id, "{name}");
        }
    }
}
