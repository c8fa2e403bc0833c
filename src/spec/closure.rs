//! The closure, as Nix writes it for `exportReferencesGraph` (Nix manual, "Advanced Attributes").

use std::collections::HashSet;

use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};
use serde_json::Value;

use super::attributes::{self, Attributes, number, quoted, shown};
use super::problems::Problems;
use super::{PathInfo, StorePath};

/// The attribute that holds the graph; nix/make-disk-image.nix calls it so.
const GRAPH: &str = "closure";

const REPAIR: &str = "the registration is damaged: run \
                      \"nix-store --verify --check-contents --repair\" where the image is built";

/// What is known of the closure.
pub(super) struct Closure {
    /// Every path, sorted; `None` where something is wrong with one of them.
    pub(super) paths: Option<Vec<PathInfo>>,
    listed: HashSet<String>,
}

impl Closure {
    /// Notes a path that should be in the closure and is not.
    pub(super) fn require(&self, at: &str, path: &StorePath, problems: &mut Problems) {
        if !self.listed.contains(path.as_str()) {
            problems.add(
                at,
                format!("{path} is not in the closure; add it to exportReferencesGraph.{GRAPH}"),
            );
        }
    }
}

pub(super) fn closure(
    top: &Attributes<'_>,
    store_dir: &str,
    problems: &mut Problems,
) -> Option<Closure> {
    let entries = top.list(GRAPH, problems)?;
    let mut listed = HashSet::with_capacity(entries.len());
    for (index, entry) in entries.iter().enumerate() {
        if let Some(path) = entry.get("path").and_then(Value::as_str)
            && !listed.insert(path.to_owned())
        {
            problems.add(name(index, entry), format!("is listed twice; {REPAIR}"));
        }
    }
    let mut paths = Vec::with_capacity(entries.len());
    let mut complete = true;
    for (index, entry) in entries.iter().enumerate() {
        let entry = Attributes::new(name(index, entry), entry, problems);
        match entry.and_then(|entry| path_info(&entry, store_dir, &listed, problems)) {
            Some(info) => paths.push(info),
            None => complete = false,
        }
    }
    paths.sort_by(|a, b| a.path.cmp(&b.path));
    Some(Closure {
        paths: complete.then_some(paths),
        listed,
    })
}

/// An entry for a message: by its path, for nobody counts them.
fn name(index: usize, entry: &Value) -> String {
    match entry.get("path").and_then(Value::as_str) {
        Some(path) => format!("{GRAPH}[{}]", quoted(path)),
        None => format!("{GRAPH}[{index}]"),
    }
}

fn path_info(
    entry: &Attributes<'_>,
    store_dir: &str,
    listed: &HashSet<String>,
    problems: &mut Problems,
) -> Option<PathInfo> {
    let path = entry.store_path("path", store_dir, problems);
    if let Some(Value::Bool(false)) = entry.optional("valid") {
        let message = format!("Nix says that this path is not valid; {REPAIR}");
        problems.add(entry.at("valid"), message);
    }
    let nar_hash = entry.text("narHash", problems).and_then(|text| {
        let message = || {
            format!(
                "{} is no SHA-256 hash as Nix writes it; {REPAIR}",
                quoted(text)
            )
        };
        problems.check(&entry.at("narHash"), sha256(text).ok_or_else(message))
    });
    let nar_size = entry.required("narSize", problems).and_then(|value| {
        let size = number(value).filter(|size| *size > 0);
        let message = || format!("{} is no size of a NAR; {REPAIR}", shown(value));
        problems.check(&entry.at("narSize"), size.ok_or_else(message))
    });
    let references = references(entry, store_dir, listed, problems);
    let content_address = entry.optional_text("ca", problems).map(str::to_owned);
    Some(PathInfo {
        path: path?,
        nar_hash: nar_hash?,
        nar_size: nar_size?,
        references: references?,
        content_address,
    })
}

fn references(
    entry: &Attributes<'_>,
    store_dir: &str,
    listed: &HashSet<String>,
    problems: &mut Problems,
) -> Option<Vec<StorePath>> {
    let list = entry.list("references", problems)?;
    let at = entry.at("references");
    let mut references = Vec::with_capacity(list.len());
    for reference in list {
        let Some(text) = attributes::text(&at, reference, problems) else {
            continue;
        };
        let Some(reference) = attributes::store_path(&at, text, store_dir, problems) else {
            continue;
        };
        references.push(reference);
    }
    references.sort();
    references.dedup();
    for reference in &references {
        if !listed.contains(reference.as_str()) {
            let message = format!("it refers to {reference}, which is not listed; {REPAIR}");
            problems.add(&at, message);
        }
    }
    Some(references)
}

/// A SHA-256 hash in Nix's own notation, base 16, or that of Subresource Integrity (Nix manual,
/// "nix hash").
fn sha256(text: &str) -> Option<[u8; 32]> {
    let bytes = if let Some(base64) = text.strip_prefix("sha256-") {
        BASE64.decode(base64.as_bytes()).ok()?
    } else {
        let text = text.strip_prefix("sha256:")?;
        match text.len() {
            // The lengths of 32 bytes in base 32 and 16.
            52 => nix_base32::from_nix_base32(text)?,
            64 => HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()?,
            _ => return None,
        }
    };
    bytes.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::sha256;

    /// The hash of nothing, from sha256sum, and `nix hash to-base32` and `to-sri` of it.
    #[test]
    fn hashes_in_every_notation_are_the_same() {
        let empty = [
            0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f,
            0xb9, 0x24, 0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b,
            0x78, 0x52, 0xb8, 0x55,
        ];
        for text in [
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "sha256:0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73",
            "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
        ] {
            assert_eq!(sha256(text), Some(empty), "{text}");
        }
        for text in [
            "",
            "sha256:",
            "sha256-",
            "sha512:0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73",
            "sha256:0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c7",
            "sha256:0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c7e",
            "sha256:zmdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73",
            "sha256:g3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU",
            "sha256-47DEQpj8HBSa",
        ] {
            assert_eq!(sha256(text), None, "{text}");
        }
    }
}
