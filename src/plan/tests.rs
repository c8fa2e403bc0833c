use super::margin::FIRST_BOOT;
use super::*;

use crate::fs::tests::Archiver;
use crate::scheme::PartitionTable;
use crate::spec::{self, FileSystemKind, System};
use crate::tree::{Content, Inode, InodeId, Kind, Metadata, Source};

/// Returns a tree with one file of `data` bytes, which is not read.
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
    let mut attributes = spec::tests::attributes();
    attributes["image"]["partitionTableType"] = table.name().into();
    let spec = spec::parse(&serde_json::to_vec(&attributes).unwrap()).unwrap();
    Spec { size, ..spec }
}

/// Planning ext4 does not use the work directory.
fn disk_of(spec: &Spec, tree: &Arc<Tree>) -> Result<Disk> {
    disk(spec, tree, Path::new("/nonexistent"))
}

fn disk_as(spec: &Spec, tree: &Arc<Tree>, format: &dyn Format) -> Result<Disk> {
    with_planner(spec, tree, format, |planner| planner.disk())
}

fn message(spec: &Spec, tree: &Arc<Tree>) -> String {
    match disk_of(spec, tree) {
        Ok(_) => panic!("planning the disk succeeded"),
        Err(error) => format!("{error:#}"),
    }
}

#[test]
fn errors_suggest_the_smallest_sufficient_size() {
    for table in [PartitionTable::None, PartitionTable::Efi] {
        // Above 128 MiB the journal is larger, so a larger disk may have less room.
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
            let works = disk_of(&sized(named), &tree).unwrap();
            assert!(works.root.usage().available >= FIRST_BOOT);
            assert_eq!(works.cramped, None);
            match disk_of(&sized(named - 1), &tree) {
                Ok(disk) => assert_eq!(disk.cramped.unwrap().advised, Some(named)),
                Err(error) => assert!(
                    error.to_string().contains("inodes, but diskSize is"),
                    "{error}"
                ),
            }
        }
    }
}

#[test]
fn size_errors_have_bytes_inodes_and_advice() {
    let spec = spec(PartitionTable::Efi, DiskSize::Fixed { mebibytes: 300 });
    assert_eq!(
        message(&spec, &tree(100 * MEBIBYTE)),
        "the root file system needs 116424704 bytes and 12 inodes, but diskSize is 300 MiB, \
         which leaves 44040192 bytes for the root partition; set diskSize to at least 420 or to \"auto\""
    );
}

#[test]
fn additional_space_and_the_margin_are_free_for_users() {
    for table in [
        PartitionTable::None,
        PartitionTable::Legacy,
        PartitionTable::Efi,
    ] {
        for data in [0, 3, 119, 121, 900] {
            for free in [0, 15, 512] {
                let additional_space = free * MEBIBYTE;
                let spec = spec(table, DiskSize::Auto { additional_space });
                let disk = disk_of(&spec, &tree(data * MEBIBYTE)).unwrap();
                let usage = disk.root.usage();
                let free_for_users = additional_space + FIRST_BOOT;
                assert!(usage.available >= free_for_users, "{table:?} {data} {free}");
                // 5 % are reserved for root.
                let only_root = usage.length / 20 / 4096 * 4096;
                assert_eq!(usage.available_to_root - usage.available, only_root);
                assert!(disk.cramped.is_none());
                assert!(usage.length <= disk.layout.root_length());
                // The surplus comes from nixpkgs' rounding, the end of a GPT partition, and
                // reserved blocks.
                let surplus = usage.available - free_for_users;
                assert!(
                    surplus < 20 * MEBIBYTE,
                    "{table:?} {data} {free}: {surplus}"
                );
            }
        }
    }
}

#[test]
fn reports_a_fixed_size_without_room_for_a_first_boot() {
    let spec = spec(PartitionTable::Efi, DiskSize::Fixed { mebibytes: 380 });
    let disk = disk_of(&spec, &tree(100 * MEBIBYTE)).unwrap();
    assert!(disk.root.usage().length <= disk.layout.root_length());
    assert_eq!(
        disk.cramped.unwrap().to_string(),
        "diskSize is 380 MiB, which leaves 1826816 bytes of the root file system free for users \
         and 8220672 for root, but the first boot may write 25165824 bytes, as root and as other \
         users; set diskSize to at least 420 or to \"auto\""
    );
    let cramped = Cramped {
        advised: None,
        ..disk.cramped.unwrap()
    };
    let text = cramped.to_string();
    let end = " other users; no disk with this partition table has more room";
    assert!(text.ends_with(end), "{text}");
}

#[test]
fn a_store_image_needs_no_margin() {
    let tree = tree(100 * MEBIBYTE);
    for size in [
        DiskSize::Auto {
            additional_space: 0,
        },
        DiskSize::Fixed { mebibytes: 120 },
    ] {
        let spec = Spec {
            system: System::StoreOnly,
            ..spec(PartitionTable::None, size)
        };
        let disk = disk_of(&spec, &tree).unwrap();
        assert_eq!(disk.cramped, None);
        assert!(disk.layout.disk_length <= 120 * MEBIBYTE);
    }
}

#[test]
fn prints_figures_in_nixpkgs_format() {
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

#[test]
fn plans_a_file_system_that_is_made_during_planning() {
    let mut tree = Tree::new(Metadata::new(0o755));
    let file = Inode {
        metadata: Metadata::new(0o644),
        kind: Kind::File(Content::bytes(vec![7; 5 << 20])),
    };
    tree.insert(InodeId::ROOT, b"file", file).unwrap();
    let tree = Arc::new(tree);
    let directory = tempfile::tempdir().unwrap();
    let archiver = Archiver {
        directory: directory.path().to_owned(),
    };
    let additional_space = 3 * MEBIBYTE;
    let automatic = spec(PartitionTable::Efi, DiskSize::Auto { additional_space });
    let disk = disk_as(&automatic, &tree, &archiver).unwrap();
    assert!(disk.root.usage().available >= additional_space + FIRST_BOOT);
    assert!(disk.root.length() == disk.layout.root_length());
    drop(disk);

    let fixed = |mebibytes| spec(PartitionTable::None, DiskSize::Fixed { mebibytes });
    let cramped = disk_as(&fixed(6), &tree, &archiver).unwrap().cramped;
    assert_eq!(cramped.unwrap().advised, Some(30));
    let Err(error) = disk_as(&fixed(5), &tree, &archiver) else {
        panic!("planning succeeded");
    };
    let error = error.to_string();
    assert!(error.contains("set diskSize to at least 30 or"), "{error}");

    let failing = Archiver {
        directory: directory.path().join("none"),
    };
    let Err(error) = disk_as(&fixed(6), &tree, &failing) else {
        panic!("planning succeeded");
    };
    let error = format!("{error:#}");
    assert!(
        error.contains("planning the root file system: No such file"),
        "{error}"
    );
}

#[test]
fn additional_space_lengthens_the_partition_of_a_read_only_root() {
    let directory = tempfile::tempdir().unwrap();
    let archiver = Archiver {
        directory: directory.path().to_owned(),
    };
    let planned = |additional_space| {
        let mut spec = spec(PartitionTable::Efi, DiskSize::Auto { additional_space });
        spec.root.kind = FileSystemKind::Erofs(None);
        disk_as(&spec, &tree(0), &archiver).unwrap()
    };
    let [plain, longer] = [0, 64 * MEBIBYTE].map(|space| planned(space).layout.root_length());
    // There is no margin.
    assert!(plain <= 2 * MEBIBYTE, "{plain}");
    let more = longer - plain;
    assert!(more.abs_diff(64 * MEBIBYTE) < MEBIBYTE, "{more}");

    let mut spec = spec(PartitionTable::None, DiskSize::Fixed { mebibytes: 1 });
    spec.root.kind = FileSystemKind::Erofs(None);
    let disk = disk_as(&spec, &tree(0), &archiver).unwrap();
    assert_eq!(disk.cramped, None);
}
