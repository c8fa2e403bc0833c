//! The kinds of root file systems and their options.

/// The supported kinds of root file systems.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FileSystemKind {
    /// btrfs.
    Btrfs(BtrfsOptions),
    /// EROFS, which is read-only, and how it compresses the contents of files.
    Erofs(Option<Compression>),
    /// ext2: ext4 without a journal and everything later.
    Ext2,
    /// ext3: ext2 with a journal.
    Ext3,
    /// ext4.
    Ext4,
    /// F2FS.
    F2fs,
    /// squashfs, which is read-only and always compressed.
    Squashfs(SquashfsOptions),
    /// XFS.
    Xfs,
}

/// The options of btrfs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BtrfsOptions {
    /// How the contents of files are compressed, if they are.
    pub compression: Option<Compression>,
    /// The directories that are subvolumes: paths relative to the root, without empty names, `.` or
    /// `..`.
    pub subvolumes: Vec<String>,
    /// Whether the contents of files have checksums.
    pub checksums: bool,
}

/// The options of squashfs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SquashfsOptions {
    /// How everything is compressed.
    pub compression: Compression,
    /// The size of a block in bytes: a power of two from 4 KiB to 1 MiB.
    pub block_size: u32,
}

/// How the contents of files are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Compression {
    /// The method.
    pub method: Method,
    /// The level, in the method's own scale; 0 if it has none.
    pub level: u8,
}

/// Methods of compression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    /// Raw DEFLATE.
    Deflate,
    /// DEFLATE in a zlib stream, as squashfs calls gzip.
    Gzip,
    /// LZ4.
    Lz4,
    /// LZ4 by a slow search for the longest matches.
    Lz4Hc,
    /// LZMA2 in an xz stream.
    Xz,
    /// DEFLATE in a zlib stream.
    Zlib,
    /// Zstandard.
    Zstd,
}

impl FileSystemKind {
    /// Returns every kind, with the defaults of its options.
    pub fn all() -> [FileSystemKind; 8] {
        [
            FileSystemKind::Btrfs(BtrfsOptions {
                compression: None,
                subvolumes: Vec::new(),
                checksums: true,
            }),
            FileSystemKind::Erofs(None),
            FileSystemKind::Ext2,
            FileSystemKind::Ext3,
            FileSystemKind::Ext4,
            FileSystemKind::F2fs,
            FileSystemKind::Squashfs(SquashfsOptions {
                compression: Compression {
                    method: Method::Zstd,
                    level: 15,
                },
                block_size: 1 << 20,
            }),
            FileSystemKind::Xfs,
        ]
    }

    /// Returns its name in the argument `fsType`, which is also its name in Linux.
    pub fn name(&self) -> &'static str {
        match self {
            FileSystemKind::Btrfs(_) => "btrfs",
            FileSystemKind::Erofs(_) => "erofs",
            FileSystemKind::Ext2 => "ext2",
            FileSystemKind::Ext3 => "ext3",
            FileSystemKind::Ext4 => "ext4",
            FileSystemKind::F2fs => "f2fs",
            FileSystemKind::Squashfs(_) => "squashfs",
            FileSystemKind::Xfs => "xfs",
        }
    }

    /// Returns the length of the longest label: in UTF-16 units for F2FS, otherwise in bytes. `None`:
    /// this kind has no labels.
    ///
    /// The lengths are those of `label` in `struct btrfs_super_block` without its NUL,
    /// `volume_name` in `struct erofs_super_block` and `struct f2fs_super_block`, `s_volume_name` in
    /// `struct ext4_super_block`, and `sb_fname` in `struct xfs_dsb` (Linux).
    pub fn longest_label(&self) -> Option<usize> {
        match self {
            FileSystemKind::Btrfs(_) => Some(255),
            // Linux 6.1 requires a NUL at the end.
            FileSystemKind::Erofs(_) => Some(15),
            FileSystemKind::Ext2 | FileSystemKind::Ext3 | FileSystemKind::Ext4 => Some(16),
            FileSystemKind::F2fs => Some(512),
            FileSystemKind::Squashfs(_) => None,
            FileSystemKind::Xfs => Some(12),
        }
    }

    /// Returns whether it stores a UUID.
    pub fn has_uuid(&self) -> bool {
        !matches!(self, FileSystemKind::Squashfs(_))
    }

    /// Returns whether planning one reads the contents of the files.
    pub fn reads_contents(&self) -> bool {
        match self {
            FileSystemKind::Btrfs(options) => options.checksums || options.compression.is_some(),
            FileSystemKind::Erofs(compression) => compression.is_some(),
            FileSystemKind::Squashfs(_) => true,
            FileSystemKind::Ext2
            | FileSystemKind::Ext3
            | FileSystemKind::Ext4
            | FileSystemKind::F2fs
            | FileSystemKind::Xfs => false,
        }
    }

    /// Returns whether it can only be read.
    pub fn is_read_only(&self) -> bool {
        matches!(self, FileSystemKind::Erofs(_) | FileSystemKind::Squashfs(_))
    }

    /// Returns the number of bytes at its start that boot code may use: the length of two sectors
    /// before the superblock, or nothing. (btrfs leaves 64 KiB, but `grub-install` does not use them.)
    pub fn boot_code(&self) -> u64 {
        match self {
            FileSystemKind::Btrfs(_)
            | FileSystemKind::Erofs(_)
            | FileSystemKind::Ext2
            | FileSystemKind::Ext3
            | FileSystemKind::Ext4
            | FileSystemKind::F2fs => 1024,
            FileSystemKind::Squashfs(_) | FileSystemKind::Xfs => 0,
        }
    }

    /// Returns the kind of the root file system of the disk that a guest boots. It is what the boot
    /// loader's installer examines, so it is the same kind if that can be written to. Nothing that
    /// the guest's kernel writes is kept, so it needs no checksums and no compression. Its
    /// subvolumes are directories, so that the whole tree has one device number.
    pub fn for_guest(&self) -> FileSystemKind {
        match self {
            FileSystemKind::Btrfs(_) => FileSystemKind::Btrfs(BtrfsOptions {
                compression: None,
                subvolumes: Vec::new(),
                checksums: false,
            }),
            kind if kind.is_read_only() => FileSystemKind::Ext4,
            kind => kind.clone(),
        }
    }
}
