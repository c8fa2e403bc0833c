//! The closure of an image that has not been built: what Nix knows about the paths.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

use super::derivation;
use crate::escape;

/// Adds the attribute `closure`, in the form of `exportReferencesGraph`.
///
/// # Errors
/// If Nix does not know the closure, or is not installed.
pub fn add(mut attributes: Value) -> Result<Value> {
    let store = attributes
        .pointer("/image/storeDir")
        .and_then(Value::as_str);
    let store = store.unwrap_or("/nix/store").to_owned();
    let known = query(&derivation::roots(&attributes)?)?;
    let entries = match &known {
        Value::Array(list) => list.iter().map(|info| (None, info)).collect(),
        // Nix 2.33 and later have another level.
        Value::Object(map) => named(map.get("info").and_then(Value::as_object).unwrap_or(map)),
        _ => Vec::new(),
    };
    let closure: Result<Vec<Value>> = entries
        .into_iter()
        .map(|(name, info)| entry(name, info, &store))
        .collect();
    attributes["closure"] = Value::Array(closure?);
    Ok(attributes)
}

/// Returns what `nix path-info` prints for the closure of `roots`.
fn query(roots: &[&str]) -> Result<Value> {
    let mut nix = Command::new("nix");
    nix.args(["--extra-experimental-features", "nix-command"])
        .args(["path-info", "--json", "--recursive"])
        .args(roots)
        .stdin(Stdio::null());
    let output = nix
        .output()
        .context("starting nix, which knows the closure of the image")?;
    if !output.status.success() {
        let said: Vec<String> = output
            .stderr
            .split(|&byte| byte == b'\n')
            .map(escape::bytes)
            .collect();
        bail!(
            "the closure of the image is not on this machine: build or download the system first, or \
             plan from the .attrs.json of a build; nix path-info says:\n{}",
            said.join("\n").trim_end()
        );
    }
    serde_json::from_slice(&output.stdout).context("reading the output of nix path-info")
}

fn named(map: &Map<String, Value>) -> Vec<(Option<&str>, &Value)> {
    map.iter()
        .map(|(name, info)| (Some(name.as_str()), info))
        .collect()
}

/// Returns an entry of `exportReferencesGraph` for a path.
fn entry(name: Option<&str>, info: &Value, store: &str) -> Result<Value> {
    let name = name.or_else(|| info["path"].as_str());
    let name = name.context("nix path-info describes a path without its name")?;
    let references = info["references"].as_array().into_iter().flatten();
    let references: Vec<String> = references
        .filter_map(|path| Some(derivation::absolute(path.as_str()?, store)))
        .collect();
    Ok(json!({
        "path": derivation::absolute(name, store),
        "narHash": info["narHash"],
        "narSize": info["narSize"],
        "references": references,
        "ca": info["ca"].as_str(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_path_infos_of_every_version() {
        let path = "/nix/store/a-b";
        for (name, info) in [
            (
                None,
                json!({ "path": path, "references": [path], "narSize": 5 }),
            ),
            (Some(path), json!({ "references": [path], "narSize": 5 })),
            (
                Some("a-b"),
                json!({ "references": ["a-b"], "narSize": 5, "ca": null }),
            ),
        ] {
            let entry = entry(name, &info, "/nix/store").unwrap();
            assert_eq!(entry["path"], path);
            assert_eq!(entry["references"], json!([path]));
            assert_eq!(entry["narSize"], 5);
            assert!(entry["ca"].is_null());
        }
        assert!(entry(None, &json!({}), "/nix/store").is_err());
    }
}
