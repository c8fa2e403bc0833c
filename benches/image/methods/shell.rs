//! Methods that run programs through a shell.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use crate::common::target_directory;
use crate::place::Place;

/// Returns the directory with the programs of Debian 13.
pub fn trixie() -> PathBuf {
    target_directory().join("fixture/trixie")
}

/// `$0` is the directory of files, `$1` the image, and `$2` its size in KiB.
const MKE2FS: &str = r#"truncate -s "$2K" "$1"
PATH=$PATH:/usr/sbin:/sbin mke2fs -q -F -t ext4 -b 4096 -L nixos -d "$0" "$1" "$2k""#;

pub fn mke2fs(place: &Place, image: &Path, length: u64) -> Vec<OsString> {
    shell(MKE2FS, place, image, length)
}

pub fn stage_and_mke2fs(place: &Place, image: &Path, length: u64) -> Vec<OsString> {
    let script = format!(
        "rsync -a \"$0/\" \"$3/stage/\"\n{}",
        MKE2FS.replace("$0", "$3/stage")
    );
    shell(&script, place, image, length)
}

/// Uses the dynamic loader, the libraries and the `mkfs.ext4` of its Debian release.
pub fn repart(place: &Place, image: &Path, length: u64) -> Vec<OsString> {
    let root = trixie();
    let program = root.join("usr/bin/systemd-repart");
    assert!(
        program.exists(),
        "{}: not found; run make setup",
        program.display()
    );
    let (bin, definitions) = (place.work.join("bin"), place.work.join("repart.d"));
    let temporary = place.work.join("tmp");
    for directory in [&bin, &definitions, &temporary] {
        fs::create_dir(directory).unwrap();
    }
    fs::write(
        definitions.join("root.conf"),
        "[Partition]\nType=linux-generic\nFormat=ext4\nLabel=nixos\nCopyFiles=/\nMinimize=off\n",
    )
    .unwrap();
    let mkfs = bin.join("mkfs.ext4");
    fs::write(
        &mkfs,
        r#"#!/bin/sh
export MKE2FS_CONFIG="$TRIXIE/etc/mke2fs.conf"
libraries=$TRIXIE/usr/lib/x86_64-linux-gnu
exec "$libraries/ld-linux-x86-64.so.2" --argv0 mkfs.ext4 --library-path "$libraries" \
  "$TRIXIE/usr/sbin/mke2fs" "$@"
"#,
    )
    .unwrap();
    executable(&mkfs);
    // The partition table takes 1 MiB before the file system, and its backup takes less at the end.
    let script = r#"
export TRIXIE=$4 TMPDIR=$3/tmp PATH=$3/bin:$PATH SOURCE_DATE_EPOCH=1
libraries=$TRIXIE/usr/lib/x86_64-linux-gnu
exec "$libraries/ld-linux-x86-64.so.2" --argv0 systemd-repart \
  --library-path "$libraries:$libraries/systemd" "$TRIXIE/usr/bin/systemd-repart" \
  --definitions="$3/repart.d" --copy-source="$0" --root="$0" --no-pager --empty=create \
  --size="$(($2 + 2048))K" --offline=yes --dry-run=no \
  --seed=f222513b-ded1-49fa-b591-20ce86a2fe7f "$1""#;
    let mut command = shell(script, place, image, length);
    command.push(root.into());
    command
}

/// Makes a file executable.
pub fn executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt;

    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// `$0` is the store, `$1` the image, `$2` its size in KiB, `$3` the work directory.
pub fn shell(script: &str, place: &Place, image: &Path, length: u64) -> Vec<OsString> {
    let mut command: Vec<OsString> = ["sh", "-ec", script].map(OsString::from).to_vec();
    command.extend([place.store.clone().into(), image.into()]);
    command.extend([(length >> 10).to_string().into(), place.work.clone().into()]);
    command
}
