//! Parses the lists that depmod(8) writes.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::{Module, Modules, Node};
use crate::escape;

/// The file name extensions of modules.
const ENDS: [&str; 4] = [".ko", ".ko.xz", ".ko.zst", ".ko.gz"];

impl Modules {
    /// Parses the lists `modules.dep` (modules.dep(5)), `modules.alias`, `modules.softdep` and
    /// `modules.devname`. Time and memory are linear in their length. Aliases and soft dependencies of
    /// modules that are not in `modules.dep` are skipped.
    ///
    /// # Errors
    /// If a line is malformed, or names a file outside the directory.
    pub fn parse(dependencies: &str, aliases: &str, soft: &str, nodes: &str) -> Result<Modules> {
        let (modules, by_name) = of_dependencies(dependencies).context("modules.dep")?;
        let mut all = Modules {
            modules,
            aliases: of_aliases(aliases, &by_name).context("modules.alias")?,
            nodes: of_nodes(nodes).context("modules.devname")?,
        };
        for words in lines(soft) {
            let [_, name, rest @ ..] = words.as_slice() else {
                continue;
            };
            let module = by_name.get(&normal(name)).copied();
            if let Some(module) = module.and_then(|index| all.modules.get_mut(index))
                && words.first() == Some(&"softdep")
            {
                soft_dependencies(module, rest);
            }
        }
        Ok(all)
    }
}

/// Returns the words of each line, without comment lines.
fn lines(text: &str) -> impl Iterator<Item = Vec<&str>> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split_whitespace().collect())
}

/// Returns the normalized form of a name, in which the kernel writes `-` as `_`.
pub(super) fn normal(name: &str) -> String {
    name.replace('-', "_")
}

fn of_dependencies(text: &str) -> Result<(Vec<Module>, HashMap<String, usize>)> {
    let mut modules = Vec::new();
    let mut by_file = HashMap::new();
    for line in text.lines() {
        let Some((file, _)) = line.split_once(':') else {
            ensure!(
                line.trim().is_empty(),
                "the line {} has no colon",
                escape::bytes(line.as_bytes())
            );
            continue;
        };
        add(file.trim(), &mut modules, &mut by_file)?;
    }
    for line in text.lines() {
        let Some((file, needs)) = line.split_once(':') else {
            continue;
        };
        let index = add(file.trim(), &mut modules, &mut by_file)?;
        // The list includes indirect dependencies. The module to load first is the last one.
        let needs: Result<Vec<usize>> = needs
            .split_whitespace()
            .rev()
            .map(|need| add(need, &mut modules, &mut by_file))
            .collect();
        if let Some(module) = modules.get_mut(index) {
            module.needs = needs?;
        }
    }
    let mut by_name = HashMap::new();
    for (index, module) in modules.iter().enumerate() {
        by_name.entry(module.name.clone()).or_insert(index);
    }
    Ok((modules, by_name))
}

/// Returns the index of the module in `file`, and adds the module if it is new.
fn add<'a>(
    file: &'a str,
    modules: &mut Vec<Module>,
    by_file: &mut HashMap<&'a str, usize>,
) -> Result<usize> {
    if let Some(index) = by_file.get(file) {
        return Ok(*index);
    }
    let path = Path::new(file);
    let inside = path
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    ensure!(
        inside,
        "{} is not a path below the directory of the list",
        escape::path(path)
    );
    let base = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let Some(name) = ENDS.iter().find_map(|end| base.strip_suffix(end)) else {
        bail!(
            "{} is not a kernel module: expected a name that ends with one of {}",
            escape::path(path),
            ENDS.join(", ")
        );
    };
    let index = modules.len();
    modules.push(Module {
        name: normal(name),
        file: path.to_owned(),
        ..Module::default()
    });
    by_file.insert(file, index);
    Ok(index)
}

fn of_aliases(text: &str, by_name: &HashMap<String, usize>) -> Result<Vec<(String, usize)>> {
    let mut aliases = Vec::new();
    for words in lines(text) {
        match words.as_slice() {
            [] => {}
            ["alias", pattern, module] => {
                if let Some(index) = by_name.get(&normal(module)) {
                    aliases.push((normal(pattern), *index));
                }
            }
            // An alias with spaces. It may name a device, but the kernel never requests one.
            ["alias", _, _, ..] => {}
            other => bail!(
                "the line {} is not an alias",
                escape::bytes(other.join(" ").as_bytes())
            ),
        }
    }
    Ok(aliases)
}

/// Parses the words after `softdep NAME`: the names that follow `pre:` and `post:`.
fn soft_dependencies(module: &mut Module, words: &[&str]) {
    let mut list = None;
    for word in words {
        match *word {
            "pre:" => list = Some(&mut module.before),
            "post:" => list = Some(&mut module.after),
            name => {
                if let Some(list) = &mut list {
                    list.push(normal(name));
                }
            }
        }
    }
}

/// Parses lines of a module, a path below `/dev`, and `c` or `b` with the device numbers.
fn of_nodes(text: &str) -> Result<Vec<Node>> {
    let mut nodes = Vec::new();
    for words in lines(text) {
        if words.is_empty() {
            continue;
        }
        let node = node(&words);
        let line = || {
            format!(
                "the line {} is not a device node",
                escape::bytes(words.join(" ").as_bytes())
            )
        };
        nodes.push(node.with_context(line)?);
    }
    Ok(nodes)
}

fn node(words: &[&str]) -> Option<Node> {
    let [_, path, device] = words else {
        return None;
    };
    let path = PathBuf::from(path);
    let mut parts = path.components();
    let inside = parts.all(|part| matches!(part, Component::Normal(_)));
    let (character, numbers) = match device.split_at_checked(1)? {
        ("c", numbers) => (true, numbers),
        ("b", numbers) => (false, numbers),
        _ => return None,
    };
    let (major, minor) = numbers.split_once(':')?;
    let (major, minor) = (major.parse().ok()?, minor.parse().ok()?);
    inside.then_some(Node {
        path,
        character,
        major,
        minor,
    })
}
