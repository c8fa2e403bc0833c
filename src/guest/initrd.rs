//! The guest's initrd: this program as `/init`, kernel modules and the job.

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::Path;

use anyhow::{Context, Result};
use cpio::newc::{self, ModeFileType};

use super::job::{self, Job};
use super::modules;
use crate::escape;

/// Where the initrd has the modules; their names begin with their place in the order.
pub const MODULES: &str = "/modules";

/// Writes the initrd for `job` to `target`: a cpio archive in the format `newc` (Linux,
/// Documentation/driver-api/early-userspace/buffer-format.rst), the same bytes for the same job.
///
/// # Errors
/// If a module or this program itself can't be read, or `target` not be written.
pub fn write(job: &Job, closure: &Path, target: &Path) -> Result<()> {
    let name = || format!("writing the guest's initrd {}", escape::path(target));
    let mut file = BufWriter::new(File::create(target).with_context(name)?);
    let mut init = Vec::new();
    File::open("/proc/self/exe")
        .and_then(|mut program| program.read_to_end(&mut init))
        .context("reading this program itself (/proc/self/exe)")?;
    entry(&mut file, 1, "init", 0o755, &init).with_context(name)?;
    let job = serde_json::to_vec(job).context("writing the guest's job")?;
    entry(&mut file, 2, job::PATH.trim_start_matches('/'), 0o644, &job).with_context(name)?;
    directory(&mut file, 3, MODULES.trim_start_matches('/')).with_context(name)?;
    for (index, path) in (4..).zip(modules::in_load_order(closure)?) {
        let module = modules::load(&path)?;
        let base = path.file_stem().unwrap_or_default().to_string_lossy();
        let base = base.trim_end_matches(".ko");
        let place = format!("{}/{index:04}-{base}.ko", MODULES.trim_start_matches('/'));
        entry(&mut file, index, &place, 0o644, &module).with_context(name)?;
    }
    newc::trailer(&mut file).with_context(name)?;
    file.flush().with_context(name)
}

fn entry(to: &mut impl Write, ino: u32, name: &str, mode: u32, bytes: &[u8]) -> Result<()> {
    let length = u32::try_from(bytes.len())
        .with_context(|| format!("{name} is larger than an initrd can hold (4 GiB)"))?;
    let mut writer = newc::Builder::new(name)
        .ino(ino)
        .nlink(1)
        .mode(mode)
        .set_mode_file_type(ModeFileType::Regular)
        .write(to, length);
    writer.write_all(bytes)?;
    writer.finish()?;
    Ok(())
}

fn directory(to: &mut impl Write, ino: u32, name: &str) -> Result<()> {
    newc::Builder::new(name)
        .ino(ino)
        .nlink(2)
        .mode(0o755)
        .set_mode_file_type(ModeFileType::Directory)
        .write(to, 0)
        .finish()?;
    Ok(())
}
