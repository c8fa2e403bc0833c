//! Tools that fail or misbehave.

use std::fs;

use super::{job, qed};
use crate::common::program::Job;

/// tool, its script (`$real` is the real tool), more changes, parts of the message
type Case = (
    &'static str,
    &'static str,
    fn(&mut Job),
    &'static [&'static str],
);

const CASES: [Case; 9] = [
    (
        "qemuImg",
        "echo no space for clusters >&2; exit 1",
        qed,
        &[
            "converting the disk to qed: ",
            "convert -f raw -O qed ",
            "exit status: 1; last output:\n  no space for clusters",
        ],
    ),
    (
        "qemuImg",
        // Ten megabytes: an unread pipe would block it, and only the end is useful.
        "head -c 10000000 /dev/zero | tr '\\0' x >&2; echo >&2; echo the end >&2; exit 1",
        qed,
        &["exit status: 1; last output:\n  xxx", "x\n  the end"],
    ),
    (
        "qemuImg",
        "printf 'broken \\377\\033[31m\\n' >&2; exit 255",
        qed,
        &["exit status: 255; last output:\n  broken \\xff\\u{1b}[31m"],
    ),
    (
        "qemuImg",
        "exit 0",
        qed,
        &[
            "qemu-img did not create ",
            ".nixos.qed.part, but exited with status 0",
        ],
    ),
    (
        "qemuImg",
        "for target; do :; done; echo junk >$target",
        qed,
        &[
            "checking the output of qemu-img: /nix/store/",
            "not a qed image: no qed signature in its 5 bytes",
        ],
    ),
    (
        "mkfsFat",
        "echo mkfs.fat: cannot >&2; exit 1",
        |_| {},
        &[
            "making the file system of the ESP",
            "exit status: 1; last output:\n  mkfs.fat: cannot",
        ],
    ),
    (
        "nixosInstall",
        "echo installing; echo out of luck >&2; exit 4",
        |_| {},
        &[
            "installing /nix/store/",
            "exit status: 4; last output:\n  installing\n  out of luck",
        ],
    ),
    (
        "nixosInstall",
        "$real \"$@\"; mkdir -p root/nix/store/00000000000000000000000000000000-stray",
        |_| {},
        &[
            "00000000000000000000000000000000-stray",
            "not in the closure; add it to additionalPaths",
        ],
    ),
    (
        "nixStore",
        "kill -SEGV $$",
        |_| {},
        &[
            "registering the closure in the image's store",
            "--load-db failed with signal: 11",
        ],
    ),
];

#[test]
fn a_failing_tool_is_quoted_and_nothing_is_left() {
    for (tool, script, change, words) in CASES {
        let mut job = job();
        job.tool(tool, script);
        change(&mut job);
        let error = job.run().error();
        assert!(
            error.len() < 4000,
            "{tool}: {script}: {} bytes",
            error.len()
        );
        for word in words {
            assert!(
                error.contains(word),
                "{tool}: {script}: no {word:?} in\n{error}"
            );
        }
    }
}

#[test]
fn a_closed_log_is_not_an_error() {
    let mut job = job();
    job.wrapped(&["sh", "-c", "exec \"$@\" 2>/dev/full", "sh"]);
    job.run().image("nixos.qcow2");
}

/// The replacement of `.attrs.json`, and the beginning of the message.
const FILES: [(&[u8], &str); 4] = [
    (
        b"",
        ".attrs.json: 1 problem in the attributes of the image:\n  - .attrs.json: is not valid JSON: ",
    ),
    (
        b"{ \"image\": ",
        ".attrs.json: 1 problem in the attributes of the image:\n  - .attrs.json: is not valid JSON: ",
    ),
    (
        b"{ \"image\": \"\xff\" }",
        ".attrs.json: 1 problem in the attributes of the image:\n  - .attrs.json: is not valid JSON: ",
    ),
    (
        b"[]",
        ".attrs.json: 1 problem in the attributes of the image:\n  - .attrs.json: expected an attribute set, found a list",
    ),
];

#[test]
fn invalid_attribute_files_are_reported() {
    for (bytes, expected) in FILES {
        let mut job = job();
        // Another file than the one written for the run, which takes precedence.
        let file = job.place().join("attributes");
        fs::write(&file, bytes).unwrap();
        job.environment
            .insert("NIX_ATTRS_JSON_FILE", file.clone().into());
        let error = job.run().error();
        let expected = expected.replacen(".attrs.json", file.to_str().unwrap(), 1);
        assert!(error.starts_with(&expected), "{error}");
    }
    let mut job = job();
    job.wrapped(&["sh", "-c", "rm .attrs.json; exec \"$@\"", "sh"]);
    let error = job.run().error();
    assert!(
        error.starts_with("no .attrs.json found: tried .attrs.json, "),
        "{error}"
    );
}

#[test]
fn an_existing_output_is_not_touched() {
    let job = job();
    fs::create_dir(&job.out).unwrap();
    fs::write(job.out.join("precious"), "").unwrap();
    let ended = job.run();
    assert_eq!(ended.output.status.code(), Some(1));
    let log = ended.said();
    assert!(
        log.contains(&format!(
            "the output {} already exists",
            ended.out.display()
        )),
        "{log}"
    );
    assert!(ended.out.join("precious").exists());
}
