//! `streamOptimized`, read from its beginning to its end as by a program that receives it.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;

use super::*;
use crate::codec::Codec;

const CODEC: Codec = Codec::Zlib { level: 6 };

/// The names of the kinds of markers, by their numbers.
const KINDS: [&str; 4] = ["end of stream", "grain table", "grain directory", "footer"];

fn write(image: &Image, path: &Path) {
    write_stream(image, &identity(), CODEC, "nixos.vmdk", path, &|_| ()).unwrap();
}

/// What is in a file after the descriptor.
struct Stream<'a> {
    bytes: &'a [u8],
    /// Offset of the next byte.
    at: usize,
    /// Offsets on the disk, and what is there.
    disk: Vec<(u64, Vec<u8>)>,
    /// The sectors of the grains since the last grain table, by their numbers.
    grains: Vec<(usize, usize)>,
    /// The sectors of the grain tables, by their numbers.
    tables: Vec<(usize, usize)>,
    /// One line for each marker.
    log: String,
}

impl<'a> Stream<'a> {
    fn take(&mut self, count: usize) -> &'a [u8] {
        let bytes = &self.bytes[self.at..self.at + count];
        self.at += count;
        bytes
    }

    fn sector(&self) -> usize {
        assert_eq!(self.at % 512, 0);
        self.at / 512
    }

    /// Reads a marker, and what follows it. Returns whether there is more.
    fn next(&mut self) -> bool {
        let sector = self.sector();
        let (value, size, kind) = (
            u64::from_le_bytes(self.take(8).try_into().unwrap()),
            number(self.take(4)),
            number(&self.bytes[self.at..self.at + 4]),
        );
        let value = usize::try_from(value).unwrap();
        if size > 0 {
            self.grain(sector, value, size);
            return true;
        }
        self.log += &format!("{sector}: {}, {value} sectors\n", KINDS[kind]);
        assert!(self.take(500)[4..].iter().all(|&byte| byte == 0));
        let start = self.sector();
        let content = self.take(value * 512);
        match KINDS[kind] {
            "grain table" => self.table(start, content),
            "grain directory" => {
                let mut expected = vec![0; content.len()];
                for &(number, sector) in &self.tables {
                    put(&mut expected, number, sector);
                }
                assert!(content == expected);
                assert!(self.grains.is_empty());
            }
            "footer" => {
                let directory = self.bytes[..self.at].len() / 512 - 2 - directory_sectors(content);
                let mut expected = self.bytes[..512].to_vec();
                assert_eq!(expected[56..64], [0xff; 8]);
                expected[56..64].copy_from_slice(&(directory as u64).to_le_bytes());
                assert!(content == expected);
            }
            _ => {
                assert_eq!(self.at, self.bytes.len());
                return false;
            }
        }
        true
    }

    fn grain(&mut self, sector: usize, lba: usize, size: usize) {
        self.log += &format!("{sector}: grain {}, {size} bytes\n", lba / 128);
        let compressed = self.take(size);
        let padding = self.at.next_multiple_of(512) - self.at;
        assert!(self.take(padding).iter().all(|&byte| byte == 0));
        let mut grain = Vec::new();
        flate2::read::ZlibDecoder::new(compressed)
            .read_to_end(&mut grain)
            .unwrap();
        assert_eq!(grain.len(), 65_536);
        assert!(grain.iter().any(|&byte| byte != 0));
        assert_eq!(lba % 128, 0);
        self.disk.push((lba as u64 * 512, grain));
        self.grains.push((lba / 128, sector));
    }

    fn table(&mut self, start: usize, content: &[u8]) {
        let number = self.grains[0].0 / 512;
        let mut expected = vec![0; 2048];
        for (grain, sector) in std::mem::take(&mut self.grains) {
            assert_eq!(grain / 512, number);
            put(&mut expected, grain % 512, sector);
        }
        assert!(content == expected);
        self.tables.push((number, start));
    }
}

fn number(bytes: &[u8]) -> usize {
    u32::from_le_bytes(bytes.try_into().unwrap()) as usize
}

fn put(table: &mut [u8], index: usize, sector: usize) {
    let sector = u32::try_from(sector).unwrap();
    table[index * 4..index * 4 + 4].copy_from_slice(&sector.to_le_bytes());
}

/// Sectors of the grain directory of the file with this header or footer.
fn directory_sectors(header: &[u8]) -> usize {
    let capacity = u64::from_le_bytes(header[12..20].try_into().unwrap());
    usize::try_from(capacity.div_ceil(128 * 512).div_ceil(128)).unwrap()
}

/// Reads the file `path`. Returns its grains, by their offsets on the disk, and a line for each marker.
fn received(path: &Path) -> (Vec<(u64, Vec<u8>)>, String) {
    let bytes = fs::read(path).unwrap();
    let mut stream = Stream {
        bytes: &bytes,
        at: 128 * 512,
        disk: Vec::new(),
        grains: Vec::new(),
        tables: Vec::new(),
        log: String::new(),
    };
    while stream.next() {}
    assert!(stream.disk.is_sorted_by(|(one, _), (other, _)| one < other));
    (stream.disk, stream.log)
}

/// Checks the file `path` against the disk.
fn assert_good(raw: &Raw, path: &Path) {
    let disk = File::open(raw.path()).unwrap();
    for (offset, grain) in received(path).0 {
        let mut expected = vec![0; grain.len()];
        // The last grain may be longer than the disk, which then has zeros there.
        disk.read_at(&mut expected, offset).unwrap();
        assert!(grain == expected, "at {offset}");
    }
    let most =
        crate::output::vmdk::stream::most(Size::check(disk.metadata().unwrap().len()).unwrap());
    assert!(fs::metadata(path).unwrap().len() <= most);
    // Nothing else has data.
    raw.compare("vmdk", path);
    assert_clean(path);
}

#[test]
fn files_contain_the_disk() {
    for (_, image) in disks() {
        let raw = Raw::new(&image);
        let path = raw.file("vmdk");
        write(&image, &path);
        assert_good(&raw, &path);
        assert_info(&path, "streamOptimized", image.length);
    }
}

#[test]
fn the_markers_are_readable() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("vmdk");
    write(&small(), &path);
    let bytes = fs::read(&path).unwrap();
    let text = dump(&bytes[..128 * 512]) + &received(&path).1;
    assert_eq!(text, include_str!("stream.txt"));
}

#[test]
fn grains_are_about_as_small_as_those_of_qemu_img() {
    let text: Vec<u8> = (0..400_000)
        .flat_map(|n: u32| format!("{n} ").into_bytes())
        .collect();
    let image = image(
        64 << 20,
        vec![(1 << 20, text), (9 << 20, noise(1 << 20, 1))],
    );
    let raw = Raw::new(&image);
    let path = raw.file("vmdk");
    write(&image, &path);
    let options = ["-o", "subformat=streamOptimized"];
    let theirs = fs::metadata(raw.convert("vmdk", &options)).unwrap().len();
    let ours = fs::metadata(&path).unwrap().len();
    assert!(ours <= theirs + theirs / 50, "{ours} {theirs}");
}

#[test]
fn a_long_disk_takes_little_space() {
    let length = 3 << 40;
    let data = [0, 1 << 40, length - 4096].map(|at| (at, noise(4096, at)));
    let image = image(length, data.into());
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("vmdk");
    write(&image, &path);
    let found = fs::metadata(&path).unwrap().len();
    assert!(found < 600_000, "{found}");
    assert_info(&path, "streamOptimized", length);
}

proptest! {
    #![proptest_config(cases(8))]

    #[test]
    fn any_sparse_disk_is_read_back(
        sectors in prop_oneof![1..200_000_u64, 1..1_000_000_u64],
        ranges in ranges(),
    ) {
        let image = sparse(sectors * 512, &ranges);
        let raw = Raw::new(&image);
        let vmdk = raw.file("vmdk");
        write(&image, &vmdk);
        assert_good(&raw, &vmdk);
    }
}
