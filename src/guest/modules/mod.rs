//! The kernel modules of a modules closure: their files, their dependencies, and the names by which the
//! kernel requests them.
//!
//! A modules closure is the output of nixpkgs' `makeModulesClosure`: some modules with their
//! dependencies below `lib/modules/VERSION`, and the lists that depmod(8) writes for them.

mod decompress;
mod lists;
mod order;
#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::escape;

pub use decompress::{LARGEST, load, read};

/// The longest list that is read, in bytes: about ten times that of a distribution's full kernel.
const MAX_LIST: u64 = 16 << 20;

/// The modules of one kernel.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Modules {
    /// In the order of `modules.dep`.
    pub modules: Vec<Module>,
    /// Patterns for other names, each with the index of its module in `modules`.
    pub(crate) aliases: Vec<(String, usize)>,
    /// Device nodes that exist before their modules are loaded. Opening one loads its module.
    pub(crate) nodes: Vec<Node>,
}

/// A kernel module.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Module {
    /// Its name, with `_` even if the file has `-`.
    pub name: String,
    /// Its file, relative to the directory of the lists.
    pub(crate) file: PathBuf,
    /// Indices of the modules that it needs, in the order in which they are loaded.
    pub needs: Vec<usize>,
    /// Names of the modules to load before it, if they exist (`softdep` in modprobe.d(5)).
    pub(crate) before: Vec<String>,
    /// Names of the modules to load after it, if they exist.
    pub(crate) after: Vec<String>,
}

/// A device node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Node {
    /// Its path, relative to `/dev`.
    pub path: PathBuf,
    /// Whether it is a character device. Otherwise it is a block device.
    pub character: bool,
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
}

impl Modules {
    /// Returns the modules of the closure at `closure`, and the directory that their files are relative
    /// to. A closure without `lib/modules` has no modules: everything is built into its kernel.
    ///
    /// # Errors
    /// If it has the modules of several kernels, or a list cannot be read or parsed.
    pub(crate) fn of(closure: &Path) -> Result<(Modules, PathBuf)> {
        let Some(directory) = version_directory(closure)? else {
            return Ok((Modules::default(), closure.to_owned()));
        };
        let list = |name: &str| list(&directory.join(name));
        let dependencies = list("modules.dep")?.with_context(|| {
            format!(
                "{} has no modules.dep: depmod was not run there",
                escape::path(&directory)
            )
        })?;
        let modules = Modules::parse(
            &dependencies,
            &list("modules.alias")?.unwrap_or_default(),
            &list("modules.softdep")?.unwrap_or_default(),
            &list("modules.devname")?.unwrap_or_default(),
        );
        let modules = modules.with_context(|| {
            format!(
                "reading the lists of modules in {}",
                escape::path(&directory)
            )
        })?;
        Ok((modules, directory))
    }
}

/// Returns the only directory in `lib/modules`, or `None` if `lib/modules` does not exist.
fn version_directory(closure: &Path) -> Result<Option<PathBuf>> {
    let modules = closure.join("lib/modules");
    let name = || format!("looking for modules in {}", escape::path(&modules));
    fs::metadata(closure).with_context(name)?;
    let entries = match fs::read_dir(&modules) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        entries => entries.with_context(name)?,
    };
    let mut found: Vec<PathBuf> = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<io::Result<_>>()
        .with_context(name)?;
    match (found.pop(), found.is_empty()) {
        (Some(only), true) => Ok(Some(only)),
        _ => bail!(
            "{} does not contain the modules of exactly one kernel",
            escape::path(&modules)
        ),
    }
}

/// Reads the list at `path`, or returns `None` if it does not exist.
fn list(path: &Path) -> Result<Option<String>> {
    let name = || format!("reading {}", escape::path(path));
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        file => file.with_context(name)?,
    };
    let mut text = String::new();
    file.take(MAX_LIST + 1)
        .read_to_string(&mut text)
        .with_context(name)?;
    // usize to u64: lossless on every target Rust has.
    ensure!(
        text.len() as u64 <= MAX_LIST,
        "{} is longer than {} MiB, too long for a list of kernel modules",
        escape::path(path),
        MAX_LIST >> 20
    );
    Ok(Some(text))
}
