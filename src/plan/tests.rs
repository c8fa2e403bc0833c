use super::*;

use crate::fs::Ext4;
use crate::spec::{self, PartitionTable};
use crate::tree::{Content, Inode, InodeId, Kind, Metadata, Source};

/// A tree with one file of `data` bytes that nobody will read.
fn tree(data: u64) -> Arc<Tree> {
    let mut tree = Tree::new(Metadata::new(0o755));
    let file = Inode {
        metadata: Metadata::new(0o644),
        kind: Kind::File(Content {
            size: data,
            source: Source::Bytes(Arc::from([])),
            data: None,
        }),
    };
    tree.insert(InodeId::ROOT, b"file", file).unwrap();
    Arc::new(tree)
}

fn spec(table: PartitionTable, size: DiskSize) -> Spec {
    let json = serde_json::to_vec(&spec::tests::attributes()).unwrap();
    let spec = spec::parse(&json).unwrap();
    Spec {
        table,
        size,
        ..spec
    }
}

fn message(spec: &Spec, tree: &Arc<Tree>) -> String {
    match disk(spec, tree, &Ext4) {
        Ok(_) => panic!("the disk could be planned"),
        Err(error) => format!("{error:#}"),
    }
}

#[test]
fn the_size_that_an_error_names_is_the_smallest_that_works() {
    for table in [PartitionTable::None, PartitionTable::Efi] {
        // Past 128 MiB the journal grows: what holds 100 MiB need not hold in a longer disk.
        for data in [6, 30, 100, 110, 120, 700].map(|mebibytes| mebibytes * MEBIBYTE) {
            let tree = tree(data);
            let sized = |mebibytes| spec(table, DiskSize::Fixed { mebibytes });
            let error = message(
                &sized(if table == PartitionTable::None {
                    1
                } else {
                    262
                }),
                &tree,
            );
            let named = error.split("at least ").nth(1).unwrap();
            let named: u64 = named.split(' ').next().unwrap().parse().unwrap();
            disk(&sized(named), &tree, &Ext4).unwrap();
            let error = message(&sized(named - 1), &tree);
            assert!(error.contains("inodes; diskSize is"), "{error}");
        }
    }
}

#[test]
fn an_error_about_the_size_has_bytes_inodes_and_the_cure() {
    let spec = spec(PartitionTable::Efi, DiskSize::Fixed { mebibytes: 300 });
    assert_eq!(
        message(&spec, &tree(100 * MEBIBYTE)),
        "the root file system needs 116424704 bytes and 12 inodes; diskSize is 300 MiB, which \
         leaves 44040192 bytes to the root partition: set diskSize to at least 370 or to \"auto\""
    );
}

#[test]
fn additional_space_is_free_for_users() {
    for table in [
        PartitionTable::None,
        PartitionTable::Legacy,
        PartitionTable::Efi,
    ] {
        for data in [0, 3, 100, 119, 121, 900] {
            for free in [0, 1, 15, 100, 512] {
                let additional_space = free * MEBIBYTE;
                let spec = spec(table, DiskSize::Auto { additional_space });
                let disk = disk(&spec, &tree(data * MEBIBYTE), &Ext4).unwrap();
                let usage = disk.root.usage();
                assert!(
                    usage.available >= additional_space,
                    "{table:?} {data} {free}"
                );
                assert!(usage.length <= disk.layout.root_length());
                // The rounding of nixpkgs, the end of a GPT partition, and reserved blocks.
                let surplus = usage.available - additional_space;
                assert!(
                    surplus < 20 * MEBIBYTE,
                    "{table:?} {data} {free}: {surplus}"
                );
            }
        }
    }
}

#[test]
fn the_lines_of_nixpkgs_have_our_figures() {
    let sizes = Sizes {
        closure: 3,
        file_system: 10,
        disk: 100,
    };
    assert_eq!(
        sizes.to_string(),
        "Automatic disk size...\n  Closure space use: 3 bytes\n  fudge: 7 bytes\n  \
         Filesystem size needed: 10 bytes\n  Additional space: 90 bytes\n  \
         Disk image size: 100 bytes"
    );
}
