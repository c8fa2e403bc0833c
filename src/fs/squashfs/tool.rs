//! Running `sqfstar`.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use anyhow::{Context, Result, bail, ensure};
use nix::fcntl::{FcntlArg, fcntl};
use zerocopy::IntoBytes;

use super::census::Census;
use super::ondisk::SuperBlock;
use super::{Compression, Squashfs, archive, pseudo};
use crate::fs::{FinishedFile, Options, PlanError};
use crate::tree::{InodeId, Tree};
use crate::{escape, leftover, process};

/// The oldest version with all options that are used: `-root-time` is from 4.6.
const OLDEST: (u32, u32) = (4, 6);

/// How many pieces of the archive are read ahead, and their length in bytes.
const PIECES: usize = 16;
const PIECE: usize = 1 << 20;

/// MiB for the caches of `sqfstar`, besides those for each thread. The default is a quarter of the
/// machine's memory.
const MEMORY: usize = 256;
const MEMORY_PER_THREAD: usize = 32;

/// Makes the file system.
///
/// # Errors
/// If a file of the tree can't be read, or if `sqfstar` fails, is too old, or does not make what it
/// was told to make.
pub fn run(
    squashfs: &Squashfs,
    tree: &Tree,
    options: &Options,
    census: &Census,
) -> Result<FinishedFile, PlanError> {
    let definitions =
        pseudo::definitions(tree, &census.links).map_err(PlanError::Unrepresentable)?;
    check_version(&squashfs.sqfstar)?;
    let directory = std::path::absolute(&squashfs.directory).context("finding a directory")?;
    let path = directory.join("root.squashfs");
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            let shown = escape::path(&path);
            return Err(anyhow::Error::from(error)
                .context(format!("removing {shown}"))
                .into());
        }
        _ => {}
    }
    let mut sqfstar = command(squashfs, tree, options, census);
    for definition in definitions {
        sqfstar.arg("-p").arg(definition);
    }
    sqfstar.arg(&path);
    feed(&mut sqfstar, tree, census).with_context(|| {
        format!(
            "making a squashfs file system with {}",
            name(squashfs.compression)
        )
    })?;
    let file = leftover::open(&path, "sqfstar")?;
    check(&file, squashfs, options, census)
        .with_context(|| format!("checking {}", escape::path(&path)))?;
    let finished = FinishedFile::open(&path)?;
    fs::remove_file(&path).with_context(|| format!("removing {}", escape::path(&path)))?;
    Ok(finished)
}

fn command(squashfs: &Squashfs, tree: &Tree, options: &Options, census: &Census) -> Command {
    let root = &tree.inode(InodeId::ROOT).metadata;
    let threads = squashfs.threads.max(1);
    let memory = MEMORY + MEMORY_PER_THREAD.saturating_mul(threads);
    let mut sqfstar = Command::new(&squashfs.sqfstar);
    let mut option = |name: &str, value: &dyn ToString| {
        sqfstar.arg(name).arg(value.to_string());
    };
    option("-mkfs-time", &options.time.seconds);
    option("-root-mode", &format!("{:04o}", root.mode));
    option("-root-uid", &root.uid);
    option("-root-gid", &root.gid);
    option("-root-time", &root.mtime.seconds);
    option("-b", &squashfs.block_size);
    option("-comp", &name(squashfs.compression));
    if let Compression::Gzip { level } | Compression::Zstd { level } = squashfs.compression {
        option("-Xcompression-level", &level);
    }
    option("-processors", &threads);
    option("-mem", &format!("{memory}M"));
    if squashfs.compression == Compression::Lz4Hc {
        sqfstar.arg("-Xhc");
    }
    if !census.duplicates {
        sqfstar.arg("-no-duplicates");
    }
    sqfstar
        .args(["-reproducible", "-exit-on-error", "-quiet", "-no-progress"])
        .env_clear()
        .env("LC_ALL", "C")
        .env("TZ", "UTC");
    sqfstar
}

/// Returns the name of a method, as `sqfstar` has it.
fn name(compression: Compression) -> &'static str {
    match compression {
        Compression::Gzip { .. } => "gzip",
        Compression::Lz4 | Compression::Lz4Hc => "lz4",
        Compression::Xz => "xz",
        Compression::Zstd { .. } => "zstd",
    }
}

/// Checks the version.
fn check_version(sqfstar: &Path) -> Result<()> {
    let mut command = Command::new(sqfstar);
    command.arg("-version").env_clear().env("LC_ALL", "C");
    let output = process::output(&mut command, process::USUAL)?;
    let line = output
        .split(|&byte| byte == b'\n')
        .next()
        .unwrap_or_default();
    let Some(version) = version(line) else {
        bail!(
            "{} -version did not print a version, but: {}",
            escape::path(sqfstar),
            escape::beginning(line, 200)
        );
    };
    ensure!(
        version >= OLDEST,
        "{} has version {}.{}, but {}.{} or newer is needed: update squashfs-tools",
        escape::path(sqfstar),
        version.0,
        version.1,
        OLDEST.0,
        OLDEST.1
    );
    Ok(())
}

/// Reads the version in a line such as `sqfstar version 4.6.1 (2023/03/25)`.
fn version(line: &[u8]) -> Option<(u32, u32)> {
    let (_, version) = std::str::from_utf8(line).ok()?.split_once("version ")?;
    let mut numbers = version
        .split(|c: char| !c.is_ascii_digit())
        .map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

/// Runs `sqfstar` with the archive on its standard input.
fn feed(sqfstar: &mut Command, tree: &Tree, census: &Census) -> Result<()> {
    let (reader, writer) = io::pipe().context("creating a pipe")?;
    // The default is 64 KiB. Unprivileged users may be allowed less than a MiB.
    let _ = fcntl(&writer, FcntlArg::F_SETPIPE_SZ(1 << 20));
    let (sender, receiver) = sync_channel(PIECES);
    thread::scope(|scope| {
        let reading = scope.spawn(move || {
            let mut pieces = Pieces {
                piece: Vec::with_capacity(PIECE),
                sender,
            };
            archive::write(tree, census, &mut pieces)?;
            Ok(pieces.flush()?)
        });
        let writing = scope.spawn(move || forward(&receiver, writer));
        let ran = process::quiet_with_stdin(sqfstar, reader, census.limit);
        let ended = || anyhow::anyhow!("a thread that feeds sqfstar panicked");
        let wrote = writing.join().unwrap_or_else(|_| Err(ended()));
        let read: Result<()> = reading.join().unwrap_or_else(|_| Err(ended()));
        // A failure of sqfstar breaks the pipe. Any other error comes before those that it causes.
        match read {
            Err(error) if !is_broken_pipe(&error) => return Err(error),
            _ => {}
        }
        ran?;
        wrote?;
        read
    })
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Writes the pieces to the pipe, and closes it.
fn forward(receiver: &Receiver<Vec<u8>>, mut pipe: impl Write) -> Result<()> {
    for piece in receiver {
        pipe.write_all(&piece).context("writing to sqfstar")?;
    }
    Ok(())
}

/// Sends what is written in pieces.
struct Pieces {
    piece: Vec<u8>,
    sender: SyncSender<Vec<u8>>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.piece.len() + bytes.len() > PIECE {
            self.flush()?;
        }
        self.piece.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE));
        self.sender
            .send(piece)
            .map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// Checks that the file contains what `sqfstar` was told to make.
fn check(file: &fs::File, squashfs: &Squashfs, options: &Options, census: &Census) -> Result<()> {
    let mut superblock = SuperBlock::empty();
    file.read_exact_at(superblock.as_mut_bytes(), 0)
        .context("reading the superblock")?;
    let length = file
        .metadata()
        .context("getting the length of a file")?
        .len();
    for (is_right, field) in [
        (superblock.s_magic == SuperBlock::MAGIC, "the magic number"),
        (
            superblock.s_major.get() == 4 && superblock.s_minor.get() == 0,
            "version 4.0",
        ),
        (
            u64::from(superblock.inodes.get()) == census.inodes,
            "the number of inodes",
        ),
        (
            i64::from(superblock.mkfs_time.get()) == options.time.seconds,
            "the time",
        ),
        (
            superblock.block_size.get() == squashfs.block_size,
            "the size of a block",
        ),
        (
            superblock.compression.get() == id(squashfs.compression),
            "the method of compression",
        ),
        (superblock.bytes_used.get() <= length, "the length"),
    ] {
        ensure!(
            is_right,
            "the superblock that sqfstar wrote does not have {field} that it should"
        );
    }
    Ok(())
}

/// Returns the number of a method: `ZLIB_COMPRESSION` and so on in fs/squashfs/squashfs_fs.h.
fn id(compression: Compression) -> u16 {
    match compression {
        Compression::Gzip { .. } => 1,
        Compression::Xz => 4,
        Compression::Lz4 | Compression::Lz4Hc => 5,
        Compression::Zstd { .. } => 6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_versions() {
        for (line, expected) in [
            ("sqfstar version 4.6.1 (2023/03/25)", Some((4, 6))),
            ("sqfstar version 4.5 (2021/07/22)", Some((4, 5))),
            ("mksquashfs version 4.7.2-g123 (2025/09/01)", Some((4, 7))),
            ("sqfstar version 10.0", Some((10, 0))),
            ("BusyBox v1.36", None),
            ("version 4", None),
            ("", None),
        ] {
            assert_eq!(version(line.as_bytes()), expected, "{line}");
        }
    }
}
