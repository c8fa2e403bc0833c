//! The paths in a module's text.

use std::collections::BTreeMap;

use super::source::{self, Module, Path};

/// A path in a module's text.
#[derive(Clone)]
pub struct Use {
    /// From the crate's root.
    pub path: Path,
    /// Its name in the module, if it is imported.
    name: Option<String>,
    /// Counted from 1.
    pub line: usize,
}

/// Returns each path in `module` that begins at the crate's root, at the module itself or above it,
/// and each import from its child modules.
pub fn uses(module: &Module, modules: &[Module]) -> Vec<Use> {
    let tokens = tokens(&module.text);
    let text = |at: usize| tokens.get(at).map_or("", |(token, _)| token);
    let mut found = Vec::new();
    let mut imports_until = 0;
    for at in 0..tokens.len() {
        if text(at) == "use" {
            let end = (at..tokens.len()).find(|&at| text(at) == ";");
            imports_until = end.unwrap_or(tokens.len());
        }
        let is_first = at == 0 || text(at - 1) != "::";
        if !is_first || text(at + 1) != "::" {
            continue;
        }
        let is_import = at > 0 && text(at - 1) == "use";
        let child = [&module.path[..], &[text(at).to_owned()]].concat();
        let begins = match text(at) {
            "crate" | "self" | "super" => true,
            _ => is_import && modules.iter().any(|it| it.path == child),
        };
        if begins {
            let mut paths = Vec::new();
            tree(&tokens, &mut { at }, &[], &mut paths);
            for (path, name) in paths {
                found.push(Use {
                    path: absolute(&module.path, &path),
                    name: (at < imports_until).then_some(name),
                    line: tokens[at].1,
                });
            }
        }
    }
    found
}

/// Reads the part of a path that begins at token `at`, including groups in braces.
fn tree(tokens: &[(&str, usize)], at: &mut usize, above: &[String], out: &mut Vec<(Path, String)>) {
    let text = |at: usize| tokens.get(at).map_or("", |(token, _)| token);
    let mut path = above.to_vec();
    loop {
        if text(*at) == "{" {
            *at += 1;
            while !matches!(text(*at), "}" | "") {
                tree(tokens, at, &path, out);
                if text(*at) == "," {
                    *at += 1;
                }
            }
            *at += 1;
            return;
        }
        path.push(text(*at).to_owned());
        *at += 1;
        if text(*at) != "::" || matches!(text(*at + 1), "<" | "") {
            break;
        }
        *at += 1;
    }
    let mut name = path.last().cloned().unwrap_or_default();
    if above.len() < path.len() && name == "self" && path.len() > 1 {
        path.pop();
        name = path.last().cloned().unwrap_or_default();
    }
    if text(*at) == "as" {
        name = text(*at + 1).to_owned();
        *at += 2;
    }
    out.push((path, name));
}

/// Returns `path`, as written in `module`, from the crate's root.
fn absolute(module: &[String], path: &[String]) -> Path {
    let mut absolute = module.to_vec();
    for (place, name) in path.iter().enumerate() {
        match name.as_str() {
            "crate" => absolute.clear(),
            "super" => _ = absolute.pop(),
            "self" if place == 0 => {}
            name => absolute.push(name.to_owned()),
        }
    }
    absolute
}

/// Returns the path of the item that `path` names, which may lead through imports.
pub fn origin(path: &Path, uses: &BTreeMap<Path, Vec<Use>>, modules: &[Module]) -> Path {
    let mut path = path.clone();
    // No path leads through more imports than this.
    for _ in 0..10 {
        let module = source::longest(modules, &path);
        let Some(name) = path.get(module.len()) else {
            break;
        };
        let is_it = |it: &&Use| it.name.as_ref() == Some(name);
        let Some(import) = uses[&module].iter().find(is_it) else {
            break;
        };
        path = [&import.path[..], &path[module.len() + 1..]].concat();
    }
    path
}

/// Splits `text` into words, `::` and single characters, each with its line number.
fn tokens(text: &str) -> Vec<(&str, usize)> {
    let mut tokens = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let is_word = |c: char| c.is_alphanumeric() || c == '_';
            let length = if rest.starts_with("::") {
                2
            } else if is_word(first) {
                rest.find(|c| !is_word(c)).unwrap_or(rest.len())
            } else {
                first.len_utf8()
            };
            let (token, after) = rest.split_at(length);
            tokens.push((token, number + 1));
            rest = after.trim_start();
        }
    }
    tokens
}

#[test]
fn finds_paths_in_every_notation() {
    let text = "use crate::{a::{self, B as C}, d};\npub(crate) use super::e::F;\nuse g::H;\n\
                fn f() -> crate::i::J { self::k::<crate::l::M>(super::super::N, other::O) }";
    let module = |path: &[&str], text: &str| Module {
        path: path.iter().map(|&name| name.to_owned()).collect(),
        file: String::new(),
        text: text.to_owned(),
    };
    let modules = [module(&["x", "y"], text), module(&["x", "y", "g"], "")];
    let found: Vec<String> = uses(&modules[0], &modules)
        .iter()
        .map(|it| {
            let name = it.name.as_deref().unwrap_or("-");
            format!("{} {} {name}", it.line, it.path.join("::"))
        })
        .collect();
    assert_eq!(
        found,
        [
            "1 a a",
            "1 a::B C",
            "1 d d",
            "2 x::e::F F",
            "3 x::y::g::H H",
            "4 i::J -",
            "4 x::y::k -",
            "4 l::M -",
            "4 N -",
        ]
    );
}
