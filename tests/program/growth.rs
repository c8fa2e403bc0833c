//! Images that are enlarged: by the machine, with `boot.growPartition` and
//! `fileSystems."/".autoResize`, and by hand, with e2fsprogs.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use crate::common::nix::Build;
use crate::common::oracles::{self, Partition};
use crate::common::qemu::{Boot, Booted, Machine};
use crate::common::{command, run, said, scratch, stdout};

const LIMIT: Duration = Duration::from_secs(300);

const MIB: u64 = 1 << 20;

/// How much the disk grows, in bytes.
const MORE: u64 = 1024 * MIB;

/// The image includes the grower, so that the system can grow its own root.
const ARGUMENTS: &str = r#"partitionTableType = "efi"; installBootLoader = false; copyChannel = false;
    additionalSpace = "16M"; additionalPaths = [ fixture.grower ];"#;

/// The types besides ext4 that NixOS enlarges while they are mounted.
const GROWING: [&str; 3] = ["btrfs", "ext3", "xfs"];

/// An image on an enlarged disk, in its own directory.
struct Image {
    path: PathBuf,
    system: PathBuf,
    /// The root partition before.
    root: Partition,
    scratch: tempfile::TempDir,
}

impl Image {
    /// An image with a root file system of this type.
    fn larger(kind: &str) -> Self {
        let kinds = format!(r#"fsType = "{kind}"; rootType = "{kind}";"#);
        let built = Build::image(&format!("{ARGUMENTS} {kinds}")).run();
        let system = Build::expression(&format!(
            "(fixture.configWith {{ rootType = \"{kind}\"; }}).system.build.toplevel"
        ))
        .run();
        let scratch = scratch();
        let path = scratch.path().join("disk.img");
        std::fs::copy(built.out.join("nixos.img"), &path).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
        std::fs::set_permissions(&path, mode).unwrap();
        let root = root(&path);
        let file = File::options().write(true).open(&path).unwrap();
        file.set_len(file.metadata().unwrap().len() + MORE).unwrap();
        Self {
            path,
            system: system.out.clone(),
            root,
            scratch,
        }
    }

    fn boot(&self, words: &str, keep: bool) -> Booted {
        Machine {
            disk: &self.path,
            format: "raw",
            boot: &Boot::Kernel(&self.system, &format!("root=LABEL=nixos {words}")),
            limit: LIMIT,
            second: None,
            keep,
            variables: None,
        }
        .run()
    }

    /// Checks that the partition fills the disk and the file system fills the partition, that every
    /// oracle passes, and that Nix in the system accepts its store.
    fn is_larger_and_sound(&self) {
        oracles::check(&self.path, "raw", "efi");
        let root = root(&self.path);
        assert_eq!(root.start, self.root.start);
        assert!(root.size > self.root.size + MORE - 2 * MIB, "{root:?}");
        let blocks = blocks(&self.path, root.start);
        assert_eq!(blocks, root.size / 4096);
        let booted = self.boot("fixture.verify", false);
        assert_eq!(booted.fact("verify"), "ok", "{}", booted.console);
    }
}

/// The root partition of a disk.
fn root(disk: &Path) -> Partition {
    oracles::read_table(disk).partitions.pop().unwrap()
}

/// The number of blocks of the file system at the byte `start` of a disk, according to dumpe2fs.
fn blocks(disk: &Path, start: u64) -> u64 {
    let mut file = OsString::from(disk);
    file.push(format!("?offset={start}"));
    let header = stdout(command("dumpe2fs").arg("-h").arg(file));
    let line = header
        .lines()
        .find_map(|line| line.strip_prefix("Block count:"));
    line.unwrap().trim().parse().unwrap()
}

#[test]
fn mounted_root_grows_in_a_guest() {
    let image = Image::larger("ext4");
    let grower = Build::expression("fixture.grower").run();
    let grown = image.boot(&format!("init={}/bin/grow", grower.out.display()), true);
    assert_eq!(grown.fact("grown"), "yes", "{}", grown.console);
    image.is_larger_and_sound();
}

#[test]
fn every_type_that_nixos_can_enlarge_grows_in_a_guest() {
    let grower = Build::expression("fixture.grower").run();
    let init = format!("init={}/bin/grow", grower.out.display());
    for kind in GROWING {
        let image = Image::larger(kind);
        let grown = image.boot(&init, true);
        assert_eq!(grown.fact("grown"), "yes", "{kind}: {}", grown.console);
        oracles::check(&image.path, "raw", "efi");
        let root = root(&image.path);
        assert!(root.size > image.root.size + MORE - 2 * MIB, "{root:?}");
        // The figure of df includes neither inode tables nor the journal.
        let size: u64 = grown.fact("size").parse().unwrap();
        assert!(size > root.size / 100 * 90, "{kind}: {size} of {root:?}");
        let booted = image.boot("fixture.verify", false);
        assert_eq!(booted.fact("verify"), "ok", "{}", booted.console);
    }
}

#[test]
fn root_grows_offline() {
    let image = Image::larger("ext4");
    stdout(command("sgdisk").arg("-e").arg(&image.path));
    let number = image.root.number.to_string();
    let words = scratch();
    let script = words.path().join("script");
    std::fs::write(&script, ", +\n").unwrap();
    stdout(
        command("sfdisk")
            .args(["--no-reread", "--no-tell-kernel", "-N", &number])
            .arg(&image.path)
            .stdin(Stdio::from(File::open(&script).unwrap())),
    );
    let larger = root(&image.path);
    let file = image.scratch.path().join("root");
    oracles::extract(&image.path, &larger, &file);
    let mut check = command("e2fsck");
    check.arg("-fp").arg(&file);
    let output = run(&mut check);
    assert!(output.status.success(), "{}", said(&output));
    stdout(command("resize2fs").arg(&file));
    let mut from = OsString::from("if=");
    from.push(&file);
    let mut to = OsString::from("of=");
    to.push(&image.path);
    stdout(
        command("dd")
            .args([from, to])
            .args(["bs=1M", "oflag=seek_bytes", "conv=notrunc,sparse"])
            .arg("status=none")
            .arg(format!("seek={}", larger.start)),
    );
    image.is_larger_and_sound();
}
