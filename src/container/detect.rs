//! Recognizes the format of a file.

use anyhow::{Result, bail, ensure};

use super::file::ImageFile;
use super::{Opened, qcow2, raw, vdi, vhd, vhdx, vmdk};

/// A format that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Raw,
    Qcow2,
    Vdi,
    Vhd,
    Vhdx,
    Vmdk,
}

/// The beginnings of files that cannot be read: the offset of a signature, the signature, what the file
/// is, and what to do.
const OTHERS: [(usize, &[u8], &str, &str); 10] = [
    (0, b"QED\0", "in the QED format", CONVERT),
    (0, b"WithoutFreeSpace", "in the Parallels format", CONVERT),
    (0, b"WithouFreSpacExt", "in the Parallels format", CONVERT),
    (0, b"Bochs Virtual HD Image", "in the Bochs format", CONVERT),
    (0, b"COWD", "in the format of VMware ESX 3", CONVERT),
    (
        0,
        b"# Disk DescriptorFile",
        "a VMDK descriptor, whose disk is in other files",
        CONVERT,
    ),
    (
        0,
        b"\x28\xb5\x2f\xfd",
        "compressed with zstd",
        "decompress it with zstd -d",
    ),
    (
        0,
        b"\x1f\x8b\x08",
        "compressed with gzip",
        "decompress it with gzip -d",
    ),
    (
        0,
        b"\xfd7zXZ\0",
        "compressed with xz",
        "decompress it with xz -d",
    ),
    (257, b"ustar", "an archive", "unpack it with tar"),
];

const CONVERT: &str = "convert it with qemu-img convert -O raw";

/// The number of bytes at the beginning of a file in which signatures are.
const BEGINNING: usize = 512;

/// Returns the format of `file`.
///
/// # Errors
/// If it cannot be read, or is not supported.
pub fn kind(file: &ImageFile) -> Result<Kind> {
    ensure!(file.length > 0, "the file is empty");
    let mut start = [0; BEGINNING];
    file.read_padded(0, &mut start)?;
    let is = |at: usize, signature: &[u8]| start[at..].starts_with(signature);
    // With an MBR, the rest of the first sector can be anything.
    let is_boot_sector = is(510, &[0x55, 0xaa]);
    for (at, signature, what, cure) in OTHERS {
        if is(at, signature) && !is_boot_sector {
            bail!("it is {what}, which cannot be read; {cure}");
        }
    }
    Ok(match () {
        () if is(0, b"QFI\xfb") => Kind::Qcow2,
        () if is(0x40, &[0x7f, 0x10, 0xda, 0xbe]) && !is_boot_sector => Kind::Vdi,
        () if is(0, b"KDMV") => Kind::Vmdk,
        () if is(0, b"vhdxfile") => Kind::Vhdx,
        () if vhd::is_vhd(file)? => Kind::Vhd,
        () => Kind::Raw,
    })
}

impl Kind {
    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Raw => "raw",
            Kind::Qcow2 => "qcow2",
            Kind::Vdi => "VDI",
            Kind::Vhd => "VHD",
            Kind::Vhdx => "VHDX",
            Kind::Vmdk => "VMDK",
        }
    }

    /// Reads the headers of `file`, and checks the tables.
    ///
    /// # Errors
    /// If they are damaged, or the file needs something that is not supported.
    pub fn open(self, file: &ImageFile) -> Result<Opened> {
        match self {
            Kind::Raw => Ok(raw::open(file)),
            Kind::Qcow2 => qcow2::open(file),
            Kind::Vdi => vdi::open(file),
            Kind::Vhd => vhd::open(file),
            Kind::Vhdx => vhdx::open(file),
            Kind::Vmdk => vmdk::open(file),
        }
    }
}
