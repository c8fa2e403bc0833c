//! How file data is compressed.

use std::str::FromStr;

use super::ondisk;
use crate::codec::Codec;

/// The algorithm and its level, as `mount -o compress=` and `mkfs.btrfs --compress` take them
/// (btrfs(5)): `zlib`, `zlib:1` to `zlib:9`, `zstd`, `zstd:1` to `zstd:15`. Every level is read by
/// every kernel that has the algorithm; zstd needs Linux 4.14.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Deflate.
    Zlib {
        /// 1 (fast) to 9 (small).
        level: u8,
    },
    /// Zstandard.
    Zstd {
        /// 1 (fast) to 15 (small).
        level: u8,
    },
}

/// The value is no algorithm with a level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown compression; use \"zlib\" or \"zstd\", followed by a level if it is not to be the \
     default: \"zlib:1\" to \"zlib:9\", \"zstd:1\" to \"zstd:15\""
)]
pub struct UnknownCompression;

impl FromStr for Compression {
    type Err = UnknownCompression;

    fn from_str(text: &str) -> Result<Compression, UnknownCompression> {
        let (name, level) = match text.split_once(':') {
            Some((name, level)) => (name, Some(level)),
            None => (text, None),
        };
        // As in a URL or a mount option, "+3" and "03" are no levels.
        let plain = |text: &str| {
            let level: u8 = text.parse().ok()?;
            (level.to_string() == text).then_some(level)
        };
        let level = |default, most| match level {
            None => Ok(default),
            Some(text) => plain(text)
                .filter(|level| (1..=most).contains(level))
                .ok_or(UnknownCompression),
        };
        match name {
            "zlib" => Ok(Compression::Zlib {
                level: level(3, 9)?,
            }),
            "zstd" => Ok(Compression::Zstd {
                level: level(3, 15)?,
            }),
            _ => Err(UnknownCompression),
        }
    }
}

impl Compression {
    /// The codec for an extent.
    pub(super) fn codec(self) -> Codec {
        match self {
            Compression::Zlib { level } => Codec::Zlib {
                level: level.clamp(1, 9).into(),
            },
            Compression::Zstd { level } => Codec::Zstd {
                level: level.clamp(1, 15),
                checksum: false,
            },
        }
    }

    /// The number of the algorithm in file extents.
    pub(super) fn number(self) -> u8 {
        match self {
            Compression::Zlib { .. } => ondisk::compression::ZLIB,
            Compression::Zstd { .. } => ondisk::compression::ZSTD,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_those_of_mount() {
        for (text, expected) in [
            ("zlib", Some(Compression::Zlib { level: 3 })),
            ("zlib:9", Some(Compression::Zlib { level: 9 })),
            ("zstd", Some(Compression::Zstd { level: 3 })),
            ("zstd:15", Some(Compression::Zstd { level: 15 })),
            ("zstd:16", None),
            ("zstd:0", None),
            ("zstd:+1", None),
            ("zstd:", None),
            ("zlib:10", None),
            ("lzo", None),
            ("", None),
        ] {
            assert_eq!(text.parse::<Compression>().ok(), expected, "{text}");
        }
    }
}
