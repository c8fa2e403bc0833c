//! Mounts the disk's file systems twice: once to install to, and once to look for changes.

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

/// The mount point for the installation.
pub const TARGET: &str = "/target";

/// Character sets of FAT. Names are UTF-8, which can represent all of them; the two tables are for short
/// names and for case. They are set explicitly because a kernel's defaults may need modules that the
/// initrd does not have.
const CHARACTERS: &str = "codepage=437,iocharset=iso8859-1,utf8=1";

/// The mount point of the root file system without other mounts on it.
pub const VIEW: &str = "/view";

/// Returns the mount point of boot partition `number` without other mounts on it.
pub fn boot_view(number: u32) -> PathBuf {
    PathBuf::from(format!("/view-{number}"))
}

/// Mounts the root file system.
pub fn mount_root(job: &Job) -> Result<()> {
    let kind = &job.root_type;
    mount_at(&job.root, Path::new(TARGET), Some(kind), MsFlags::MS_NOATIME).map_err(|error| {
        match error.root_cause().downcast_ref() {
            // mount(2): this type is not configured in the kernel.
            Some(Errno::ENODEV) => error.context(format!(
                "the guest's kernel does not support {kind}: use pkgs whose kernel (pkgs.linux) does, \
                 leave guestMachine and umlKernel at their defaults, or use another fsType"
            )),
            _ => error,
        }
    })?;
    mount_at(TARGET, Path::new(VIEW), None, MsFlags::MS_BIND)
}

/// Mounts everything else that the installation needs. The directories that this creates stay in the
/// image, as with nixos-enter.
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
        .context("mounting the EFI variables (does the machine have EFI firmware?)")?;
    }
    // As in nixos-enter.
    for name in ["dev", "sys", "proc"] {
        let at = target.join(name);
        fs::create_dir_all(&at).with_context(|| format!("creating /{name} in the image"))?;
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

/// Keeps this program as the kernel's modprobe(8). NixOS's activation replaces it by the image's own,
/// which does not know the modules of the initrd: that write goes to an unused file.
fn keep_helper(helper: &Path) -> Result<()> {
    if !helper.exists() {
        return Ok(());
    }
    let other = "/modprobe-of-the-image";
    fs::write(other, "").with_context(|| format!("creating {other}"))?;
    mount_at(other, helper, None, MsFlags::MS_BIND)
}

fn read_only(store: &Path) -> Result<()> {
    let name = || format!("making {} read-only", store.display());
    let source = store.to_string_lossy();
    mount_at(&source, store, None, MsFlags::MS_BIND)?;
    let flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
    mount_call(None::<&str>, store, None::<&str>, flags, None::<&str>).with_context(name)
}

/// Returns the place of an absolute path of the image below `directory`.
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
