//! Bad attributes and the messages they get: the table is `bad_input.txt`.

use serde_json::Value;

use super::super::Problems;
use super::{changed, changes, parse, parse_value};

/// Blocks apart by an empty line. `/pointer = value` changes good attributes; the lines after that
/// are the problems it makes.
const TABLE: &str = include_str!("bad_input.txt");

/// One block with the problems that we find in place of those that are written there.
fn answer(block: &str) -> String {
    let lines_of_changes: Vec<&str> = block.lines().filter(|line| line.starts_with('/')).collect();
    let problems = match parse_value(&changed(&changes(block))) {
        Ok(_) => "  nothing is wrong".to_owned(),
        Err(problems) => lines(&problems).join("\n"),
    };
    format!("{}\n{problems}", lines_of_changes.join("\n"))
}

fn lines(problems: &Problems) -> Vec<String> {
    let text = problems.to_string();
    text.lines().skip(1).map(str::to_owned).collect()
}

#[test]
fn bad_attributes_get_the_messages_of_the_table() {
    let blocks: Vec<&str> = TABLE.trim_end().split("\n\n").collect();
    let answers: Vec<String> = blocks.iter().map(|block| answer(block)).collect();
    for (block, answer) in blocks.iter().zip(&answers) {
        assert_eq!(answer, block, "the whole table:\n{}", answers.join("\n\n"));
    }
    assert!(blocks.len() >= 100, "{} blocks", blocks.len());
}

#[test]
fn problems_are_counted_and_listed() {
    let problems = parse_value(&changed(&[("/image/label", Value::Null)])).unwrap_err();
    assert_eq!(
        problems.to_string(),
        "1 problem in the attributes of the image:\n  - image.label: is null, and needs a value"
    );
    let changes = [("/image/label", Value::Null), ("/postVM", Value::Null)];
    let problems = parse_value(&changed(&changes)).unwrap_err();
    let text = problems.to_string();
    assert!(text.starts_with("2 problems in the attributes"), "{text}");
}

#[test]
fn attributes_that_are_missing_are_all_named() {
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
            "image.diskSize",
            "image.fsType",
            "image.label",
            "image.format",
            "image.baseName",
            "postVM",
            "image.deterministic",
            "closure",
            "image.contents",
            "tools.bash",
            "tools.mkfsFat",
            "tools.nixStore",
            "tools.qemuImg",
            "tools.path",
        ]
    );
}

#[test]
fn other_things_than_attributes_are_refused() {
    for (json, message) in [
        (
            &b""[..],
            "is not JSON as Nix writes it: EOF while parsing a value at line 1 column 0",
        ),
        (
            b"{",
            "is not JSON as Nix writes it: EOF while parsing an object at line 1 column 1",
        ),
        (b"[]", "must be an attribute set, and is a list"),
        (
            b"{} {}",
            "is not JSON as Nix writes it: trailing characters at line 1 column 4",
        ),
        (
            b"\"\xff\"",
            "is not JSON as Nix writes it: invalid unicode code point at line 1 column 2",
        ),
        (
            &[b'['; 100_000],
            "is not JSON as Nix writes it: recursion limit exceeded at line 1 column 128",
        ),
    ] {
        let problems = parse(json).unwrap_err();
        assert_eq!(lines(&problems), [format!("  - .attrs.json: {message}")]);
    }
}
