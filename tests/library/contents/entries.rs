//! Entries of `contents`, staged as nixpkgs' builder does it and grafted by us.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use make_disk_image::spec::Chmod;
use make_disk_image::spec::{Graft, Ids, Owner, Target};
use make_disk_image::stage::graft;
use make_disk_image::tree::{Metadata, Timestamp, Tree};

use crate::listing;

/// An entry: a source relative to the directory of sources, a target, a mode and an owner.
pub type Entry = (&'static str, &'static str, &'static str, Option<(u32, u32)>);

/// Stages one entry like the builder's script. rsync also gets options for what we keep: hard links
/// (H), ACLs (A) and attributes (X).
pub fn stage(sources: &Path, root: &Path, (source, target, mode, _): &Entry) -> Result<(), String> {
    let script = r#"
set -eu; umask 022; IFS=; root=$1 source=$2 target=$3 mode=$4
flags=(-aHAX --no-o --no-g); [ -z "$mode" ] || flags+=("--chmod=$mode")
if [[ "$source" =~ '*' ]]; then
  mkdir -p "$root/$target"
  for name in $source; do rsync "${flags[@]}" -- "$name" "$root/$target/"; done
else
  mkdir -p "$root/$(dirname "$target")"
  if [ -e "$root/$target" ]; then echo "duplicate entry $target -> $source" >&2; exit 1; fi
  if [ -d "$source" ]; then source=$source/; fi
  rsync "${flags[@]}" -- "$source" "$root/$target"
fi"#;
    let source = sources.join(source);
    let arguments = [
        root.as_os_str(),
        source.as_os_str(),
        OsStr::new(target),
        OsStr::new(mode),
    ];
    shell(sources, script, &arguments)
}

pub fn chown(root: &Path, (_, target, _, owner): &Entry) {
    if let Some((uid, gid)) = owner {
        let target = format!("{}/{target}", root.display());
        listing::output(Command::new("chown").args(["-R", &format!("{uid}:{gid}"), "--", &target]));
    }
}

pub fn shell(directory: &Path, script: &str, arguments: &[&OsStr]) -> Result<(), String> {
    let output = Command::new("bash")
        .args(["-c", &format!("set -e; {script}"), "-"])
        .args(arguments)
        .current_dir(directory)
        .env("LC_ALL", "C")
        .env(
            "PATH",
            format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap()),
        )
        .output()
        .unwrap();
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

fn grafts(sources: &Path, entries: &[Entry]) -> anyhow::Result<Vec<Graft>> {
    let graft = |(source, target, mode, owner): &Entry| {
        Ok(Graft {
            source: format!("{}/{source}", sources.display()).into(),
            target: Target::parse(target, source.contains('*')).map_err(anyhow::Error::msg)?,
            mode: (!mode.is_empty()).then(|| Chmod::parse(mode).unwrap()),
            owner: owner.map(|(uid, gid)| Owner::Ids(Ids { uid, gid })),
        })
    };
    entries.iter().map(graft).collect()
}

pub fn grafted(sources: &Path, entries: &[Entry]) -> anyhow::Result<Tree> {
    let mut tree = Tree::new(Metadata::new(0o755));
    graft_into(&mut tree, sources, entries)?;
    Ok(tree)
}

pub fn graft_into(tree: &mut Tree, sources: &Path, entries: &[Entry]) -> anyhow::Result<()> {
    let grafts = grafts(sources, entries)?;
    graft::contents(tree, &grafts, Path::new("/nix/store"), Timestamp::STORE)?;
    graft::owners(tree, &grafts, &[])
}

/// Compares line by line. A directory that was just made or changed may have our fixed time, or
/// that of its source. The root directory is ignored.
pub fn compare(name: &str, ours: &str, theirs: &str) {
    let lines = |text: &str| -> Vec<String> { text.lines().skip(1).map(str::to_owned).collect() };
    let (mut ours, theirs) = (lines(ours), lines(theirs));
    assert!(!theirs.is_empty(), "{name}: rsync made nothing");
    for (our, their) in ours.iter_mut().zip(&theirs) {
        let time = our.split(' ').nth(3).unwrap_or_default().to_owned();
        if their.starts_with("directory ") && their.split(' ').nth(3) == Some("now") {
            assert!(
                ["1.000000000", "1000000000.123456789"].contains(&&*time),
                "{name}: {our}"
            );
            *our = our.replacen(&time, "now", 1);
        }
    }
    assert_eq!(ours.join("\n"), theirs.join("\n"), "{name}: ours, rsync's");
}
