//! Small images, made by hand, since no tool makes unusual ones.

use crc::{CRC_32_ISO_HDLC, Crc};

const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

/// Number of sectors of every disk.
pub const SECTORS: usize = 64;

/// A GPT disk to build.
#[derive(Debug, Clone)]
pub struct Gpt {
    /// Bytes of a sector.
    pub sector: usize,
    /// Bytes of an entry, and number of entries.
    pub size: u32,
    pub count: u32,
    /// Bytes of the header.
    pub header: u32,
    /// First and last sectors of partitions.
    pub partitions: Vec<(u64, u64)>,
}

impl Gpt {
    /// Usual values, except the number of entries, since the disk is small.
    pub fn usual() -> Gpt {
        Gpt {
            sector: 512,
            size: 128,
            count: 8,
            header: 92,
            partitions: vec![(20, 29), (40, 43)],
        }
    }

    /// The disk, with both tables.
    pub fn disk(&self) -> Vec<u8> {
        let mut disk = vec![0; SECTORS * self.sector];
        put(
            &mut disk,
            446,
            &[0, 0, 2, 0, 0xee, 0xff, 0xff, 0xff, 1, 0, 0, 0, 63, 0, 0, 0],
        );
        put(&mut disk, 510, &[0x55, 0xaa]);
        let last = SECTORS as u64 - 1;
        for (at, other, entries) in [(1, last, 2), (last, 1, last - 16)] {
            for (number, (first, end)) in (0u8..).zip(&self.partitions) {
                let at = entries as usize * self.sector + usize::from(number) * self.size as usize;
                put(&mut disk, at, &[number + 1; 32]);
                put(&mut disk, at + 32, &first.to_le_bytes());
                put(&mut disk, at + 40, &end.to_le_bytes());
                put(&mut disk, at + 56, b"n\0a\0m\0e\0");
            }
            let header = at as usize * self.sector;
            put(&mut disk, header, b"EFI PART\0\0\x01\0");
            put(&mut disk, header + 12, &self.header.to_le_bytes());
            put(&mut disk, header + 24, &u64::to_le_bytes(at));
            put(&mut disk, header + 32, &u64::to_le_bytes(other));
            put(&mut disk, header + 40, &u64::to_le_bytes(18));
            put(&mut disk, header + 48, &u64::to_le_bytes(last - 17));
            put(&mut disk, header + 56, &[7; 16]);
            put(&mut disk, header + 72, &u64::to_le_bytes(entries));
            put(&mut disk, header + 80, &self.count.to_le_bytes());
            put(&mut disk, header + 84, &self.size.to_le_bytes());
        }
        sum_of(&mut disk, self.sector);
        disk
    }
}

/// Writes `bytes` up to the end of the disk.
pub fn put(disk: &mut [u8], at: usize, bytes: &[u8]) {
    for (to, from) in disk.iter_mut().skip(at).zip(bytes) {
        *to = *from;
    }
}

/// Corrects the checksums of both GPT headers, if the sizes they declare fit the disk.
pub fn sum(disk: &mut [u8]) {
    sum_of(disk, 512);
}

/// As [`sum`], for sectors of `sector` bytes.
fn sum_of(disk: &mut [u8], sector: usize) {
    for header in [sector, (disk.len() / sector).saturating_sub(1) * sector] {
        let number = |disk: &[u8], at: usize| {
            let bytes = disk.get(header + at..header + at + 4)?;
            Some(u32::from_le_bytes(bytes.try_into().unwrap()) as usize)
        };
        let Some(start) = number(disk, 72).map(|number| number.saturating_mul(sector)) else {
            continue;
        };
        let length = number(disk, 80)
            .zip(number(disk, 84))
            .map(|(count, size)| count * size);
        let end = start.saturating_add(length.unwrap());
        if let Some(entries) = disk.get(start..end) {
            let sum = CRC.checksum(entries).to_le_bytes();
            put(disk, header + 88, &sum);
        }
        put(disk, header + 16, &[0; 4]);
        let end = header + number(disk, 12).unwrap();
        if let Some(bytes) = disk.get(header..end) {
            let sum = CRC.checksum(bytes).to_le_bytes();
            put(disk, header + 16, &sum);
        }
    }
}

/// A disk with an MBR and two partitions.
pub fn mbr() -> Vec<u8> {
    let mut disk = vec![0; SECTORS * 512];
    put(&mut disk, 440, &[1, 2, 3, 4]);
    put(
        &mut disk,
        446,
        &[0x80, 0, 2, 0, 0x0c, 0, 2, 0, 2, 0, 0, 0, 20, 0, 0, 0],
    );
    put(
        &mut disk,
        462,
        &[0, 0, 2, 0, 0x83, 0, 2, 0, 22, 0, 0, 0, 42, 0, 0, 0],
    );
    put(&mut disk, 510, &[0x55, 0xaa]);
    disk
}

/// A disk with an MBR, an extended partition, and logical ones, each of these sectors from its record on
/// and with this length. The last record leads to the sector `next` of the extended partition.
pub fn chain(logical: &[(u32, u32)], next: Option<u32>) -> Vec<u8> {
    let mut disk = vec![0; SECTORS * 512];
    let mut entry = |at: usize, kind: u8, start: u32, length: u32| {
        let fields = [
            [0, 0, 0, 0],
            [kind, 0, 0, 0],
            start.to_le_bytes(),
            length.to_le_bytes(),
        ];
        put(&mut disk, at, &fields.concat());
    };
    entry(446, 0x0f, 2, 60);
    for (number, (start, length)) in (0..).zip(logical) {
        let record = (2 + 12 * number as usize) * 512;
        entry(record + 446, 0x83, *start, *length);
        let is_last = number + 1 == logical.len() as u32;
        let next = if is_last {
            next
        } else {
            Some(12 * (number + 1))
        };
        if let Some(next) = next {
            entry(record + 462, 0x05, next, 12);
        }
    }
    for record in 0..=logical.len() {
        let at = if record == 0 {
            0
        } else {
            (2 + 12 * (record - 1)) * 512
        };
        put(&mut disk, at + 510, &[0x55, 0xaa]);
    }
    disk
}
