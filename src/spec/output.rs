//! What ends up in `$out`.

use super::attributes::{Attributes, quoted};
use super::problems::Problems;
use super::{Format, Output};
use crate::scheme::PartitionTable;

/// The longest file name of the usual file systems in bytes.
const MAX_NAME: usize = 255;

/// The `postVM` of the derivation itself, where it can be overridden, and the rest of `image`.
pub(super) fn output(
    top: &Attributes<'_>,
    image: &Attributes<'_>,
    table: Option<PartitionTable>,
    problems: &mut Problems,
) -> Option<Output> {
    let format = format(image, problems);
    let base_name = base_name(image, problems);
    let post_vm = top.text("postVM", problems);
    let touch = image.boolean("touchEFIVars", problems);
    if touch == Some(true) && table.is_some_and(|table| !table.is_gpt()) {
        problems.add(
            image.at("touchEFIVars"),
            "EFI variables can be used only with a partition table of type hybrid, efi, \
             efixbootldr, or legacy+gpt; set partitionTableType to one of them",
        );
    }
    let efi_variables = match touch {
        Some(true) => Some(image.path("efiVariables", problems)?),
        _ => None,
    };
    let output = Output {
        format: format?,
        base_name: base_name?,
        post_vm: post_vm?.to_owned(),
        efi_variables,
    };
    let length = output.file_name().len();
    if length > MAX_NAME {
        problems.add(
            image.at("baseName"),
            format!(
                "the image's file name would have {length} bytes; the most is {MAX_NAME}: \
                 make it shorter"
            ),
        );
    }
    Some(output)
}

fn format(image: &Attributes<'_>, problems: &mut Problems) -> Option<Format> {
    let name = image.text("format", problems)?;
    Some(match name {
        "raw" => Format::Raw,
        "qcow2" => Format::Qcow2,
        "qcow2-compressed" => Format::Qcow2Compressed,
        "vdi" => Format::Vdi,
        "vpc" => Format::Vpc,
        other => {
            let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            if !other.starts_with(|c: char| c.is_ascii_alphanumeric())
                || !other.chars().all(allowed)
            {
                problems.add(
                    image.at("format"),
                    format!(
                        "{} can't be a file name's extension; write raw, qcow2, qcow2-compressed, \
                         vdi, vpc or another format that \"qemu-img convert -O\" knows",
                        quoted(other)
                    ),
                );
                return None;
            }
            Format::Other(other.to_owned())
        }
    })
}

fn base_name(image: &Attributes<'_>, problems: &mut Problems) -> Option<String> {
    let name = image.text("baseName", problems)?;
    let message = if name.is_empty() {
        "is empty; write a file name without extension, as in \"nixos\"".to_owned()
    } else if name.contains('/') {
        format!(
            "{} has a \"/\" in it; write a file name, not a path",
            quoted(name)
        )
    } else if name.contains(char::is_control) {
        // Hydra's list of products has one line for each.
        format!(
            "{} has a control character in it; take it out",
            quoted(name)
        )
    } else {
        return Some(name.to_owned());
    };
    problems.add(image.at("baseName"), message);
    None
}
