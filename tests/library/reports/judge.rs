//! Reads a report as the program does and checks the result.

use std::path::Path;
use std::sync::Arc;

use make_disk_image::fs::{Ext4, Format, Options};
use make_disk_image::guest;
use make_disk_image::guest::job::{BootPartition, Job};
use make_disk_image::guest::report::{Limits, read};
use make_disk_image::layout::{self, Layout};
use make_disk_image::owner::Names;
use make_disk_image::scheme::{PartitionTable, Role};
use make_disk_image::spec::Identity;
use make_disk_image::tree::place::make_directories;
use make_disk_image::tree::{Content, Inode, InodeId, Kind, Metadata, Timestamp, Tree};

use super::forge::TOKEN;

const STORE: &str = "/nix/store";
const MIB: u64 = 1 << 20;
/// The size of the guest's disk, in bytes.
const DATA: u64 = 4 * MIB;
const TIME: Timestamp = Timestamp::from_seconds(1000);

pub struct Judge {
    job: Job,
    layout: Layout,
    table: Vec<(u64, Vec<u8>)>,
    before: Tree,
}

impl Judge {
    pub fn new() -> Judge {
        let identity = Identity {
            deterministic: true,
            disk: uuid::Uuid::from_u128(1),
            root_partition: uuid::Uuid::from_u128(2),
            other_partitions: [uuid::Uuid::from_u128(3), uuid::Uuid::from_u128(4)],
            root_file_system: uuid::Uuid::from_u128(5),
            time: 1,
        };
        let table = PartitionTable::Hybrid;
        let layout = layout::place(table, 64 * MIB, 512 * MIB).unwrap();
        let table = layout::table_bytes(&layout, &identity).unwrap();
        let boot = layout.partitions.iter().filter(|p| p.role() == Role::Esp);
        let boot = boot.map(|esp| BootPartition {
            number: esp.number,
            device: String::new(),
            target: "/boot".to_owned(),
        });
        let job = Job {
            token: TOKEN.to_owned(),
            time: 1,
            root: String::new(),
            root_type: "ext4".to_owned(),
            boot: boot.collect(),
            store: STORE.to_owned(),
            links: Vec::new(),
            efi_variables: false,
            boot_loader: true,
            owners: vec![Names {
                user: "a".to_owned(),
                group: "b".to_owned(),
            }],
            areas: layout::areas(&layout, 1024),
        };
        Judge {
            job,
            layout,
            table,
            before: before(),
        }
    }

    pub fn job(&self) -> &Job {
        &self.job
    }

    /// Reads a report and merges it into the image.
    ///
    /// # Errors
    /// The program's error.
    ///
    /// # Panics
    /// If the error message is not fit to print, or if there is no error and the image is wrong.
    pub fn judge(&self, bytes: &[u8]) -> Result<(), String> {
        let work = tempfile::tempdir_in("/dev/shm").unwrap();
        let result = self.apply(bytes, work.path());
        let written = std::fs::read_dir(work.path()).unwrap();
        let written: u64 = written
            .map(|file| {
                let stat = file.unwrap().metadata().unwrap();
                std::os::unix::fs::MetadataExt::blocks(&stat) * 512
            })
            .sum();
        assert!(written <= DATA + MIB, "{written}");
        let Err(error) = result else { return Ok(()) };
        let error = format!("{error:#}");
        assert!(!error.is_empty() && error.len() < 20_000, "{error}");
        assert!(
            !error.contains(|c: char| c.is_control() && c != '\n'),
            "{error:?}"
        );
        Err(error)
    }

    fn apply(&self, bytes: &[u8], work: &Path) -> anyhow::Result<()> {
        let limits = Limits {
            job: &self.job,
            gone: guest::length_of_paths(&self.before, STORE.as_ref()),
            data: DATA,
        };
        let report = read(bytes, work, &limits)?;
        layout::check_boot_code(&report.areas, 1024)?;
        let mut tree = self.before.clone();
        guest::root(&mut tree, &report, STORE.as_ref(), TIME)?;
        self.is_sound(&tree);
        assert_eq!(kept(&self.before), kept(&tree));
        for boot in &self.job.boot {
            self.is_sound(&guest::boot(&report, boot.number, TIME)?);
        }
        self.is_apart(&layout::with_boot_code(
            self.table.clone(),
            &self.layout,
            &report.areas,
            1024,
        ));
        Ok(())
    }

    /// Asserts that every directory is reached once, and that the file system's writer accepts the
    /// tree or explains why not.
    fn is_sound(&self, tree: &Tree) {
        let mut reached = vec![false; tree.inodes().len()];
        let mut stack = vec![InodeId::ROOT];
        while let Some(id) = stack.pop() {
            let was = std::mem::replace(&mut reached[id.index()], true);
            let Some(directory) = tree.directory(id) else {
                continue;
            };
            assert!(!was, "a directory has two names");
            for (name, child) in directory.iter() {
                assert!(!name.is_empty() && name != b"." && name != b"..");
                assert!(!name.contains(&0) && !name.contains(&b'/'));
                stack.push(child);
            }
        }
        for inode in tree.inodes() {
            let metadata = &inode.metadata;
            assert!(metadata.mode < 0o10000 && metadata.mtime.nanoseconds < 1_000_000_000);
            assert!(metadata.mtime <= TIME);
            assert!(metadata.xattrs.is_sorted_by(|a, b| a.name < b.name));
        }
        let options = Options {
            uuid: uuid::Uuid::from_u128(1),
            label: "test".to_owned(),
            time: TIME,
        };
        if let Ok(counted) = Ext4.count(&Arc::new(tree.clone()), &options) {
            let _ = counted.plan(64 * MIB);
        }
    }

    /// Asserts that boot code is neither in the table nor in a file system.
    fn is_apart(&self, parts: &[(u64, Vec<u8>)]) {
        let table = &self.table;
        let length = table[0].1.len();
        assert_eq!(parts[0].1.len(), length);
        assert_eq!(parts[0].1[440..], table[0].1[440..]);
        assert_eq!(parts[1..table.len()], table[1..]);
        for (start, bytes) in &parts[table.len()..] {
            let end = start + u64::try_from(bytes.len()).unwrap();
            assert!(*start >= u64::try_from(length).unwrap());
            for partition in &self.layout.partitions {
                let (first, after) = (partition.start(), partition.start() + partition.length());
                let apart = end <= first || *start >= after;
                let inside = *start >= first && end <= after;
                let boot_code = partition.role() == Role::BiosBoot;
                assert!(apart || (boot_code && inside), "{start} to {end}");
            }
        }
    }
}

/// All metadata of protected paths.
fn kept(tree: &Tree) -> Vec<String> {
    let mut kept = Vec::new();
    tree.walk(|path, id| {
        let tops: [&[u8]; 3] = [b"nix/store", b"nix/var/nix/db", b"lost+found"];
        if tops.iter().any(|top| path.starts_with(top)) {
            let path = String::from_utf8_lossy(path);
            kept.push(format!("{path} {:?}", tree.inode(id)));
        }
    });
    assert!(kept.len() > 5);
    kept
}

fn before() -> Tree {
    let mut tree = Tree::new(Metadata::new(0o755));
    for path in [
        "etc/directory/deep",
        "nix/store/a/bin",
        "nix/var/nix/db",
        "nix/var/nix/profiles",
        "lost+found",
        "boot",
    ] {
        make_directories(&mut tree, Path::new(path), &Metadata::new(0o755)).unwrap();
    }
    for (directory, name) in [
        ("etc", "file"),
        ("etc/directory", "other"),
        ("nix/store/a/bin", "program"),
        ("nix/var/nix/db", "db.sqlite"),
    ] {
        let metadata = Metadata::new(0o755);
        let parent = make_directories(&mut tree, Path::new(directory), &metadata).unwrap();
        let inode = Inode {
            metadata,
            kind: Kind::File(Content::bytes(b"old".to_vec())),
        };
        tree.insert(parent, name.as_bytes(), inode).unwrap();
    }
    tree
}
