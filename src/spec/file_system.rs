//! The root file system: its type, its options and its label.

use std::ops::RangeInclusive;

use serde_json::Value;

use super::attributes::{Attributes, each, number, quoted, shown, text};
use super::problems::{Problems, Read};
use super::size::parse_iec;
use super::{BtrfsOptions, Compression, FileSystemKind, Method, RootFileSystem, SquashfsOptions};

/// A method of compression: its name in `fsOptions.compression`, its levels, and the default level.
struct Choice {
    name: &'static str,
    method: Method,
    levels: RangeInclusive<u8>,
    level: u8,
}

const fn choice(
    name: &'static str,
    method: Method,
    levels: RangeInclusive<u8>,
    level: u8,
) -> Choice {
    Choice {
        name,
        method,
        levels,
        level,
    }
}

/// As in the mount option `compress` of btrfs (btrfs(5)), with its default levels.
const BTRFS: &[Choice] = &[
    choice("zlib", Method::Zlib, 1..=9, 3),
    choice("zstd", Method::Zstd, 1..=15, 3),
];

/// As in `mkfs.erofs -z`. The levels of zstd above 19 need more than a hundred MiB for each core.
const EROFS: &[Choice] = &[
    choice("lz4", Method::Lz4, 0..=0, 0),
    choice("lz4hc", Method::Lz4Hc, 1..=12, 9),
    choice("deflate", Method::Deflate, 1..=9, 6),
    choice("zstd", Method::Zstd, 1..=19, 3),
];

/// As in `sqfstar -comp`. The default is the first: nixpkgs makes its squashfs images with zstd.
const SQUASHFS: &[Choice] = &[
    choice("zstd", Method::Zstd, 1..=22, 15),
    choice("gzip", Method::Gzip, 1..=9, 9),
    choice("lz4", Method::Lz4, 0..=0, 0),
    choice("lz4hc", Method::Lz4Hc, 0..=0, 0),
    choice("xz", Method::Xz, 0..=0, 0),
];

/// The block sizes of squashfs, in bytes.
const SQUASHFS_BLOCKS: RangeInclusive<u64> = 4096..=1 << 20;

/// Reads the kind of the root file system, with the defaults of its options.
pub(super) fn kind(image: &Attributes<'_>, problems: &mut Problems) -> Read<FileSystemKind> {
    image.required("fsType", named, problems)
}

/// Reads the properties of a root file system of this kind.
pub(super) fn root(
    image: &Attributes<'_>,
    kind: &Read<FileSystemKind>,
    problems: &mut Problems,
) -> Read<RootFileSystem> {
    let label = |at: &str, value, problems: &mut Problems| label(at, value, kind, problems);
    let label = image.required("label", label, problems);
    let kind = kind.as_ref().map_err(|noted| *noted)?;
    Ok(RootFileSystem {
        kind: options(kind.clone(), image, problems)?,
        label: label?,
    })
}

/// Returns the kind with the name `value`.
fn named(at: &str, value: &Value, problems: &mut Problems) -> Read<FileSystemKind> {
    let name = text(at, value, problems)?;
    let kind = FileSystemKind::all()
        .into_iter()
        .find(|kind| kind.name() == name);
    let message = || {
        let meant = name.trim().to_ascii_lowercase();
        let all = FileSystemKind::all().map(|kind| kind.name());
        let advice = match all.iter().find(|name| **name == meant) {
            Some(name) => format!("write it as {}", quoted(name)),
            None => format!("use one of {}", all.map(quoted).join(", ")),
        };
        format!(
            "{} is not a type of file system that this version can make; {advice}",
            quoted(name)
        )
    };
    problems.check(at, kind.ok_or_else(message))
}

/// Returns `kind` with the options in `fsOptions`, which may be missing.
fn options(
    kind: FileSystemKind,
    image: &Attributes<'_>,
    problems: &mut Problems,
) -> Read<FileSystemKind> {
    if !image.has("fsOptions") {
        return Ok(kind);
    }
    let given = image.object("fsOptions", problems);
    let allowed: &[&str] = match kind {
        FileSystemKind::Btrfs(_) => &["compression", "compressionLevel", "subvolumes"],
        FileSystemKind::Erofs(_) => &["compression", "compressionLevel"],
        FileSystemKind::Squashfs(_) => &["blockSize", "compression", "compressionLevel"],
        _ => &[],
    };
    let mut unknown = Ok(());
    for (name, _) in given.entries()? {
        if !allowed.contains(&name) {
            unknown = Err(problems.add(given.at(name), not_allowed(&kind, allowed)));
        }
    }
    let kind = match kind {
        FileSystemKind::Btrfs(defaults) => {
            let compression = compression(&given, BTRFS, problems);
            let subvolumes = given.optional("subvolumes", each(subvolume), problems);
            FileSystemKind::Btrfs(BtrfsOptions {
                compression: compression?,
                subvolumes: subvolumes?.unwrap_or_default(),
                ..defaults
            })
        }
        FileSystemKind::Erofs(_) => FileSystemKind::Erofs(compression(&given, EROFS, problems)?),
        FileSystemKind::Squashfs(defaults) => {
            let compression = compression(&given, SQUASHFS, problems);
            let block = given.optional("blockSize", block_size, problems);
            FileSystemKind::Squashfs(SquashfsOptions {
                compression: compression?.unwrap_or(defaults.compression),
                block_size: block?.unwrap_or(defaults.block_size),
            })
        }
        other => other,
    };
    unknown?;
    Ok(kind)
}

fn not_allowed(kind: &FileSystemKind, allowed: &[&str]) -> String {
    let name = kind.name();
    match allowed {
        [] => format!("fsType {} has no options; remove it", quoted(name)),
        _ => {
            let allowed: Vec<String> = allowed.iter().map(|name| quoted(name)).collect();
            format!(
                "is not an option of fsType {}; use {}",
                quoted(name),
                allowed.join(", ")
            )
        }
    }
}

/// Reads `compression` and `compressionLevel`. `None`: the contents of files are not compressed.
fn compression(
    options: &Attributes<'_>,
    choices: &'static [Choice],
    problems: &mut Problems,
) -> Read<Option<Compression>> {
    let Some(choice) = options.optional("compression", chosen(choices), problems)? else {
        if options.has("compressionLevel") {
            let message =
                "has no effect without compression; set compression as well, or remove it";
            return Err(problems.add(options.at("compressionLevel"), message));
        }
        return Ok(None);
    };
    let level = options.optional("compressionLevel", level(choice), problems)?;
    Ok(Some(Compression {
        method: choice.method,
        level: level.unwrap_or(choice.level),
    }))
}

fn chosen(
    choices: &'static [Choice],
) -> impl Fn(&str, &Value, &mut Problems) -> Read<&'static Choice> {
    move |at, value, problems| {
        let name = text(at, value, problems)?;
        let choice = choices.iter().find(|choice| choice.name == name);
        let message = || {
            let names: Vec<String> = choices.iter().map(|choice| quoted(choice.name)).collect();
            format!(
                "{} is unsupported; use one of {}",
                quoted(name),
                names.join(", ")
            )
        };
        problems.check(at, choice.ok_or_else(message))
    }
}

fn level(choice: &'static Choice) -> impl Fn(&str, &Value, &mut Problems) -> Read<u8> {
    move |at, value, problems| {
        let (first, last) = (choice.levels.start(), choice.levels.end());
        if first == last {
            let message = format!("{} has no levels; remove it", choice.name);
            return Err(problems.add(at, message));
        }
        let level = number(value).and_then(|level| u8::try_from(level).ok());
        let message = || {
            format!(
                "{} is not a level of {}; use a whole number from {first} to {last}",
                shown(value),
                choice.name
            )
        };
        let level = level.filter(|level| choice.levels.contains(level));
        problems.check(at, level.ok_or_else(message))
    }
}

/// Reads the path of a subvolume, relative to the root of the file system.
fn subvolume(at: &str, value: &Value, problems: &mut Problems) -> Read<String> {
    let path = text(at, value, problems)?;
    let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
    if names.is_empty() || names.iter().any(|name| matches!(*name, "." | "..")) {
        let message = format!(
            "{} is not the path of a directory below the root; use a path such as \"nix\" or \"/var/log\"",
            quoted(path)
        );
        return Err(problems.add(at, message));
    }
    Ok(names.join("/"))
}

fn block_size(at: &str, value: &Value, problems: &mut Problems) -> Read<u32> {
    let bytes = match value {
        Value::String(text) => parse_iec(text).ok(),
        other => number(other),
    };
    let valid = bytes
        .filter(|bytes| bytes.is_power_of_two() && SQUASHFS_BLOCKS.contains(bytes))
        .and_then(|bytes| u32::try_from(bytes).ok());
    let message = || {
        format!(
            "{} is not a block size of squashfs; use a power of two from \"4K\" to \"1M\"",
            shown(value)
        )
    };
    problems.check(at, valid.ok_or_else(message))
}

fn label(
    at: &str,
    value: &Value,
    kind: &Read<FileSystemKind>,
    problems: &mut Problems,
) -> Read<String> {
    let label = text(at, value, problems)?;
    let kind = kind.as_ref().map_err(|noted| *noted)?;
    let (length, unit) = match kind {
        FileSystemKind::F2fs => (label.encode_utf16().count(), "UTF-16 units"),
        _ => (label.len(), "bytes"),
    };
    if let Some(limit) = kind.longest_label()
        && length > limit
    {
        let message = format!(
            "{} is {length} {unit} long; {}'s limit for labels is {limit}",
            quoted(label),
            kind.name(),
        );
        return Err(problems.add(at, message));
    }
    Ok(label.to_owned())
}
