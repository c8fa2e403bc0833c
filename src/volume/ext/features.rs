//! Features of file systems (`lib/ext2fs/ext2_fs.h` of e2fsprogs), with the names that `dumpe2fs` uses.

use anyhow::{Result, ensure};

use crate::fs::Ext4SuperBlock;

/// Bits of `s_feature_compat`.
pub mod compat {
    pub const HAS_JOURNAL: u32 = 0x4;
    pub const SPARSE_SUPER2: u32 = 0x200;
}

/// Bits of `s_feature_incompat`.
pub mod incompat {
    pub const FILETYPE: u32 = 0x2;
    pub const RECOVER: u32 = 0x4;
    pub const META_BG: u32 = 0x10;
    pub const BIT64: u32 = 0x80;
}

/// Bits of `s_feature_ro_compat`.
pub mod ro_compat {
    pub const SPARSE_SUPER: u32 = 0x1;
    pub const LARGE_FILE: u32 = 0x2;
    pub const BTREE_DIR: u32 = 0x4;
    pub const GDT_CSUM: u32 = 0x10;
    pub const METADATA_CSUM: u32 = 0x400;
}

const COMPATIBLE: [(u32, &str); 12] = [
    (0x1, "dir_prealloc"),
    (0x2, "imagic_inodes"),
    (0x4, "has_journal"),
    (0x8, "ext_attr"),
    (0x10, "resize_inode"),
    (0x20, "dir_index"),
    (0x40, "lazy_bg"),
    (0x80, "snapshot_bitmap"),
    (0x200, "sparse_super2"),
    (0x400, "fast_commit"),
    (0x800, "stable_inodes"),
    (0x1000, "orphan_file"),
];

const INCOMPATIBLE: [(u32, &str); 17] = [
    (0x1, "compression"),
    (0x2, "filetype"),
    (0x4, "needs_recovery"),
    (0x8, "journal_dev"),
    (0x10, "meta_bg"),
    (0x40, "extent"),
    (0x80, "64bit"),
    (0x100, "mmp"),
    (0x200, "flex_bg"),
    (0x400, "ea_inode"),
    (0x1000, "dirdata"),
    (0x2000, "metadata_csum_seed"),
    (0x4000, "large_dir"),
    (0x8000, "inline_data"),
    (0x10000, "encrypt"),
    (0x20000, "casefold"),
    (0x80000, "extent64"),
];

const READ_ONLY: [(u32, &str); 15] = [
    (0x1, "sparse_super"),
    (0x2, "large_file"),
    (0x4, "btree_dir"),
    (0x8, "huge_file"),
    (0x10, "uninit_bg"),
    (0x20, "dir_nlink"),
    (0x40, "extra_isize"),
    (0x80, "snapshot"),
    (0x100, "quota"),
    (0x200, "bigalloc"),
    (0x400, "metadata_csum"),
    (0x800, "replica"),
    (0x1000, "read-only"),
    (0x2000, "project"),
    (0x8000, "verity"),
];

/// Incompatible features without which files cannot be found or read. (Names of encrypted files are
/// shown as they are stored.)
const UNSUPPORTED: [(u32, &str); 5] = [
    (0x1, "compression"),
    (0x8, "an external journal, and no files"),
    (0x1000, "directory data"),
    (0x8000, "inline data"),
    (0x80000, "64-bit extents"),
];

/// The names of all features, in the order in which `dumpe2fs` lists them.
pub fn names(superblock: &Ext4SuperBlock) -> Vec<String> {
    let mut names = Vec::new();
    for (bits, known) in [
        (superblock.s_feature_compat.get(), &COMPATIBLE[..]),
        (superblock.s_feature_incompat.get(), &INCOMPATIBLE),
        (superblock.s_feature_ro_compat.get(), &READ_ONLY),
    ] {
        for bit in (0..32)
            .map(|shift| 1_u32 << shift)
            .filter(|bit| bits & bit != 0)
        {
            let name = known.iter().find(|(it, _)| *it == bit);
            names.push(name.map_or_else(|| format!("{bit:#x}"), |(_, name)| (*name).to_owned()));
        }
    }
    names
}

/// The type, by the rules of `blkid`: what neither ext2 nor ext3 have makes it ext4.
pub fn kind(superblock: &Ext4SuperBlock) -> &'static str {
    let old_incompat = incompat::FILETYPE | incompat::RECOVER | incompat::META_BG;
    let old_read_only = ro_compat::SPARSE_SUPER | ro_compat::LARGE_FILE | ro_compat::BTREE_DIR;
    let is_new = superblock.s_feature_incompat.get() & !old_incompat != 0
        || superblock.s_feature_ro_compat.get() & !old_read_only != 0;
    let has_journal = superblock.s_feature_compat.get() & compat::HAS_JOURNAL != 0;
    match (is_new, has_journal) {
        (true, _) => "ext4",
        (false, true) => "ext3",
        (false, false) => "ext2",
    }
}

/// Checks that files can be read.
///
/// # Errors
/// If not.
pub fn check(superblock: &Ext4SuperBlock) -> Result<()> {
    let features = superblock.s_feature_incompat.get();
    for (bit, name) in UNSUPPORTED {
        ensure!(
            features & bit == 0,
            "the file system has {name}, which is not supported"
        );
    }
    Ok(())
}
