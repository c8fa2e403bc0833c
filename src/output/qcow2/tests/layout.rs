//! Where data and tables are in a file.

use super::*;
use crate::output::tests::EMPTY;

/// Describes a file, by the offsets that the specification gives. What is 0 is left out.
fn dump(bytes: &[u8]) -> String {
    let number = |at: u64, length: usize| {
        let at = usize::try_from(at).unwrap();
        let digits = bytes[at..at + length].iter();
        digits.fold(0, |number, &digit| number << 8 | u64::from(digit))
    };
    let mut out = Vec::new();
    for (name, at, length) in [
        ("magic", 0, 4),
        ("version", 4, 4),
        ("backing_file_offset", 8, 8),
        ("backing_file_size", 16, 4),
        ("cluster_bits", 20, 4),
        ("size", 24, 8),
        ("crypt_method", 32, 4),
        ("l1_size", 36, 4),
        ("l1_table_offset", 40, 8),
        ("refcount_table_offset", 48, 8),
        ("refcount_table_clusters", 56, 4),
        ("nb_snapshots", 60, 4),
        ("snapshots_offset", 64, 8),
        ("incompatible_features", 72, 8),
        ("compatible_features", 80, 8),
        ("autoclear_features", 88, 8),
        ("refcount_order", 96, 4),
        ("header_length", 100, 4),
        ("compression_type", 104, 1),
    ] {
        let value = number(at, length);
        if value > 0 {
            out.push(format!("{name}: {value:#x}"));
        }
    }
    let after = number(100, 4);
    let (extension, length) = (number(after, 4), number(after + 4, 4));
    let data = usize::try_from(after + 8).unwrap();
    let data = &bytes[data..data + usize::try_from(length).unwrap()];
    if extension > 0 {
        let data = data.escape_ascii().to_string().replace("\\x00", "");
        out.push(format!("extension {extension:#x}, {length} bytes: {data}"));
    }
    for l1 in 0..number(36, 4) {
        let entry = number(number(40, 8) + l1 * 8, 8);
        out.push(format!("L1 {l1}: {entry:#018x}"));
        let table = entry & 0x00ff_ffff_ffff_fe00;
        for l2 in (0..8192).filter(|_| table > 0) {
            let entry = number(table + l2 * 8, 8);
            if entry > 0 {
                out.push(format!("L2 {l2}: {entry:#018x}"));
            }
        }
    }
    for index in 0..8192 {
        let block = number(number(48, 8) + index * 8, 8);
        if block > 0 {
            let counts = (0..32768).map(|cluster| number(block + cluster * 2, 2));
            let mut counts: Vec<u64> = counts.collect();
            let used = counts.iter().rposition(|&count| count > 0).unwrap() + 1;
            counts.truncate(used);
            out.push(format!("refcount block {index}: {block:#x} {counts:?}"));
        }
    }
    out.push(format!("length: {:#x}", bytes.len()));
    out.join("\n")
}

/// The file that `fill` makes.
fn made(length: u64, compression: u8, fill: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("qcow2");
    let mut writer = Writer {
        file: ImageFile::create(&path, &EMPTY, 0).unwrap(),
        host: HostClusters::new(),
        guest: GuestClusters::default(),
    };
    fill(&mut writer);
    writer.finish(length, compression).unwrap();
    checked(&path);
    fs::read(&path).unwrap()
}

fn plain(writer: &mut Writer<'_>, first: u64, count: usize) {
    writer
        .plain(first, &vec![1; count << CLUSTER_BITS])
        .unwrap();
}

fn compressed(writer: &mut Writer<'_>, number: u64, length: usize) {
    writer.compressed(number, &vec![2; length]).unwrap();
}

#[test]
fn clusters_are_in_the_order_of_the_disk_and_tables_follow() {
    let bytes = made(3 * ENTRIES * CLUSTER, compression_type::DEFLATE, |writer| {
        plain(writer, 0, 2);
        plain(writer, 8191, 2);
        plain(writer, 24_575, 1);
    });
    assert_eq!(
        dump(&bytes),
        "\
magic: 0x514649fb
version: 0x3
cluster_bits: 0x10
size: 0x60000000
l1_size: 0x3
l1_table_offset: 0x90000
refcount_table_offset: 0xb0000
refcount_table_clusters: 0x1
refcount_order: 0x4
header_length: 0x70
L1 0: 0x8000000000060000
L2 0: 0x8000000000010000
L2 1: 0x8000000000020000
L2 8191: 0x8000000000030000
L1 1: 0x8000000000070000
L2 0: 0x8000000000040000
L1 2: 0x8000000000080000
L2 8191: 0x8000000000050000
refcount block 0: 0xa0000 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]
length: 0xc0000"
    );
}

#[test]
fn compressed_clusters_share_clusters_of_the_file() {
    let bytes = made(20 * CLUSTER, compression_type::ZSTD, |writer| {
        compressed(writer, 0, 100);
        compressed(writer, 1, 65_000);
        // Continues in the next cluster.
        compressed(writer, 2, 1000);
        plain(writer, 3, 3);
        // Fits in the rest of the last one.
        compressed(writer, 6, 64_000);
        // Does not, and what follows is not free.
        compressed(writer, 7, 5000);
        // Up to the end of the cluster.
        compressed(writer, 8, 60_536);
        plain(writer, 9, 1);
        compressed(writer, 10, 1);
    });
    assert_eq!(
        dump(&bytes),
        "\
magic: 0x514649fb
version: 0x3
cluster_bits: 0x10
size: 0x140000
l1_size: 0x1
l1_table_offset: 0xa0000
refcount_table_offset: 0xc0000
refcount_table_clusters: 0x1
incompatible_features: 0x8
refcount_order: 0x4
header_length: 0x70
compression_type: 0x1
extension 0x6803f857, 48 bytes: \\x03compression type
L1 0: 0x8000000000090000
L2 0: 0x4000000000010000
L2 1: 0x5fc0000000010064
L2 2: 0x408000000001fe4c
L2 3: 0x8000000000030000
L2 4: 0x8000000000040000
L2 5: 0x8000000000050000
L2 6: 0x5f40000000020234
L2 7: 0x4240000000060000
L2 8: 0x5d80000000061388
L2 9: 0x8000000000070000
L2 10: 0x4000000000080000
refcount block 0: 0xb0000 [1, 3, 2, 1, 1, 1, 2, 1, 1, 1, 1, 1, 1]
length: 0xd0000"
    );
}
