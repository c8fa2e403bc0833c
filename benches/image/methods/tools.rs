//! The own tools of file systems, those of Debian 13, on a directory of store paths.

use std::ffi::OsString;
use std::path::Path;

use super::protofile;
use super::shell::{shell, trixie};
use crate::place::Place;

/// A way to make a root file system with its own tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tool {
    /// The command for the page.
    pub name: &'static str,
    /// A shell script. `$stage` is the directory of files, `$1` the image, `$2` its size in KiB, `$3` the work
    /// directory, and `$3/proto` the description of the files for `mkfs.xfs`. `run` runs a program of
    /// Debian 13.
    pub script: &'static str,
    /// Whether the files are copied to a staging directory first, as by a builder whose users own the files.
    pub staged: bool,
}

const RUN: &str = r#"root=$4
libraries=$root/usr/lib/x86_64-linux-gnu
run() {
  program=$1; shift
  "$libraries/ld-linux-x86-64.so.2" --argv0 "${program##*/}" --library-path "$libraries" \
    "$root/$program" "$@"
}
"#;

pub fn command(place: &Place, image: &Path, length: u64, tool: &Tool) -> Vec<OsString> {
    let prepare = match tool.staged {
        true => "stage=$3/stage; rsync -a \"$0/\" \"$stage/\"\n",
        false => "stage=$0\n",
    };
    let script = format!("{RUN}{prepare}{}", tool.script);
    if tool.script.contains("$3/proto") {
        protofile::write(&place.store, &place.work.join("proto"));
    }
    let mut command = shell(&script, place, image, length);
    command.push(trixie().into());
    command
}
