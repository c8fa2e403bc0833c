//! Reads VDI. VirtualBox publishes no specification; `block/vdi.c` of QEMU describes it.

use anyhow::{Result, bail, ensure};
use uuid::Uuid;

use super::claims::{Claims, MOST_ENTRIES};
use super::file::ImageFile;
use super::{Extent, Facts, Map, Opened, rest_of_block};
use crate::output::vdi::ondisk::Header;

/// A disk whose blocks are all in the file.
const STATIC: u32 = 2;

/// Entries of the block map from this one on are blocks of zeros: discarded, or never written.
const FIRST_ABSENT: u32 = 0xffff_fffe;

/// What messages call an entry of the block map.
const ENTRY: &str = "an entry of the block map";

/// Where blocks are.
struct Blocks {
    map: u64,
    data: u64,
    block: u64,
    /// What precedes each block, in bytes.
    extra: u64,
    count: u64,
}

/// Opens `file`.
///
/// # Errors
/// See [`super::detect::Kind::open`].
pub fn open(file: &ImageFile) -> Result<Opened> {
    let header: Header = file.structure(0, "the header")?;
    let version = header.version.get();
    ensure!(
        version == Header::VERSION,
        "version {}.{} of the format is not supported, only 1.1",
        version >> 16,
        version & 0xffff
    );
    let kind = match header.image_type.get() {
        Header::DYNAMIC => "dynamic",
        STATIC => "static",
        3 => bail!("it is an undo image, which is incomplete without its parent"),
        4 => bail!("it is a differencing image, which is incomplete without its parent"),
        other => bail!("the image type {other} is not known"),
    };
    ensure!(
        header.uuid_link == [0; 16] && header.uuid_parent == [0; 16],
        "it is incomplete without its parent; merge them with VBoxManage clonemedium"
    );
    let sector = header.sector_size.get();
    ensure!(
        sector == 512,
        "the header declares sectors of {sector} bytes, but only 512 are supported"
    );
    let block = u64::from(header.block_size.get());
    ensure!(
        (512..=1 << 30).contains(&block) && block.is_power_of_two(),
        "the header declares blocks of {block} bytes"
    );
    let length = header.disk_size.get();
    let count = u64::from(header.blocks_in_image.get());
    let needed = length.div_ceil(block);
    ensure!(
        count >= needed,
        "the block map has {count} entries, but {needed} are needed for a disk of {length} bytes"
    );
    let blocks = Blocks {
        map: header.block_map_offset.get().into(),
        data: header.data_offset.get().into(),
        block,
        extra: header.block_extra.get().into(),
        count: needed,
    };
    file.check(blocks.map, needed.saturating_mul(4), "the block map")?;
    ensure!(
        blocks.data >= 512,
        "the first block is at byte {}, within the header",
        blocks.data
    );
    blocks.check(file)?;
    let mut facts = Facts::default();
    facts.add("format", "vdi");
    facts.add("variant", kind);
    facts.add("block_size", block);
    facts.add("uuid", Uuid::from_bytes_le(header.uuid_image).to_string());
    let snapshot = Uuid::from_bytes_le(header.uuid_last_snapshot);
    facts.add("snapshot_uuid", snapshot.to_string());
    Ok(Opened {
        map: Box::new(blocks),
        length,
        sector: Some(512),
        facts,
    })
}

impl Blocks {
    /// Checks that no two blocks are in the same place.
    fn check(&self, file: &ImageFile) -> Result<()> {
        let unit = self.block.saturating_add(self.extra);
        let mut claims = Claims::new(file.length, unit, self.data);
        let count = self.count.min(MOST_ENTRIES);
        file.each_entry(self.map, count, ENTRY, &mut |number, entry| {
            let Some(start) = self.start(file, number, u32::from_le_bytes(entry))? else {
                return Ok(false);
            };
            let start = start.saturating_sub(self.extra);
            claims.claim(start, unit, &|| format!("block {number} of the disk"))?;
            Ok(true)
        })
    }

    /// Where a block of the disk begins in the file, in bytes, unless it is zeros.
    fn start(&self, file: &ImageFile, number: u64, entry: u32) -> Result<Option<u64>> {
        if entry >= FIRST_ABSENT {
            return Ok(None);
        }
        let unit = self.block.saturating_add(self.extra);
        let start = u64::from(entry).saturating_mul(unit);
        let start = start.saturating_add(self.data).saturating_add(self.extra);
        ensure!(
            start < file.length,
            "block {number} of the disk begins at byte {start} of the file, which ends at {}: it is \
             truncated or damaged",
            file.length
        );
        Ok(Some(start))
    }
}

impl Map for Blocks {
    fn extent(&self, file: &ImageFile, at: u64) -> Result<Extent> {
        let number = at / self.block;
        let entry = u32::from_le_bytes(file.entry(self.map, number, ENTRY)?);
        let start = self.start(file, number, entry)?;
        Ok(rest_of_block(at, self.block, start))
    }
}
