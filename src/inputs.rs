//! Checks that the files named by the attributes exist and that the output does not. Without these
//! checks, the build would fail only after listing the closure or running a guest.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::code::Code;
use crate::spec::{Installation, Spec, System, Uml};
use crate::{absent, escape, excerpt};

/// The program that installs the boot loader, relative to the system.
const SWITCH: &str = "bin/switch-to-configuration";

/// Checks that the output does not exist, and that the sources of `contents`, `configFile`, the
/// program that installs the boot loader, and the kernel of User-Mode Linux do.
///
/// # Errors
/// If the output exists, or if files are missing. The error lists one missing file per line, with
/// what to do.
pub fn check(spec: &Spec) -> Result<()> {
    if spec.out.symlink_metadata().is_ok() {
        return Err(Code::OutputExists.error(format!(
            "the output {} already exists; remove it first (in the Nix store: nix-store --delete)",
            escape::path(&spec.out)
        )));
    }
    let System::Installed(installation) = &spec.system else {
        return Ok(());
    };
    let mut problems = files(installation, &spec.store_dir);
    if let Some(guest) = &spec.guest {
        if guest.tasks.boot_loader.is_some() {
            problems.extend(boot_loader(installation));
        }
        problems.extend(guest.machine.uml.as_ref().and_then(uml));
    }
    if problems.is_empty() {
        return Ok(());
    }
    Err(Code::MissingFile.error(excerpt::list(&problems, "\n")))
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

/// Returns why `source` is missing, or `None` if it exists. It is not checked whether an existing
/// store path contains the file.
fn missing(source: &OsStr, store_dir: &Path) -> Option<&'static str> {
    let path = before_pattern(source);
    if let Ok(below) = path.strip_prefix(store_dir) {
        let store_path = store_dir.join(below.components().next()?);
        return is_absent(&store_path).then_some(
            "no such store path in the build; Nix provides those that attributes refer to: write \
             \"${package}/file\" instead of the literal path",
        );
    }
    is_absent(&path).then_some(
        "no such file on the builder; a sandboxed build has access only to store paths: write a \
         path such as ./key, which Nix copies to the store, instead of a string such as \
         \"/etc/key\"",
    )
}

/// Returns the part of a source without a pattern: the whole path, or the directories above the
/// pattern.
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
            "installBootLoader = true (its default) needs {}, which the system does not contain; set \
             system.switch.enable = true in its configuration, or installBootLoader = false",
            escape::path(&program)
        )
    })
}

/// The caller may pass any package as the kernel. The other files of the guest are from nixpkgs.
fn uml(uml: &Uml) -> Option<String> {
    is_absent(&uml.kernel).then(|| {
        format!(
            "umlKernel: {} does not exist; set umlKernel to a package with a kernel of User-Mode Linux \
             at bin/linux, or to null",
            escape::path(&uml.kernel)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn explains_missing_sources() {
        let directory = tempfile::tempdir().unwrap();
        let here = directory.path().to_str().unwrap();
        let store = directory.path().join("store");
        fs::create_dir_all(store.join("path")).unwrap();
        fs::write(directory.path().join("file"), "").unwrap();
        std::os::unix::fs::symlink("/nowhere", directory.path().join("link")).unwrap();
        let (outside, unknown) = (
            "a sandboxed build has access only to store paths",
            "${package}/file",
        );
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
            // The scan of the source reports this.
            ("/store/path/missing", None),
            ("/store/other/file", Some(unknown)),
            ("/store/other", Some(unknown)),
            ("/store/other/*", Some(unknown)),
            ("/store/*", None),
        ] {
            let source = format!("{here}{source}");
            let message = missing(OsStr::new(&source), &store);
            assert_eq!(
                message.is_some(),
                expected.is_some(),
                "{source}: {message:?}"
            );
            let message = message.unwrap_or_default();
            assert!(
                message.contains(expected.unwrap_or_default()),
                "{source}: {message}"
            );
        }
    }

    #[test]
    fn names_the_argument_of_a_missing_kernel() {
        let kernel = PathBuf::from("/missing/bin/linux");
        assert_eq!(
            uml(&Uml { kernel }).unwrap(),
            "umlKernel: /missing/bin/linux does not exist; set umlKernel to a package with a kernel of \
             User-Mode Linux at bin/linux, or to null"
        );
        let kernel = PathBuf::from("/proc/self/exe");
        assert_eq!(uml(&Uml { kernel }), None);
    }
}
