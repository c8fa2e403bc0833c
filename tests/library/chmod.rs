//! [`Chmod`] against the real `rsync --chmod`: the fixture's, which is 3.5 or newer. Older versions
//! differ, as the docstring of [`Chmod`]'s module explains.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use make_disk_image::spec::Chmod;
use proptest::prelude::{Strategy as _, any};
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

const MODES: &[&str] = &[
    "755",
    "0644",
    "4755",
    "7777",
    "0",
    "00000755",
    "D755,F644",
    "F600",
    "D2775",
    "644,D+x",
    "u+rwX,go-w",
    "a=r",
    "ug=rwx,o=",
    "a=rX",
    "u=rwX,g=rX,o=",
    "+x",
    "+w",
    "-w",
    "=w",
    "=",
    "+",
    "-r",
    "=r,u+w",
    "a+X",
    "-X",
    "u=xX",
    "+X,u-x",
    "u+x,+X",
    "a-x,+X",
    "u+s",
    "g+s",
    "o+s",
    "a+s",
    "+s",
    "+st",
    "+ts",
    "ug+s",
    "a-s",
    "u=s",
    "g=s",
    "u=t",
    "o=t",
    "a=t",
    "=t",
    "=s",
    "a-st",
    "u-t",
    "Du+x",
    "uD+x",
    "FuFg+w",
    "DD+t",
    "aa+r",
    "u+,g-",
    "go=,u=rwxs",
    "g=u",
    "o=g",
    "=g",
    "+g",
    "a=u",
    "g-o",
    "Fg=u",
    "u+w,g=u",
    "ug=o",
    "D+t,F-x,a+r",
];

const REFUSED: &[&str] = &[
    "",
    ",",
    "755,",
    ",755",
    "8",
    "758",
    "17777",
    "u",
    "D",
    "u755",
    "DF+x",
    "F,D",
    "u+D",
    "u+r-w",
    "u+gr",
    "u=rg",
    "u=gg",
    "u=sg",
    "u + r",
    "X",
    "rwxr-xr-x",
    "a",
    "ü+x",
    "+é",
    "0x1",
    "-1",
    "u+7",
];

const INITIAL: &[u32] = &[
    0o700, 0o755, 0o777, 0o1777, 0o2755, 0o4755, 0o6711, 0o7777, 0o0, 0o111, 0o444, 0o600, 0o644,
    0o1640, 0o7124, 0o4, 0o20,
];

/// A tree with a file and a directory of every initial mode, except modes that the current user
/// cannot read. Root can read all.
fn make_source(source: &Path) {
    fs::create_dir(source).unwrap();
    for &mode in INITIAL {
        let file = source.join(format!("f{mode:o}"));
        fs::write(&file, "").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
        if fs::read(&file).is_err() {
            fs::remove_file(&file).unwrap();
        }
        let directory = source.join(format!("d{mode:o}"));
        fs::create_dir(&directory).unwrap();
        fs::set_permissions(&directory, Permissions::from_mode(mode)).unwrap();
        if fs::read_dir(&directory).is_err() || fs::metadata(directory.join(".")).is_err() {
            fs::remove_dir(&directory).unwrap();
        }
    }
    std::os::unix::fs::symlink("f644", source.join("link")).unwrap();
}

/// Modes by name after `rsync -a --chmod=TEXT`, or `None` if rsync rejects the text.
fn rsync(source: &Path, target: &Path, text: &str) -> Option<BTreeMap<String, u32>> {
    fs::create_dir(target).unwrap();
    // Not the source itself: rsync would set the new mode before it fills the target.
    let sources = fs::read_dir(source).unwrap();
    let output = Command::new("sh")
        .args(["-c", "umask 022; exec rsync \"$@\"", "sh"])
        .args(["-a", "--no-o", "--no-g", &format!("--chmod={text}")])
        .args(sources.map(|entry| entry.unwrap().path()))
        .arg(target)
        .output()
        .expect("sh runs");
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("Invalid argument passed to --chmod") {
        fs::remove_dir(target).unwrap();
        return None;
    }
    assert!(output.status.success(), "rsync --chmod={text:?}: {said}");
    let entries = fs::read_dir(target).unwrap().map(|entry| {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o7777;
        (entry.file_name().into_string().unwrap(), mode)
    });
    let modes: BTreeMap<String, u32> = entries.collect();
    for name in modes.keys().filter(|name| name.starts_with('d')) {
        fs::remove_dir(target.join(name)).unwrap();
    }
    fs::remove_dir_all(target).unwrap();
    Some(modes)
}

/// Compares one text on all initial modes. Returns whether rsync accepts it.
fn compare(work: &Path, text: &str) -> bool {
    let theirs = rsync(&work.join("source"), &work.join("target"), text);
    let ours = Chmod::parse(text);
    let Some(theirs) = theirs else {
        assert!(ours.is_err(), "rsync refuses {text:?}, we give {ours:?}");
        return false;
    };
    let ours = ours.unwrap_or_else(|error| panic!("rsync takes {text:?}, we say {error}"));
    for (name, mode) in &theirs {
        if name == "link" {
            assert_eq!(*mode, 0o777, "{text:?} changed a symbolic link");
            continue;
        }
        let (kind, before) = name.split_at(1);
        let before = u16::from_str_radix(before, 8).unwrap();
        let after = u32::from(ours.apply(before, kind == "d"));
        // Users other than root need these bits to fill a directory, and rsync keeps them.
        let ignored = match kind {
            "d" if !nix::unistd::geteuid().is_root() => 0o700,
            _ => 0,
        };
        assert_eq!(
            after | ignored,
            *mode | ignored,
            "{text:?} on {name}: we give {after:04o}, rsync {mode:04o}"
        );
    }
    assert!(
        theirs.len() >= INITIAL.len(),
        "rsync copied only {theirs:?}"
    );
    true
}

fn work() -> tempfile::TempDir {
    let work = tempfile::tempdir().unwrap();
    make_source(&work.path().join("source"));
    work
}

#[test]
fn valid_modes_match_rsync() {
    let work = work();
    for text in MODES {
        assert!(compare(work.path(), text), "rsync refuses {text:?}");
    }
}

#[test]
fn invalid_modes_match_rsync() {
    let work = work();
    for text in REFUSED {
        assert!(!compare(work.path(), text), "rsync takes {text:?}");
    }
}

/// Texts from a small grammar, the same in every run, some of them invalid.
#[test]
fn random_modes_match_rsync() {
    let work = work();
    let mut runner = TestRunner::deterministic();
    let clause = proptest::string::string_regex(
        "[DF]?[ugoa]{0,3}[-+=]([rwxXst]{0,4}|[ugo])|[0-7]{1,4}|[ugoaDF=+xrst0-9]{1,3}",
    );
    let clause = clause.unwrap();
    let texts = proptest::collection::vec(clause, 1..4).prop_map(|clauses| clauses.join(","));
    let mut taken = 0;
    for _ in 0..200 {
        let text = texts.new_tree(&mut runner).unwrap().current();
        taken += usize::from(compare(work.path(), &text));
    }
    assert!(
        (50..200).contains(&taken),
        "a poor mixture: {taken} of 200 taken"
    );
}

/// Any text gives a mode or a message.
#[test]
fn random_modes_never_panic() {
    let mut runner = TestRunner::deterministic();
    let strategy = (any::<String>(), any::<u16>(), any::<bool>());
    let outcome = runner.run(&strategy, |(text, mode, is_directory)| {
        match Chmod::parse(&text) {
            Ok(chmod) => assert!(chmod.apply(mode, is_directory) <= 0o7777),
            Err(message) => assert!(!message.is_empty()),
        }
        Ok(())
    });
    outcome.unwrap();
}
