//! From the raw disk to the caller's format.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::headers;
use crate::spec::{Format, Identity};
use crate::{escape, process};

/// Converts the raw disk `raw` to `format`, into the new file `target`.
///
/// With [`Identity::deterministic`], what `qemu-img` draws at random or takes from the clock is
/// replaced: see [`headers`]. For formats where we don't know how, a warning says so.
///
/// # Errors
/// Those of `qemu-img`, or if `target` is not what it should have written.
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
        // Without it the disk grows to a size that cylinders, heads and sectors can express, and
        // the second copy of a GPT is no longer at its end.
        Format::Vpc => {
            command.args(["-o", "force_size=on"]);
        }
        _ => {}
    }
    // Out-of-order writes (-W) would be faster with -c, and different each time.
    command.arg(raw).arg(target);
    process::output(&mut command)
        .with_context(|| format!("converting the disk to {}", format.qemu_name()))?;
    if !identity.deterministic {
        return Ok(());
    }
    match format {
        Format::Vpc => headers::fix_vhd(target, identity),
        Format::Vdi => headers::fix_vdi(target, identity),
        Format::Raw | Format::Qcow2 | Format::Qcow2Compressed => Ok(()),
        Format::Other(name) => {
            log::warn!(
                "qemu-img may put random identifiers or the time into the {} format: \
                 two builds of this image may differ (raw, qcow2, vdi and vpc do not)",
                escape::bytes(name.as_bytes())
            );
            Ok(())
        }
    }
    .with_context(|| format!("fixing the header of {}", escape::path(target)))
}
