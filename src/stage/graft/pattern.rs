//! Shell patterns.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use regex::bytes::{Regex, RegexBuilder};

use crate::{absent, escape};

/// The matches of a pattern.
pub enum Matches {
    /// These paths, which exist, sorted by their bytes.
    Paths(Vec<PathBuf>),
    /// All entries of these directories whose names match the pattern. They are not listed here,
    /// because a million names would take much memory. Entries are ordered by directory, in the
    /// order given here, and then by name.
    Entries(Vec<PathBuf>, NamePattern),
}

/// One component of a pattern.
pub struct NamePattern {
    expression: Regex,
    /// Whether names with a leading dot can match.
    hidden: bool,
}

impl NamePattern {
    /// Whether `name` matches.
    pub fn matches(&self, name: &[u8]) -> bool {
        (self.hidden || !name.starts_with(b".")) && self.expression.is_match(name)
    }
}

/// Returns the sorted paths that `pattern` matches, as bash expands an unquoted word in the C
/// locale: `*`, `?` and `[...]` within a name, and `\` to quote a character. Only a dot matches a
/// leading dot. `**` is the same as `*`, and braces are not expanded. A pattern that ends in a
/// slash matches directories, and its matches end in a slash. If every special character is quoted,
/// the result is the unquoted path, which bash would leave quoted.
///
/// # Errors
/// If a directory cannot be listed.
pub fn expand(pattern: &OsStr) -> Result<Matches> {
    let pattern = pattern.as_bytes();
    let mut found = vec![if pattern.starts_with(b"/") {
        b"/".to_vec()
    } else {
        Vec::new()
    }];
    let components = pattern.split(|&byte| byte == b'/');
    let mut components = components
        .filter(|component| !component.is_empty())
        .peekable();
    while let Some(component) = components.next() {
        let Some(wanted) = name_pattern(component)? else {
            let name = literal(component);
            for path in &mut found {
                join(path, &name);
            }
            continue;
        };
        if components.peek().is_none() && !pattern.ends_with(b"/") {
            return Ok(entries(found, wanted));
        }
        let mut next = Vec::new();
        for path in &found {
            for name in names(path)?.iter().filter(|name| wanted.matches(name)) {
                let mut path = path.clone();
                join(&mut path, name);
                next.push(path);
            }
        }
        found = next;
    }
    if pattern.ends_with(b"/") {
        for path in &mut found {
            path.push(b'/');
        }
    }
    found.sort_unstable();
    let mut paths = into_paths(found);
    paths.retain(|path| fs::symlink_metadata(path).is_ok());
    Ok(Matches::Paths(paths))
}

/// Drops those of `directories` that are not directories, and sorts the others.
fn entries(mut directories: Vec<Vec<u8>>, wanted: NamePattern) -> Matches {
    // Entries sort like their directories with the slash appended.
    for path in &mut directories {
        if path.is_empty() {
            path.push(b'.');
        }
        if !path.ends_with(b"/") {
            path.push(b'/');
        }
    }
    directories.sort_unstable();
    let mut directories = into_paths(directories);
    directories.retain(|path| fs::metadata(path).is_ok_and(|found| found.is_dir()));
    Matches::Entries(directories, wanted)
}

fn into_paths(paths: Vec<Vec<u8>>) -> Vec<PathBuf> {
    let path = |bytes| PathBuf::from(OsString::from_vec(bytes));
    paths.into_iter().map(path).collect()
}

fn join(path: &mut Vec<u8>, name: &[u8]) {
    if !path.is_empty() && !path.ends_with(b"/") {
        path.push(b'/');
    }
    path.extend_from_slice(name);
}

/// Returns the names in the directory `path`; empty if it is not a directory.
fn names(path: &[u8]) -> Result<Vec<Vec<u8>>> {
    let path = match path {
        b"" => Path::new("."),
        path => Path::new(OsStr::from_bytes(path)),
    };
    let names = absent::names(path).with_context(|| format!("listing {}", escape::path(path)))?;
    Ok(names.into_iter().map(OsString::into_vec).collect())
}

/// Removes the quoting backslashes from `component`.
fn literal(component: &[u8]) -> Vec<u8> {
    let mut bytes = component.iter();
    let mut plain = Vec::new();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'\\' => plain.push(*bytes.next().unwrap_or(&b'\\')),
            byte => plain.push(byte),
        }
    }
    plain
}

/// Compiles `component`; returns `None` if it is not a pattern.
fn name_pattern(component: &[u8]) -> Result<Option<NamePattern>> {
    let mut expression = String::from(r"\A");
    let mut is_pattern = false;
    let mut rest = component;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'*' => expression.push_str(".*"),
            b'?' => expression.push('.'),
            b'[' => match brackets(after) {
                Some((class, after)) => {
                    expression.push_str(&class);
                    rest = after;
                }
                None => {
                    expression.push_str(&byte_expression(byte));
                    continue;
                }
            },
            b'\\' => {
                let (quoted, after) = after.split_first().unwrap_or((&b'\\', after));
                expression.push_str(&byte_expression(*quoted));
                rest = after;
                continue;
            }
            byte => {
                expression.push_str(&byte_expression(byte));
                continue;
            }
        }
        is_pattern = true;
    }
    expression.push_str(r"\z");
    if !is_pattern {
        return Ok(None);
    }
    let expression = RegexBuilder::new(&expression)
        .unicode(false)
        .dot_matches_new_line(true)
        .build()
        .with_context(|| format!("compiling the pattern {}", escape::bytes(component)))?;
    Ok(Some(NamePattern {
        expression,
        hidden: component.starts_with(b"."),
    }))
}

fn byte_expression(byte: u8) -> String {
    format!(r"\x{byte:02x}")
}

/// Parses a bracket expression (POSIX, XCU 2.13.1). `text` starts after the `[`. Returns the
/// regular expression and the remaining text; `None` if the closing `]` is missing.
fn brackets(text: &[u8]) -> Option<(String, &[u8])> {
    let (negated, mut rest) = match text {
        [b'!' | b'^', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let mut class = String::from(if negated { "[^" } else { "[" });
    let mut first = true;
    loop {
        let (byte, after) = match rest {
            [b']', after @ ..] if !first => {
                class.push(']');
                return Some((class, after));
            }
            [b'[', b':', named @ ..] if let Some((name, after)) = named_class(named) => {
                class.push_str(&name);
                (rest, first) = (after, false);
                continue;
            }
            [b'\\', byte, after @ ..] | [byte, after @ ..] => (*byte, after),
            [] => return None,
        };
        first = false;
        let (last, after) = match after {
            [b'-', b'\\', last, after @ ..] => (*last, after),
            [b'-', last, after @ ..] if *last != b']' => (*last, after),
            after => (byte, after),
        };
        if byte <= last {
            // Writing to a String cannot fail.
            let _ = write!(class, r"\x{byte:02x}-\x{last:02x}");
        } else {
            // A range that ends before it begins is empty.
            class.push_str(r"[^\x00-\xff]");
        }
        rest = after;
    }
}

/// Parses a named class such as `alpha:]` into the syntax of regular expressions.
fn named_class(text: &[u8]) -> Option<(String, &[u8])> {
    const NAMES: [&str; 12] = [
        "alnum", "alpha", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space",
        "upper", "xdigit",
    ];
    NAMES.iter().find_map(|name| {
        let after = text.strip_prefix(name.as_bytes())?.strip_prefix(b":]")?;
        Some((format!("[:{name}:]"), after))
    })
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Names that a careless implementation gets wrong.
    const NAMES: [&[u8]; 16] = [
        b"a", b"b", b"ab", b"a b", b".a", b"a.conf", b"b.conf", b"[a]", b"a*", b"{a,b}", b"-a",
        b"a\nb", b"\xff", b"A", b"a\\b", b"]",
    ];

    /// All paths, in the documented order.
    fn listed(matches: Matches) -> Vec<PathBuf> {
        let (directories, wanted) = match matches {
            Matches::Paths(paths) => return paths,
            Matches::Entries(directories, wanted) => (directories, wanted),
        };
        let entries = directories.iter().flat_map(|directory| {
            let mut names = names(directory.as_os_str().as_bytes()).unwrap();
            names.retain(|name| wanted.matches(name));
            names
                .into_iter()
                .map(|name| directory.join(OsStr::from_bytes(&name)))
        });
        entries.collect()
    }

    #[test]
    fn patterns_match_like_bash() {
        let top = tempfile::tempdir().unwrap();
        for directory in ["d", "d-", "e e", ".hidden"] {
            fs::create_dir(top.path().join(directory)).unwrap();
            for name in NAMES {
                let path = top.path().join(directory).join(OsStr::from_bytes(name));
                fs::write(path, "").unwrap();
            }
        }
        std::os::unix::fs::symlink("gone", top.path().join("dangling")).unwrap();
        std::os::unix::fs::symlink("d", top.path().join("linked")).unwrap();
        for pattern in [
            "d/*",
            "d/.*",
            "d/a*",
            "d/*a",
            "d/?",
            "d/*.conf",
            "*/a",
            "*/a b",
            "*",
            "*/",
            "*/*",
            "d/**",
            "d/[ab]",
            "d/[!ab]",
            "d/[^ab]",
            "d/[a-b]*",
            "d/[[:upper:]]*",
            "d/[]]*",
            "d/[a*",
            "d/\\**",
            "d/*\\*",
            "d/{a,b}*",
            "d/-*",
            "d//*",
            "d/*/",
            "d/*/x",
            "none/*",
            "d/[b-a]*",
            "d/[a\\-z]*",
            "linked/*f",
            "d/[]-a]*",
            "d/[!]a]*",
            "*/[a]",
            "d/[.]*",
        ] {
            let absolute = top.path().join(pattern);
            // Through a variable, without word splitting, as in a builder's script.
            let bash = Command::new("bash")
                .args([
                    "-c",
                    "IFS=; shopt -s nullglob; p=$1; printf '%s\\0' $p",
                    "-",
                ])
                .arg(&absolute)
                .env("LC_ALL", "C")
                .output()
                .unwrap();
            let expected: Vec<&[u8]> = bash
                .stdout
                .split(|&byte| byte == 0)
                .filter(|path| !path.is_empty())
                // Bash 5.1 matches `.` and `..`; bash 5.2 does not.
                .filter(|path| !path.ends_with(b"/.") && !path.ends_with(b"/.."))
                .collect();
            let found = listed(expand(absolute.as_os_str()).unwrap());
            let found: Vec<&[u8]> = found
                .iter()
                .map(|path| path.as_os_str().as_bytes())
                .collect();
            let slashes = |paths: &[&[u8]]| -> Vec<String> {
                paths
                    .iter()
                    .map(|path| escape::bytes(path).replace("//", "/"))
                    .collect()
            };
            assert_eq!(slashes(&found), slashes(&expected), "{pattern}");
        }
    }

    #[test]
    fn a_quoted_star_matches_a_star() {
        let top = tempfile::tempdir().unwrap();
        fs::write(top.path().join("a*"), "").unwrap();
        fs::write(top.path().join("ab"), "").unwrap();
        let found = listed(expand(top.path().join("a\\*").as_os_str()).unwrap());
        assert_eq!(found, [top.path().join("a*")]);
    }
}
