//! The modules of this crate, from its source files.

use std::fs;
use std::path;

/// The names from the crate's root to a module or an item.
pub type Path = Vec<String>;

/// A module without its tests.
pub struct Module {
    pub path: Path,
    /// Relative to the crate.
    pub file: String,
    /// The text without comments, with the same line numbers as the file.
    pub text: String,
}

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Returns all modules that are not tests.
pub fn modules() -> Vec<Module> {
    let mut modules = Vec::new();
    let sources = path::Path::new(ROOT).join("src");
    for entry in walkdir::WalkDir::new(&sources).sort_by_file_name() {
        let entry = entry.unwrap();
        let Some(file) = entry.path().to_str().unwrap().strip_suffix(".rs") else {
            continue;
        };
        let below = file.strip_prefix(sources.to_str().unwrap()).unwrap();
        let mut path: Path = below.split('/').skip(1).map(str::to_owned).collect();
        if path.iter().any(|name| name == "tests") {
            continue;
        }
        if matches!(path.last().map(String::as_str), Some("mod" | "lib")) {
            path.pop();
        }
        modules.push(Module {
            path,
            file: format!("src{below}.rs"),
            text: code(&fs::read_to_string(entry.path()).unwrap()),
        });
    }
    assert!(modules.len() > 100, "only {} modules found", modules.len());
    modules
}

/// Returns `text` without comments and without the tests at its end.
fn code(text: &str) -> String {
    let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    let lines = text[..end].lines();
    let lines = lines.map(|line| line.split_once("//").map_or(line, |(code, _)| code));
    lines.collect::<Vec<_>>().join("\n")
}

/// Returns the names of the library's modules in the order of `lib.rs`.
pub fn order() -> Vec<String> {
    let text = read("src/lib.rs");
    let names = text.lines().filter_map(|line| {
        let name = line.strip_prefix("pub ").unwrap_or(line);
        name.strip_prefix("mod ")?.strip_suffix(';')
    });
    let names = names.filter(|name| *name != "tests");
    names.map(str::to_owned).collect()
}

/// Returns the names in the table of modules in `docs/architecture.md`.
pub fn documented() -> Vec<String> {
    let text = read("docs/architecture.md");
    let (_, table) = text.split_once("| modules | contents |\n").unwrap();
    let rows = table.lines().take_while(|line| line.starts_with('|'));
    let names = rows.flat_map(|row| row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2));
    names.map(str::to_owned).collect()
}

fn read(file: &str) -> String {
    fs::read_to_string(path::Path::new(ROOT).join(file)).unwrap()
}

/// Returns the longest prefix of `path` that is a module.
pub fn longest(modules: &[Module], path: &Path) -> Path {
    let is_module = |length: &usize| modules.iter().any(|it| it.path == path[..*length]);
    let length = (0..=path.len()).rev().find(is_module).unwrap_or(0);
    path[..length].to_vec()
}
