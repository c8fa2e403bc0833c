//! From a closure to a clean root.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::spec::{Installation, PathInfo, StorePath, Tools};
use crate::{escape, leftover, process};

use super::workplace::Workplace;
use super::{DATABASE, clean, closure, database, leaks};

/// Runs the caller's `nixos-install` and returns the root it made: everything of the system that
/// is not in its store, and the empty directory of the store. `work` is a directory of our own, with nothing
/// in it; the root is below it. `time`, in seconds since 1970, is when the paths of `closure` will
/// seem to have been registered.
///
/// Should `nixos-install` have copied paths of the closure all the same, the copies are deleted:
/// their files come from the Nix store itself.
///
/// # Errors
/// If a child fails, if what it left is not what the closure says, or if the name of `work` is
/// still to be found in the root.
pub fn install(
    installation: &Installation,
    closure: &[PathInfo],
    tools: &Tools,
    work: &Path,
    time: i64,
) -> Result<PathBuf> {
    let Some(nixos_install) = &tools.nixos_install else {
        bail!("there is no nixos-install to install the system with: set tools.nixosInstall")
    };
    contains(closure, &installation.toplevel, "the system")?;
    if let Some(channel) = &installation.channel {
        contains(closure, channel, "the channel")?;
    }
    let place = Workplace::create(work, tools, &installation.toplevel)?;
    let (root, store) = (&place.root, &place.store);
    copy_derivations(closure, store)?;

    let registration = closure::registration(closure);
    let mut load = place.command(&tools.nix_store);
    process::quiet_with_input(load.arg("--load-db"), &registration, process::USUAL)
        .context("registering the closure in a store of our own")?;
    let mut load = place.command(&tools.nix_store);
    load.arg("--store").arg(root).arg("--load-db");
    process::quiet_with_input(&mut load, &registration, process::USUAL)
        .context("registering the closure in the store of the image")?;

    let mut install = place.command(nixos_install);
    install.arg("--root").arg(root);
    install.args(["--no-bootloader", "--no-root-passwd", "--system"]);
    install.arg(installation.toplevel.as_str());
    match &installation.channel {
        Some(channel) => install.arg("--channel").arg(channel.as_str()),
        None => install.arg("--no-channel-copy"),
    };
    install.args(["--substituters", ""]);
    process::logged(&mut install)
        .with_context(|| format!("installing {} into the root", installation.toplevel))?;

    let below = store.strip_prefix(root).unwrap_or(store);
    leftover::directory(root, below, clean::INSTALL)?;
    leftover::directory(store, Path::new(LINKS), clean::INSTALL)?;
    empty(store, closure)?;
    leftover::directory(root, Path::new(DATABASE), clean::INSTALL)?;
    database::rewrite(&root.join(DATABASE).join("db.sqlite"), closure, time)?;
    clean::clean(root)?;
    leaks::check(root, place.directory())?;
    Ok(place.root)
}

fn contains(closure: &[PathInfo], path: &StorePath, what: &str) -> Result<()> {
    if closure.iter().any(|info| info.path == *path) {
        return Ok(());
    }
    bail!(
        "{what} {} is not in the closure of {} paths: \
         name it in exportReferencesGraph.closure of the derivation",
        escape::bytes(path.as_str().as_bytes()),
        closure.len()
    )
}

/// Nix reads a derivation when it registers one, to learn its outputs; so these few files have to
/// be in the root's store for a while.
fn copy_derivations(closure: &[PathInfo], store: &Path) -> Result<()> {
    for info in closure {
        if info.path.as_str().ends_with(".drv") {
            fs::copy(info.path.as_str(), store.join(info.path.base_name()))
                .with_context(|| format!("copying {} into the root", info.path))?;
        }
    }
    Ok(())
}

/// Nix's directory of hard links, in every store; empty unless the store was optimised.
const LINKS: &str = ".links";

/// Empties `store` but for an empty `.links`; all else that may be in it is copies of paths of
/// `closure`.
fn empty(store: &Path, closure: &[PathInfo]) -> Result<()> {
    let known: HashSet<&OsStr> = closure
        .iter()
        .map(|info| OsStr::new(info.path.base_name()))
        .collect();
    for name in clean::names(store)? {
        let path = store.join(&name);
        if name == LINKS {
            for link in clean::names(&path)? {
                clean::remove(&path.join(link))?;
            }
            continue;
        }
        if !known.contains(&*name) {
            bail!(
                "nixos-install put {} into the image's store, and that is not in the closure: \
                 add it to additionalPaths",
                escape::bytes(name.as_bytes())
            );
        }
        clean::remove(&path)?;
    }
    Ok(())
}
