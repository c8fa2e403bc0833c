//! What to load, and in which order.

use std::collections::HashMap;

use super::Modules;
use super::lists::normal;

/// What is left to do.
enum Step<'a> {
    /// Load the module of this name or alias, if there is one.
    Name(&'a str),
    /// Load the module of this index, and all that goes with it.
    Module(usize),
    /// Its turn has come.
    Load(usize),
}

impl Modules {
    /// The modules, as indices, that `requests` stand for, each after what it needs and after what
    /// it wants before it, where that is no circle. A request is a module's name or an alias, as
    /// the kernel asks modprobe(8) for it; one that is not known stands for nothing.
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
        // A stack and not recursion: a hostile list may be deeper than the thread's stack.
        let mut stack = Vec::new();
        for request in requests {
            let request = normal(request);
            match by_name.get(request.as_str()) {
                Some(index) => stack.push(Step::Module(*index)),
                None => stack.extend(self.meant(&request).map(Step::Module)),
            }
            while let Some(step) = stack.pop() {
                match step {
                    Step::Name(name) => match by_name.get(name) {
                        Some(index) => stack.push(Step::Module(*index)),
                        // Each name's modules once: they are all loaded then.
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

    /// The modules that the alias `request` stands for.
    fn meant<'a>(&'a self, request: &'a str) -> impl Iterator<Item = usize> + 'a {
        let aliases = self.aliases.iter().rev();
        aliases.filter_map(move |(pattern, index)| {
            matches(pattern.as_bytes(), request.as_bytes()).then_some(*index)
        })
    }
}

/// Whether `text` matches `pattern`, where `*` stands for any bytes, and `?` for any one. (Brackets
/// stand for themselves: only names of devices have them, which the kernel does not ask for.)
fn matches(mut pattern: &[u8], mut text: &[u8]) -> bool {
    // After the last star, and what it has not yet taken: going back further finds nothing new.
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
    fn patterns_match_as_fnmatch_has_it() {
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
