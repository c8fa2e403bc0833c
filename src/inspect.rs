//! Describes an existing image, of this program or another one: its container, its partitions and what
//! is in them; and lists and prints files in it. `docs/inspect.md` describes the output.

mod files;
mod hash;
mod map;
mod paths;
mod report;
mod text;

pub use files::Listing;
pub(crate) use paths::join;

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use console::{Term, colors_enabled};

use crate::container::Disk;
use crate::stdout::{self, WRITING};
use crate::{escape, partitions};
use report::Report;

/// Arguments of `inspect`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Path of the image: raw, qcow2, VHD, VDI, VMDK or VHDX, of any program; or a disk
    image: PathBuf,
    /// List the directory or print the file PATH of a partition (ext2, ext3, ext4, FAT). PARTITION is a
    /// number (0 for a disk without a partition table), a role ("root"), or a name in the partition table
    #[arg(value_name = "PARTITION[:PATH]")]
    place: Option<OsString>,
    /// List everything below the directory
    #[arg(short, long, requires = "place")]
    recursive: bool,
    /// Print JSON, whose form docs/inspect.md describes
    #[arg(long)]
    json: bool,
    /// Also print a hash (SHA-256) of each partition, and of everything outside of them
    #[arg(long, conflicts_with = "place")]
    hashes: bool,
    /// The width of the output, in columns; by default, that of the terminal, or 80
    #[arg(long, value_name = "COLUMNS")]
    width: Option<u16>,
}

/// How text is printed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    /// Columns of a line.
    pub width: usize,
    /// Whether there are colors.
    pub color: bool,
}

/// The width of the output if it is not a terminal, in columns.
const USUAL_WIDTH: u16 = 80;

/// The narrowest output, in columns.
const NARROWEST: u16 = 40;

impl Style {
    /// The style for standard output, and a width that the user may have set. Colors are only for a
    /// terminal, and not if `NO_COLOR` is set.
    fn detect(width: Option<u16>) -> Style {
        let term = Term::stdout();
        let found = term.size_checked().map(|(_, columns)| columns);
        let width = width.or(found).unwrap_or(USUAL_WIDTH).max(NARROWEST);
        Style {
            width: width.into(),
            color: term.is_term() && colors_enabled(),
        }
    }
}

/// Runs `inspect`. Returns whether everything could be read.
///
/// # Errors
/// If the image cannot be read, or standard output cannot be written.
pub fn run(arguments: &Arguments) -> Result<bool> {
    let image = &arguments.image;
    let shown = escape::path(image);
    let inspecting = || format!("inspecting {shown}");
    let Some(place) = &arguments.place else {
        let text = match arguments.json {
            true => json(image, arguments.hashes)?,
            false => {
                let report = Report::of(image, arguments.hashes).with_context(inspecting)?;
                text::text(&report, Style::detect(arguments.width))
            }
        };
        stdout::print(text.as_bytes())?;
        return Ok(true);
    };
    let listing = Listing {
        recursive: arguments.recursive,
        json: arguments.json,
    };
    let mut out = io::BufWriter::new(io::stdout().lock());
    let listed = list(image, place, listing, &mut out);
    let listed = listed.and_then(|complete| {
        out.flush().context(WRITING)?;
        Ok(complete)
    });
    match listed {
        // Reading an image involves no other pipe.
        Err(error) if stdout::is_left(&error) => Ok(true),
        listed => listed,
    }
}

/// Describes the image `path` in JSON; with hashes of its parts if `hashes` is set.
///
/// # Errors
/// If it cannot be read, or its partition table is damaged.
pub fn json(path: &Path, hashes: bool) -> Result<String> {
    let report = Report::of(path, hashes);
    let report = report.with_context(|| format!("inspecting {}", escape::path(path)))?;
    report.json()
}

/// Writes the directory or the file `place` (a partition, and maybe a colon and a path) of the image
/// `path` to `out`. Returns whether everything below a directory could be read; the log has what could
/// not.
///
/// # Errors
/// If there is no such place, or it cannot be read or written.
pub fn list(path: &Path, place: &OsStr, listing: Listing, out: &mut dyn Write) -> Result<bool> {
    let mut print = || -> Result<bool> {
        let disk = Disk::open(path)?;
        let table = partitions::read(&disk)?;
        listing.print(&disk, &table, place, out)
    };
    print().with_context(|| format!("inspecting {}", escape::path(path)))
}

/// Describes the image `path`, as text without colors, in lines of `width` columns; with hashes of its
/// parts if `hashes` is set.
///
/// # Errors
/// If it cannot be read, or its partition table is damaged.
pub fn describe(path: &Path, width: usize, hashes: bool) -> Result<String> {
    let report = Report::of(path, hashes);
    let report = report.with_context(|| format!("inspecting {}", escape::path(path)))?;
    let style = Style {
        width,
        color: false,
    };
    Ok(text::text(&report, style))
}
