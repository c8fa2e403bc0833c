//! The closure, as Nix writes it for `exportReferencesGraph` (Nix manual, "Advanced Attributes").

use std::collections::HashSet;

use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};
use serde_json::Value;

use super::attributes::{Attributes, boolean, each, list, number, quoted, shown, store_path, text};
use super::problems::{Problems, Read};
use super::{PathInfo, StorePath};

/// The attribute with the graph, as named in nix/make-disk-image.nix.
const GRAPH: &str = "closure";

const REPAIR: &str = "the registration is damaged: run \
                      \"nix-store --verify --check-contents --repair\" on the machine that builds the image";

/// The closure, as far as it could be read.
pub(super) struct Closure {
    /// Every path, sorted.
    pub(super) paths: Read<Vec<PathInfo>>,
    listed: Listed,
}

/// The listed paths. If one of them is invalid, it is unknown which paths are missing.
struct Listed(Read<HashSet<StorePath>>);

impl Listed {
    fn lacks(&self, path: &StorePath) -> bool {
        self.0.as_ref().is_ok_and(|listed| !listed.contains(path))
    }
}

impl Closure {
    /// Reports `path` if it is not in the closure.
    pub(super) fn require(
        &self,
        at: &str,
        path: StorePath,
        problems: &mut Problems,
    ) -> Read<StorePath> {
        if self.listed.lacks(&path) {
            let message =
                format!("{path} is not in the closure; add it to exportReferencesGraph.{GRAPH}");
            return Err(problems.add(at, message));
        }
        Ok(path)
    }
}

pub(super) fn closure(
    top: &Attributes<'_>,
    store_dir: Read<&str>,
    problems: &mut Problems,
) -> Closure {
    let entries = match top.required(GRAPH, list, problems) {
        Ok(entries) => entries,
        Err(noted) => {
            return Closure {
                paths: Err(noted),
                listed: Listed(Err(noted)),
            };
        }
    };
    let entries: Vec<Attributes<'_>> = entries
        .iter()
        .enumerate()
        .map(|(index, entry)| Attributes::new(name(index, entry), entry, problems))
        .collect();
    let paths = paths(&entries, store_dir, problems);
    let listed = Listed(paths.iter().cloned().collect());
    let paths: Vec<Read<PathInfo>> = entries
        .iter()
        .zip(paths)
        .map(|(entry, path)| path_info(entry, path, store_dir, &listed, problems))
        .collect();
    let mut paths: Read<Vec<PathInfo>> = paths.into_iter().collect();
    if let Ok(paths) = &mut paths {
        paths.sort_by(|a, b| a.path.cmp(&b.path));
    }
    Closure { paths, listed }
}

/// Returns the name of an entry for messages: with its path if it has one, because that is easier
/// to find than the index.
fn name(index: usize, entry: &Value) -> String {
    match entry.get("path").and_then(Value::as_str) {
        Some(path) => format!("{GRAPH}[{}]", quoted(path)),
        None => format!("{GRAPH}[{index}]"),
    }
}

/// Returns the path of each entry. Repeated paths are reported.
fn paths(
    entries: &[Attributes<'_>],
    store_dir: Read<&str>,
    problems: &mut Problems,
) -> Vec<Read<StorePath>> {
    let mut seen = HashSet::with_capacity(entries.len());
    let mut path = |entry: &Attributes<'_>| {
        let path = entry.required("path", store_path(store_dir), problems)?;
        if !seen.insert(path.clone()) {
            return Err(problems.add(entry.at("path"), format!("is listed twice; {REPAIR}")));
        }
        Ok(path)
    };
    entries.iter().map(&mut path).collect()
}

fn path_info(
    entry: &Attributes<'_>,
    path: Read<StorePath>,
    store_dir: Read<&str>,
    listed: &Listed,
    problems: &mut Problems,
) -> Read<PathInfo> {
    let valid = entry.optional("valid", valid, problems);
    let nar_hash = entry.required("narHash", nar_hash, problems);
    let nar_size = entry.required("narSize", nar_size, problems);
    let reference = |at: &str, value: &Value, problems: &mut Problems| {
        let path = store_path(store_dir)(at, value, problems)?;
        if listed.lacks(&path) {
            let message = format!("refers to {path}, which is not listed; {REPAIR}");
            return Err(problems.add(at, message));
        }
        Ok(path)
    };
    let references = entry.required("references", each(reference), problems);
    let content_address = entry.optional("ca", text, problems);
    valid?;
    let mut references = references?;
    references.sort();
    references.dedup();
    Ok(PathInfo {
        path: path?,
        nar_hash: nar_hash?,
        nar_size: nar_size?,
        references,
        content_address: content_address?.map(str::to_owned),
    })
}

fn valid(at: &str, value: &Value, problems: &mut Problems) -> Read<()> {
    if !boolean(at, value, problems)? {
        let message = format!("Nix reports this path as invalid; {REPAIR}");
        return Err(problems.add(at, message));
    }
    Ok(())
}

fn nar_hash(at: &str, value: &Value, problems: &mut Problems) -> Read<[u8; 32]> {
    let text = text(at, value, problems)?;
    let message = || {
        format!(
            "{} is not a SHA-256 hash in Nix's format; {REPAIR}",
            quoted(text)
        )
    };
    problems.check(at, sha256(text).ok_or_else(message))
}

fn nar_size(at: &str, value: &Value, problems: &mut Problems) -> Read<u64> {
    let size = number(value).filter(|size| *size > 0);
    let message = || format!("{} is not a valid NAR size; {REPAIR}", shown(value));
    problems.check(at, size.ok_or_else(message))
}

/// Parses a SHA-256 hash in Nix's base 32, base 16, or the notation of Subresource Integrity (Nix
/// manual, "nix hash").
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

    /// The hash of empty input, from sha256sum, `nix hash to-base32` and `nix hash to-sri`.
    #[test]
    fn reads_hashes_in_every_notation() {
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
