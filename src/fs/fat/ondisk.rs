//! On-disk structures, with the field names of the Microsoft FAT specification. Fields that are
//! neither read nor set have no comment.

use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned, transmute};

/// The boot sector ("Boot Sector and BPB").
#[derive(Clone, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct BootSector {
    pub bs_jmp_boot: [u8; 3],
    pub bs_oem_name: [u8; 8],
    /// Bytes per sector.
    pub bpb_byts_per_sec: U16,
    /// Sectors per cluster.
    pub bpb_sec_per_clus: u8,
    /// Number of sectors before the allocation tables.
    pub bpb_rsvd_sec_cnt: U16,
    /// Number of allocation tables.
    pub bpb_num_fats: u8,
    /// Number of entries in the root directory; 0 on FAT32.
    pub bpb_root_ent_cnt: U16,
    /// Total number of sectors; if 0, see `bpb_tot_sec32`.
    pub bpb_tot_sec16: U16,
    /// The media descriptor, which is also the first byte of the allocation table.
    pub bpb_media: u8,
    /// Sectors per allocation table; 0 on FAT32.
    pub bpb_fatsz16: U16,
    pub bpb_sec_per_trk: U16,
    pub bpb_num_heads: U16,
    /// The partition's first sector.
    pub bpb_hidd_sec: U32,
    /// Total number of sectors; see `bpb_tot_sec16`.
    pub bpb_tot_sec32: U32,
    /// [`Fat16Part`] or [`Fat32Part`].
    part: [u8; 474],
    /// [`BootSector::SIGNATURE`].
    pub signature_word: [u8; 2],
}

/// The rest of the boot sector on FAT12 and FAT16.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Fat16Part {
    pub volume: VolumePart,
    pub bs_boot_code: [u8; 448],
}

/// The rest of the boot sector on FAT32.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Fat32Part {
    /// Sectors per allocation table.
    pub bpb_fatsz32: U32,
    pub bpb_ext_flags: U16,
    /// The version: 0.
    pub bpb_fs_ver: U16,
    /// First cluster of the root directory.
    pub bpb_root_clus: U32,
    /// The sector of [`FsInfo`].
    pub bpb_fs_info: U16,
    pub bpb_bk_boot_sec: U16,
    pub bpb_reserved: [u8; 12],
    pub volume: VolumePart,
    pub bs_boot_code32: [u8; 420],
}

/// The fields that both have at different offsets.
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct VolumePart {
    pub bs_drv_num: u8,
    pub bs_reserved1: u8,
    pub bs_boot_sig: u8,
    /// The volume ID.
    pub bs_vol_id: U32,
    /// The label, padded with spaces.
    pub bs_vol_lab: [u8; 11],
    /// The name of the file system type, padded with spaces.
    pub bs_fil_sys_type: [u8; 8],
}

impl BootSector {
    /// The last bytes of every boot sector.
    pub const SIGNATURE: [u8; 2] = [0x55, 0xaa];

    /// The rest if this is FAT12 or FAT16.
    pub fn fat16(&self) -> Fat16Part {
        transmute!(self.part)
    }

    /// The rest if this is FAT32.
    pub fn fat32(&self) -> Fat32Part {
        transmute!(self.part)
    }
}

/// "FAT32 FSInfo Sector Structure".
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct FsInfo {
    pub fsi_lead_sig: U32,
    pub fsi_reserved1: [u8; 480],
    pub fsi_struc_sig: U32,
    /// Number of free clusters.
    pub fsi_free_count: U32,
    /// The last cluster that was allocated.
    pub fsi_nxt_free: U32,
    pub fsi_reserved2: [u8; 12],
    pub fsi_trail_sig: U32,
}

/// A directory entry ("FAT Directory Structure").
#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct DirEntry {
    /// The short name: eight bytes and three of extension, each padded with spaces.
    pub dir_name: [u8; 11],
    /// See [`attr`].
    pub dir_attr: u8,
    /// Which parts of the name are lower case.
    pub dir_nt_res: u8,
    pub dir_crt_time_tenth: u8,
    /// Time of creation.
    pub dir_crt_time: U16,
    pub dir_crt_date: U16,
    /// Time of the last access.
    pub dir_lst_acc_date: U16,
    /// The high half of the first cluster.
    pub dir_fst_clus_hi: U16,
    /// Time of the last modification.
    pub dir_wrt_time: U16,
    pub dir_wrt_date: U16,
    /// The low half of the first cluster.
    pub dir_fst_clus_lo: U16,
    /// Length of a file in bytes; 0 for a directory.
    pub dir_file_size: U32,
}

/// A piece of a long name ("FAT Long Directory Entries").
#[derive(FromZeros, IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub struct LongDirEntry {
    /// The number of the piece, starting at 1, and the flag [`LongDirEntry::LAST`].
    pub ldir_ord: u8,
    /// Its UTF-16 units, like the other two names.
    pub ldir_name1: [U16; 5],
    /// [`attr::LONG_NAME`].
    pub ldir_attr: u8,
    pub ldir_type: u8,
    /// The checksum of the short name.
    pub ldir_chksum: u8,
    pub ldir_name2: [U16; 6],
    pub ldir_fst_clus_lo: U16,
    pub ldir_name3: [U16; 2],
}

impl LongDirEntry {
    /// `LAST_LONG_ENTRY`: this is the last piece.
    pub const LAST: u8 = 0x40;

    /// UTF-16 units per piece.
    pub const UNITS: usize = 13;
}

/// Bits of `dir_attr`: `ATTR_*`.
pub mod attr {
    /// The entry is the label of the file system.
    pub const VOLUME_ID: u8 = 0x08;
    pub const LONG_NAME: u8 = 0x0f;
    pub const DIRECTORY: u8 = 0x10;
    pub const ARCHIVE: u8 = 0x20;
}

const _: () = assert!(size_of::<BootSector>() == 512);
const _: () = assert!(size_of::<VolumePart>() == 26);
const _: () = assert!(size_of::<FsInfo>() == 512);
const _: () = assert!(size_of::<DirEntry>() == 32);
const _: () = assert!(size_of::<LongDirEntry>() == 32);
