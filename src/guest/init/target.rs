//! The disk's file systems: mounted once to work in, and once to look at.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::mount::{MsFlags, mount as mount_call};
use nix::unistd;

use super::kernel::mount_at;
use super::modules::HELPER;
use crate::guest::job::Job;

/// Where the system is installed.
pub const TARGET: &str = "/target";

/// How names on FAT are read: as UTF-8, which has all of them. The two tables are for short names and
/// for upper and lower case. Every kernel has its own defaults, and may have them in modules of their
/// own; these are loaded.
const CHARACTERS: &str = "codepage=437,iocharset=iso8859-1,utf8=1";

/// Where the root file system is without what is mounted on it.
pub const VIEW: &str = "/view";

/// Where boot partition `number` is without what is mounted on it.
pub fn boot_view(number: u32) -> PathBuf {
    PathBuf::from(format!("/view-{number}"))
}

/// Mounts the root file system.
pub fn mount_root(job: &Job) -> Result<()> {
    let flags = MsFlags::MS_NOATIME;
    mount_at(&job.root, Path::new(TARGET), Some("ext4"), flags)?;
    mount_at(TARGET, Path::new(VIEW), None, MsFlags::MS_BIND)
}

/// Mounts all else that the installation needs on it. The directories that this makes stay, as
/// those of nixos-enter do.
pub fn mount_others(job: &Job) -> Result<()> {
    let target = Path::new(TARGET);
    for boot in &job.boot {
        let at = below(target, &boot.target);
        fs::create_dir_all(&at)
            .and_then(|()| {
                Ok(mount_call(
                    Some(boot.device.as_str()),
                    &at,
                    Some("vfat"),
                    MsFlags::MS_NOATIME,
                    Some(CHARACTERS),
                )?)
            })
            .with_context(|| format!("mounting {} on {}", boot.device, boot.target))?;
        let source = at.to_string_lossy();
        mount_at(&source, &boot_view(boot.number), None, MsFlags::MS_BIND)?;
    }
    if job.efi_variables {
        let path = Path::new("/sys/firmware/efi/efivars");
        mount_call(
            Some("efivarfs"),
            path,
            Some("efivarfs"),
            MsFlags::empty(),
            None::<&str>,
        )
        .context("mounting the EFI variables (is the firmware EFI?)")?;
    }
    // As nixos-enter does it.
    for name in ["dev", "sys", "proc"] {
        let at = target.join(name);
        fs::create_dir_all(&at).with_context(|| format!("making /{name} in the image"))?;
        if name != "proc" {
            fs::set_permissions(&at, Permissions::from_mode(0o755))
                .with_context(|| format!("setting the mode of /{name} in the image"))?;
        }
        let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
        mount_at(&format!("/{name}"), &at, None, flags)?;
    }
    keep_helper(&below(target, HELPER))?;
    read_only(&below(target, &job.store))
}

/// NixOS's activation tells the kernel of the image's own modprobe(8), which knows nothing of the
/// modules here: what it writes goes to a file that nobody reads.
fn keep_helper(helper: &Path) -> Result<()> {
    if !helper.exists() {
        return Ok(());
    }
    let other = "/modprobe-of-the-image";
    fs::write(other, "").with_context(|| format!("making {other}"))?;
    mount_at(other, helper, None, MsFlags::MS_BIND)
}

fn read_only(store: &Path) -> Result<()> {
    let name = || format!("making {} read-only", store.display());
    let source = store.to_string_lossy();
    mount_at(&source, store, None, MsFlags::MS_BIND)?;
    let flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
    mount_call(None::<&str>, store, None::<&str>, flags, None::<&str>).with_context(name)
}

/// An absolute path of the image, from here.
pub fn below(directory: &Path, path: &str) -> PathBuf {
    directory.join(path.trim_start_matches('/'))
}

/// Runs `work` with the image as the root directory.
pub fn inside<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    let outside = fs::File::open("/").context("opening the root directory")?;
    enter(|| unistd::chdir(TARGET))?;
    let result = work();
    enter(|| unistd::fchdir(&outside))?;
    result
}

fn enter(change: impl FnOnce() -> Result<(), Errno>) -> Result<()> {
    change()
        .and_then(|()| unistd::chroot("."))
        .context("changing the root directory")
}
