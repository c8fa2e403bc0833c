//! Installs a closure into a clean root.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::spec::{Installation, PathInfo, StorePath, Tools};
use crate::{escape, leftover, process};

use super::workspace::Workspace;
use super::{DATABASE, clean, closure, database, leaks};

/// Runs the caller's `nixos-install` and returns the root it creates: all files of the system
/// outside its store, and the empty store directory. `work` is an empty private directory; the root
/// is below it. `time` is the registration time of the paths of `closure`, in seconds since 1970.
///
/// If `nixos-install` copies paths of the closure anyway, the copies are deleted, because their
/// files come directly from the Nix store.
///
/// # Errors
/// If a child process fails, if its result does not match the closure, or if a file in the root
/// contains the path `work`.
pub fn install(
    installation: &Installation,
    closure: &[PathInfo],
    tools: &Tools,
    work: &Path,
    time: i64,
) -> Result<PathBuf> {
    let Some(nixos_install) = &tools.nixos_install else {
        bail!("installing the system requires nixos-install; set tools.nixosInstall")
    };
    require(closure, &installation.toplevel, "the system")?;
    if let Some(channel) = &installation.channel {
        require(closure, channel, "the channel")?;
    }
    let workspace = Workspace::create(work, tools, &installation.toplevel)?;
    let (root, store) = (&workspace.root, &workspace.store);
    copy_derivations(closure, store)?;

    let mut load = workspace.command(&tools.nix_store);
    load.arg("--store").arg(root).arg("--load-db");
    process::quiet_with_input(&mut load, &closure::registration(closure), process::USUAL)
        .context("registering the closure in the image's store")?;
    workspace.share_database()?;

    let mut install = workspace.command(nixos_install);
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
    database::rewrite(&root.join(DATABASE).join(database::FILE), closure, time)?;
    clean::clean(root)?;
    leaks::check(root, workspace.directory())?;
    Ok(workspace.root)
}

fn require(closure: &[PathInfo], path: &StorePath, name: &str) -> Result<()> {
    if closure.iter().any(|info| info.path == *path) {
        return Ok(());
    }
    bail!(
        "{name} {} is not in the closure of {} paths; \
         add it to exportReferencesGraph.closure of the derivation",
        escape::bytes(path.as_str().as_bytes()),
        closure.len()
    )
}

/// Copies the derivations of the closure. Nix reads a derivation when registering it, to find its
/// outputs. So these few files must be in the root's store temporarily.
fn copy_derivations(closure: &[PathInfo], store: &Path) -> Result<()> {
    for info in closure {
        if info.path.as_str().ends_with(".drv") {
            fs::copy(info.path.as_str(), store.join(info.path.base_name()))
                .with_context(|| format!("copying {} into the root", info.path))?;
        }
    }
    Ok(())
}

/// The directory of hard links in every Nix store; empty unless the store has been optimised.
const LINKS: &str = ".links";

/// Empties `store`, except for an empty `.links`. Anything in it must be a copy of a path of
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
                "nixos-install added {} to the image's store, but it is not in the closure; \
                 add it to additionalPaths",
                escape::bytes(name.as_bytes())
            );
        }
        clean::remove(&path)?;
    }
    Ok(())
}
