//! Kernel modules and their lists as random bytes: they are read, rejected or truncated in bounded
//! time and memory, and nothing panics.
//!
//! `MODULE_CASES` is the number of random cases of each kind (5000). `tests/corpus/modules` has
//! cases that once failed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use make_disk_image::guest::modules::{LARGEST, Modules, load, read};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// No case may take longer, even on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);

/// A change of a file: where, how many bytes are replaced, and by what.
type Change = (Index, usize, Vec<u8>);

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let bytes = prop_oneof![
        vec(any::<u8>(), 0..4),
        Just(vec![0xff; 8]),
        Just(vec![0; 8])
    ];
    vec((any::<Index>(), 0..9_usize, bytes), 0..6)
}

fn changed(mut bytes: Vec<u8>, changes: &[Change]) -> Vec<u8> {
    for (at, removed, added) in changes {
        let at = at.index(bytes.len() + 1);
        let end = (at + removed).min(bytes.len());
        bytes.splice(at..end, added.iter().copied());
    }
    bytes
}

/// A module of some KiB with repetitions, plain and compressed by xz, zstd and gzip, by extension.
fn compressed(directory: &Path) -> Vec<(&'static str, Vec<u8>)> {
    let plain = directory.join("m.ko");
    let bytes: Vec<u8> = (0..3000_u32)
        .flat_map(|n| (n * n / 64).to_le_bytes())
        .collect();
    fs::write(&plain, &bytes).unwrap();
    let mut all = vec![("ko", bytes)];
    for (program, end) in [("xz", "xz"), ("zstd", "zst"), ("gzip", "gz")] {
        let output = Command::new(program)
            .arg("-c")
            .arg(&plain)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        all.push((end, output.stdout));
    }
    all
}

/// Loads a file with `bytes` and checks the result.
fn check_load(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap();
    let begin = Instant::now();
    if let Ok(module) = load(path) {
        assert!(module.len() as u64 <= LARGEST);
    }
    assert!(begin.elapsed() < LIMIT, "{:?}", begin.elapsed());
    assert_eq!(read(path).unwrap(), bytes);
}

/// Reads the lists and checks that each module comes once, after the modules it needs.
fn check_lists([dependencies, aliases, soft, nodes]: [&str; 4], requests: &[&str]) {
    let begin = Instant::now();
    let Ok(modules) = Modules::parse(dependencies, aliases, soft, nodes) else {
        return;
    };
    let names: Vec<&str> = modules.modules.iter().map(|m| m.name.as_str()).collect();
    let mut requests = requests.to_vec();
    requests.extend(&names);
    let order = modules.order(&requests);
    assert!(begin.elapsed() < LIMIT, "{:?}", begin.elapsed());
    let mut sorted = order.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(sorted.len(), order.len(), "a module is loaded twice");
    // Without soft dependencies and cycles, every module comes after all that it needs.
    let hard = Modules::parse(dependencies, aliases, "", "").unwrap();
    let circle = |index: usize| {
        let needs = |from: usize, to| hard.modules[from].needs.contains(&to);
        let module = &hard.modules[index];
        module.needs.iter().any(|need| {
            *need == index
                || hard.modules[*need].needs.iter().any(|next| {
                    needs(*next, index) || *next == index || !module.needs.contains(next)
                })
        })
    };
    if (0..hard.modules.len()).any(circle) {
        return;
    }
    let order = hard.order(&requests);
    let place = |index: &usize| order.iter().position(|other| other == index);
    for index in &order {
        for need in &hard.modules[*index].needs {
            assert!(place(need) < place(index) && place(need).is_some());
        }
    }
}

/// Text that resembles a list.
fn list() -> impl Strategy<Value = String> {
    let words = [
        "a.ko",
        "b-c.ko.xz",
        "d/e.ko.zst",
        "f_g.ko.gz",
        "a",
        "b_c",
        "e",
        "f-g",
        "alias",
        "softdep",
        "pre:",
        "post:",
        "fs-a",
        "*",
        "?",
        "fs-*",
        "[a]",
        "c10:237",
        "b1:2",
        "c99999999999:1",
        "c:",
        "loop-control",
        "x/y",
        "#",
        "..",
        "/a.ko",
        "\u{e9}",
        "\u{1b}",
        "",
    ];
    let separators = [" ", " ", "\n", "\n", ": ", ":", "\t", "\r\n", "\0"];
    vec((select(words.to_vec()), select(separators.to_vec())), 0..40).prop_map(|words| {
        words
            .into_iter()
            .map(|(word, end)| format!("{word}{end}"))
            .collect()
    })
}

/// Valid lines, with modules that exist or not.
fn dependencies() -> impl Strategy<Value = String> {
    vec((0..9_u8, vec(0..9_u8, 0..5)), 0..12).prop_map(|lines| {
        let needs =
            |needs: Vec<u8>| -> String { needs.iter().map(|n| format!(" m{n}.ko")).collect() };
        lines
            .into_iter()
            .map(|(m, n)| format!("m{m}.ko:{}\n", needs(n)))
            .collect()
    })
}

#[test]
fn random_lists_are_read_or_rejected() {
    let dependencies = prop_oneof![dependencies(), list()];
    let texts = (dependencies, list(), list(), list());
    crate::common::runner::runner("MODULE_CASES", 5000)
        .run(&texts, |(dependencies, aliases, soft, nodes)| {
            // Each case also has valid lists: an invalid one ends the reading.
            check_lists([&dependencies, "", "", ""], &["fs-a", &nodes]);
            check_lists(
                ["a.ko: b-c.ko\ne.ko:\n", &aliases, &soft, &nodes],
                &["fs-a", "*"],
            );
            check_lists([&dependencies, "alias fs-* a\n", &soft, ""], &["fs-a"]);
            Ok(())
        })
        .unwrap();
}

#[test]
fn random_modules_are_decompressed_or_rejected() {
    let directory = tempfile::tempdir().unwrap();
    let whole = compressed(directory.path());
    crate::common::runner::runner("MODULE_CASES", 5000)
        .run(&(0..whole.len(), changes()), |(which, changes)| {
            let (end, bytes) = &whole[which];
            let path = directory.path().join(format!("changed.ko.{end}"));
            check_load(&path, &changed(bytes.clone(), &changes));
            Ok(())
        })
        .unwrap();
}

#[test]
fn known_hostile_modules_are_rejected() {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/modules");
    let scratch = tempfile::tempdir().unwrap();
    let mut count = 0;
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        check_load(&scratch.path().join(path.file_name().unwrap()), &bytes);
        let text = String::from_utf8_lossy(&bytes);
        check_lists([&text, &text, &text, &text], &["a"]);
        count += 1;
    }
    assert!(count > 0);
}
