//! File systems mounted on this machine, as root: the kernel's own view of an image.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::{command, run, scratch, stdout};

/// A mounted file system, unmounted when dropped.
pub struct Mount {
    directory: PathBuf,
    _scratch: tempfile::TempDir,
    mounted: bool,
}

impl Mount {
    /// Mounts the image of an ext4 file system with the options `options`.
    pub fn new(image: &Path, options: &str) -> Self {
        Self::with(&["-t", "ext4", "-o", &format!("loop,{options}")], image)
    }

    /// Mounts `what` with these arguments of mount(8).
    pub fn with(arguments: &[&str], what: &Path) -> Self {
        let scratch = scratch();
        let directory = scratch.path().to_owned();
        patiently(command("mount").args(arguments).arg(what).arg(&directory));
        Self {
            directory,
            _scratch: scratch,
            mounted: true,
        }
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.directory
    }

    /// A number from `stat -f`: `%a` is the blocks that ordinary users can fill, `%S` the block
    /// size.
    pub fn figure(&self, format: &str) -> u64 {
        let text = stdout(command("stat").args(["-f", "-c", format]).arg(self.path()));
        text.trim().parse().expect("stat prints numbers")
    }

    /// Bytes that ordinary users can fill.
    pub fn available(&self) -> u64 {
        self.figure("%a") * self.figure("%S")
    }

    /// Unmounts; panics on failure.
    pub fn unmount(mut self) {
        self.mounted = false;
        patiently(command("umount").arg(&self.directory));
    }
}

/// Retries a command until it succeeds: other tests take loop devices at the same time, and
/// programs that probe new devices keep them busy for a moment.
fn patiently(command: &mut Command) {
    for _ in 0..20 {
        if run(command).status.success() {
            return;
        }
        std::thread::sleep(Duration::from_millis(250));
    }
    stdout(command);
}

impl Drop for Mount {
    fn drop(&mut self) {
        if self.mounted {
            // The test has already failed, or ignores failures.
            let _ = command("umount").arg(&self.directory).status();
        }
    }
}
