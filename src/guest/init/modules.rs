//! Kernel modules: some are loaded at the start, the others when the kernel requests them.

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

/// The file with the path of the kernel's modprobe(8) (proc_sys_kernel(5)).
pub const HELPER: &str = "/proc/sys/kernel/modprobe";

/// Loads the modules that are needed at the start, creates device nodes, and registers this program as
/// the kernel's modprobe(8) for the other modules. A kernel that has everything built in gets none.
pub fn prepare() -> Result<()> {
    if !Path::new(LIST).exists() {
        return Ok(());
    }
    let Listed { modules, first } = list()?;
    for module in first.iter().filter_map(|index| modules.modules.get(*index)) {
        let path = Path::new(MODULES).join(&module.file);
        // Not fatal: the module may be for hardware that this machine does not have.
        if let Err(error) = load(&path) {
            say(&format!("{error:#}"));
        }
        // The initrd is in memory, too: free the copy.
        fs::remove_file(&path).with_context(|| format!("removing {}", escape::path(&path)))?;
    }
    for node in &modules.nodes {
        make(node).with_context(|| format!("creating /dev/{}", escape::path(&node.path)))?;
    }
    match fs::write(HELPER, MODPROBE) {
        // This kernel does not support modules.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        result => result.with_context(|| format!("writing {HELPER}")),
    }
}

/// Returns whether the kernel has started this process as its modprobe(8).
pub fn is_modprobe() -> bool {
    std::env::args_os()
        .next()
        .is_some_and(|arg| arg == MODPROBE)
}

/// Loads the module that the last argument requests.
pub fn modprobe() -> ExitCode {
    let request = std::env::args_os().next_back().unwrap_or_default();
    match list().map(|list| on_demand(&list, &request.to_string_lossy())) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            print_on_console(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Loads the modules that `request` stands for. Returns whether at least one is loaded.
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
            Err(error) => print_on_console(&format!(
                "{error:#} (requested: {})",
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
        // ENODEV: the machine does not have the module's hardware.
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

/// Prints a line on the console. The kernel starts this process without a standard output.
fn print_on_console(line: &str) {
    let console = OpenOptions::new().write(true).open("/dev/console");
    // An error cannot be reported anywhere.
    let _ = console.and_then(|mut console| console.write_all(format!("{line}\n").as_bytes()));
}
