//! Random sparse disks.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::*;
use crate::holes;
use crate::output::tests::disk::cases;

/// The length of the largest disk in bytes: 3 TiB.
const LARGE: u64 = 3 << 40;

/// A random part of a disk.
#[derive(Debug, Clone)]
struct Piece {
    /// Where it begins: a multiple of this many bytes, and which one.
    unit: u64,
    place: Index,
    kind: Kind,
    length: usize,
    seed: u64,
}

#[derive(Debug, Clone)]
enum Kind {
    Zeros,
    Noise,
    Text,
    /// Zeros but for one byte.
    Byte(Index),
}

impl Piece {
    fn bytes(&self) -> Vec<u8> {
        match &self.kind {
            Kind::Zeros => vec![0; self.length],
            Kind::Noise => noise(self.length as u64, self.seed),
            Kind::Text => words(self.length as u64, self.seed),
            Kind::Byte(place) => {
                let mut bytes = vec![0; self.length];
                bytes[place.index(self.length)] = 1;
                bytes
            }
        }
    }
}

fn piece() -> impl Strategy<Value = Piece> {
    let kind = prop_oneof![
        Just(Kind::Zeros),
        Just(Kind::Noise),
        Just(Kind::Text),
        any::<Index>().prop_map(Kind::Byte),
    ];
    // Around the borders of clusters and L2 tables, and anywhere.
    let unit = select(vec![512, CLUSTER, CLUSTER, ENTRIES * CLUSTER]);
    let length = prop_oneof![
        Just(1usize << CLUSTER_BITS),
        1usize..(1 << CLUSTER_BITS),
        1usize..(5 << CLUSTER_BITS),
    ];
    (unit, any::<Index>(), kind, length, any::<u64>()).prop_map(
        |(unit, place, kind, length, seed)| Piece {
            unit,
            place,
            kind,
            length,
            seed,
        },
    )
}

/// The number of clusters that have a byte that is not 0.
fn clusters_with_data(image: &Image) -> u64 {
    let mut clusters = BTreeSet::new();
    for part in &image.parts {
        let Content::Bytes(bytes) = &part.content else {
            panic!("a part of another kind");
        };
        let mut at = part.start;
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let end = usize::try_from(CLUSTER - at % CLUSTER).unwrap();
            let (now, later) = rest.split_at(end.min(rest.len()));
            if !holes::is_zeros(now) {
                clusters.insert(at / CLUSTER);
            }
            at += now.len() as u64;
            rest = later;
        }
    }
    clusters.len() as u64
}

/// The offsets and bytes of those of `pieces` that are within the disk, and do not overlap.
fn parts(length: u64, pieces: &[Piece]) -> BTreeMap<u64, Vec<u8>> {
    let mut parts: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
    for piece in pieces {
        let places = usize::try_from(length / piece.unit + 1).unwrap();
        let start = piece.place.index(places) as u64 * piece.unit;
        let end = start + piece.length as u64;
        let before = parts.range(..end).next_back();
        if end <= length && before.is_none_or(|(at, bytes)| at + bytes.len() as u64 <= start) {
            parts.insert(start, piece.bytes());
        }
    }
    parts
}

#[test]
fn random_disks_are_read_as_they_are() {
    let config = Config {
        cases: cases(8).cases,
        failure_persistence: None,
        max_shrink_iters: 100,
        ..Config::default()
    };
    let random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let sectors = prop_oneof![
        0..1000u64,
        0..20_000u64,
        Just(20 * CLUSTER / 512),
        0..LARGE / 512,
        Just(LARGE / 512),
    ];
    let disks = (sectors, vec(piece(), 0..15), select(&CODECS));
    let mut runner = TestRunner::new_with_rng(config, random);
    let result = runner.run(&disks, |(sectors, pieces, codec)| {
        let image = image(sectors * 512, parts(sectors * 512, &pieces));
        let clusters = clusters_with_data(&image);
        let disk = Disk::new(image);
        let found = disk.write(codec);
        prop_assert_eq!(number(&found, "allocated-clusters"), clusters);
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}
