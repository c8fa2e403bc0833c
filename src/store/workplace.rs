//! The directory we work in, and the environment the caller's Nix gets there.

use std::env;
use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use nix::errno::Errno;

use crate::spec::{StorePath, Tools};
use crate::{escape, sys};

use super::parents;

/// Nix's configuration for the time we use it. The machine's own is not read: it may name
/// substituters, a group of build users that our user namespace does not have, or ask for hard
/// links in `.links`, and none of that may show in an image.
const NIX_CONF: &str = "\
auto-optimise-store = false
build-users-group =
fsync-metadata = false
substituters =
";

/// Directories of our own below one that is ours alone.
pub(super) struct Workplace {
    work: PathBuf,
    /// The root to install into.
    pub(super) root: PathBuf,
    /// The directory of the root that its store paths belong into; empty.
    pub(super) store: PathBuf,
    path: OsString,
}

impl Workplace {
    /// Makes the directories below `work`, which exists; `toplevel` tells where the store is.
    pub(super) fn create(work: &Path, tools: &Tools, toplevel: &StorePath) -> Result<Workplace> {
        let path =
            env::join_paths(&tools.path).context("making PATH from the attribute tools.path")?;
        let work = fs::canonicalize(work)
            .with_context(|| format!("finding the work directory {}", escape::path(work)))?;
        let build_top = env::var_os("NIX_BUILD_TOP").map(PathBuf::from);
        parents::open_up(&work, build_top.as_deref())?;
        let root = work.join("root");
        for directory in ["root", "state", "conf", "home", "tmp"] {
            make_directory(&work.join(directory))?;
        }
        let mut store = root.clone();
        let names = Path::new(toplevel.as_str()).parent().into_iter().flatten();
        for name in names.filter(|name| *name != "/") {
            store.push(name);
            make_directory(&store)?;
        }
        let place = Workplace {
            work,
            root,
            store,
            path,
        };
        let conf = place.work.join("conf/nix.conf");
        fs::write(&conf, NIX_CONF).with_context(|| format!("writing {}", escape::path(&conf)))?;
        Ok(place)
    }

    /// The directory all this is in, without symbolic links.
    pub(super) fn directory(&self) -> &Path {
        &self.work
    }

    /// `program`, with nothing in its environment that comes from outside.
    ///
    /// The store that Nix finds by itself, and that `nixos-install` names as a substituter, is the
    /// one with its state here: its database, like the root's, is loaded with the closure.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(&self.work)
            .env_clear()
            .env("PATH", &self.path)
            .env("HOME", self.work.join("home"))
            .env("TMPDIR", self.work.join("tmp"))
            .env("NIX_STATE_DIR", self.work.join("state"))
            .env("NIX_CONF_DIR", self.work.join("conf"))
            .env("NIX_USER_CONF_FILES", "")
            // Nix wants a name for users that the machine doesn't list.
            .env("USER", "root")
            .env("LC_ALL", "C")
            .env("TZ", "UTC");
        sys::umask(&mut command, 0o022);
        command
    }
}

/// A new directory, mode 755 whatever the umask, and without what it may have inherited: a
/// set-group-ID bit or an access control list would be in the image in the end.
fn make_directory(path: &Path) -> Result<()> {
    let make = || {
        fs::create_dir(path)?;
        for name in ["system.posix_acl_default", "system.posix_acl_access"] {
            match xattr::remove(path, name) {
                Err(error)
                    if error.raw_os_error() != Some(Errno::ENODATA as i32)
                        && error.raw_os_error() != Some(Errno::ENOTSUP as i32) =>
                {
                    return Err(error);
                }
                _ => {}
            }
        }
        fs::set_permissions(path, Permissions::from_mode(0o755))
    };
    make().with_context(|| format!("making the directory {}", escape::path(path)))
}
