//! Reads VMDK ("Virtual Disk Format 5.0", VMware): files that contain a whole disk with its descriptor,
//! `monolithicSparse` and `streamOptimized`.

use anyhow::{Context, Result, bail, ensure};

use super::claims::{Claims, MOST_ENTRIES};
use super::decompress::Method;
use super::file::ImageFile;
use super::{Compressed, Extent, Facts, Map, Opened, Place, rest_of_block};
use crate::escape;
use crate::output::vmdk::ondisk::{DIRECTORY_AT_END, GrainMarker, SparseExtentHeader, flag};

/// The length of a sector in bytes.
const SECTOR: u64 = 512;

/// Where the footer is: this many bytes before the end of the file. An end-of-stream marker follows it.
const FOOTER: u64 = 1024;

/// The longest supported descriptor, in bytes.
const LONGEST_DESCRIPTOR: u64 = 1 << 20;

/// How many bytes of a value in the descriptor are shown.
const SHOWN: usize = 50;

/// The longest grain, in bytes.
const LONGEST_GRAIN: u64 = 2 << 20;

/// The longest disk, in sectors, almost 256 TiB: grains are counted with 32 bits.
const LONGEST: u64 = 1 << 39;

/// The grain table entry of a grain of zeros that has been written.
const WRITTEN_ZEROS: u32 = 1;

/// What messages call an entry of a grain table.
const ENTRY: &str = "an entry of a grain table";

/// Where grains are.
struct Grains {
    directory: u64,
    grain: u64,
    /// Entries of a grain table.
    entries: u64,
    count: u64,
    compressed: bool,
}

/// Opens `file`.
///
/// # Errors
/// See [`super::detect::Kind::open`].
pub fn open(file: &ImageFile) -> Result<Opened> {
    let mut header: SparseExtentHeader = file.structure(0, "the header")?;
    if header.gd_offset.get() == DIRECTORY_AT_END {
        header = file.structure(file.length.saturating_sub(FOOTER), "the footer")?;
        ensure!(
            header.magic == *b"KDMV",
            "there is no footer {FOOTER} bytes before the end of the file: it is truncated or damaged"
        );
    }
    let version = header.version.get();
    ensure!(
        (1..=3).contains(&version),
        "version {version} of the format is not supported, only 1 to 3"
    );
    let descriptor = descriptor(file, &header)?;
    let create_type = value(&descriptor, "createType").unwrap_or_default();
    ensure!(
        ["monolithicSparse", "streamOptimized"].contains(&create_type),
        "it is of the type {}, of which a disk may have several files; only monolithicSparse and \
         streamOptimized are supported; convert it with qemu-img convert -O raw",
        escape::beginning(create_type.as_bytes(), SHOWN)
    );
    let parent = value(&descriptor, "parentCID").unwrap_or("ffffffff");
    ensure!(
        parent.eq_ignore_ascii_case("ffffffff"),
        "it is incomplete without its parent, which has the content ID {}",
        escape::beginning(parent.as_bytes(), SHOWN)
    );
    let grains = Grains::open(file, &header)?;
    let sectors = header.capacity.get();
    let mut facts = Facts::default();
    facts.add("format", "vmdk");
    facts.add("variant", create_type);
    facts.add("version", version);
    facts.add("grain_size", grains.grain);
    facts.add("compressed", grains.compressed);
    for (name, key) in [
        ("content_id", "CID"),
        ("uuid", "ddb.uuid.image"),
        ("adapter", "ddb.adapterType"),
    ] {
        if let Some(value) = value(&descriptor, key) {
            facts.add(name, value);
        }
    }
    Ok(Opened {
        map: Box::new(grains),
        length: sectors.saturating_mul(SECTOR),
        sector: Some(SECTOR),
        facts,
    })
}

/// Reads the descriptor, a text.
fn descriptor(file: &ImageFile, header: &SparseExtentHeader) -> Result<String> {
    let start = header.descriptor_offset.get().saturating_mul(SECTOR);
    let length = header.descriptor_size.get().saturating_mul(SECTOR);
    ensure!(
        start > 0 && length > 0,
        "it has no descriptor, so it is only a part of a disk; open the file that describes the disk \
         with qemu-img"
    );
    ensure!(
        length <= LONGEST_DESCRIPTOR,
        "the header declares a descriptor of {length} bytes, but at most {LONGEST_DESCRIPTOR} are \
         supported"
    );
    let mut text = vec![0; usize::try_from(length)?];
    file.read(start, &mut text, "the descriptor")?;
    let end = text
        .iter()
        .position(|&byte| byte == 0)
        .unwrap_or(text.len());
    Ok(String::from_utf8_lossy(&text[..end]).into_owned())
}

/// The value of `key` in a descriptor, without its quotation marks.
fn value<'a>(descriptor: &'a str, key: &str) -> Option<&'a str> {
    descriptor.lines().find_map(|line| {
        let (name, value) = line.split_once('=')?;
        (name.trim() == key).then(|| value.trim().trim_matches('"'))
    })
}

impl Grains {
    fn open(file: &ImageFile, header: &SparseExtentHeader) -> Result<Grains> {
        let flags = header.flags.get();
        let compressed = flags & flag::COMPRESSED != 0;
        let algorithm = header.compress_algorithm.get();
        ensure!(
            !compressed || algorithm == 1,
            "the compression algorithm {algorithm} is not known"
        );
        let grain = header.grain_size.get().saturating_mul(SECTOR);
        ensure!(
            (SECTOR..=LONGEST_GRAIN).contains(&grain) && grain.is_power_of_two(),
            "the header declares grains of {} sectors",
            header.grain_size
        );
        let entries = u64::from(header.num_gtes_per_gt.get());
        ensure!(
            (1..=4096).contains(&entries),
            "the header declares grain tables of {entries} entries"
        );
        let capacity = header.capacity.get();
        ensure!(
            (1..=LONGEST).contains(&capacity),
            "the header declares a disk of {capacity} sectors"
        );
        let count = capacity.saturating_mul(SECTOR).div_ceil(grain);
        let grains = Grains {
            directory: header.gd_offset.get().saturating_mul(SECTOR),
            grain,
            entries,
            count,
            compressed,
        };
        let tables = count.div_ceil(entries);
        file.check(
            grains.directory,
            tables.saturating_mul(4),
            "the grain directory",
        )?;
        grains.check(file, tables)?;
        Ok(grains)
    }

    /// Checks that no two tables and no two grains are in the same place.
    fn check(&self, file: &ImageFile, tables: u64) -> Result<()> {
        let mut claims = Claims::new(file.length, SECTOR, 0);
        let size = self.entries.saturating_mul(4);
        let mut checked = 0_u64;
        for number in 0..tables {
            let Some(table) = self.table(file, number)? else {
                continue;
            };
            claims.claim(table, size, &|| format!("grain table {number}"))?;
            let first = number.saturating_mul(self.entries);
            let count = self.entries.min(self.count.saturating_sub(first));
            checked = checked.saturating_add(count);
            if checked > MOST_ENTRIES {
                break;
            }
            // The tables of an empty disk are holes.
            if file.next_data(table)? >= table.saturating_add(size) {
                continue;
            }
            file.each_entry(table, count, ENTRY, &mut |index, entry| {
                let grain = first.saturating_add(index);
                let Some(start) = self.start(file, grain, u32::from_le_bytes(entry))? else {
                    return Ok(false);
                };
                // The length of a compressed grain is next to it.
                let length = if self.compressed { SECTOR } else { self.grain };
                let length = length.min(file.length.saturating_sub(start));
                claims.claim(start, length, &|| format!("grain {grain} of the disk"))?;
                Ok(true)
            })?;
        }
        Ok(())
    }

    /// Where a grain table begins in the file, in bytes, unless its grains are zeros.
    fn table(&self, file: &ImageFile, number: u64) -> Result<Option<u64>> {
        let what = "an entry of the grain directory";
        let entry = u32::from_le_bytes(file.entry(self.directory, number, what)?);
        if entry == 0 {
            return Ok(None);
        }
        let table = u64::from(entry).saturating_mul(SECTOR);
        file.check(table, self.entries.saturating_mul(4), "a grain table")
            .with_context(|| format!("looking for grain table {number}"))?;
        Ok(Some(table))
    }

    /// Where a grain of the disk begins in the file, in bytes, unless it is zeros.
    fn start(&self, file: &ImageFile, grain: u64, entry: u32) -> Result<Option<u64>> {
        if entry <= WRITTEN_ZEROS {
            return Ok(None);
        }
        let start = u64::from(entry).saturating_mul(SECTOR);
        ensure!(
            start < file.length,
            "grain {grain} of the disk begins at byte {start} of the file, which ends at {}: it is \
             truncated or damaged",
            file.length
        );
        Ok(Some(start))
    }

    /// The compressed grain `number`, which begins at `start` in the file.
    fn compressed(&self, file: &ImageFile, start: u64, number: u64) -> Result<Compressed> {
        let marker: GrainMarker = file.structure(start, "a grain marker")?;
        let first = number.saturating_mul(self.grain);
        let (lba, length) = (marker.lba.get(), u64::from(marker.size.get()));
        if lba.checked_mul(SECTOR) != Some(first) {
            bail!(
                "the grain at byte {start} of the file claims to be that of sector {lba}, but grain \
                 {number} of the disk is expected there"
            );
        }
        // Deflate makes incompressible data only a little longer.
        ensure!(
            length <= self.grain.saturating_mul(2),
            "grain {number} has {length} bytes of compressed data"
        );
        Ok(Compressed {
            // usize to u64: lossless on every target Rust has.
            offset: start.saturating_add(size_of::<GrainMarker>() as u64),
            length: usize::try_from(length)?,
            start: first,
            block: usize::try_from(self.grain)?,
            method: Method::Zlib,
        })
    }
}

const _: () = assert!(size_of::<GrainMarker>() == 12);

impl Map for Grains {
    fn extent(&self, file: &ImageFile, at: u64) -> Result<Extent> {
        let number = at / self.grain;
        let Some(table) = self.table(file, number / self.entries)? else {
            return Ok(rest_of_block(
                at,
                self.grain.saturating_mul(self.entries),
                None,
            ));
        };
        let entry = file.entry(table, number % self.entries, ENTRY)?;
        let start = self.start(file, number, u32::from_le_bytes(entry))?;
        Ok(match start {
            Some(start) if self.compressed => Extent {
                place: Place::Compressed(self.compressed(file, start, number)?),
                ..rest_of_block(at, self.grain, None)
            },
            start => rest_of_block(at, self.grain, start),
        })
    }
}
