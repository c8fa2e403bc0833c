//! The contents of `$out`.

use serde_json::Value;

use super::attributes::{Attributes, path, quoted, text};
use super::problems::{Problems, Read};
use super::{Format, Output, compression};
use crate::codec::Codec;
use crate::scheme::PartitionTable;

/// The maximum length of a file name on common file systems in bytes.
const MAX_NAME: usize = 255;

/// Reads `postVM` of the derivation itself, where it can be overridden, and the other attributes
/// from `image`.
pub(super) fn output(
    top: &Attributes<'_>,
    image: &Attributes<'_>,
    format: Read<Format>,
    table: Read<PartitionTable>,
    touch_efi_variables: Read<bool>,
    problems: &mut Problems,
) -> Read<Output> {
    let codec = compression::codec(image, &format, problems);
    let base_name = image.required("baseName", base_name, problems);
    let post_vm = top.required("postVM", text, problems);
    let efi_variables = match touch_efi_variables {
        Ok(true) => {
            if table.is_ok_and(|table| !table.scheme().efi_variables) {
                let names = PartitionTable::names(|scheme| scheme.efi_variables);
                let message = format!("requires partitionTableType {names}; set one of them");
                problems.add(image.at("touchEFIVars"), message);
            }
            image.required("efiVariables", path, problems).map(Some)
        }
        Ok(false) => Ok(None),
        Err(noted) => Err(noted),
    };
    if let (Ok(format), Ok(codec), Ok(base_name)) = (&format, codec, &base_name) {
        let length = file_name(base_name, format, codec).len();
        if length > MAX_NAME {
            let message = format!(
                "the image's file name would be {length} bytes long; the limit is {MAX_NAME}: \
                 use a shorter name"
            );
            problems.add(image.at("baseName"), message);
        }
    }
    Ok(Output {
        format: format?,
        codec: codec?,
        base_name: base_name?,
        post_vm: post_vm?.to_owned(),
        efi_variables: efi_variables?,
    })
}

/// Returns the image's file name.
pub(super) fn file_name(base_name: &str, format: &Format, codec: Option<Codec>) -> String {
    let compressed = match (format, codec) {
        (Format::Raw, Some(Codec::Zstd { .. })) => ".zst",
        (Format::Raw, Some(Codec::Xz { .. })) => ".xz",
        (Format::Raw, Some(Codec::Gzip { .. })) => ".gz",
        _ => "",
    };
    format!("{base_name}.{}{compressed}", format.extension())
}

pub(super) fn format(image: &Attributes<'_>, problems: &mut Problems) -> Read<Format> {
    image.required("format", named_format, problems)
}

fn named_format(at: &str, value: &Value, problems: &mut Problems) -> Read<Format> {
    let name = text(at, value, problems)?;
    if let Some(format) = Format::OWN.into_iter().find(|own| own.name() == name) {
        return Ok(format);
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) || !name.chars().all(allowed) {
        let own = Format::OWN;
        let own: Vec<&str> = own.iter().map(Format::name).collect();
        let message = format!(
            "{} is not a valid file name extension; use {} or another format that \"qemu-img \
             convert -O\" supports",
            quoted(name),
            own.join(", ")
        );
        return Err(problems.add(at, message));
    }
    Ok(Format::Other(name.to_owned()))
}

fn base_name(at: &str, value: &Value, problems: &mut Problems) -> Read<String> {
    let name = text(at, value, problems)?;
    let message = if name.is_empty() {
        "is empty; use a file name without an extension, such as \"nixos\"".to_owned()
    } else if name.contains('/') {
        format!(
            "{} contains a \"/\"; use a file name, not a path",
            quoted(name)
        )
    } else if name.contains(char::is_control) {
        // Hydra's list of products has one line for each product.
        format!("{} contains a control character; remove it", quoted(name))
    } else {
        return Ok(name.to_owned());
    };
    Err(problems.add(at, message))
}
