//! What `qemu-img` leaves random in the headers of VHD and VDI files, made fixed.
//!
//! VHD: "Virtual Hard Disk Image Format Specification" (Microsoft, 2006), section "Hard Disk
//! Footer Format". VDI: `block/vdi.c` of QEMU describes the header, as VirtualBox publishes no
//! specification.

use std::fs::File;
use std::os::unix::fs::FileExt;

use anyhow::{Result, bail, ensure};

use crate::spec::Identity;
use uuid::Uuid;

/// Length of a VHD footer, in bytes.
const FOOTER: usize = 512;
/// Where in a VHD footer the time stamp is: seconds since 2000-01-01 UTC, big-endian.
const VHD_TIME: std::ops::Range<usize> = 24..28;
/// Where the checksum is: the one's complement of the sum of all other bytes, big-endian.
const VHD_CHECKSUM: std::ops::Range<usize> = 64..68;
/// Where the unique ID is.
const VHD_UUID: std::ops::Range<usize> = 68..84;

/// Where in a VDI header the signature is: 0xbeda107f, little-endian.
const VDI_SIGNATURE: (u64, [u8; 4]) = (0x40, [0x7f, 0x10, 0xda, 0xbe]);
/// Where the UUID of the image is; that of the last snapshot follows.
const VDI_UUIDS: u64 = 0x188;

/// Gives a VHD, fixed or dynamic, a time stamp of 0 and a unique ID made from the disk's GUID.
///
/// # Errors
/// If `file` can't be read or written, or is no VHD.
pub fn fix_vhd(file: &File, identity: &Identity) -> Result<()> {
    let length = file.metadata()?.len();
    let Some(last) = length.checked_sub(FOOTER as u64) else {
        bail!("no VHD: {length} bytes are less than a footer");
    };
    let mut footer = [0; FOOTER];
    file.read_exact_at(&mut footer, last)?;
    ensure!(footer.starts_with(b"conectix"), "no VHD: it has no footer");
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
    if last > 0 && start == *b"conectix" {
        file.write_all_at(&footer, 0)?;
    }
    file.write_all_at(&footer, last)?;
    Ok(())
}

/// Gives a VDI an image UUID and a snapshot UUID made from the disk's GUID.
///
/// # Errors
/// If `file` can't be read or written, or is no VDI.
pub fn fix_vdi(file: &File, identity: &Identity) -> Result<()> {
    let (offset, expected) = VDI_SIGNATURE;
    let mut signature = [0; 4];
    file.read_exact_at(&mut signature, offset)?;
    ensure!(signature == expected, "no VDI: its signature is wrong");
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
