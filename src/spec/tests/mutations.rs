//! Any attributes result in a valid [`Spec`] or in readable problems, never in a panic.
//! `ATTRIBUTES_CASES` is the number of random cases of each kind. `corpus.txt` contains earlier
//! findings in the syntax of `bad_input.txt`.

use std::path::Path;

use proptest::prelude::{Strategy, any};
use proptest::sample::{Index, select};
use proptest::strategy::Just;
use serde_json::{Value, json};

use super::super::{Spec, System};
use super::runner::runner;
use super::{TOPLEVEL, changes, full, parse, places, with};
use crate::scheme::PartitionTable;

const CORPUS: &str = include_str!("corpus.txt");

/// The maximum length of a message in bytes.
const MAX_MESSAGE: usize = 512 << 10;

/// Generates values that often cause trouble.
fn value() -> impl Strategy<Value = Value> {
    const TEXTS: [&str; 21] = [
        "",
        "/",
        "..",
        "auto",
        "\0",
        "-1",
        "1.5Y",
        "é",
        "sha256:",
        TOPLEVEL,
        "18446744073709551615",
        "/nix/store/",
        "/nix/store",
        "*",
        "8E",
        "a,b",
        "\u{202e}\u{1b}[31m",
        "/dev/sda",
        "root",
        "ext4",
        "x86_64",
    ];
    let entry = json!([{ "source": "/*", "target": "a", "user": 4_294_967_295_u32 }]);
    proptest::prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        select(&TEXTS[..]).prop_map(Value::from),
        select(&PartitionTable::ALL[..]).prop_map(|table| Value::from(table.name())),
        // Very long text, paths and escaped text.
        (
            select(&["a", "/a", "\u{1b}", "7,", "é", "9"][..]),
            0..8_000_usize
        )
            .prop_map(|(text, times)| Value::from(text.repeat(times))),
        select(vec![json!([]), json!({}), json!([[null]]), entry]),
    ]
}

/// A change to one place in the attributes.
#[derive(Debug, Clone)]
enum Change {
    /// Replaces the value.
    Set(Value),
    /// Removes the value, or the last element of a list.
    Remove,
    /// Adds an attribute or an element.
    Add(String, Value),
    /// Repeats the elements of a list this many times.
    Repeat(usize),
}

fn change() -> impl Strategy<Value = Change> {
    const NAMES: [&str; 15] = [
        "preVM",
        "QEMU_OPTS",
        "memSize",
        "mode",
        "user",
        "group",
        "\u{202e}",
        "a=b",
        "",
        "guest",
        "diskSize",
        "path",
        "ca",
        "valid",
        "limineDevice",
    ];
    proptest::prop_oneof![
        6 => value().prop_map(Change::Set),
        1 => Just(Change::Remove),
        2 => (select(&NAMES[..]), value()).prop_map(|(name, value)| Change::Add(name.to_owned(), value)),
        1 => (2..60_usize).prop_map(Change::Repeat),
    ]
}

fn apply(change: Change, place: &mut Value) {
    match (change, place) {
        (Change::Set(value), place) => *place = value,
        (Change::Remove, Value::Array(list)) => drop(list.pop()),
        (Change::Remove, place) => *place = Value::Null,
        (Change::Add(_, value), Value::Array(list)) => list.push(value),
        (Change::Add(name, value), Value::Object(map)) => drop(map.insert(name, value)),
        (Change::Repeat(times), Value::Array(list)) => *list = vec![list.clone(); times].concat(),
        _ => {}
    }
}

/// Checks what must hold for all attributes.
fn check(json: &[u8]) {
    match parse(json) {
        Ok(spec) => {
            check_spec(&spec);
            if spec.identity.deterministic {
                let again = parse(json).unwrap();
                assert_eq!(format!("{spec:?}"), format!("{again:?}"));
            }
        }
        Err(problems) => {
            assert!(problems.iter().count() > 0);
            let text = problems.to_string();
            assert!(text.len() < MAX_MESSAGE, "{} bytes", text.len());
            let harmful = |c: char| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c);
            let harmful: Vec<char> = text.chars().filter(|c| harmful(*c) && *c != '\n').collect();
            assert!(harmful.is_empty(), "{harmful:?} in {text}");
        }
    }
}

/// Checks what later code relies on.
fn check_spec(spec: &Spec) {
    let is_path = |path: &Path| path.is_absolute() && path.as_os_str().len() <= 4095;
    let begin = spec.table.scheme().boot_begin();
    assert_eq!(spec.boot_end > 0, begin.is_some());
    assert_eq!(spec.boot_end % (1 << 20), 0);
    assert!(spec.root.label.len() <= 16);
    assert!(spec.output.file_name().len() <= 255 && !spec.output.file_name().contains('/'));
    assert!(spec.closure.is_sorted_by(|a, b| a.path < b.path));
    assert!(spec.out.starts_with(&spec.store_dir) && is_path(&spec.store_dir));
    assert!(spec.tools.path.iter().all(|path| is_path(path)));
    assert!(is_path(&spec.tools.mkfs_fat));
    if let System::Installed(installation) = &spec.system {
        for graft in &installation.contents {
            assert!(is_path(Path::new(&graft.source)));
            for name in &graft.target.names {
                assert!((1..=255).contains(&name.len()) && name != "." && name != "..");
            }
        }
    }
    if let Some(guest) = &spec.guest {
        assert!(guest.machine.memory > 0 && !guest.machine.timeout.is_zero());
    }
}

#[test]
fn changed_values_do_not_cause_a_panic() {
    let full = full();
    let places = places(&full);
    let change = (any::<Index>(), change());
    let changes = proptest::collection::vec(change, 1..5);
    let outcome = runner("ATTRIBUTES_CASES", 300).run(&changes, |changes| {
        let mut attributes = full.clone();
        for (place, change) in changes {
            // An earlier change may have removed it.
            if let Some(place) = attributes.pointer_mut(place.get::<String>(&places)) {
                apply(change, place);
            }
        }
        check(&serde_json::to_vec(&attributes).unwrap());
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn changed_bytes_do_not_cause_a_panic() {
    let text = full().to_string().into_bytes();
    let change = (0..text.len(), any::<u8>());
    let changes = (proptest::collection::vec(change, 1..4), 0..=text.len());
    let outcome = runner("ATTRIBUTES_CASES", 1000).run(&changes, |(changes, length)| {
        let mut text = text.clone();
        for (place, byte) in changes {
            text[place] = byte;
        }
        text.truncate(length);
        check(&text);
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn earlier_findings_stay_fixed() {
    let blocks: Vec<&str> = CORPUS.trim_end().split("\n\n").collect();
    for block in blocks {
        check(&serde_json::to_vec(&with(full(), &changes(block))).unwrap());
    }
}
