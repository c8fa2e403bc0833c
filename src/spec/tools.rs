//! The programs that the build runs, and their environment.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

use super::attributes::{Attributes, each, path, quoted, shown};
use super::overrides::refused;
use super::problems::{Problems, Read};
use super::{FileSystemKind, Format, Tools};

pub(super) fn tools(
    top: &Attributes<'_>,
    only_nix_store: Read<bool>,
    format: &Read<Format>,
    kind: &Read<FileSystemKind>,
    problems: &mut Problems,
) -> Read<Tools> {
    let environment = environment(top, problems);
    let tools = top.object("tools", problems);
    let bash = tools.required("bash", path, problems);
    let mkfs_fat = tools.required("mkfsFat", path, problems);
    let nix_store = tools.required("nixStore", path, problems);
    let nixos_install = match only_nix_store {
        Ok(true) => Ok(None),
        Ok(false) => tools.required("nixosInstall", path, problems).map(Some),
        Err(noted) => Err(noted),
    };
    let qemu_img = match format {
        Ok(Format::Other(_)) => tools.required("qemuImg", path, problems).map(Some),
        Ok(_) => Ok(None),
        Err(noted) => Err(*noted),
    };
    let sqfstar = match kind {
        Ok(FileSystemKind::Squashfs(_)) => tools.required("sqfstar", path, problems).map(Some),
        Ok(_) => Ok(None),
        Err(noted) => Err(*noted),
    };
    let path = tools.required("path", each(directory), problems);
    Ok(Tools {
        bash: bash?,
        mkfs_fat: mkfs_fat?,
        nix_store: nix_store?,
        nixos_install: nixos_install?,
        qemu_img: qemu_img?,
        sqfstar: sqfstar?,
        path: path?,
        environment: environment?,
    })
}

/// Reads a directory for `PATH`.
fn directory(at: &str, value: &Value, problems: &mut Problems) -> Read<PathBuf> {
    let path = path(at, value, problems)?;
    if path.as_os_str().as_encoded_bytes().contains(&b':') {
        let message = "contains a colon, which separates directories in PATH";
        return Err(problems.add(at, message));
    }
    Ok(path)
}

/// Reads the attribute `env`, which may be missing.
fn environment(top: &Attributes<'_>, problems: &mut Problems) -> Read<BTreeMap<String, String>> {
    if !top.has("env") {
        return Ok(BTreeMap::new());
    }
    let env = top.object("env", problems);
    let variables: Vec<Read<(String, String)>> = env
        .entries()?
        .into_iter()
        .map(|(name, value)| variable(&env.at(name), name, value, problems))
        .collect();
    variables.into_iter().collect()
}

/// Like stdenv, this converts true to 1, false and null to the empty string, and numbers to
/// decimal.
fn variable(
    at: &str,
    name: &str,
    value: &Value,
    problems: &mut Problems,
) -> Read<(String, String)> {
    if name.is_empty() || name.contains(['=', '\0']) {
        let message = format!("{} is not a valid variable name", quoted(name));
        return Err(problems.add(at, message));
    }
    // In nixpkgs of 2026, variables of the derivation are in env.
    if let Some(message) = refused(name).filter(|_| !value.is_null()) {
        return Err(problems.add(at, message));
    }
    let value = match value {
        Value::String(text) if !text.contains('\0') => text.clone(),
        Value::Bool(true) => "1".to_owned(),
        Value::Bool(false) | Value::Null => String::new(),
        Value::Number(number) => number.to_string(),
        other => {
            let message = format!(
                "{} is not a valid variable value; use a string",
                shown(other)
            );
            return Err(problems.add(at, message));
        }
    };
    Ok((name.to_owned(), value))
}
