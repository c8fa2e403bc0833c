//! Kernel modules: some are loaded at the start, and the others when the kernel asks for them.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::kmod::init_module;
use nix::sys::stat::{Mode, SFlag, makedev, mknod};

use super::say;
use crate::escape;
use crate::guest::initrd::{LIST, Listed, MODPROBE, MODULES};
use crate::guest::modules;

/// Where the kernel has the name of its modprobe(8) (proc_sys_kernel(5)).
pub const HELPER: &str = "/proc/sys/kernel/modprobe";

/// Loads what is needed at the start, and has the kernel ask this program for the rest.
pub fn prepare() -> Result<()> {
    let Listed { modules, first } = list()?;
    for module in first.iter().filter_map(|index| modules.modules.get(*index)) {
        let path = Path::new(MODULES).join(&module.file);
        // One that can't be loaded is only told of: it may be for hardware that is not there.
        if let Err(error) = load(&path) {
            say(&format!("{error:#}"));
        }
        // It is in memory twice now.
        fs::remove_file(&path).with_context(|| format!("removing {}", escape::path(&path)))?;
    }
    for node in &modules.nodes {
        make(node).with_context(|| format!("making /dev/{}", escape::path(&node.path)))?;
    }
    match fs::write(HELPER, MODPROBE) {
        // This kernel has no modules.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        result => result.with_context(|| format!("writing {HELPER}")),
    }
}

/// Whether the kernel has started this process to load a module.
pub fn is_modprobe() -> bool {
    std::env::args_os()
        .next()
        .is_some_and(|arg| arg == MODPROBE)
}

/// Loads what the last argument names.
pub fn modprobe() -> ExitCode {
    let request = std::env::args_os().next_back().unwrap_or_default();
    match list().map(|list| on_demand(&list, &request.to_string_lossy())) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            tell(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Whether `request` stands for a module that is loaded now.
fn on_demand(list: &Listed, request: &str) -> bool {
    let mut loaded = false;
    for index in list.modules.order(&[request]) {
        let Some(module) = list.modules.modules.get(index) else {
            continue;
        };
        if list.first.contains(&index) {
            loaded = true;
            continue;
        }
        match load(&Path::new(MODULES).join(&module.file)) {
            Ok(()) => loaded = true,
            Err(error) => tell(&format!(
                "{error:#} (asked for: {})",
                escape::bytes(request.as_bytes())
            )),
        }
    }
    loaded
}

fn list() -> Result<Listed> {
    let json = fs::read(LIST).with_context(|| format!("reading {LIST}"))?;
    serde_json::from_slice(&json).with_context(|| format!("reading {LIST}"))
}

fn load(path: &Path) -> Result<()> {
    match init_module(&modules::load(path)?, c"") {
        // ENODEV: the machine has nothing that it is for.
        Ok(()) | Err(Errno::EEXIST | Errno::ENODEV) => Ok(()),
        Err(error) => Err(error).with_context(|| format!("loading {}", escape::path(path))),
    }
}

fn make(node: &modules::Node) -> Result<()> {
    let path = Path::new("/dev").join(&node.path);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let kind = if node.character {
        SFlag::S_IFCHR
    } else {
        SFlag::S_IFBLK
    };
    let device = makedev(node.major.into(), node.minor.into());
    match mknod(&path, kind, Mode::S_IRUSR | Mode::S_IWUSR, device) {
        Ok(()) | Err(Errno::EEXIST) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// A line on the console: the kernel gives this process no standard output.
fn tell(line: &str) {
    let console = OpenOptions::new().write(true).open("/dev/console");
    // Nobody could be told of an error.
    let _ = console.and_then(|mut console| console.write_all(format!("{line}\n").as_bytes()));
}
