//! Device nodes, and the links that boot loader installers look for.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Component, Path};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::guest::job::DISK;

/// How long a disk may take to appear.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Waits until `device` exists.
pub fn wait_for(device: &str) -> Result<()> {
    let begin = Instant::now();
    while !Path::new(device).exists() {
        if begin.elapsed() > TIMEOUT {
            bail!(
                "{device} did not appear within {} s; does the kernel have virtio_pci and virtio_blk?",
                TIMEOUT.as_secs()
            );
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Creates the links that udev would create (`/dev/block/MAJOR:MINOR`), and for the disk those that
/// nixpkgs creates (`/dev/xvda`, `/dev/sda`) and `links`.
pub fn link(links: &[String]) -> Result<()> {
    for (name, target) in [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ] {
        make(&Path::new("/dev").join(name), target)?;
    }
    block_numbers().context("creating /dev/block")?;
    let usual = ["/dev/xvda", "/dev/sda"].into_iter();
    for link in usual.chain(links.iter().map(String::as_str)) {
        // "nodev" is GRUB's word for no device.
        if link == DISK || link == "nodev" || link.is_empty() {
            continue;
        }
        let path = Path::new(link);
        let climbs = path.components().any(|part| part == Component::ParentDir);
        ensure!(
            path.starts_with("/dev") && !climbs,
            "{link} is not a device below /dev: a boot loader cannot be installed to it"
        );
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).with_context(|| format!("creating {}", parent.display()))?;
        }
        make(path, DISK)?;
    }
    Ok(())
}

fn block_numbers() -> Result<()> {
    fs::create_dir_all("/dev/block")?;
    for entry in fs::read_dir("/sys/class/block")? {
        let entry = entry?;
        let numbers = fs::read_to_string(entry.path().join("dev"))?;
        let name = entry.file_name();
        let target = Path::new("..").join(name);
        make(&Path::new("/dev/block").join(numbers.trim()), target)?;
    }
    Ok(())
}

fn make(link: &Path, target: impl AsRef<Path>) -> Result<()> {
    match symlink(target, link) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            Err(error).with_context(|| format!("creating the link {}", link.display()))
        }
        _ => Ok(()),
    }
}
