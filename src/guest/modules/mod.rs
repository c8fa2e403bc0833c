//! The kernel modules of a modules closure: which there are, what each needs, and by which names the
//! kernel asks for them.
//!
//! A modules closure is what nixpkgs' `makeModulesClosure` makes: some modules with all they need
//! below `lib/modules/VERSION`, and the lists that depmod(8) makes of them.

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

/// The longest list that is read, in bytes: some ten times of what a whole distribution's kernel has.
const LONGEST_LIST: u64 = 16 << 20;

/// The modules of one kernel.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Modules {
    /// In the order of `modules.dep`.
    pub modules: Vec<Module>,
    /// Other names, as patterns, and the module that each stands for, as an index of `modules`.
    pub aliases: Vec<(String, usize)>,
    /// Device nodes that are there before their modules: whoever opens one has the module loaded.
    pub nodes: Vec<Node>,
}

/// A kernel module.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Module {
    /// Its name, with `_` where the file may have `-`.
    pub name: String,
    /// Its file, relative to the directory of the lists.
    pub file: PathBuf,
    /// What it needs, as indices, in the order to be loaded in.
    pub needs: Vec<usize>,
    /// Names of what is loaded before it, if it is there (`softdep` of modprobe.d(5)).
    pub before: Vec<String>,
    /// Names of what is loaded after it, likewise.
    pub after: Vec<String>,
}

/// A device node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Where it is, relative to `/dev`.
    pub path: PathBuf,
    /// Whether it is a character device, and not a block device.
    pub character: bool,
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
}

impl Modules {
    /// The modules of the closure at `closure`, and the directory that their files are relative to.
    /// A closure without `lib/modules` has none: all is built into its kernel.
    ///
    /// # Errors
    /// If it holds the modules of several kernels, or a list can't be read or understood.
    pub fn of(closure: &Path) -> Result<(Modules, PathBuf)> {
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

/// The only directory in `lib/modules`, if that is there.
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
            "{} does not hold the modules of exactly one kernel",
            escape::path(&modules)
        ),
    }
}

/// The list at `path`, if it is there.
fn list(path: &Path) -> Result<Option<String>> {
    let name = || format!("reading {}", escape::path(path));
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        file => file.with_context(name)?,
    };
    let mut text = String::new();
    file.take(LONGEST_LIST + 1)
        .read_to_string(&mut text)
        .with_context(name)?;
    // usize to u64: lossless on every target Rust has.
    ensure!(
        text.len() as u64 <= LONGEST_LIST,
        "{} is longer than {} MiB, which no kernel's list of modules is",
        escape::path(path),
        LONGEST_LIST >> 20
    );
    Ok(Some(text))
}
