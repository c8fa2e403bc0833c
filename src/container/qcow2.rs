//! Reads qcow2 (QEMU's "docs/interop/qcow2.rst"), versions 2 and 3.

use anyhow::{Context, Result, bail, ensure};

use super::claims::{Claims, MOST_ENTRIES};
use super::decompress::Method;
use super::file::ImageFile;
use super::{Compressed, Extent, Facts, Map, Opened, Place, rest_of_block};
use crate::escape;
use crate::output::qcow2::ondisk::{COMPRESSED, Header, SECTOR, compression_type, incompatible};

/// The length of the header of version 2, in bytes.
const OLD_LENGTH: u64 = 72;

/// Values of `cluster_bits` ("Header"; QEMU has the same limits).
const CLUSTER_BITS: std::ops::RangeInclusive<u32> = 9..=21;

/// How many bytes of the name of a backing file are shown.
const SHOWN: usize = 100;

/// The most entries of an L1 table: 32 MiB, as in QEMU.
const MOST_L1: u64 = (32 << 20) / 8;

/// The bits of L1 and L2 table entries that are an offset in the file.
const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;

/// A bit of L2 table entries: the cluster is zeros.
const ZEROS: u64 = 1;

/// Bits of [`Header::incompatible_features`] that do not matter to a reader: "dirty" (refcounts may be
/// wrong), "corrupt" and the compression type.
const READABLE: u64 = 1 | 2 | incompatible::COMPRESSION_TYPE;

/// Names of the other bits.
const UNREADABLE: [(u64, &str); 2] = [
    (1 << 2, "an external data file"),
    (1 << 4, "extended L2 table entries"),
];

/// What messages call an entry of an L2 table.
const ENTRY: &str = "an entry of an L2 table";

/// Where clusters are.
struct Clusters {
    bits: u32,
    l1_offset: u64,
    l1_size: u64,
    method: Method,
    version: u32,
}

/// What an L1 table entry says.
enum L2 {
    /// All clusters are zeros.
    None,
    /// The table is at this offset in the file, in bytes.
    At(u64),
}

/// Opens `file`.
///
/// # Errors
/// See [`super::detect::Kind::open`].
pub fn open(file: &ImageFile) -> Result<Opened> {
    let header = header(file)?;
    let version = header.version.get();
    let bits = header.cluster_bits.get();
    ensure!(
        CLUSTER_BITS.contains(&bits),
        "the header declares clusters of 2^{bits} bytes, but only 2^9 to 2^21 are allowed"
    );
    refuse_dependencies(file, &header)?;
    let length = header.size.get();
    let cluster = 1_u64 << bits;
    let l1_size = u64::from(header.l1_size.get());
    let needed = length.div_ceil(cluster.saturating_mul(cluster / 8));
    ensure!(
        needed <= MOST_L1,
        "the header declares a disk of {length} bytes, more than the format can have with clusters of \
         {cluster} bytes"
    );
    ensure!(
        l1_size >= needed,
        "the L1 table has {l1_size} entries, but {needed} are needed for {length} bytes"
    );
    let l1_offset = header.l1_table_offset.get();
    file.check(l1_offset, needed.saturating_mul(8), "the L1 table")?;
    ensure!(
        l1_offset.is_multiple_of(cluster),
        "the L1 table is at byte {l1_offset}, within a cluster"
    );
    let (method, method_name) = match header.compression_type {
        compression_type::DEFLATE => (Method::Deflate, "zlib"),
        compression_type::ZSTD => (Method::Zstd, "zstd"),
        other => bail!("the compression type {other} is not known"),
    };
    let clusters = Clusters {
        bits,
        l1_offset,
        l1_size: needed,
        method,
        version,
    };
    let compressed = clusters.check(file)?;
    let mut facts = Facts::default();
    facts.add("format", "qcow2");
    facts.add("version", version);
    facts.add("cluster_size", cluster);
    facts.add("compression_type", method_name);
    facts.add("compressed", compressed);
    facts.add("snapshots", header.nb_snapshots.get());
    facts.add("dirty", header.incompatible_features.get() & 1 != 0);
    facts.add("corrupt", header.incompatible_features.get() & 2 != 0);
    Ok(Opened {
        map: Box::new(clusters),
        length,
        sector: None,
        facts,
    })
}

/// Reads the header. Fields that version 2 or a short header lacks have their default values.
fn header(file: &ImageFile) -> Result<Header> {
    let mut header: Header = zerocopy::FromZeros::new_zeroed();
    let bytes = zerocopy::IntoBytes::as_mut_bytes(&mut header);
    file.check(0, OLD_LENGTH, "the header")?;
    file.read_padded(0, bytes)?;
    match header.version.get() {
        2 => {
            header.incompatible_features = 0.into();
            header.compression_type = 0;
        }
        3 => {
            let length = u64::from(header.header_length.get());
            ensure!(
                (104..=1 << 21).contains(&length) && length % 8 == 0,
                "the header declares an invalid length of {length} bytes"
            );
            file.check(0, length, "the header")?;
            if length < u64::from(Header::LENGTH) {
                header.compression_type = 0;
            }
        }
        other => bail!(
            "version {other} of the format is not supported, only 2 and 3; convert it with qemu-img \
             convert -O raw"
        ),
    }
    Ok(header)
}

/// Refuses a file that cannot be read by itself.
fn refuse_dependencies(file: &ImageFile, header: &Header) -> Result<()> {
    if header.backing_file_offset.get() != 0 {
        let length = usize::try_from(header.backing_file_size.get())?;
        let mut name = vec![0; length.min(1023)];
        file.read(
            header.backing_file_offset.get(),
            &mut name,
            "the name of the backing file",
        )?;
        bail!(
            "it is incomplete without its backing file {}, which is not followed; merge them with \
             qemu-img convert",
            escape::beginning(
                name.split(|&byte| byte == 0).next().unwrap_or_default(),
                SHOWN
            )
        );
    }
    match header.crypt_method.get() {
        0 => {}
        1 => bail!("it is encrypted with AES; decrypt it with qemu-img convert"),
        2 => bail!("it is encrypted with LUKS; decrypt it with qemu-img convert"),
        other => bail!("the encryption method {other} is not known"),
    }
    let features = header.incompatible_features.get() & !READABLE;
    for (bit, name) in UNREADABLE {
        ensure!(
            features & bit == 0,
            "it has {name}, which is not supported; convert it with qemu-img convert -O raw"
        );
    }
    ensure!(
        features == 0,
        "it has features that are not known: bits {features:#x}"
    );
    Ok(())
}

impl Clusters {
    fn cluster(&self) -> u64 {
        1 << self.bits
    }

    /// Entries of an L2 table.
    fn entries(&self) -> u64 {
        self.cluster() / 8
    }

    /// Checks that no two clusters are in the same place. Returns whether one is compressed.
    fn check(&self, file: &ImageFile) -> Result<bool> {
        let cluster = self.cluster();
        let mut claims = Claims::new(file.length, cluster, 0);
        claims.claim(0, 1, &|| "the header".to_owned())?;
        let l1 = self.l1_size.saturating_mul(8);
        claims.claim(self.l1_offset, l1, &|| "the L1 table".to_owned())?;
        let (mut compressed, mut checked) = (false, 0_u64);
        for number in 0..self.l1_size {
            let L2::At(table) = self.l2(file, number)? else {
                continue;
            };
            claims.claim(table, cluster, &|| format!("L2 table {number}"))?;
            checked = checked.saturating_add(self.entries());
            if checked > MOST_ENTRIES {
                break;
            }
            // A table that is a hole has no entries.
            if file.next_data(table)? >= table.saturating_add(cluster) {
                continue;
            }
            file.each_entry(table, self.entries(), ENTRY, &mut |index, entry| {
                let index = number.saturating_mul(self.entries()).saturating_add(index);
                match self.place(file, index, u64::from_be_bytes(entry))? {
                    Place::Zeros => return Ok(false),
                    Place::Stored(start) => {
                        claims.claim(start, cluster, &|| format!("cluster {index} of the disk"))?;
                    }
                    Place::Compressed(_) => compressed = true,
                }
                Ok(true)
            })?;
        }
        Ok(compressed)
    }

    /// Reads an entry of the L1 table.
    fn l2(&self, file: &ImageFile, number: u64) -> Result<L2> {
        let what = "an entry of the L1 table";
        let entry = u64::from_be_bytes(file.entry(self.l1_offset, number, what)?) & OFFSET;
        if entry == 0 {
            return Ok(L2::None);
        }
        ensure!(
            entry.is_multiple_of(self.cluster()),
            "L2 table {number} is at byte {entry}, within a cluster: the file is damaged"
        );
        file.check(entry, self.cluster(), "an L2 table")
            .with_context(|| format!("looking for L2 table {number}"))?;
        Ok(L2::At(entry))
    }

    /// The place of the cluster `index` of the disk, from its entry of an L2 table.
    fn place(&self, file: &ImageFile, index: u64, entry: u64) -> Result<Place> {
        let cluster = self.cluster();
        if entry & COMPRESSED != 0 {
            return self.compressed(file, entry, index).map(Place::Compressed);
        }
        let is_zeros = self.version >= 3 && entry & ZEROS != 0;
        let start = entry & OFFSET;
        if start == 0 || is_zeros {
            return Ok(Place::Zeros);
        }
        ensure!(
            start.is_multiple_of(cluster) && start < file.length,
            "cluster {index} of the disk is at byte {start} of the file, which has {} bytes in clusters \
             of {cluster}: it is truncated or damaged",
            file.length
        );
        Ok(Place::Stored(start))
    }

    /// The compressed cluster of an L2 table entry ("Compressed Clusters Descriptor").
    fn compressed(&self, file: &ImageFile, entry: u64, index: u64) -> Result<Compressed> {
        let shift = 62_u32.saturating_sub(self.bits.saturating_sub(8));
        let offset = entry & ((1 << shift) - 1);
        let sectors = (entry & !(0b11 << 62)) >> shift;
        ensure!(
            offset < file.length && offset != 0,
            "the data of cluster {index} begins at byte {offset} of the file, which ends at {}: it is \
             truncated or damaged",
            file.length
        );
        let length = sectors
            .saturating_add(1)
            .saturating_mul(SECTOR)
            .saturating_sub(offset % SECTOR);
        Ok(Compressed {
            offset,
            length: usize::try_from(length)?,
            start: index.saturating_mul(self.cluster()),
            block: usize::try_from(self.cluster())?,
            method: self.method,
        })
    }
}

impl Map for Clusters {
    fn extent(&self, file: &ImageFile, at: u64) -> Result<Extent> {
        let cluster = self.cluster();
        let index = at / cluster;
        let L2::At(table) = self.l2(file, index / self.entries())? else {
            return Ok(rest_of_block(
                at,
                cluster.saturating_mul(self.entries()),
                None,
            ));
        };
        let entry = file.entry(table, index % self.entries(), ENTRY)?;
        let place = self.place(file, index, u64::from_be_bytes(entry))?;
        Ok(match place {
            Place::Zeros => rest_of_block(at, cluster, None),
            Place::Stored(start) => rest_of_block(at, cluster, Some(start)),
            Place::Compressed(_) => Extent {
                place,
                ..rest_of_block(at, cluster, None)
            },
        })
    }
}
