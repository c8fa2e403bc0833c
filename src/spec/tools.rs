//! The programs we run and their environment.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

use super::Tools;
use super::attributes::{self, Attributes, quoted, shown};
use super::problems::Problems;

/// `installs`: whether a NixOS will be installed.
pub(super) fn tools(
    top: &Attributes<'_>,
    installs: bool,
    problems: &mut Problems,
) -> Option<Tools> {
    let environment = environment(top, problems);
    let tools = top.object("tools", problems)?;
    let bash = tools.path("bash", problems);
    let mkfs_fat = tools.path("mkfsFat", problems);
    let nix_store = tools.path("nixStore", problems);
    let nixos_install = match installs {
        true => tools.path("nixosInstall", problems),
        false => None,
    };
    let qemu_img = tools.path("qemuImg", problems);
    let path = directories(&tools, problems);
    Some(Tools {
        bash: bash?,
        mkfs_fat: mkfs_fat?,
        nix_store: nix_store?,
        nixos_install,
        qemu_img: qemu_img?,
        path: path?,
        environment: environment?,
    })
}

fn directories(tools: &Attributes<'_>, problems: &mut Problems) -> Option<Vec<PathBuf>> {
    let list = tools.list("path", problems)?;
    let directories = list.iter().enumerate().map(|(index, value)| {
        let at = format!("{}[{index}]", tools.at("path"));
        let path = attributes::path(&at, value, problems)?;
        if path.to_string_lossy().contains(':') {
            problems.add(at, "has a colon in it, which separates directories in PATH");
            return None;
        }
        Some(path)
    });
    // Not collected at once: that would end at the first fault.
    let directories: Vec<Option<PathBuf>> = directories.collect();
    directories.into_iter().collect()
}

/// The attribute `env`; with it absent, nothing. stdenv exports true as 1, false and null as
/// nothing, and numbers in decimal.
fn environment(top: &Attributes<'_>, problems: &mut Problems) -> Option<BTreeMap<String, String>> {
    if top.optional("env").is_none() {
        return Some(BTreeMap::new());
    }
    let env = top.object("env", problems)?;
    let mut variables = BTreeMap::new();
    for (name, value) in env.iter() {
        if name.is_empty() || name.contains(['=', '\0']) {
            let message = format!("{} can't be the name of a variable", quoted(name));
            problems.add(env.at(name), message);
        }
        let value = match value {
            Value::String(text) if !text.contains('\0') => text.clone(),
            Value::Bool(true) => "1".to_owned(),
            Value::Bool(false) | Value::Null => String::new(),
            Value::Number(number) => number.to_string(),
            other => {
                let message = format!(
                    "{} can't be a variable's value; write a string",
                    shown(other)
                );
                problems.add(env.at(name), message);
                continue;
            }
        };
        variables.insert(name.to_owned(), value);
    }
    Some(variables)
}
