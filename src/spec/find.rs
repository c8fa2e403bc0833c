//! The location of the attributes of a derivation with `__structuredAttrs`.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::Spec;
use crate::code::Code;
use crate::{absent, escape};

/// Finds the `.attrs.json` of the derivation that is being built and parses it with
/// [`super::parse()`].
///
/// # Errors
/// If there is no such file, if it cannot be read, or if the attributes are wrong.
pub(crate) fn read() -> Result<Spec> {
    read_first(&candidates(|name| env::var_os(name)))
}

/// In a sandbox, Nix 2.8 sets `NIX_ATTRS_JSON_FILE` to a path that exists only outside it. The
/// build directory is therefore tried as well.
fn candidates(variable: impl Fn(&str) -> Option<OsString>) -> Vec<PathBuf> {
    let given = variable("NIX_ATTRS_JSON_FILE").map(PathBuf::from);
    let build = variable("NIX_BUILD_TOP").map(|top| Path::new(&top).join(".attrs.json"));
    given
        .into_iter()
        .chain([PathBuf::from(".attrs.json")])
        .chain(build)
        .collect()
}

fn read_first(candidates: &[PathBuf]) -> Result<Spec> {
    for path in candidates {
        let found = absent::optional(fs::read(path))
            .with_context(|| format!("reading {}", escape::path(path)))?;
        if let Some(json) = found {
            return super::parse(&json).with_context(|| escape::path(path));
        }
    }
    let tried: Vec<String> = candidates.iter().map(|path| escape::path(path)).collect();
    let message = format!(
        "no .attrs.json found: tried {}; run this as the builder of a derivation with \
         __structuredAttrs = true, or set NIX_ATTRS_JSON_FILE",
        tried.join(", ")
    );
    Err(Code::Attributes.error(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(variables: &[(&str, &str)]) -> Vec<PathBuf> {
        candidates(|name| {
            let found = variables.iter().find(|(other, _)| *other == name);
            found.map(|(_, value)| value.into())
        })
    }

    #[test]
    fn tries_the_locations_in_order() {
        assert_eq!(paths(&[]), [PathBuf::from(".attrs.json")]);
        assert_eq!(
            paths(&[
                ("NIX_ATTRS_JSON_FILE", "/a.json"),
                ("NIX_BUILD_TOP", "/build")
            ]),
            ["/a.json", ".attrs.json", "/build/.attrs.json"].map(PathBuf::from)
        );
    }

    #[test]
    fn skips_missing_files() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("missing/.attrs.json");
        let present = directory.path().join(".attrs.json");
        fs::write(&present, "[]").unwrap();
        let error = read_first(&[missing, present.clone()]).unwrap_err();
        assert_eq!(
            format!("{error:#}"),
            format!(
                "{}: 1 problem in the attributes of the image:\n  \
                 - .attrs.json: expected an attribute set, found a list",
                present.display()
            )
        );
    }

    #[test]
    fn names_every_location_if_no_file_exists() {
        let directory = tempfile::tempdir().unwrap();
        let places = [directory.path().join("a"), directory.path().join("b\n")];
        let error = read_first(&places).unwrap_err().to_string();
        let top = directory.path().display();
        assert!(
            error.starts_with(&format!(
                "no .attrs.json found: tried {top}/a, {top}/b\\n; "
            )),
            "{error}"
        );
    }

    #[test]
    fn reports_an_unreadable_file() {
        let directory = tempfile::tempdir().unwrap();
        let error = read_first(&[directory.path().to_owned()]).unwrap_err();
        let expected = format!("reading {}: Is a directory", directory.path().display());
        assert!(format!("{error:#}").starts_with(&expected), "{error:#}");
    }
}
