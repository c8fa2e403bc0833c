//! The headers of disk image formats, as far as they are needed to check the output of `qemu-img`.
//!
//! qcow2: "docs/interop/qcow2.rst" of QEMU. VDI: its `block/vdi.c`. VHD: "Virtual Hard Disk Image
//! Format Specification" (Microsoft, 2006). VMDK: "Virtual Disk Format 5.0" (VMware), for the
//! variant that `qemu-img` writes by default (`monolithicSparse`). VHDX: "\[MS-VHDX\]". QED:
//! "docs/interop/qed_spec.rst" of QEMU. Parallels: "docs/interop/parallels.rst" of QEMU.

use std::fs::File;
use std::os::unix::fs::FileExt;

use anyhow::{Context, Result, ensure};

/// The length of a VHD's footer, in bytes.
const VHD_FOOTER: usize = 512;

/// The first bytes of a VHD's footer.
const VHD_SIGNATURE: &[u8; 8] = b"conectix";

/// The header of a format.
struct Header {
    /// Its name in `qemu-img`.
    format: &'static str,
    /// Where the header begins: bytes before the end of the file, or 0 for its start.
    from_end: u64,
    /// The offset of the signature in the header, and its bytes.
    signature: (usize, &'static [u8]),
    /// The offset of the disk's length in the header, if it is fixed, and its encoding.
    length: Option<(u64, Number)>,
}

/// The encoding of a number of 8 bytes.
enum Number {
    BigEndian,
    LittleEndian,
    /// Little-endian, in units of 512 bytes.
    Sectors,
}

const HEADERS: [Header; 7] = [
    Header {
        format: "qcow2",
        from_end: 0,
        signature: (0, b"QFI\xfb"),
        length: Some((24, Number::BigEndian)),
    },
    Header {
        format: "vdi",
        from_end: 0,
        signature: (0x40, &[0x7f, 0x10, 0xda, 0xbe]),
        length: Some((0x170, Number::LittleEndian)),
    },
    Header {
        format: "vpc",
        from_end: VHD_FOOTER as u64,
        signature: (0, VHD_SIGNATURE),
        length: Some((48, Number::BigEndian)),
    },
    Header {
        format: "vmdk",
        from_end: 0,
        signature: (0, b"KDMV"),
        length: Some((12, Number::Sectors)),
    },
    Header {
        format: "vhdx",
        from_end: 0,
        signature: (0, b"vhdxfile"),
        length: None,
    },
    Header {
        format: "qed",
        from_end: 0,
        signature: (0, b"QED\0"),
        length: Some((48, Number::LittleEndian)),
    },
    Header {
        format: "parallels",
        from_end: 0,
        signature: (0, b"WithouFreSpacExt"),
        length: Some((36, Number::Sectors)),
    },
];

impl Header {
    fn is_in(&self, bytes: &[u8]) -> bool {
        let (at, signature) = self.signature;
        bytes
            .get(at..)
            .is_some_and(|rest| rest.starts_with(signature))
    }
}

/// Checks that `file` is in `format`, as `qemu-img` calls it, and holds a disk of `length` bytes.
/// If the format is not known here, it only checks that the file is not empty.
///
/// # Errors
/// If a check fails, or the file cannot be read.
pub fn check(file: &File, format: &str, length: u64) -> Result<()> {
    let size = file
        .metadata()
        .context("getting the length of a file")?
        .len();
    ensure!(size > 0, "the file is empty");
    let Some(header) = HEADERS.iter().find(|header| header.format == format) else {
        return Ok(());
    };
    let start = match header.from_end {
        0 => Some(0),
        from_end => size.checked_sub(from_end),
    };
    let read = |at: u64, length: usize| -> Option<Vec<u8>> {
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, start?.checked_add(at)?)
            .ok()?;
        Some(bytes)
    };
    let (at, signature) = header.signature;
    let beginning = read(0, at + signature.len());
    ensure!(
        beginning.is_some_and(|found| header.is_in(&found)),
        "not a {format} image: no {format} signature in its {size} bytes"
    );
    let Some((at, number)) = &header.length else {
        return Ok(());
    };
    let found: Option<[u8; 8]> = read(*at, 8).and_then(|bytes| bytes.try_into().ok());
    let found =
        found.with_context(|| format!("the file ends within the header, after {size} bytes"))?;
    let found = match number {
        Number::BigEndian => u64::from_be_bytes(found),
        Number::LittleEndian => u64::from_le_bytes(found),
        Number::Sectors => u64::from_le_bytes(found).saturating_mul(512),
    };
    ensure!(
        found == length,
        "expected a disk of {length} bytes, found one of {found}"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    const LENGTH: u64 = 3 << 20;

    /// The output of `qemu-img` for a disk of [`LENGTH`].
    fn converted(directory: &std::path::Path, format: &str) -> File {
        let raw = directory.join("raw");
        File::create(&raw).unwrap().set_len(LENGTH).unwrap();
        let target = directory.join(format);
        let mut command = Command::new("qemu-img");
        command.args(["convert", "-f", "raw", "-O", format]);
        if format == "vpc" {
            command.args(["-o", "force_size=on"]);
        }
        let status = command.arg(&raw).arg(&target).status().unwrap();
        assert!(status.success(), "{format}");
        File::options().read(true).write(true).open(target).unwrap()
    }

    #[test]
    fn accepts_the_output_of_qemu_img_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        for header in &HEADERS {
            let format = header.format;
            let file = converted(directory.path(), format);
            check(&file, format, LENGTH).unwrap_or_else(|error| panic!("{format}: {error:#}"));
            if header.length.is_some() {
                let error = check(&file, format, LENGTH + 512).unwrap_err().to_string();
                let expected = "expected a disk of 3146240 bytes, found one of 3145728";
                assert_eq!(error, expected, "{format}");
            }
            let other = if format == "qcow2" { "vdi" } else { "qcow2" };
            let error = check(&file, other, LENGTH).unwrap_err().to_string();
            assert!(error.contains(&format!("not a {other} image")), "{error}");
            file.set_len(4).unwrap();
            check(&file, format, LENGTH).unwrap_err();
            file.set_len(0).unwrap();
            let error = check(&file, format, LENGTH).unwrap_err().to_string();
            assert_eq!(error, "the file is empty");
        }
    }
}
