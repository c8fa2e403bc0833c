//! Looks up users and groups of the image by name.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;

use anyhow::{Context, Result, bail};

use super::install::program;
use super::target;
use crate::escape;
use crate::guest::job::Job;
use crate::owner::{Ids, Names};

/// The file that chown(1) is run on. It is in the guest's `/dev`, which is also mounted in the image.
const FILE: &str = "/dev/owner";

/// The kinds of names.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum NameKind {
    User,
    Group,
}

/// Returns the IDs of the owners in `job`, after the image's activation. The image's own chown(1)
/// resolves the names, so that its name services are used. If the image has no chown(1), they are
/// looked up in `/etc/passwd` and `/etc/group`.
pub fn look_up<'a>(job: &'a Job) -> Result<Vec<Ids>> {
    if job.owners.is_empty() {
        return Ok(Vec::new());
    }
    File::create_new(FILE).with_context(|| format!("creating {FILE}"))?;
    // Thousands of files may have the same owner, and starting a process for each would be slow.
    let mut known = HashMap::new();
    let mut look_up = |kind, name| -> Result<u32> {
        Ok(match known.entry((kind, name)) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => *new.insert(id(job, kind, name)?),
        })
    };
    let mut ids = |names: &'a Names| {
        Ok(Ids {
            uid: look_up(NameKind::User, &names.user)?,
            gid: look_up(NameKind::Group, &names.group)?,
        })
    };
    target::inside(|| job.owners.iter().map(&mut ids).collect())
}

fn id(job: &Job, kind: NameKind, name: &str) -> Result<u32> {
    let (kind_name, table, argument) = match kind {
        // Without a colon, chown takes "a.b" as user a and group b if no user is called "a.b".
        NameKind::User => ("user", "/etc/passwd", format!("{name}:0")),
        NameKind::Group => ("group", "/etc/group", format!(":{name}")),
    };
    // chown would not take these as a name.
    let found = if name.is_empty() || name.contains(':') {
        None
    } else {
        let mut chown = program(job, "sw/bin/chown");
        match chown.args(["--", &argument, FILE]).status() {
            Ok(status) if status.success() => {
                let stat = fs::metadata(FILE).with_context(|| format!("reading {FILE}"))?;
                Some(match kind {
                    NameKind::User => stat.uid(),
                    NameKind::Group => stat.gid(),
                })
            }
            Ok(_) => None,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let bytes =
                    fs::read(table).with_context(|| format!("reading the image's {table}"))?;
                find(&bytes, name)
            }
            Err(error) => {
                return Err(error).with_context(|| {
                    format!(
                        "starting {}",
                        escape::bytes(chown.get_program().as_encoded_bytes())
                    )
                });
            }
        }
    };
    if let Some(id) = found {
        return Ok(id);
    }
    let reason = match File::open(table) {
        Ok(_) => String::new(),
        Err(error) => format!(" ({table}: {error})"),
    };
    bail!(
        "contents: after activation, the image has no {kind_name} {}{reason}; declare it in the \
         configuration, or use a numeric ID",
        escape::bytes(name.as_bytes())
    )
}

/// Returns the ID of `name` in the contents of a `passwd` or `group` file (passwd(5), group(5)). As in
/// chown(1), a number that is not a name is taken as the ID.
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
    fn names_take_precedence_over_numbers() {
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
