//! Attributes without an end: messages that have one, and work in proportion.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{changed, parse_value};

/// Far more than it takes on a loaded machine, and far less than what grows with the square.
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn three_hundred_thousand_problems_are_a_page() {
    let path = json!(vec![1; 300_000]);
    let problems = parse_value(&changed(&[("/tools/path", path)])).unwrap_err();
    let text = problems.to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "300000 problems in the attributes of the image:");
    assert_eq!(lines.len(), 52);
    assert_eq!(lines[50], "  - tools.path[49]: must be a string, and is 1");
    assert_eq!(lines[51], "  and 299950 more");
    assert_eq!(problems.iter().count(), 50);
}

#[test]
fn a_long_value_is_shown_in_part() {
    let text = "\u{1b}".repeat(1 << 16);
    for pointer in [
        "/image/partitionTableType",
        "/image/diskSize",
        "/image/additionalSpace",
        "/image/fsType",
        "/image/label",
        "/image/format",
        "/image/baseName",
        "/image/rootFSUID",
        "/image/toplevel",
        "/image/configFile",
        "/image/storeDir",
        "/outputs/out",
        "/closure/0/path",
        "/closure/0/narHash",
        "/closure/0/narSize",
        "/tools/bash",
    ] {
        let value = json!(text.clone() + "/");
        let problems = parse_value(&changed(&[(pointer, value)])).unwrap_err();
        let length = problems.to_string().len();
        assert!(length < 100_000, "{pointer}: {length} bytes");
    }
    let env = json!({ text.clone(): [], "a": text });
    let problems = parse_value(&changed(&[("/env", env)])).unwrap_err();
    assert!(problems.to_string().len() < 10_000);
}

/// Looking for the same target among all entries before would take a minute.
#[test]
fn duplicate_targets_are_found_in_one_go() {
    let entry = |index: u32| json!({ "source": "/s", "target": format!("/{}", index % 39_999) });
    let contents: Vec<Value> = (0..40_000).map(entry).collect();
    let attributes = changed(&[("/image/contents", contents.into())]);
    let start = Instant::now();
    let problems = parse_value(&attributes).unwrap_err();
    assert!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
    assert_eq!(
        problems.to_string(),
        "1 problem in the attributes of the image:\n  - image.contents[39999].target: duplicate \
         entry /0 -> /s: image.contents[0] has made it already; change one of them"
    );
}
