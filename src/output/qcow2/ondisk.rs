//! On-disk structures, with the field names of QEMU's "docs/interop/qcow2.rst". All numbers are
//! big-endian.

use zerocopy::big_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, Unaligned};

/// The header of version 3, with the additional field `compression_type` ("Header").
#[derive(Default, FromBytes, IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub struct Header {
    /// [`Header::MAGIC`].
    pub magic: [u8; 4],
    /// [`Header::VERSION`].
    pub version: U32,
    pub backing_file_offset: U64,
    pub backing_file_size: U32,
    /// A cluster is 2^this bytes.
    pub cluster_bits: U32,
    /// Length of the disk in bytes.
    pub size: U64,
    pub crypt_method: U32,
    /// Number of entries in the L1 table.
    pub l1_size: U32,
    /// Where the L1 table begins, in bytes.
    pub l1_table_offset: U64,
    /// Where the refcount table begins, in bytes.
    pub refcount_table_offset: U64,
    /// Length of the refcount table in clusters.
    pub refcount_table_clusters: U32,
    pub nb_snapshots: U32,
    pub snapshots_offset: U64,
    /// Features without which a program cannot read the file: see [`incompatible`].
    pub incompatible_features: U64,
    pub compatible_features: U64,
    pub autoclear_features: U64,
    /// A refcount has 2^this bits.
    pub refcount_order: U32,
    /// Length of this structure in bytes.
    pub header_length: U32,
    /// How clusters are compressed: see [`compression_type`].
    pub compression_type: u8,
    pub padding: [u8; 7],
}

impl Header {
    pub const MAGIC: [u8; 4] = *b"QFI\xfb";
    pub const VERSION: u32 = 3;
    /// Length in bytes.
    pub const LENGTH: u32 = 112;
}

/// Values of [`Header::incompatible_features`].
pub mod incompatible {
    /// The bit number of [`COMPRESSION_TYPE`].
    pub const COMPRESSION_TYPE_BIT: u8 = 3;
    /// [`super::Header::compression_type`] is not 0.
    pub const COMPRESSION_TYPE: u64 = 1 << COMPRESSION_TYPE_BIT;
}

/// Values of [`Header::compression_type`].
pub mod compression_type {
    /// Raw deflate (RFC 1951).
    pub const DEFLATE: u8 = 0;
    /// Zstandard.
    pub const ZSTD: u8 = 1;
}

/// The header extension "Feature name table" with one entry. A program that does not support the
/// feature can show its name.
#[derive(IntoBytes, Immutable, Unaligned)]
#[repr(C)]
pub struct FeatureNameTable {
    /// [`FeatureNameTable::TYPE`].
    pub extension_type: U32,
    /// Length of the following fields in bytes.
    pub length: U32,
    /// The header field with the feature: 0 is [`Header::incompatible_features`].
    pub feature_type: u8,
    /// The feature's bit in that field.
    pub bit_number: u8,
    /// The name, padded with zeros.
    pub name: [u8; 46],
}

impl FeatureNameTable {
    pub const TYPE: u32 = 0x6803_f857;

    /// The table with the name of [`incompatible::COMPRESSION_TYPE`] that QEMU uses.
    pub fn compression_type() -> FeatureNameTable {
        let mut name = [0; 46];
        let text = b"compression type";
        name[..text.len()].copy_from_slice(text);
        FeatureNameTable {
            extension_type: FeatureNameTable::TYPE.into(),
            length: 48.into(),
            feature_type: 0,
            bit_number: incompatible::COMPRESSION_TYPE_BIT,
            name,
        }
    }
}

/// A bit of L1 and L2 table entries: the refcount of the cluster is exactly 1.
pub const COPIED: u64 = 1 << 63;

/// A bit of L2 table entries: the cluster is compressed.
pub const COMPRESSED: u64 = 1 << 62;

/// The unit in which L2 table entries give the length of compressed data, in bytes.
pub const SECTOR: u64 = 512;
