//! What the attributes name has to be there, and the output must not. A build that would miss it late, after a closure is
//! listed or a guest has run, is told at once.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::spec::{Installation, Spec, System};
use crate::{absent, escape, excerpt};

/// What installs the boot loader, below the system.
const SWITCH: &str = "bin/switch-to-configuration";

/// Looks for the sources of `contents`, `configFile`, and the program that installs the boot loader, and
/// whether the place of the output is free.
///
/// # Errors
/// Naming what is missing, one a line, and what to do; or the output that is there already.
pub fn check(spec: &Spec) -> Result<()> {
    if spec.out.symlink_metadata().is_ok() {
        bail!(
            "the output {} exists already; remove it, or have Nix do it (nix-store --delete)",
            escape::path(&spec.out)
        );
    }
    let System::Installed(installation) = &spec.system else {
        return Ok(());
    };
    let mut problems = files(installation, &spec.store_dir);
    let tasks = spec.guest.as_ref().map(|guest| &guest.tasks);
    if tasks.is_some_and(|tasks| tasks.boot_loader.is_some()) {
        problems.extend(boot_loader(installation));
    }
    if problems.is_empty() {
        return Ok(());
    }
    bail!("{}", excerpt::list(&problems, "\n"))
}

fn files(installation: &Installation, store_dir: &Path) -> Vec<String> {
    let contents = installation.contents.iter().enumerate();
    let sources = contents.map(|(index, graft)| (format!("contents[{index}]"), &graft.source[..]));
    let config_file = installation.config_file.iter();
    let config_file = config_file.map(|path| ("configFile".to_owned(), path.as_os_str()));
    sources
        .chain(config_file)
        .filter_map(|(argument, source)| {
            let missing = missing(source, store_dir)?;
            Some(format!(
                "{argument}: {}: {missing}",
                escape::bytes(source.as_bytes())
            ))
        })
        .collect()
}

/// Why `source` isn't there, if that can be told: not every file that a store path lacks.
fn missing(source: &OsStr, store_dir: &Path) -> Option<&'static str> {
    let path = before_pattern(source);
    if let Ok(below) = path.strip_prefix(store_dir) {
        let store_path = store_dir.join(below.components().next()?);
        return is_absent(&store_path).then_some(
            "the build does not have this store path. Nix gives it those that the attributes refer \
             to: write \"${package}/file\" and not the path's own text",
        );
    }
    is_absent(&path).then_some(
        "no such file where the image is built. A sandboxed build sees store paths only: write a \
         path like ./key, and not a string like \"/etc/key\", and Nix copies it to the store",
    )
}

/// The part of a source that has no pattern in it: the whole, or the directories above.
fn before_pattern(source: &OsStr) -> PathBuf {
    let path = Path::new(source);
    let has_star = |path: &Path| path.as_os_str().as_bytes().contains(&b'*');
    let plain = path.ancestors().find(|path| !has_star(path));
    plain.unwrap_or(Path::new("/")).to_owned()
}

fn is_absent(path: &Path) -> bool {
    matches!(absent::optional(fs::symlink_metadata(path)), Ok(None))
}

fn boot_loader(installation: &Installation) -> Option<String> {
    let program = Path::new(installation.toplevel.as_str()).join(SWITCH);
    is_absent(&program).then(|| {
        format!(
            "installBootLoader = true (its default) needs {}, and the system has none: set \
             system.switch.enable = true in its configuration, or installBootLoader = false",
            escape::path(&program)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_that_is_not_there_is_explained() {
        let directory = tempfile::tempdir().unwrap();
        let here = directory.path().to_str().unwrap();
        let store = directory.path().join("store");
        fs::create_dir_all(store.join("path")).unwrap();
        fs::write(directory.path().join("file"), "").unwrap();
        std::os::unix::fs::symlink("/nowhere", directory.path().join("link")).unwrap();
        let (outside, unknown) = ("A sandboxed build sees store paths only", "${package}/file");
        for (source, expected) in [
            ("/file", None),
            ("/link", None),
            ("/f*", None),
            ("/*/missing", None),
            ("/key", Some(outside)),
            ("/file/below", Some(outside)),
            ("/missing/*", Some(outside)),
            ("/missing/a*/b", Some(outside)),
            ("/store/path", None),
            // What scans it says that.
            ("/store/path/missing", None),
            ("/store/other/file", Some(unknown)),
            ("/store/other", Some(unknown)),
            ("/store/other/*", Some(unknown)),
            ("/store/*", None),
        ] {
            let source = format!("{here}{source}");
            let told = missing(OsStr::new(&source), &store);
            assert_eq!(told.is_some(), expected.is_some(), "{source}: {told:?}");
            let told = told.unwrap_or_default();
            assert!(
                told.contains(expected.unwrap_or_default()),
                "{source}: {told}"
            );
        }
    }
}
