//! The kernel's view of images: a guest in User-Mode Linux mounts them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use cpio::newc::{Builder, ModeFileType, trailer};

use crate::common::listing::{self, Listing};
use crate::common::{cache, command, next, programs, repository, run, said, scratch, stdout};

/// Programs of the guest.
const PROGRAMS: [&str; 25] = [
    "bash",
    "cat",
    "chattr",
    "cp",
    "dd",
    "find",
    "getfattr",
    "head",
    "ln",
    "ls",
    "lsattr",
    "mkdir",
    "mv",
    "rm",
    "seq",
    "setfattr",
    "sha256sum",
    "sort",
    "stat",
    "sync",
    "tar",
    "touch",
    "tr",
    "wc",
    "xargs",
];
/// Those of busybox.
const BUSYBOX: [&str; 6] = ["dmesg", "grep", "mount", "poweroff", "sh", "umount"];

/// The first process: runs the script at the beginning of the last disk and replaces that by an
/// archive of /result.
const INIT: &str = r#"#!/bin/bash
export PATH=/bin LC_ALL=C
mount -t proc proc /proc
mount -t devtmpfs dev /dev
ln -s /proc/self/fd /dev/fd
disks=(/dev/vd?)
last=${disks[-1]}
dd if="$last" bs=64k count=1 status=none | tr -d '\0' >/script
if bash -euo pipefail /script >/result/console 2>&1; then touch /result/done; fi
dmesg | grep -i f2fs >/result/kernel
tar -cf "$last" -C /result .
sync
poweroff -f
"#;

/// What a script left in /result.
pub struct Answer {
    archive: PathBuf,
    _directory: tempfile::TempDir,
}

impl Answer {
    /// A file in /result.
    pub fn text(&self, name: &str) -> String {
        let mut tar = command("tar");
        stdout(tar.arg("-xOf").arg(&self.archive).arg(format!("./{name}")))
    }

    /// The listing that list.sh wrote to a directory there.
    pub fn listing(&self, directory: &str) -> Listing {
        listing::in_tar(&self.archive, directory)
    }
}

/// The daemon that serves the disks, killed when dropped.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a bash script in a guest with these disks: /dev/vda and so on. /list.sh is there.
pub fn script(disks: &[&Path], script: &str) -> Answer {
    let directory = scratch();
    let archive = directory.path().join("answer");
    let mut file = File::create(&archive).unwrap();
    file.write_all(script.as_bytes()).unwrap();
    file.set_len(256 << 20).unwrap();
    let mut daemon = next::program("usr/bin/qemu-storage-daemon");
    let mut devices = Vec::new();
    for (number, disk) in disks.iter().copied().chain([&*archive]).enumerate() {
        let node = format!("d{number}");
        let disk = disk.canonicalize().unwrap();
        daemon.args([
            "--blockdev",
            &format!("file,node-name={node},filename={}", disk.display()),
        ]);
        daemon.args([
            "--export",
            &format!(
                "vhost-user-blk,id=e{number},node-name={node},writable=on,addr.type=unix,addr.path={node}"
            ),
        ]);
        devices.push(format!("virtio_uml.device={node}:2"));
    }
    let _daemon = Daemon(daemon.current_dir(directory.path()).spawn().unwrap());
    let last = directory.path().join(format!("d{}", disks.len()));
    for _ in 0..200 {
        if last.exists() {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let mut kernel = Command::new("timeout");
    kernel
        .arg("600")
        .arg(cache().join("uml-kernel/bin/linux"))
        .arg(format!("initrd={}", initrd().display()))
        .args(["mem=768M", "con=null", "con0=null,fd:1", "uml_dir=."])
        .args(["seccomp=auto", "lpj=10000000", "noreboot", "panic=-1"])
        .args(["quiet", "loglevel=4"])
        .args(devices)
        .env("TMPDIR", "/dev/shm")
        .env("HOME", directory.path())
        .current_dir(directory.path())
        .stdin(Stdio::null());
    let output = run(&mut kernel);
    let tar = run(command("tar").arg("-tf").arg(&archive));
    let answer = Answer {
        archive,
        _directory: directory,
    };
    assert!(tar.status.success(), "{}\n{}", said(&output), said(&tar));
    let names = String::from_utf8_lossy(&tar.stdout).into_owned();
    assert!(
        names.lines().any(|name| name == "./done"),
        "{}\n{}",
        answer.text("console"),
        answer.text("kernel")
    );
    answer
}

/// The listings of images, which the guest mounts read-write. The kernel must not complain.
pub fn list(images: &[&Path]) -> Vec<Listing> {
    let disks = ('a'..='z').take(images.len());
    let commands: String = disks
        .clone()
        .map(|disk| {
            format!(
                "mount -t f2fs -o noatime /dev/vd{disk} /mnt; mkdir /result/{disk}; \
                 bash /list.sh /mnt /result/{disk}; umount /mnt\n"
            )
        })
        .collect();
    let answer = script(images, &commands);
    assert_quiet(&answer);
    disks
        .map(|disk| answer.listing(&disk.to_string()))
        .collect()
}

/// Asserts that the kernel had nothing to say except that it mounted file systems.
pub fn assert_quiet(answer: &Answer) {
    let text = answer.text("kernel");
    let ordinary = |line: &str| {
        [
            "Mounted with checkpoint version",
            "recovery fsync data, check_only",
            // resize.f2fs leaves the second checkpoint empty.
            "invalid crc_offset: 0",
        ]
        .iter()
        .any(|known| line.contains(known))
    };
    let bad: Vec<&str> = text.lines().filter(|line| !ordinary(line)).collect();
    assert!(bad.is_empty(), "{bad:?}");
}

/// The path of the initrd.
fn initrd() -> &'static Path {
    static INITRD: OnceLock<PathBuf> = OnceLock::new();
    INITRD.get_or_init(|| {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("f2fs-initrd");
        let mut file = tempfile::NamedTempFile::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        file.write_all(&archive()).unwrap();
        file.persist(&path).unwrap();
        path
    })
}

enum Member {
    Directory,
    File(Vec<u8>),
    Link(PathBuf),
}

fn archive() -> Vec<u8> {
    let mut members = BTreeMap::new();
    for program in PROGRAMS {
        let target = programs().join("bin").join(program).canonicalize().unwrap();
        let libraries = stdout(command("ldd").arg(&target));
        for path in libraries
            .split_whitespace()
            .filter(|word| word.starts_with('/'))
        {
            add(&mut members, Path::new(path));
        }
        add(&mut members, &target);
        members.insert(Path::new("/bin").join(program), Member::Link(target));
    }
    let busybox = fs::read(cache().join("bootstrap/busybox")).unwrap();
    members.insert("/bin/busybox".into(), Member::File(busybox));
    for program in BUSYBOX {
        members.insert(
            Path::new("/bin").join(program),
            Member::Link("busybox".into()),
        );
    }
    members.insert("/init".into(), Member::File(INIT.into()));
    let list = fs::read(repository().join("tests/fixtures/system/list.sh")).unwrap();
    members.insert("/list.sh".into(), Member::File(list));
    for directory in ["/proc", "/dev", "/mnt", "/result"] {
        members.insert(directory.into(), Member::Directory);
    }
    let parents: Vec<PathBuf> = members
        .keys()
        .flat_map(|path| path.ancestors().skip(1).map(Path::to_owned))
        .collect();
    for parent in parents {
        members.entry(parent).or_insert(Member::Directory);
    }
    members.remove(Path::new("/"));
    let mut out = Vec::new();
    for (number, (path, member)) in (1..).zip(members) {
        let (kind, bytes) = match member {
            Member::Directory => (ModeFileType::Directory, Vec::new()),
            Member::File(bytes) => (ModeFileType::Regular, bytes),
            Member::Link(target) => (
                ModeFileType::Symlink,
                target.into_os_string().into_encoded_bytes(),
            ),
        };
        let name = path.strip_prefix("/").unwrap().to_str().unwrap();
        let builder = Builder::new(name)
            .ino(number)
            .nlink(1)
            .mode(0o755)
            .set_mode_file_type(kind);
        let length = u32::try_from(bytes.len()).unwrap();
        let mut writer = builder.write(&mut out, length);
        writer.write_all(&bytes).unwrap();
        writer.finish().unwrap();
    }
    trailer(&mut out).unwrap();
    out
}

/// Adds a file, and what the symbolic links on its way lead to.
fn add(members: &mut BTreeMap<PathBuf, Member>, path: &Path) {
    let real = path.canonicalize().unwrap();
    assert!(fs::metadata(&real).unwrap().permissions().mode() & 0o444 != 0);
    if real != path {
        members.insert(path.to_owned(), Member::Link(real.clone()));
    }
    let bytes = fs::read(&real).unwrap();
    members.insert(real, Member::File(bytes));
}
