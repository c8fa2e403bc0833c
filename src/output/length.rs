//! Whether a format has room for a disk.

use anyhow::{Result, ensure};

use crate::code::Code;

use crate::layout::{MEBIBYTE, SECTOR};

/// Checks that a disk of `length` bytes has whole sectors, and at most `longest` bytes, which `limit`
/// introduces in the message: "a VHD has at most". `others` are formats for longer disks, quoted.
///
/// # Errors
/// If it does not.
pub fn check(length: u64, longest: u64, limit: &str, others: &str) -> Result<()> {
    let most = longest / MEBIBYTE;
    if length > longest {
        return Err(Code::DiskSize.error(format!(
            "the disk has {length} bytes ({} MiB), but {limit} {longest} ({most} MiB); set diskSize \
             to at most {most}, or use another format, such as {others}",
            length.div_ceil(MEBIBYTE)
        )));
    }
    ensure!(
        length.is_multiple_of(SECTOR),
        "the disk has {length} bytes, which is not a multiple of {SECTOR}, the length of a sector"
    );
    Ok(())
}
