//! The kernel modules of a modules closure, in the order they are loaded in.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::escape;

/// The modules of the closure at `closure`, each after those it needs.
///
/// The order is that of the file `insmod-list`, which nixpkgs' `makeModulesClosure` leaves, or else
/// made from `modules.dep` (modules.dep(5)): there every line names a module, and after the colon
/// what it needs, the first to be loaded last.
///
/// # Errors
/// If the closure has neither list, or none can be read.
pub fn in_load_order(closure: &Path) -> Result<Vec<PathBuf>> {
    let listed = closure.join("insmod-list");
    if listed.exists() {
        let text = read(&listed)?;
        let mut seen = BTreeSet::new();
        let paths = text.split_whitespace().map(PathBuf::from);
        return Ok(paths.filter(|path| seen.insert(path.clone())).collect());
    }
    let directory = version_directory(closure)?;
    Ok(by_dependencies(&read(&directory.join("modules.dep"))?)
        .into_iter()
        .map(|name| directory.join(name))
        .collect())
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("reading {}", escape::path(path)))
}

/// The only directory in `lib/modules`.
fn version_directory(closure: &Path) -> Result<PathBuf> {
    let modules = closure.join("lib/modules");
    let name = || format!("looking for modules in {}", escape::path(&modules));
    let mut found: Vec<PathBuf> = fs::read_dir(&modules)
        .with_context(name)?
        .map(|entry| Ok(entry?.path()))
        .collect::<io::Result<_>>()
        .with_context(name)?;
    found.sort();
    match (found.pop(), found.is_empty()) {
        (Some(only), true) => Ok(only),
        _ => bail!(
            "{} does not hold the modules of exactly one kernel",
            escape::path(&modules)
        ),
    }
}

/// Every module of a `modules.dep`, after those it needs.
fn by_dependencies(text: &str) -> Vec<&str> {
    let mut order = Vec::new();
    let mut seen = BTreeSet::new();
    for line in text.lines() {
        let Some((module, needs)) = line.split_once(':') else {
            continue;
        };
        // depmod lists all that is needed, not only what is needed directly.
        let needs = needs.split_whitespace().rev();
        order.extend(needs.chain([module]).filter(|name| seen.insert(*name)));
    }
    order
}

/// The bytes of the module at `path` as the kernel loads it: decompressed.
///
/// # Errors
/// If it can't be read or decompressed.
pub fn load(path: &Path) -> Result<Vec<u8>> {
    let name = || format!("reading the kernel module {}", escape::path(path));
    let bytes = fs::read(path).with_context(name)?;
    let mut module = Vec::new();
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("xz") => lzma_rs::xz_decompress(&mut bytes.as_slice(), &mut module)
            .map_err(|error| io::Error::other(format!("{error:?}")))
            .with_context(name)?,
        Some("zst") => {
            let mut decoder =
                ruzstd::decoding::StreamingDecoder::new(bytes.as_slice()).with_context(name)?;
            decoder.read_to_end(&mut module).with_context(name)?;
        }
        Some("gz") => bail!(
            "{} is compressed with gzip, which is not known here",
            escape::path(path)
        ),
        _ => module = bytes,
    }
    Ok(module)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn what_a_module_needs_comes_before_it() {
        let text = "k/virtio_pci.ko: k/legacy.ko k/virtio_ring.ko k/virtio.ko\n\
                    k/virtio.ko:\nk/virtio_ring.ko: k/virtio.ko\nk/legacy.ko:\n";
        assert_eq!(
            by_dependencies(text),
            [
                "k/virtio.ko",
                "k/virtio_ring.ko",
                "k/legacy.ko",
                "k/virtio_pci.ko"
            ]
        );
    }

    #[test]
    fn the_list_of_the_closure_wins_and_repeats_nothing() {
        let closure = tempfile::tempdir().unwrap();
        fs::write(
            closure.path().join("insmod-list"),
            "/b.ko\n/a.ko.xz\n/b.ko\n",
        )
        .unwrap();
        let order = in_load_order(closure.path()).unwrap();
        assert_eq!(order, [Path::new("/b.ko"), Path::new("/a.ko.xz")]);
    }

    #[test]
    fn a_closure_without_modules_is_named() {
        let closure = tempfile::tempdir().unwrap();
        fs::create_dir_all(closure.path().join("lib/modules")).unwrap();
        let error = in_load_order(closure.path()).unwrap_err().to_string();
        assert!(
            error.ends_with("lib/modules does not hold the modules of exactly one kernel"),
            "{error}"
        );
    }

    #[test]
    fn modules_are_decompressed() {
        let directory = tempfile::tempdir().unwrap();
        let plain = directory.path().join("m.ko");
        let bytes: Vec<u8> = (0..200_000u32).flat_map(u32::to_le_bytes).collect();
        fs::write(&plain, &bytes).unwrap();
        let run = |program: &str, options: &[&str]| {
            let mut command = Command::new(program);
            command.args(options).arg(&plain);
            assert!(command.status().unwrap().success(), "{command:?}");
        };
        // As the kernel's own scripts/Makefile.modinst compresses them.
        run("xz", &["-k", "--check=crc32", "--lzma2=dict=1MiB"]);
        run("zstd", &["-q", "-k"]);
        for name in ["m.ko", "m.ko.xz", "m.ko.zst"] {
            assert!(
                load(&directory.path().join(name)).unwrap() == bytes,
                "{name}"
            );
        }
        fs::write(&plain, &bytes[..1000]).unwrap();
        let damaged = directory.path().join("d.ko.xz");
        fs::write(&damaged, b"\xfd7zXZ\0short").unwrap();
        assert!(load(&damaged).is_err());
    }
}
