//! Flags of a file on the host, as shown by lsattr(1).

use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;

use crate::sys;

/// Opens the regular file or directory `path` to read its flags. Flags of other file types cannot
/// be read: open(2) opens the device or the pipe, not the inode.
pub fn open(path: &Path) -> io::Result<File> {
    File::options()
        .read(true)
        // Does not block if the file has been replaced by a pipe.
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(path)
}

/// Returns the flags of `file` as `FS_IOC_GETFLAGS` does; 0 if the file system has no flags.
pub fn read(file: &File) -> io::Result<u32> {
    match sys::inode_flags(file) {
        // Some file systems return EINVAL for every unknown ioctl.
        Err(Errno::ENOTTY | Errno::EOPNOTSUPP | Errno::ENOSYS | Errno::EINVAL) => Ok(0),
        other => Ok(other?),
    }
}
