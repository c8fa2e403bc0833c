//! Users and groups of the image, by name.

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

/// What gets the owners, one after the other. It is on the guest's own `/dev`, which the image has as
/// its own, too.
const FILE: &str = "/dev/owner";

/// What a name can be of.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Of {
    User,
    Group,
}

/// What the names of `job` stand for in the image, with what its activation has mounted: what its
/// own chown(1) makes of them, so that its name services count. Where the system has no such
/// program, they are looked up in `/etc/passwd` and `/etc/group`.
pub fn look_up<'a>(job: &'a Job) -> Result<Vec<Ids>> {
    if job.owners.is_empty() {
        return Ok(Vec::new());
    }
    File::create_new(FILE).with_context(|| format!("making {FILE}"))?;
    // Thousands of files may have one owner, and a process for each takes its time.
    let mut known = HashMap::new();
    let mut look_up = |of, name| -> Result<u32> {
        Ok(match known.entry((of, name)) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => *new.insert(id(job, of, name)?),
        })
    };
    let mut ids = |names: &'a Names| {
        Ok(Ids {
            uid: look_up(Of::User, &names.user)?,
            gid: look_up(Of::Group, &names.group)?,
        })
    };
    target::inside(|| job.owners.iter().map(&mut ids).collect())
}

fn id(job: &Job, of: Of, name: &str) -> Result<u32> {
    let (what, table, argument) = match of {
        // Without a colon, chown takes "a.b" for user a and group b where there is no user of that name.
        Of::User => ("user", "/etc/passwd", format!("{name}:0")),
        Of::Group => ("group", "/etc/group", format!(":{name}")),
    };
    // To chown these would mean another thing.
    let found = if name.is_empty() || name.contains(':') {
        None
    } else {
        let mut chown = program(job, "sw/bin/chown");
        match chown.args(["--", &argument, FILE]).status() {
            Ok(status) if status.success() => {
                let stat = fs::metadata(FILE).with_context(|| format!("reading {FILE}"))?;
                Some(match of {
                    Of::User => stat.uid(),
                    Of::Group => stat.gid(),
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
    let why = match File::open(table) {
        Ok(_) => String::new(),
        Err(error) => format!(" ({table}: {error})"),
    };
    bail!(
        "contents: the image has no {what} {} after its activation{why}; declare it in the \
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
