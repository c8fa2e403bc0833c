//! Converts the raw disk to the caller's format.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::{check, headers};
use crate::spec::{Format, Identity};
use crate::{escape, leftover, process};

/// The minimum speed of `qemu-img`, in bytes of the disk per second: if it is slower, it hangs.
const SLOWEST: u64 = 1 << 20;

/// Converts the raw disk `raw` to `format`, into the new file `target`.
///
/// With [`Identity::deterministic`], values that `qemu-img` draws at random or takes from the clock
/// are replaced: see [`headers`].
///
/// # Errors
/// If `qemu-img` fails, or `target` is not in the expected format.
pub fn convert(
    qemu_img: &Path,
    raw: &Path,
    format: &Format,
    identity: &Identity,
    target: &Path,
) -> Result<()> {
    let mut command = Command::new(qemu_img);
    command.args(["convert", "-f", "raw", "-O", format.qemu_name()]);
    match format {
        Format::Qcow2Compressed => {
            command.arg("-c");
        }
        // Without it, the disk grows to a size that cylinders, heads and sectors can express, and
        // the backup GPT is not at its end.
        Format::Vpc => {
            command.args(["-o", "force_size=on"]);
        }
        _ => {}
    }
    // Out-of-order writes (-W) would be faster with -c, but the file would differ each time.
    command.arg(raw).arg(target);
    let length = fs::metadata(raw)
        .with_context(|| format!("getting the length of {}", escape::path(raw)))?
        .len();
    let limit = process::USUAL.saturating_add(Duration::from_secs(length / SLOWEST));
    process::quiet(&mut command, limit)
        .with_context(|| format!("converting the disk to {}", format.qemu_name()))?;
    let file = leftover::open(target, "qemu-img")?;
    check::check(&file, format.qemu_name(), length)
        .with_context(|| format!("checking the output of qemu-img: {}", escape::path(target)))?;
    if !identity.deterministic {
        return Ok(());
    }
    match format {
        Format::Vpc => headers::fix_vhd(&file, identity),
        Format::Vdi => headers::fix_vdi(&file, identity),
        _ => Ok(()),
    }
    .with_context(|| format!("fixing the header of {}", escape::path(target)))
}
