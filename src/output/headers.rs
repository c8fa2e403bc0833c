//! Sets fixed values for what `qemu-img` chooses at random in the headers of VHD and VDI files.
//!
//! VHD: "Virtual Hard Disk Image Format Specification" (Microsoft, 2006), section "Hard Disk
//! Footer Format". VDI: `block/vdi.c` of QEMU describes the header, as VirtualBox publishes no
//! specification.

use std::fs::File;
use std::os::unix::fs::FileExt;

use anyhow::Result;

use super::check::{VHD_FOOTER, VHD_SIGNATURE};
use super::identifiers::derived;
use crate::spec::Identity;

/// The time stamp in a VHD footer: seconds since 2000-01-01 UTC, big-endian.
const VHD_TIME: std::ops::Range<usize> = 24..28;
/// The checksum in a VHD footer: the one's complement of the sum of all other bytes, big-endian.
const VHD_CHECKSUM: std::ops::Range<usize> = 64..68;
/// The unique ID in a VHD footer.
const VHD_UUID: std::ops::Range<usize> = 68..84;

/// The offset of the image's UUID in a VDI header. The UUID of the last snapshot follows it.
const VDI_UUIDS: u64 = 0x188;

/// Sets the time stamp of `file`, a fixed or dynamic VHD, to 0, and its unique ID to a UUID derived
/// from that of the root file system.
///
/// # Errors
/// If `file` cannot be read or written.
pub fn fix_vhd(file: &File, identity: &Identity) -> Result<()> {
    let mut footer = [0; VHD_FOOTER];
    let last = file.metadata()?.len().saturating_sub(VHD_FOOTER as u64);
    file.read_exact_at(&mut footer, last)?;
    footer[VHD_TIME].fill(0);
    footer[VHD_UUID].copy_from_slice(derived(identity, b"VHD").as_bytes());
    footer[VHD_CHECKSUM].fill(0);
    let sum = footer
        .iter()
        .fold(0u32, |sum, &byte| sum.wrapping_add(u32::from(byte)));
    footer[VHD_CHECKSUM].copy_from_slice(&(!sum).to_be_bytes());
    // A dynamic disk begins with a copy of its footer.
    let mut start = [0; 8];
    file.read_exact_at(&mut start, 0)?;
    if last > 0 && start == *VHD_SIGNATURE {
        file.write_all_at(&footer, 0)?;
    }
    file.write_all_at(&footer, last)?;
    Ok(())
}

/// Sets the image UUID and the snapshot UUID of `file`, a VDI, to UUIDs derived from that of the
/// root file system.
///
/// # Errors
/// If `file` cannot be written.
pub fn fix_vdi(file: &File, identity: &Identity) -> Result<()> {
    let mut uuids = [0; 32];
    uuids[..16].copy_from_slice(derived(identity, b"VDI image").as_bytes());
    uuids[16..].copy_from_slice(derived(identity, b"VDI snapshot").as_bytes());
    file.write_all_at(&uuids, VDI_UUIDS)?;
    Ok(())
}
