//! The guest's initrd: this program as `/init`, kernel modules and the job.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use cpio::newc::ModeFileType::{Directory, Regular, Symlink};
use cpio::newc::{self, ModeFileType};
use serde::{Deserialize, Serialize};

use super::job::{self, Job};
use super::modules::{self, Modules};
use crate::escape;

/// The directory of the modules in the initrd.
pub const MODULES: &str = "/modules";

/// The list of the modules in the initrd ([`Listed`]).
pub const LIST: &str = "/modules.json";

/// The link to this program that serves as the kernel's modprobe(8).
pub const MODPROBE: &str = "/modprobe";

/// The limit on the total size of the modules in the initrd, in bytes.
const MAX_TOTAL: u64 = 256 << 20;

/// The modules of the initrd.
#[derive(Debug, Serialize, Deserialize)]
pub struct Listed {
    /// All modules; each file is relative to [`MODULES`].
    pub modules: Modules,
    /// Indices of the modules to load at the start, in order.
    pub first: Vec<usize>,
}

/// Writes the initrd for `job` to `target`, with `program` as its `/init` and the kernel modules of
/// `closure`, if the kernel has any: a cpio archive in the format `newc` (Linux,
/// Documentation/driver-api/early-userspace/buffer-format.rst). The bytes depend only on the input.
///
/// Modules that are loaded at the start are decompressed here, because the host is faster. The others
/// are stored as they are in the closure.
///
/// # Errors
/// If a module or `program` cannot be read, the modules are too large, or `target` cannot be written.
pub fn write(job: &Job, program: &Path, closure: Option<&Path>, target: &Path) -> Result<()> {
    let name = || format!("writing the guest's initrd {}", escape::path(target));
    let mut file = BufWriter::new(File::create(target).with_context(name)?);
    let mut init = Vec::new();
    File::open(program)
        .and_then(|mut program| program.read_to_end(&mut init))
        .with_context(|| format!("reading {}", escape::path(program)))?;
    let executable = 0o755;
    entry(&mut file, 1, "init", Regular, executable, &init).with_context(name)?;
    let modprobe = MODPROBE.trim_start_matches('/');
    entry(&mut file, 2, modprobe, Symlink, 0o777, b"init").with_context(name)?;
    let job_json = serde_json::to_vec(job).context("writing the guest's job")?;
    let place = job::PATH.trim_start_matches('/');
    entry(&mut file, 3, place, Regular, 0o644, &job_json).with_context(name)?;

    if let Some(closure) = closure {
        add_modules(&mut file, job, closure, name)?;
    }
    newc::trailer(&mut file).with_context(name)?;
    file.flush().with_context(name)
}

/// Adds the kernel modules of `closure` and their list to the archive `file`, which is called `name` in
/// messages.
fn add_modules(
    file: &mut impl Write,
    job: &Job,
    closure: &Path,
    name: impl Fn() -> String + Copy,
) -> Result<()> {
    let modules_directory = MODULES.trim_start_matches('/');
    entry(file, 4, modules_directory, Directory, 0o755, b"").with_context(name)?;
    let (mut modules, from) = Modules::of(closure)?;
    let first = modules.order(&first_modules(job));
    let early: BTreeSet<usize> = first.iter().copied().collect();
    let mut total = 0_u64;
    for (index, ino) in (0..modules.modules.len()).zip(5..) {
        let module = &mut modules.modules[index];
        let path = from.join(&module.file);
        let (bytes, end) = if early.contains(&index) {
            (modules::load(&path)?, "ko".as_ref())
        } else {
            (modules::read(&path)?, path.extension().unwrap_or_default())
        };
        // usize to u64: lossless on every target Rust has.
        total = total.saturating_add(bytes.len() as u64);
        ensure!(
            total <= MAX_TOTAL,
            "the kernel modules in {} are larger than {} MiB in total: strip their debugging \
             information (INSTALL_MOD_STRIP=1)",
            escape::path(closure),
            MAX_TOTAL >> 20
        );
        module.file = format!("{index:04}-{}", module.name).into();
        module.file.add_extension(end);
        let place = format!("{modules_directory}/{}", module.file.display());
        entry(file, ino, &place, Regular, 0o644, &bytes).with_context(name)?;
    }
    let list = serde_json::to_vec(&Listed { modules, first }).context("listing the modules")?;
    let place = LIST.trim_start_matches('/');
    entry(file, u32::MAX, place, Regular, 0o644, &list).with_context(name)
}

/// Returns the modules to load at the start: drivers, which the kernel does not request by name, and
/// those that the job surely needs, because loading them directly is faster than on request.
fn first_modules(job: &Job) -> Vec<&str> {
    let mut names = vec!["virtio_pci", "virtio_blk", "virtio_rng", &job.root_type];
    if !job.boot.is_empty() {
        names.push("vfat");
    }
    if job.efi_variables {
        names.push("efivarfs");
    }
    names
}

fn entry(
    to: &mut impl Write,
    ino: u32,
    name: &str,
    kind: ModeFileType,
    mode: u32,
    bytes: &[u8],
) -> Result<()> {
    let length = u32::try_from(bytes.len())
        .with_context(|| format!("{name} is too large for an initrd; the limit is 4 GiB"))?;
    let links = if matches!(kind, Directory) { 2 } else { 1 };
    let mut writer = newc::Builder::new(name)
        .ino(ino)
        .nlink(links)
        .mode(mode)
        .set_mode_file_type(kind)
        .write(to, length);
    writer.write_all(bytes)?;
    writer.finish()?;
    Ok(())
}
