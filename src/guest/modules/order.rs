//! Which modules to load, and in which order.

use std::collections::HashMap;

use super::Modules;
use super::lists::normal;

/// A step that is left to do.
enum Step<'a> {
    /// Load the module with this name or alias, if it exists.
    Name(&'a str),
    /// Load the module with this index, and its dependencies.
    Module(usize),
    /// Load only this module: its dependencies are loaded.
    Load(usize),
}

impl Modules {
    /// Returns the indices of the modules that `requests` stand for, each after its dependencies and the
    /// modules that are to be loaded before it, unless they form a cycle. A request is the name or an
    /// alias of a module, as the kernel passes it to modprobe(8). Unknown requests are skipped.
    pub fn order(&self, requests: &[&str]) -> Vec<usize> {
        let mut by_name = HashMap::new();
        for (index, module) in self.modules.iter().enumerate() {
            by_name.entry(module.name.as_str()).or_insert(index);
        }
        let mut exact: HashMap<&str, Vec<usize>> = HashMap::new();
        for (alias, index) in &self.aliases {
            exact.entry(alias.as_str()).or_default().push(*index);
        }
        let mut order = Vec::new();
        let mut seen = vec![false; self.modules.len()];
        // Not recursive: a hostile list could overflow the thread's stack.
        let mut stack = Vec::new();
        for request in requests {
            let request = normal(request);
            match by_name.get(request.as_str()) {
                Some(index) => stack.push(Step::Module(*index)),
                None => stack.extend(self.matching(&request).map(Step::Module)),
            }
            while let Some(step) = stack.pop() {
                match step {
                    Step::Name(name) => match by_name.get(name) {
                        Some(index) => stack.push(Step::Module(*index)),
                        // An alias needs to be expanded only once: then all its modules are loaded.
                        None => stack.extend(
                            exact
                                .remove(name)
                                .into_iter()
                                .flatten()
                                .rev()
                                .map(Step::Module),
                        ),
                    },
                    Step::Module(index) => {
                        let Some(seen) = seen.get_mut(index) else {
                            continue;
                        };
                        let first = !std::mem::replace(seen, true);
                        if let Some(module) = self.modules.get(index).filter(|_| first) {
                            let name = |name| Step::Name(String::as_str(name));
                            stack.extend(module.after.iter().rev().map(name));
                            stack.push(Step::Load(index));
                            stack.extend(module.needs.iter().rev().copied().map(Step::Module));
                            stack.extend(module.before.iter().rev().map(name));
                        }
                    }
                    Step::Load(index) => order.push(index),
                }
            }
        }
        order
    }

    /// Returns the modules with an alias that matches `request`.
    fn matching<'a>(&'a self, request: &'a str) -> impl Iterator<Item = usize> + 'a {
        let aliases = self.aliases.iter().rev();
        aliases.filter_map(move |(pattern, index)| {
            matches(pattern.as_bytes(), request.as_bytes()).then_some(*index)
        })
    }
}

/// Returns whether `text` matches `pattern`, in which `*` stands for any bytes and `?` for any single
/// byte. (Brackets are literal: only names of devices have them, and the kernel does not request those.)
fn matches(mut pattern: &[u8], mut text: &[u8]) -> bool {
    // The pattern after the last star, and the text that the star has not matched yet. Backtracking to
    // an earlier star is never needed.
    let mut star = None;
    loop {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => return true,
            (Some((b'*', rest)), _) => {
                star = Some((rest, text));
                pattern = rest;
            }
            (Some((byte, rest)), Some((first, left))) if *byte == b'?' || byte == first => {
                (pattern, text) = (rest, left);
            }
            _ => {
                let Some((rest, [_, left @ ..])) = star else {
                    return false;
                };
                star = Some((rest, left));
                (pattern, text) = (rest, left);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn patterns_match_as_in_fnmatch() {
        for (pattern, text, expected) in [
            ("fs_erofs", "fs_erofs", true),
            ("fs_erofs", "fs_erof", false),
            ("fs_erof", "fs_erofs", false),
            ("block_major_7_*", "block_major_7_12", true),
            ("block_major_7_*", "block_major_7_", true),
            ("block_major_7_*", "block_major_71_0", false),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b", "abab", true),
            ("*a*b", "abac", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("", "", true),
            ("*", "", true),
            ("[a]", "a", false),
        ] {
            let found = super::matches(pattern.as_bytes(), text.as_bytes());
            assert_eq!(found, expected, "{pattern} {text}");
        }
    }
}
