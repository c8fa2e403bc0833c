//! Writes the disk in the caller's format.

use std::path::Path;

use anyhow::{Context, Result};
use indicatif::HumanBytes;

use super::{compressed, convert, qcow2, vdi, vhd, vhdx, vmdk};
use crate::image::{self, Image};
use crate::spec::{Format, Spec};

/// Writes `image` to the new file `path` in the format that `spec` requests. Temporary files are in
/// `work`. `progress` is called from any thread with the number of bytes read from files so far, out of
/// [`Image::data_length`].
///
/// # Errors
/// If the disk is too large for the format, a file of the image cannot be read or has changed, or writing
/// fails; a full file system is reported with the space needed and the space available.
pub(crate) fn write(
    spec: &Spec,
    image: Image,
    work: &Path,
    path: &Path,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<()> {
    let (identity, codec) = (&spec.identity, spec.output.codec);
    match &spec.output.format {
        Format::Raw => match codec {
            None => raw(&image, path, progress),
            Some(codec) => compressed::write(&image, codec, path, progress),
        },
        Format::Qcow2 | Format::Qcow2Compressed => qcow2::write(&image, codec, path, progress),
        Format::Vdi => vdi::write(&image, identity, path, progress),
        Format::Vpc => vhd::write_dynamic(&image, identity, path, progress),
        Format::VpcFixed => vhd::write_fixed(&image, identity, path, progress),
        Format::Vmdk => {
            let name = spec.output.file_name();
            vmdk::write_sparse(&image, identity, &name, path, progress)
        }
        Format::VmdkStreamOptimized => {
            let codec = codec.context("a stream-optimized VMDK needs a codec")?;
            let name = spec.output.file_name();
            vmdk::write_stream(&image, identity, codec, &name, path, progress)
        }
        Format::Vhdx => vhdx::write(&image, identity, path, progress),
        Format::Other(name) => {
            let qemu_img = spec.tools.qemu_img.as_deref();
            let qemu_img = qemu_img.context("there is no qemu-img to convert the disk with")?;
            convert::convert(qemu_img, image, name, identity, work, path, progress)
        }
    }
}

fn raw(image: &Image, path: &Path, progress: &(dyn Fn(u64) + Sync)) -> Result<()> {
    let shared = image::write(image, path, progress)?;
    if shared > 0 {
        log::info!(
            "{} of them share blocks with their sources",
            HumanBytes(shared)
        );
    }
    Ok(())
}
