//! The qcow2 format, as QEMU's "docs/interop/qcow2.rst" defines it, and with the values that
//! `qemu-img` chooses: version 3 (`compat=1.1`), clusters of 64 KiB, refcounts of 16 bits.
//!
//! The header is in the first cluster of the file. The clusters of the disk follow, in its order,
//! and all tables are at the end: their contents are known only then.

mod guest;
mod host;
pub(crate) mod ondisk;
#[cfg(test)]
mod tests;

use std::path::Path;

use anyhow::{Result, bail};
use zerocopy::IntoBytes;
use zerocopy::big_endian::U64;

use self::guest::GuestClusters;
use self::host::HostClusters;
use self::ondisk::{COPIED, FeatureNameTable, Header, compression_type, incompatible};
use super::file::ImageFile;
use crate::code::Code;
use crate::codec::Codec;
use crate::escape;
use crate::image::{self, BlockSink, Blocks, Image};

/// A cluster has 2^this bytes.
const CLUSTER_BITS: u32 = 16;

/// Length of a cluster in bytes.
const CLUSTER: u64 = 1 << CLUSTER_BITS;

/// The number of entries in an L2 table, or in a cluster of the refcount table.
const ENTRIES: u64 = CLUSTER / 8;

/// The number of refcounts in a refcount block.
const REFCOUNTS: u64 = CLUSTER / 2;

/// A refcount has 2^this bits.
const REFCOUNT_ORDER: u32 = 4;

/// The length of the longest disk in bytes. QEMU reads at most 32 MiB of an L1 table.
const LONGEST: u64 = (32 << 20) / 8 * ENTRIES * CLUSTER;

/// Writes `image` to the new file `path`, and compresses its clusters with `codec`: Zstandard, which
/// QEMU reads since version 5.1, or deflate, for which it has a window of 2^12 bytes. Clusters that
/// do not shrink are not compressed. `progress` is called as by [`image::write()`].
///
/// # Errors
/// If the disk is too long, qcow2 does not have `codec`, or reading or writing fails.
pub(super) fn write(
    image: &Image,
    codec: Option<Codec>,
    path: &Path,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<()> {
    let compression = match codec {
        None
        | Some(Codec::Deflate {
            window_bits: ..=12, ..
        }) => compression_type::DEFLATE,
        Some(Codec::Zstd { .. }) => compression_type::ZSTD,
        Some(codec) => bail!("clusters of qcow2 cannot be compressed with {codec:?}"),
    };
    if image.length > LONGEST {
        return Err(Code::DiskSize.error(format!(
        "writing {}: the disk has {} bytes, but in the qcow2 format QEMU reads at most {LONGEST}; \
         make the disk smaller, or choose the raw format",
        escape::path(path),
        image.length,
    )));
    }
    let blocks = Blocks {
        length: 1 << CLUSTER_BITS,
        codec,
        always: false,
        pad: true,
    };
    let mut writer = Writer {
        file: ImageFile::create(path, image, most(image.length))?,
        host: HostClusters::new(),
        guest: GuestClusters::default(),
    };
    image::write_blocks(image, &blocks, &mut writer, progress)?;
    writer.finish(image.length, compression)
}

/// The most bytes that the file of a disk of `length` bytes takes. The tables have 10 bytes for each
/// cluster, and the last cluster of each is not full.
fn most(length: u64) -> u64 {
    length + length / (CLUSTER / 16) + 16 * CLUSTER
}

/// A file that is being written.
struct Writer<'a> {
    file: ImageFile<'a>,
    host: HostClusters,
    guest: GuestClusters,
}

impl BlockSink for Writer<'_> {
    fn plain(&mut self, first: u64, bytes: &[u8]) -> Result<()> {
        let count = bytes.len() >> CLUSTER_BITS;
        let start = self.host.whole(count);
        self.file.write(bytes, start)?;
        // usize to u64: lossless on every target Rust has.
        for index in 0..count as u64 {
            let entry = guest::plain(start + index * CLUSTER);
            self.guest.push(first + index, entry);
        }
        Ok(())
    }

    fn compressed(&mut self, number: u64, bytes: &[u8]) -> Result<()> {
        // usize to u64: lossless on every target Rust has.
        let length = bytes.len() as u64;
        let start = self.host.packed(length)?;
        self.file.write(bytes, start)?;
        self.guest.push(number, guest::compressed(start, length));
        Ok(())
    }
}

/// A table of the file.
struct Table {
    /// Where it begins, in bytes.
    offset: u64,
    /// Its length in clusters or, of the L1 table, in entries.
    length: u64,
}

impl Writer<'_> {
    /// Writes the tables and the header for a disk of `length` bytes.
    fn finish(mut self, length: u64, compression: u8) -> Result<()> {
        let l1 = self.write_guest_tables(length)?;
        let refcounts = self.write_refcounts()?;
        let is_default = compression == compression_type::DEFLATE;
        let header = Header {
            magic: Header::MAGIC,
            version: Header::VERSION.into(),
            cluster_bits: CLUSTER_BITS.into(),
            size: length.into(),
            l1_size: u32::try_from(l1.length)?.into(),
            l1_table_offset: l1.offset.into(),
            refcount_table_offset: refcounts.offset.into(),
            refcount_table_clusters: u32::try_from(refcounts.length)?.into(),
            incompatible_features: match is_default {
                true => 0.into(),
                false => incompatible::COMPRESSION_TYPE.into(),
            },
            refcount_order: REFCOUNT_ORDER.into(),
            header_length: Header::LENGTH.into(),
            compression_type: compression,
            ..Header::default()
        };
        self.file.write(header.as_bytes(), 0)?;
        if !is_default {
            // The zeros after it are the extension that ends them.
            let names = FeatureNameTable::compression_type();
            self.file.write(names.as_bytes(), Header::LENGTH.into())?;
        }
        self.file.finish(self.host.end())
    }

    /// Writes the L2 tables and the L1 table for a disk of `length` bytes. Returns the latter.
    fn write_guest_tables(&mut self, length: u64) -> Result<Table> {
        let entries = usize::try_from(length.div_ceil(ENTRIES * CLUSTER))?;
        let mut l1 = vec![U64::ZERO; entries];
        for (index, table) in self.guest.l2_tables() {
            let offset = self.host.whole(1);
            self.file.write(table.as_bytes(), offset)?;
            l1[usize::try_from(index)?] = (COPIED | offset).into();
        }
        let bytes = l1.as_bytes();
        let offset = self.host.whole(bytes.len().div_ceil(1 << CLUSTER_BITS));
        self.file.write(bytes, offset)?;
        Ok(Table {
            offset,
            // usize to u64: lossless on every target Rust has.
            length: entries as u64,
        })
    }

    /// Writes the refcount blocks and the refcount table, and returns the latter.
    fn write_refcounts(&mut self) -> Result<Table> {
        // They count the clusters that they are in, too.
        let (mut blocks, mut clusters) = (0, 0);
        while blocks * REFCOUNTS < self.host.count() + clusters + blocks {
            blocks += 1;
            clusters = blocks.div_ceil(ENTRIES);
        }
        let first = self.host.whole(usize::try_from(blocks)?);
        // 7-Zip warns of data after the end if anything follows this table.
        let offset = self.host.whole(usize::try_from(clusters)?);
        let table: Vec<U64> = (0..blocks)
            .map(|block| (first + block * CLUSTER).into())
            .collect();
        self.file.write(self.host.refcounts().as_bytes(), first)?;
        self.file.write(table.as_bytes(), offset)?;
        Ok(Table {
            offset,
            length: clusters,
        })
    }
}
