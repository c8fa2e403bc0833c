//! docs/module.md lists the options of nix/module.nix, generated from it. `UPDATE_GOLDENS=1` writes
//! the list.

use std::fmt::Write as _;
use std::fs;

use serde_json::Value;

use crate::common::repository;
use crate::eval::nix::Nix;

const BEGIN: &str = "<!-- The rest is generated from nix/module.nix. -->\n";

/// The options, from the module itself.
fn options() -> Value {
    Nix::new().eval(
        "(import module { inherit lib pkgs; config = { }; modulesPath = \"\"; }).options.image",
    )
}

/// A type in words.
fn kind(option: &Value) -> String {
    match option["type"]["name"].as_str().unwrap() {
        "str" => "string".to_owned(),
        "enum" => {
            let values = option["type"]["values"].as_array().unwrap();
            let values: Vec<String> = values.iter().map(|value| format!("`{value}`")).collect();
            format!("one of {}", values.join(", "))
        }
        "attrsOf" => "attribute set".to_owned(),
        other => panic!("the type {other} has no name in the manual"),
    }
}

/// A value in the syntax of Nix.
fn nix(value: &Value) -> String {
    match value {
        Value::Array(items) if items.is_empty() => "[ ]".to_owned(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(nix).collect();
            format!("[ {} ]", items.join(" "))
        }
        Value::Object(members) if members.is_empty() => "{ }".to_owned(),
        Value::Object(members) => {
            let members = members
                .iter()
                .map(|(name, value)| format!("{name} = {};", nix(value)));
            format!("{{ {} }}", members.collect::<Vec<_>>().join(" "))
        }
        other => other.to_string(),
    }
}

fn generated() -> String {
    let mut text = String::new();
    for (name, option) in options().as_object().unwrap() {
        let _ = writeln!(text, "\n## image.{name}\n");
        let _ = writeln!(text, "{}\n", option["description"].as_str().unwrap());
        let _ = writeln!(text, "- Type: {}", kind(option));
        let _ = writeln!(text, "- Default: `{}`", nix(&option["default"]));
        if let Some(example) = option.get("example") {
            let _ = writeln!(text, "- Example: `{}`", nix(example));
        }
    }
    text
}

#[test]
fn the_manual_has_the_options_of_the_module() {
    let path = repository().join("docs/module.md");
    let page = fs::read_to_string(&path).unwrap();
    let (head, _) = page.split_once(BEGIN).unwrap();
    let want = format!("{head}{BEGIN}{}", generated());
    if std::env::var_os("UPDATE_GOLDENS").is_some() {
        fs::write(&path, &want).unwrap();
    }
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        want,
        "run it with UPDATE_GOLDENS=1"
    );
}
