//! Bad attributes and their messages, from the table `bad_input.txt`.

use serde_json::Value;

use super::super::Problems;
use super::{changed, changes, full, parse, parse_value, with};
use crate::code::Code;

/// Blocks are separated by empty lines. Lines `/pointer = value` change valid attributes; the lines
/// after them are the expected problems.
const TABLE: &str = include_str!("bad_input.txt");

/// Returns the block with the actual problems instead of the expected ones.
fn answer(block: &str) -> String {
    let lines_of_changes: Vec<&str> = block.lines().filter(|line| line.starts_with('/')).collect();
    let problems = match parse_value(&changed(&changes(block))) {
        Ok(_) => "  no problem".to_owned(),
        Err(problems) => {
            assert!(Code::ALL.contains(&problems.code()));
            lines(&problems).join("\n")
        }
    };
    format!("{}\n{problems}", lines_of_changes.join("\n"))
}

fn lines(problems: &Problems) -> Vec<String> {
    let text = problems.to_string();
    text.lines().skip(1).map(str::to_owned).collect()
}

#[test]
fn bad_attributes_cause_the_messages_in_the_table() {
    let blocks: Vec<&str> = TABLE.trim_end().split("\n\n").collect();
    let answers: Vec<String> = blocks.iter().map(|block| answer(block)).collect();
    for (block, answer) in blocks.iter().zip(&answers) {
        assert_eq!(answer, block, "the whole table:\n{}", answers.join("\n\n"));
    }
    assert!(blocks.len() >= 100, "{} blocks", blocks.len());
}

#[test]
fn the_first_problem_determines_the_code() {
    for (pointer, code) in [
        ("/image", Code::Attributes),
        ("/image/label", Code::Argument),
        ("/image/contents", Code::Argument),
        ("/image/contents/0", Code::Contents),
        ("/closure/0/path", Code::Closure),
        ("/tools/bash", Code::Attributes),
        ("/postVM", Code::Argument),
        ("/preVM", Code::Override),
    ] {
        let mut attributes = full();
        // A number is wrong everywhere.
        attributes = with(attributes, &[(pointer, 5.into())]);
        let problems = parse_value(&attributes).unwrap_err();
        assert_eq!(problems.code(), code, "{pointer}: {problems}");
    }
    assert_eq!(parse(b"{").unwrap_err().code(), Code::Attributes);
}

#[test]
fn problems_are_counted_and_listed() {
    let problems = parse_value(&changed(&[("/image/label", Value::Null)])).unwrap_err();
    assert_eq!(
        problems.to_string(),
        "1 problem in the attributes of the image:\n  - image.label: must not be null"
    );
    let changes = [("/image/label", Value::Null), ("/postVM", Value::Null)];
    let problems = parse_value(&changed(&changes)).unwrap_err();
    let text = problems.to_string();
    assert!(text.starts_with("2 problems in the attributes"), "{text}");
}

#[test]
fn names_all_missing_attributes() {
    let problems = parse(b"{ \"image\": {}, \"tools\": {} }").unwrap_err();
    let named: Vec<&str> = problems
        .iter()
        .map(|problem| &problem.attribute[..])
        .collect();
    assert_eq!(
        named,
        [
            "image.storeDir",
            "outputs",
            "image.onlyNixStore",
            "image.installBootLoader",
            "image.touchEFIVars",
            "image.partitionTableType",
            "image.format",
            "image.diskSize",
            "image.fsType",
            "image.label",
            "image.baseName",
            "postVM",
            "image.deterministic",
            "closure",
            "image.contents",
            "tools.bash",
            "tools.mkfsFat",
            "tools.nixStore",
            "tools.path",
        ]
    );
}

#[test]
fn rejects_anything_but_an_attribute_set() {
    for (json, message) in [
        (
            &b""[..],
            "is not valid JSON: EOF while parsing a value at line 1 column 0",
        ),
        (
            b"{",
            "is not valid JSON: EOF while parsing an object at line 1 column 1",
        ),
        (b"[]", "expected an attribute set, found a list"),
        (
            b"{} {}",
            "is not valid JSON: trailing characters at line 1 column 4",
        ),
        (
            b"\"\xff\"",
            "is not valid JSON: invalid unicode code point at line 1 column 2",
        ),
        (
            &[b'['; 100_000],
            "is not valid JSON: recursion limit exceeded at line 1 column 128",
        ),
    ] {
        let problems = parse(json).unwrap_err();
        assert_eq!(lines(&problems), [format!("  - .attrs.json: {message}")]);
    }
}

#[test]
fn grub_cannot_be_installed_on_a_read_only_root() {
    let grub = |table: &str, kind: &str, device: &str| {
        let attributes = with(
            full(),
            &[
                ("/image/partitionTableType", table.into()),
                ("/image/touchEFIVars", false.into()),
                ("/image/fsType", kind.into()),
                ("/guest/grubDevices", serde_json::json!(["nodev", device])),
                ("/guest/limineDevice", Value::Null),
            ],
        );
        parse_value(&attributes).map_err(|problems| lines(&problems))
    };
    let error = "  - guest.grubDevices: GRUB on \"/dev/sda\" would have its files on the root file system, and \
                 it cannot be installed on erofs, which is read-only; set partitionTableType to one with a \
                 boot partition (\"legacy+boot\", \"efi\", \"efixbootldr\" or \"hybrid\"), or use another fsType";
    for table in ["legacy", "legacy+gpt", "none"] {
        assert_eq!(grub(table, "erofs", "/dev/sda").unwrap_err(), [error]);
        assert!(grub(table, "erofs", "nodev").is_ok());
        assert!(grub(table, "btrfs", "/dev/sda").is_ok());
    }
    assert!(grub("hybrid", "erofs", "/dev/sda").is_ok());
}
