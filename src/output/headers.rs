//! What `qemu-img` leaves random in the headers of VHD and VDI files, made fixed.
//!
//! VHD: "Virtual Hard Disk Image Format Specification" (Microsoft, 2006), section "Hard Disk
//! Footer Format". VDI: `block/vdi.c` of QEMU describes the header, as VirtualBox publishes no
//! specification.

use std::fs::File;
use std::os::unix::fs::FileExt;

use anyhow::Result;
use uuid::Uuid;

use super::check::{VHD_FOOTER, VHD_SIGNATURE};
use crate::spec::Identity;

/// Where in a VHD footer the time stamp is: seconds since 2000-01-01 UTC, big-endian.
const VHD_TIME: std::ops::Range<usize> = 24..28;
/// Where the checksum is: the one's complement of the sum of all other bytes, big-endian.
const VHD_CHECKSUM: std::ops::Range<usize> = 64..68;
/// Where the unique ID is.
const VHD_UUID: std::ops::Range<usize> = 68..84;

/// Where in a VDI header the UUID of the image is; that of the last snapshot follows.
const VDI_UUIDS: u64 = 0x188;

/// Gives `file`, a VHD, fixed or dynamic, a time stamp of 0 and a unique ID made from the disk's GUID.
///
/// # Errors
/// If `file` can't be read or written.
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

/// Gives `file`, a VDI, an image UUID and a snapshot UUID made from the disk's GUID.
///
/// # Errors
/// If `file` can't be written.
pub fn fix_vdi(file: &File, identity: &Identity) -> Result<()> {
    let mut uuids = [0; 32];
    uuids[..16].copy_from_slice(derived(identity, b"VDI image").as_bytes());
    uuids[16..].copy_from_slice(derived(identity, b"VDI snapshot").as_bytes());
    file.write_all_at(&uuids, VDI_UUIDS)?;
    Ok(())
}

/// A UUID of our own for `purpose`, different for disks whose root file systems differ.
fn derived(identity: &Identity, purpose: &[u8]) -> Uuid {
    Uuid::new_v5(&identity.root_file_system, purpose)
}
