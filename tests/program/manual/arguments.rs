//! docs/arguments.md has every argument of the function, with its default.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::common::read_from_repository;
use crate::eval::nix::Nix;

/// A section about an argument.
struct Section {
    name: String,
    /// The cells of its table: type, default, and what nixpkgs' function does.
    cells: [String; 3],
    text: String,
}

fn sections() -> Vec<Section> {
    let page = read_from_repository("docs/arguments.md");
    let sections = page.split("\n## ").skip(1);
    let section = |text: &str| {
        let name = text.lines().next().unwrap().to_owned();
        let row = text
            .lines()
            .skip_while(|line| !line.starts_with("|---"))
            .nth(1);
        let row = row.unwrap_or_else(|| panic!("{name} has no table"));
        let cells: Vec<String> = row
            .trim_matches('|')
            .split(" | ")
            .map(|cell| cell.trim().to_owned())
            .collect();
        Section {
            cells: cells
                .try_into()
                .unwrap_or_else(|cells| panic!("{name}: {cells:?}")),
            text: text.to_owned(),
            name,
        }
    };
    sections.map(section).collect()
}

/// The text of each default in nix/make-disk-image.nix.
fn defaults() -> BTreeMap<String, String> {
    let source = read_from_repository("nix/make-disk-image.nix");
    let (_, rest) = source.split_once("\n{\n").unwrap();
    let (head, _) = rest.split_once("\n}:\n").unwrap();
    let mut defaults: BTreeMap<String, String> = BTreeMap::new();
    let mut current: Option<String> = None;
    for line in head
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
    {
        let is_argument = line.starts_with("  ") && !line.starts_with("   ");
        match line.trim().split_once(" ?") {
            Some((name, value)) if is_argument => {
                current = Some(name.to_owned());
                defaults.insert(name.to_owned(), value.trim().to_owned());
            }
            _ => {
                if let Some(value) = current.as_ref().and_then(|name| defaults.get_mut(name)) {
                    value.push(' ');
                    value.push_str(line.trim());
                }
            }
        }
    }
    for value in defaults.values_mut() {
        *value = value.trim().trim_end_matches(',').to_owned();
    }
    defaults
}

#[test]
fn the_manual_has_every_argument() {
    let names = Nix::new().eval("builtins.functionArgs make-disk-image");
    let names: BTreeSet<String> = names.as_object().unwrap().keys().cloned().collect();
    let documented: Vec<String> = sections().into_iter().map(|section| section.name).collect();
    let unique: BTreeSet<String> = documented.iter().cloned().collect();
    assert_eq!(documented.len(), unique.len());
    assert_eq!(unique, names);
}

#[test]
fn the_manual_has_the_defaults() {
    let optional = Nix::new().eval("builtins.functionArgs make-disk-image");
    let defaults = defaults();
    for Section { name, cells, .. } in sections() {
        let [_, documented, _] = cells;
        if optional[&name] == Value::Bool(false) {
            assert_eq!(documented, "required", "{name}");
            continue;
        }
        let source = &defaults[&name];
        // A default that depends on something is described in words.
        match source.contains("if ") || source.contains("let ") || source.contains("callPackage") {
            true => assert!(!documented.is_empty(), "{name}"),
            false => assert_eq!(documented, format!("`{source}`"), "{name}"),
        }
    }
}

#[test]
fn every_argument_has_a_type_an_example_and_a_comparison() {
    for Section { name, cells, text } in sections() {
        assert!(
            cells.iter().all(|cell| !cell.is_empty()),
            "{name}: {cells:?}"
        );
        let examples = text.split("```nix,arguments\n").skip(1);
        let uses = |example: &str| example.contains(&format!("{name} ="));
        assert!(examples.clone().any(uses), "{name} has no example");
    }
}
