//! The writer of each kind of root file system.

use std::path::Path;

use anyhow::{Context, Result, bail};

use super::{
    Btrfs, BtrfsCompression, Erofs, ErofsCompression, Ext2, Ext3, Ext4, F2fs, Format, Squashfs,
    SquashfsCompression, Xfs,
};
use crate::cores;
use crate::spec::{Compression, FileSystemKind, Method, Tools};

/// The tools and the directory that a file system can use during planning.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Workspace<'a> {
    /// Programs to run.
    pub tools: &'a Tools,
    /// A directory for temporary files, which is removed at the end of the build.
    pub directory: &'a Path,
}

/// Returns the writer for root file systems of this kind. A writer that uses the workspace keeps the
/// parts that it needs.
///
/// # Errors
/// If this kind has no such method of compression or its tool is missing, which [`crate::spec`] rules
/// out.
pub(crate) fn format(kind: &FileSystemKind, workspace: Workspace<'_>) -> Result<Box<dyn Format>> {
    let directory = workspace.directory.to_owned();
    Ok(match kind {
        FileSystemKind::Btrfs(options) => {
            let subvolumes = options.subvolumes.iter();
            Box::new(Btrfs {
                compression: options.compression.map(btrfs).transpose()?,
                subvolumes: subvolumes.map(|path| path.as_bytes().into()).collect(),
                checksums: options.checksums,
                directory,
            })
        }
        FileSystemKind::Erofs(compression) => Box::new(Erofs {
            compression: compression.map(erofs).transpose()?,
            directory,
            threads: cores::count(),
        }),
        FileSystemKind::Ext2 => Box::new(Ext2),
        FileSystemKind::Ext3 => Box::new(Ext3),
        FileSystemKind::Ext4 => Box::new(Ext4),
        FileSystemKind::F2fs => Box::new(F2fs),
        FileSystemKind::Squashfs(options) => {
            let sqfstar = workspace.tools.sqfstar.as_ref();
            Box::new(Squashfs {
                sqfstar: sqfstar.context("there is no sqfstar")?.clone(),
                directory,
                compression: squashfs(options.compression)?,
                block_size: options.block_size,
                threads: cores::count(),
            })
        }
        FileSystemKind::Xfs => Box::new(Xfs),
    })
}

fn btrfs(Compression { method, level }: Compression) -> Result<BtrfsCompression> {
    Ok(match method {
        Method::Zlib => BtrfsCompression::Zlib { level },
        Method::Zstd => BtrfsCompression::Zstd { level },
        other => bail!("btrfs cannot be compressed with {other:?}"),
    })
}

fn squashfs(Compression { method, level }: Compression) -> Result<SquashfsCompression> {
    Ok(match method {
        Method::Gzip => SquashfsCompression::Gzip { level },
        Method::Lz4 => SquashfsCompression::Lz4,
        Method::Lz4Hc => SquashfsCompression::Lz4Hc,
        Method::Xz => SquashfsCompression::Xz,
        Method::Zstd => SquashfsCompression::Zstd { level },
        other => bail!("squashfs cannot be compressed with {other:?}"),
    })
}

fn erofs(Compression { method, level }: Compression) -> Result<ErofsCompression> {
    Ok(match method {
        Method::Deflate => ErofsCompression::Deflate { level },
        Method::Lz4 | Method::Lz4Hc => ErofsCompression::Lz4 { level },
        Method::Zstd => ErofsCompression::Zstd { level },
        other => bail!("EROFS cannot be compressed with {other:?}"),
    })
}
