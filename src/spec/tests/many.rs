//! Huge attributes: messages are of limited length, and the work is proportional.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{changed, parse_value};

/// Far more time than a loaded machine needs, and far less than quadratic work would take.
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn shows_the_first_of_many_problems() {
    let path = json!(vec![1; 300_000]);
    let problems = parse_value(&changed(&[("/tools/path", path)])).unwrap_err();
    let text = problems.to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "300000 problems in the attributes of the image:");
    assert_eq!(lines.len(), 52);
    assert_eq!(lines[50], "  - tools.path[49]: expected a string, found 1");
    assert_eq!(lines[51], "  and 299950 more");
    assert_eq!(problems.iter().count(), 50);
}

#[test]
fn truncates_long_values() {
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

/// Searching all earlier entries for the same target would take a minute.
#[test]
fn finds_duplicate_targets_in_linear_time() {
    let entry = |index: u32| json!({ "source": "/s", "target": format!("/{}", index % 19_999) });
    let contents: Vec<Value> = (0..20_000).map(entry).collect();
    let attributes = changed(&[("/image/contents", contents.into())]);
    let start = Instant::now();
    let problems = parse_value(&attributes).unwrap_err();
    assert!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
    assert_eq!(
        problems.to_string(),
        "1 problem in the attributes of the image:\n  - image.contents[19999].target: duplicate \
         entry /0 -> /s: image.contents[0] already creates it; change one of them"
    );
}
