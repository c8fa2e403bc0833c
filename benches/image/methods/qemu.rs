//! `qemu-img`, which converts a finished raw disk.

use std::ffi::OsString;
use std::path::Path;

use super::Conversion;

pub fn convert(raw: &Path, image: &Path, conversion: &Conversion) -> Vec<OsString> {
    let mut command: Vec<OsString> = ["qemu-img", "convert", "-f", "raw"]
        .map(OsString::from)
        .to_vec();
    command.extend(conversion.arguments.iter().map(OsString::from));
    command.extend([raw.into(), image.into()]);
    command
}
