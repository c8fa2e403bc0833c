//! How the image is compressed.

use std::ops::RangeInclusive;

use serde_json::Value;

use super::Format;
use super::attributes::{Attributes, number, quoted, shown, text};
use super::problems::{Problems, Read};
use crate::codec::Codec;

/// The largest window that QEMU's reader of qcow2 supports: 2 to the power of 12 bytes, 4 KiB
/// (`qcow2_zlib_decompress` of its `block/qcow2-threads.c`).
const QCOW2_WINDOW_BITS: u8 = 12;

/// The values of `compression`, for the clusters of qcow2, with the default levels.
const CLUSTERS: [(&str, Codec); 2] = [
    (
        "zlib",
        Codec::Deflate {
            level: 6,
            window_bits: QCOW2_WINDOW_BITS,
        },
    ),
    (
        "zstd",
        Codec::Zstd {
            level: 3,
            checksum: false,
        },
    ),
];

/// For the grains of a stream-optimized VMDK.
const GRAINS: Codec = Codec::Zlib { level: 6 };

/// The values of `compressImage`, with the default levels.
const IMAGES: [(&str, Codec); 3] = [
    (
        "zstd",
        Codec::Zstd {
            level: 3,
            checksum: true,
        },
    ),
    ("xz", Codec::Xz { level: 6 }),
    ("gzip", Codec::Gzip { level: 6 }),
];

/// Reads the codec of an image in `format`, and its level. `None`: the image is not compressed.
pub(super) fn codec(
    image: &Attributes<'_>,
    format: &Read<Format>,
    problems: &mut Problems,
) -> Read<Option<Codec>> {
    let format = format.as_ref().map_err(|noted| *noted)?;
    let whole = image.optional("compressImage", named(&IMAGES), problems)?;
    let codec = match (format, whole) {
        (Format::Raw, whole) => whole,
        (format, Some(_)) => {
            let message = format!(
                "only a raw image is compressed as a whole, and image.format is {}; set format to \
                 \"raw\", or compressImage to null",
                quoted(format.name())
            );
            return Err(problems.add(image.at("compressImage"), message));
        }
        (Format::Qcow2Compressed, None) => {
            Some(image.required("compression", named(&CLUSTERS), problems)?)
        }
        (Format::VmdkStreamOptimized, None) => Some(GRAINS),
        _ => None,
    };
    let Some(codec) = codec else { return Ok(None) };
    let level = image.optional("compressionLevel", level(codec), problems)?;
    Ok(Some(level.unwrap_or(codec)))
}

/// Reads the name of one of `codecs`.
fn named(codecs: &[(&str, Codec)]) -> impl Fn(&str, &Value, &mut Problems) -> Read<Codec> {
    move |at, value, problems| {
        let name = text(at, value, problems)?;
        let codec = codecs.iter().find(|(known, _)| *known == name);
        let message = || {
            let names: Vec<String> = codecs.iter().map(|(name, _)| quoted(name)).collect();
            format!(
                "{} is unsupported; use one of {}",
                quoted(name),
                names.join(", ")
            )
        };
        let (_, codec) = problems.check(at, codec.ok_or_else(message))?;
        Ok(*codec)
    }
}

/// Reads the level of `codec`, and returns the codec with it.
fn level(codec: Codec) -> impl Fn(&str, &Value, &mut Problems) -> Read<Codec> {
    move |at, value, problems| {
        let (name, levels) = levels(codec);
        let level = number(value).and_then(|level| u8::try_from(level).ok());
        let level = level.filter(|level| levels.contains(level));
        let message = || {
            format!(
                "{} is not a level of {name}; use a whole number from {} to {}, or null for the \
                 default",
                shown(value),
                levels.start(),
                levels.end()
            )
        };
        let level = problems.check(at, level.ok_or_else(message))?;
        Ok(with_level(codec, level))
    }
}

/// Returns the name of a codec in messages, and its levels.
fn levels(codec: Codec) -> (&'static str, RangeInclusive<u8>) {
    match codec {
        Codec::Deflate { .. } | Codec::Zlib { .. } => ("zlib", 1..=9),
        Codec::Gzip { .. } => ("gzip", 1..=9),
        // The levels above need more than a hundred MiB of memory for each core.
        Codec::Zstd { .. } => ("zstd", 1..=19),
        Codec::Xz { .. } => ("xz", 0..=9),
    }
}

fn with_level(codec: Codec, new: u8) -> Codec {
    let mut codec = codec;
    match &mut codec {
        Codec::Deflate { level, .. }
        | Codec::Zlib { level }
        | Codec::Gzip { level }
        | Codec::Xz { level } => *level = new.into(),
        Codec::Zstd { level, .. } => *level = new,
    }
    codec
}
