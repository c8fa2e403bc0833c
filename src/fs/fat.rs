//! FAT boot partitions: `mkfs.fat` makes them, mtools fills them.
//!
//! Both are the caller's. They are run so that nothing but the tree and the volume's own
//! properties gets into the bytes: fixed IDs and geometry, one file after the other in the order
//! of names, times from the tree, an empty environment.

mod geometry;
mod names;

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, anyhow};

use self::geometry::{Geometry, Need};
use crate::spec::Tools;
use crate::tree::{Content, Kind, Source, Tree};
use crate::{escape, process};

/// The times FAT can say, in seconds since 1970: 1980-01-01 00:00:00 to 2107-12-31 23:59:58 UTC
/// (Microsoft FAT specification, "Date and Time Formats").
const TIMES: (i64, i64) = (315_532_800, 4_354_819_198);

/// What mtools are told besides their environment: names are ASCII (IBM's code page 367). Any other
/// code page is a file of glibc's that need not be there.
const CONFIGURATION: &str = "default_codepage=367\n";

/// The longest file, in bytes.
const LARGEST_FILE: u64 = u32::MAX as u64;

/// A FAT file system to be made.
#[derive(Debug, Clone, Copy)]
pub struct FatVolume<'a> {
    /// The label: at most 11 of `A`-`Z`, `0`-`9`, `_` and `-`.
    pub label: &'a str,
    /// The volume ID.
    pub id: u32,
    /// Length in bytes; whole sectors.
    pub length: u64,
    /// The partition's first sector, which goes into the boot sector ("hidden sectors").
    pub first_sector: u64,
    /// What is in it. Directories and regular files; owners, modes and extended attributes have no
    /// place in FAT and are left out, a hard link becomes a second file, and times are cut to
    /// 1980..2107 and to even seconds.
    pub tree: &'a Tree,
}

/// Why a FAT file system can't be made.
#[derive(Debug, thiserror::Error)]
pub enum FatError {
    /// Something in the tree can't be said in FAT: one line for each such thing, with its path
    /// (escaped) and the reason.
    #[error("{} can't be stored on a FAT boot partition:\n{}", count(.0.len()), crate::excerpt::list(.0, "\n"))]
    Unrepresentable(Vec<String>),
    /// The files do not fit.
    #[error(
        "the boot partition {label} is {length} bytes and has room for {available} bytes of files \
         and directories; {needed} are needed: set bootSize to at least {} MiB more",
        needed.saturating_sub(*available).div_ceil(crate::layout::MEBIBYTE)
    )]
    TooSmall {
        /// The volume's label.
        label: String,
        /// Bytes that the tree takes, in whole clusters.
        needed: u64,
        /// Bytes that all clusters have.
        available: u64,
        /// Length of the partition in bytes.
        length: u64,
    },
    /// More names at the top than a small FAT has room for.
    #[error(
        "the boot partition {label} has {slots} directory entries at its top, and the root \
         directory of a FAT this small holds {entries}: use fewer or shorter names, or a bootSize \
         that makes the partition at least 33 MiB"
    )]
    RootFull {
        /// The volume's label.
        label: String,
        /// Entries that the names take, long names several each.
        slots: u64,
        /// Entries there are.
        entries: u64,
    },
    /// The label is not one that every program reads the same.
    #[error("{0:?} is no FAT label: it takes 1 to 11 of A-Z, 0-9, _ and -")]
    Label(String),
    /// A program or a system call failed.
    #[error(transparent)]
    Failed(#[from] anyhow::Error),
}

fn count(things: usize) -> String {
    match things {
        1 => "1 thing".to_owned(),
        more => format!("{more} things"),
    }
}

/// Makes the file system in a sparse file of `volume.length` bytes in the directory `work`, and
/// returns the file. It is FAT32 where there are at least 65,525 clusters, which is from 33 MiB on,
/// else what `mkfs.fat` picks. A file that `work` has from an earlier call with the same label is
/// overwritten.
///
/// # Errors
/// See [`FatError`].
pub fn make(tools: &Tools, volume: &FatVolume<'_>, work: &Path) -> Result<PathBuf, FatError> {
    check_label(volume.label)?;
    let problems = names::problems(volume.tree);
    if !problems.is_empty() {
        return Err(FatError::Unrepresentable(problems));
    }
    let image = std::path::absolute(work)
        .context("finding the working directory")?
        .join(format!("{}.fat", volume.label));
    format(tools, volume, &image).with_context(|| {
        format!(
            "making the FAT file system {} of {} bytes",
            volume.label, volume.length
        )
    })?;
    let geometry = Geometry::read(&image)?;
    geometry.expect(volume.length >= geometry::SMALLEST_FAT32)?;
    check_room(volume, &geometry)?;
    fill(tools, volume.tree, &image, work)?;
    Ok(image)
}

fn check_label(label: &str) -> Result<(), FatError> {
    let good = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
    if (1..=11).contains(&label.len()) && label.bytes().all(good) {
        Ok(())
    } else {
        Err(FatError::Label(label.to_owned()))
    }
}

fn format(tools: &Tools, volume: &FatVolume<'_>, image: &Path) -> anyhow::Result<()> {
    File::create(image)
        .and_then(|file| file.set_len(volume.length))
        .with_context(|| format!("making {}", escape::path(image)))?;
    let mut mkfs = Command::new(&tools.mkfs_fat);
    clean_environment(&mut mkfs, TIMES.0);
    // --invariant fixes the times, and must come before -i: it sets an ID too. mkfs.fat cuts the
    // file system to whole tracks: with these, it is as long as a partition of whole MiB.
    mkfs.arg("--invariant")
        .args(["-n", volume.label])
        .args(["-i", &format!("{:08x}", volume.id)])
        .args(["-h", &volume.first_sector.to_string()])
        .args(["-g", &format!("64/{}", geometry::TRACK)]);
    if volume.length >= geometry::SMALLEST_FAT32 {
        mkfs.args(["-F", "32"]);
    }
    process::output(mkfs.arg(image)).map(drop)
}

fn check_room(volume: &FatVolume<'_>, geometry: &Geometry) -> Result<(), FatError> {
    let need = Need::of(volume.tree, geometry);
    if need.root_slots > geometry.root_entries.unwrap_or(u64::MAX) {
        return Err(FatError::RootFull {
            label: volume.label.to_owned(),
            slots: need.root_slots,
            entries: geometry.root_entries.unwrap_or(0),
        });
    }
    if need.clusters > geometry.clusters {
        return Err(FatError::TooSmall {
            label: volume.label.to_owned(),
            needed: need.clusters.saturating_mul(geometry.cluster),
            available: geometry.clusters.saturating_mul(geometry.cluster),
            length: volume.length,
        });
    }
    Ok(())
}

/// Copies the tree's directories and files into the image, parents first, in the order of names.
fn fill(tools: &Tools, tree: &Tree, image: &Path, work: &Path) -> anyhow::Result<()> {
    let mut entries = Vec::new();
    tree.walk(|path, id| entries.push((path.to_owned(), id)));
    let configuration = work.join("mtoolsrc");
    fs::write(&configuration, CONFIGURATION)
        .with_context(|| format!("writing {}", escape::path(&configuration)))?;
    for (path, id) in entries {
        let inode = tree.inode(id);
        // Names were checked: they are ASCII.
        let path = String::from_utf8_lossy(&path);
        let time = inode.metadata.mtime.seconds.clamp(TIMES.0, TIMES.1);
        let target = format!("::/{path}");
        let run = |program: &str, source: Option<&Path>| {
            let mut command = Command::new(tools.mtools.join(program));
            clean_environment(&mut command, time);
            command.env("MTOOLSRC", &configuration);
            command.arg("-i").arg(image).args(source).arg(&target);
            process::output(&mut command)
                .map(drop)
                .with_context(|| format!("copying /{path} into {}", escape::path(image)))
        };
        match &inode.kind {
            Kind::Directory(_) => run("mmd", None)?,
            Kind::File(content) => with_source(content, work, |source| run("mcopy", Some(source)))?,
            _ => return Err(anyhow!("/{path} is neither a file nor a directory")),
        }
    }
    Ok(())
}

/// Calls `copy` with a file that has the bytes of `content`.
fn with_source(
    content: &Content,
    work: &Path,
    copy: impl FnOnce(&Path) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    match &content.source {
        Source::File(file) => {
            let path = std::path::absolute(file.path()).context("finding a source file")?;
            let name = escape::path(&path);
            let length = fs::metadata(&path)
                .with_context(|| format!("reading {name}"))?
                .len();
            if length != content.size {
                return Err(anyhow!(
                    "{name} changed while it was being read: it had {} bytes and now has {length}",
                    content.size
                ));
            }
            copy(&path)
        }
        Source::Bytes(bytes) => {
            let mut file = tempfile::NamedTempFile::new_in(work)
                .and_then(|mut file| file.write_all(bytes).map(|()| file))
                .with_context(|| format!("writing a file in {}", escape::path(work)))?;
            file.flush().context("writing a temporary file")?;
            let path = std::path::absolute(file.path()).context("finding a temporary file")?;
            copy(&path)
        }
    }
}

/// Leaves the child nothing that could change what it writes. The variables that begin with
/// `MTOOLS_` undo what a machine's `/etc/mtools.conf` may say.
fn clean_environment(command: &mut Command, time: i64) {
    command
        .env_clear()
        .env("LC_ALL", "C")
        .env("TZ", "UTC")
        .env("SOURCE_DATE_EPOCH", time.to_string())
        .env("MTOOLS_SKIP_CHECK", "1")
        .env("MTOOLS_FAT_COMPATIBILITY", "0")
        .env("MTOOLS_LOWER_CASE", "0")
        .env("MTOOLS_NO_VFAT", "0")
        .env("MTOOLS_DOTTED_DIR", "0")
        .env("MTOOLS_NAME_NUMERIC_TAIL", "1");
}
