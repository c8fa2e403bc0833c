//! The work directory, and the environment of the caller's Nix.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use nix::errno::Errno;

use crate::spec::{StorePath, Tools};
use crate::{escape, leftover, sys};

use super::{DATABASE, clean, database, parents};

/// The configuration for the Nix commands we run. The host's configuration is not read. It may set
/// substituters, a group of build users that does not exist in our user namespace, or hard links in
/// `.links`, none of which may affect an image.
const NIX_CONF: &str = "\
auto-optimise-store = false
build-users-group =
fsync-metadata = false
substituters =
";

/// The directories for an installation, below a private one.
pub(super) struct Workspace {
    work: PathBuf,
    /// The root to install into.
    pub(super) root: PathBuf,
    /// The store directory in the root; empty.
    pub(super) store: PathBuf,
    path: OsString,
}

impl Workspace {
    /// Creates the directories below `work`, which must exist. `toplevel` determines the store
    /// directory.
    pub(super) fn create(work: &Path, tools: &Tools, toplevel: &StorePath) -> Result<Workspace> {
        let path =
            env::join_paths(&tools.path).context("setting PATH from the attribute tools.path")?;
        let work = fs::canonicalize(work)
            .with_context(|| format!("resolving the work directory {}", escape::path(work)))?;
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
        let workspace = Workspace {
            work,
            root,
            store,
            path,
        };
        let conf = workspace.work.join("conf/nix.conf");
        fs::write(&conf, NIX_CONF).with_context(|| format!("writing {}", escape::path(&conf)))?;
        Ok(workspace)
    }

    /// The work directory, as a path without symbolic links.
    pub(super) fn directory(&self) -> &Path {
        &self.work
    }

    /// Copies the root's database to Nix's default store. `nixos-install` uses that store as a
    /// substituter, so it must contain the closure, too. Registering it there would take as long as in
    /// the root: seconds for 20,000 paths.
    pub(super) fn share_database(&self) -> Result<()> {
        let from = leftover::directory(&self.root, Path::new(DATABASE), database::CREATOR)?;
        let to = self.work.join("state/db");
        make_directory(&to)?;
        let mut names = vec![OsString::from(database::FILE), "schema".into()];
        // What SQLite has not moved from its log to the database yet.
        let log = OsString::from(format!("{}-wal", database::FILE));
        names.extend(clean::names(&from)?.into_iter().filter(|name| *name == log));
        for name in names {
            let path = from.join(&name);
            let mut source = leftover::open(&path, database::CREATOR)?;
            File::create_new(to.join(&name))
                .and_then(|mut target| io::copy(&mut source, &mut target))
                .with_context(|| {
                    format!("copying {} to {}", escape::path(&path), escape::path(&to))
                })?;
        }
        Ok(())
    }

    /// Returns a command for `program` that inherits no environment variables. Nix's default store
    /// has its state here.
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
            // Nix requires a user name even if the host's user database does not list the user.
            .env("USER", "root")
            .env("LC_ALL", "C")
            .env("TZ", "UTC");
        sys::umask(&mut command, 0o022);
        command
    }
}

/// Creates a directory with mode 755 regardless of the umask. Removes an inherited set-group-ID bit
/// and access control lists, which would end up in the image.
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
    make().with_context(|| format!("creating the directory {}", escape::path(path)))
}
