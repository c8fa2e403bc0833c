//! Flags of a file of this machine, as lsattr(1) shows them.

use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;

use crate::sys;

/// Opens the regular file or directory `path` to be asked for its flags. Nothing else has any that
/// can be asked for: what opens is a driver or a pipe, and not the inode.
pub fn open(path: &Path) -> io::Result<File> {
    File::options()
        .read(true)
        // Not to hang if it has become a pipe.
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(path)
}

/// The flags of `file`, as `FS_IOC_GETFLAGS` gives them: none where the file system has no flags.
pub fn read(file: &File) -> io::Result<u32> {
    match sys::inode_flags(file) {
        // The last is what some file systems say to every ioctl that they don't know.
        Err(Errno::ENOTTY | Errno::EOPNOTSUPP | Errno::ENOSYS | Errno::EINVAL) => Ok(0),
        other => Ok(other?),
    }
}
