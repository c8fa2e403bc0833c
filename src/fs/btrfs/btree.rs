//! Trees that are built in one pass from sorted items: full leaves, and the nodes above them.

use anyhow::{Context, Result, ensure};
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromZeros, IntoBytes};

use super::ondisk::{DiskKey, GENERATION, Header, Item, Key, KeyPtr, NODE_SIZE};
use crate::fs::number::index;

/// Bytes in a node behind the header.
const SPACE: usize = SIZE - size_of::<Header>();

/// The length of the longest item (`BTRFS_MAX_ITEM_SIZE`).
pub const LONGEST_ITEM: usize = SPACE - size_of::<Item>();

/// Number of pointers in a node.
const POINTERS: u64 = (SPACE / size_of::<KeyPtr>()) as u64; // usize to u64: lossless

/// The size of a node.
const SIZE: usize = 16_384;
const _: () = assert!(SIZE as u64 == NODE_SIZE);

/// Receives the items of a tree in the order of their keys.
pub type Items<'a> = dyn FnMut(Key, &[u8]) -> Result<()> + 'a;

/// The number of nodes on each level, the leaves first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shape {
    levels: Vec<u64>,
}

impl Shape {
    /// Returns the shape of the tree with `leaves` leaves.
    fn with_leaves(leaves: u64) -> Shape {
        let mut levels = vec![leaves];
        let mut count = leaves;
        while count > 1 {
            count = count.div_ceil(POINTERS);
            levels.push(count);
        }
        Shape { levels }
    }

    /// Returns the shape of the tree with the items that `items` passes on.
    ///
    /// # Errors
    /// Those of `items`.
    pub fn of(items: impl FnOnce(&mut Items<'_>) -> Result<()>) -> Result<Shape> {
        let mut leaves = 1;
        let mut free = SPACE;
        items(&mut |_, bytes| {
            let length = size_of::<Item>() + bytes.len();
            if length > free {
                leaves += 1;
                free = SPACE;
            }
            free = free.saturating_sub(length);
            Ok(())
        })?;
        Ok(Shape::with_leaves(leaves))
    }

    /// The number of nodes.
    pub fn nodes(&self) -> u64 {
        self.levels.iter().sum()
    }

    /// The number of nodes on each level.
    pub fn levels(&self) -> &[u64] {
        &self.levels
    }

    /// The height of the root above the leaves.
    ///
    /// # Errors
    /// If the tree is higher than btrfs allows, which no tree that fits on a device is.
    pub fn height(&self) -> Result<u8> {
        u8::try_from(self.levels.len().saturating_sub(1))
            .ok()
            .filter(|&height| height < 8)
            .context("a tree of the btrfs file system would have more than eight levels")
    }
}

/// What all nodes of a file system have in common.
#[derive(Debug, Clone, Copy)]
pub struct Identity {
    /// The file system's UUID.
    pub fsid: [u8; 16],
    /// UUID of the chunk tree.
    pub chunk_tree: [u8; 16],
}

/// Receives the nodes of a tree, in the order of their numbers.
pub type NodeSink<'a> = dyn FnMut(&[u8]) -> Result<()> + 'a;

/// Writes one tree.
pub struct TreeWriter<'a> {
    /// What is in every header.
    pub identity: Identity,
    /// The tree's number.
    pub owner: u64,
    /// Returns the address of a node of this tree by its number. The leaves come first, then the
    /// nodes above them, and the root is the last one.
    pub address: &'a dyn Fn(u64) -> Result<u64>,
    /// Receives the nodes.
    pub sink: &'a mut NodeSink<'a>,
}

impl TreeWriter<'_> {
    /// Writes the tree with the items that `items` passes on, which must have the shape `shape`.
    ///
    /// # Errors
    /// If it has another shape or the items are not in order, and those of `items` and the sink.
    pub fn write(
        mut self,
        shape: &Shape,
        items: impl FnOnce(&mut Items<'_>) -> Result<()>,
    ) -> Result<()> {
        let mut leaf = Leaf::new();
        let mut number = 0;
        let mut below: Vec<(Key, u64)> = Vec::new();
        let mut last: Option<Key> = None;
        items(&mut |key, bytes| {
            ensure!(
                last.is_none_or(|last| last < key),
                "item {key:?} of tree {} is not in order: this is a bug",
                self.owner
            );
            last = Some(key);
            if !leaf.add(key, bytes) {
                self.leaf(&mut leaf, &mut number, &mut below)?;
                ensure!(
                    leaf.add(key, bytes),
                    "item {key:?} of tree {} has {} bytes; btrfs's limit is {LONGEST_ITEM}",
                    self.owner,
                    bytes.len()
                );
            }
            Ok(())
        })?;
        self.leaf(&mut leaf, &mut number, &mut below)?;
        let mut levels = vec![number];
        let mut level = 0;
        while below.len() > 1 {
            level += 1;
            let before = number;
            let mut above = Vec::new();
            for children in below.chunks(index(POINTERS)) {
                let mut node = vec![0; SIZE];
                let pointers = node.get_mut(size_of::<Header>()..).unwrap_or_default();
                let places = pointers.chunks_exact_mut(size_of::<KeyPtr>());
                for (place, &(key, address)) in places.zip(children) {
                    let pointer = KeyPtr {
                        key: DiskKey::from(key),
                        blockptr: U64::new(address),
                        generation: U64::new(GENERATION),
                    };
                    place.copy_from_slice(pointer.as_bytes());
                }
                let first = children.first().map(|&(key, _)| key);
                self.node(node, children.len(), level, number)?;
                above.extend(first.map(|key| (key, number)));
                number += 1;
            }
            below = Vec::with_capacity(above.len());
            for (key, number) in above {
                below.push((key, (self.address)(number)?));
            }
            levels.push(number - before);
        }
        ensure!(
            levels == shape.levels,
            "tree {} has {levels:?} nodes, but {:?} were planned: this is a bug",
            self.owner,
            shape.levels
        );
        Ok(())
    }

    fn leaf(
        &mut self,
        leaf: &mut Leaf,
        number: &mut u64,
        below: &mut Vec<(Key, u64)>,
    ) -> Result<()> {
        let full = std::mem::replace(leaf, Leaf::new());
        let first = full.first.unwrap_or(Key::new(0, 0, 0));
        below.push((first, (self.address)(*number)?));
        self.node(full.bytes, full.count, 0, *number)?;
        *number += 1;
        Ok(())
    }

    /// Completes the header of a node and passes the node on.
    fn node(&mut self, mut bytes: Vec<u8>, count: usize, level: u8, number: u64) -> Result<()> {
        let mut header = Header::new_zeroed();
        header.fsid = self.identity.fsid;
        header.bytenr = U64::new((self.address)(number)?);
        header.flags = U64::new(Header::FLAGS);
        header.chunk_tree_uuid = self.identity.chunk_tree;
        header.generation = U64::new(GENERATION);
        header.owner = U64::new(self.owner);
        header.nritems = U32::new(u32::try_from(count)?);
        header.level = level;
        put(&mut bytes, 0, header.as_bytes());
        let sum = crc32c::crc32c(bytes.get(size_of_val(&header.csum)..).unwrap_or_default());
        put(&mut bytes, 0, &sum.to_le_bytes());
        (self.sink)(&bytes)
    }
}

/// A leaf that is being filled: headers of items from the front, data from the back.
struct Leaf {
    bytes: Vec<u8>,
    first: Option<Key>,
    count: usize,
    /// Where the next header of an item goes.
    front: usize,
    /// Where the data begins.
    back: usize,
}

impl Leaf {
    fn new() -> Leaf {
        Leaf {
            bytes: vec![0; SIZE],
            first: None,
            count: 0,
            front: size_of::<Header>(),
            back: SIZE,
        }
    }

    /// Adds an item, or returns false if there is no room for it.
    fn add(&mut self, key: Key, data: &[u8]) -> bool {
        if size_of::<Item>() + data.len() > self.back - self.front {
            return false;
        }
        self.back -= data.len();
        // Both are less than a node, so that they fit.
        let place = self.back - size_of::<Header>();
        let (Ok(offset), Ok(size)) = (u32::try_from(place), u32::try_from(data.len())) else {
            return false;
        };
        let item = Item {
            key: DiskKey::from(key),
            offset: U32::new(offset),
            size: U32::new(size),
        };
        put(&mut self.bytes, self.front, item.as_bytes());
        put(&mut self.bytes, self.back, data);
        self.front += size_of::<Item>();
        self.first.get_or_insert(key);
        self.count += 1;
        true
    }
}

/// Writes `value` to `buffer` at the byte `at`.
fn put(buffer: &mut [u8], at: usize, value: &[u8]) {
    buffer[at..at + value.len()].copy_from_slice(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes a tree with `count` items of `length` bytes and returns its nodes.
    fn write(count: u64, length: usize) -> (Shape, Vec<Vec<u8>>) {
        let data = vec![7; length];
        let items = |out: &mut Items<'_>| {
            (0..count).try_for_each(|number| out(Key::new(number, 1, 0), &data))
        };
        let shape = Shape::of(items).unwrap();
        let mut nodes = Vec::new();
        let writer = TreeWriter {
            identity: Identity {
                fsid: [1; 16],
                chunk_tree: [2; 16],
            },
            owner: 5,
            address: &|number| Ok((number + 1) * NODE_SIZE),
            sink: &mut |node: &[u8]| {
                nodes.push(node.to_vec());
                Ok(())
            },
        };
        writer.write(&shape, items).unwrap();
        (shape, nodes)
    }

    #[test]
    fn trees_are_as_high_as_they_must_be() {
        for (count, length, levels) in [
            (0, 0, &[1][..]),
            (1, LONGEST_ITEM, &[1]),
            (2, LONGEST_ITEM, &[2, 1]),
            (651, 0, &[1]),
            (652, 0, &[2, 1]),
            (493, LONGEST_ITEM, &[493, 1]),
            (494, LONGEST_ITEM, &[494, 2, 1]),
        ] {
            let (shape, nodes) = write(count, length);
            assert_eq!(shape.levels(), levels, "{count} items of {length} bytes");
            assert_eq!(nodes.len() as u64, shape.nodes());
            assert_eq!(
                usize::from(shape.height().unwrap()),
                shape.levels().len() - 1
            );
            assert!(nodes.iter().all(|node| node.len() == SIZE));
        }
    }

    #[test]
    fn an_item_that_is_too_long_is_an_error() {
        let items = |out: &mut Items<'_>| out(Key::new(1, 1, 0), &[0; LONGEST_ITEM + 1]);
        let writer = TreeWriter {
            identity: Identity {
                fsid: [0; 16],
                chunk_tree: [0; 16],
            },
            owner: 5,
            address: &|number| Ok(number),
            sink: &mut |_: &[u8]| Ok(()),
        };
        let error = writer.write(&Shape::with_leaves(1), items).unwrap_err();
        assert!(
            error.to_string().ends_with("btrfs's limit is 16258"),
            "{error}"
        );
    }
}
