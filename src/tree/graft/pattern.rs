//! Shell patterns.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use regex::bytes::{Regex, RegexBuilder};

use crate::escape;

/// The paths that `pattern` matches, as bash expands an unquoted word in the C locale, sorted:
/// `*`, `?` and `[...]` within a name, `\` before a character that means itself. A leading dot is
/// only matched by a dot. `**` is `*`, and there are no braces. A pattern that ends in a slash
/// matches directories, and its matches end in one. A word in which every special character is
/// quoted stands for the path it quotes, which bash leaves as it is.
///
/// # Errors
/// If a directory can't be listed.
pub fn expand(pattern: &OsStr) -> Result<Vec<PathBuf>> {
    let pattern = pattern.as_bytes();
    let mut found = vec![if pattern.starts_with(b"/") {
        b"/".to_vec()
    } else {
        Vec::new()
    }];
    for component in pattern.split(|&byte| byte == b'/') {
        if component.is_empty() {
            continue;
        }
        let mut next = Vec::new();
        match matcher(component)? {
            None => next.extend(found.iter().map(|path| join(path, &literal(component)))),
            Some(matcher) => {
                for path in &found {
                    let names = names(path)?;
                    let matching = names
                        .iter()
                        .filter(|name| !name.starts_with(b".") || component.starts_with(b"."))
                        .filter(|name| matcher.is_match(name));
                    next.extend(matching.map(|name| join(path, name)));
                }
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
    let paths = found
        .into_iter()
        .map(|path| PathBuf::from(OsString::from_vec(path)));
    Ok(paths
        .filter(|path| fs::symlink_metadata(path).is_ok())
        .collect())
}

fn join(path: &[u8], name: &[u8]) -> Vec<u8> {
    let mut joined = path.to_vec();
    if !path.is_empty() && !path.ends_with(b"/") {
        joined.push(b'/');
    }
    joined.extend_from_slice(name);
    joined
}

/// The names in the directory `path`; none where it is no directory.
fn names(path: &[u8]) -> Result<Vec<Vec<u8>>> {
    let path = match path {
        b"" => Path::new("."),
        path => Path::new(OsStr::from_bytes(path)),
    };
    let list = || -> io::Result<Vec<Vec<u8>>> {
        fs::read_dir(path)?
            .map(|entry| Ok(entry?.file_name().into_vec()))
            .collect()
    };
    match list() {
        Ok(names) => Ok(names),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(Vec::new())
        }
        Err(error) => Err(error).with_context(|| format!("listing {}", escape::path(path))),
    }
}

/// `component` without the backslashes that quote.
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

/// What the names look like that `component` matches; `None` if it is no pattern.
fn matcher(component: &[u8]) -> Result<Option<Regex>> {
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
    RegexBuilder::new(&expression)
        .unicode(false)
        .dot_matches_new_line(true)
        .build()
        .map(Some)
        .with_context(|| format!("the pattern {}", escape::bytes(component)))
}

fn byte_expression(byte: u8) -> String {
    format!(r"\x{byte:02x}")
}

/// The bracket expression (POSIX, XCU 2.13.1) at the start of `text`, which comes after a `[`, and
/// the text behind it; `None` where no `]` ends it.
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
            // Writing to a String can't fail.
            let _ = write!(class, r"\x{byte:02x}-\x{last:02x}");
        } else {
            // A range that ends before it begins has nothing in it.
            class.push_str(r"[^\x00-\xff]");
        }
        rest = after;
    }
}

/// `alpha:]` and the like, as regular expressions write them.
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

    /// Names that a careless expansion gets wrong.
    const NAMES: [&[u8]; 16] = [
        b"a", b"b", b"ab", b"a b", b".a", b"a.conf", b"b.conf", b"[a]", b"a*", b"{a,b}", b"-a",
        b"a\nb", b"\xff", b"A", b"a\\b", b"]",
    ];

    #[test]
    fn patterns_match_what_bash_matches() {
        let top = tempfile::tempdir().unwrap();
        for directory in ["d", "e e", ".hidden"] {
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
            // Through a variable, without splitting words, as a builder's script does it.
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
                // Bash 5.1 finds `.` and `..`, bash 5.2 does not.
                .filter(|path| !path.ends_with(b"/.") && !path.ends_with(b"/.."))
                .collect();
            let found = expand(absolute.as_os_str()).unwrap();
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
    fn a_quoted_star_is_a_star() {
        let top = tempfile::tempdir().unwrap();
        fs::write(top.path().join("a*"), "").unwrap();
        fs::write(top.path().join("ab"), "").unwrap();
        let found = expand(top.path().join("a\\*").as_os_str()).unwrap();
        assert_eq!(found, [top.path().join("a*")]);
    }
}
