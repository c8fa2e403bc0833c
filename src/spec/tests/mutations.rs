//! Whatever the attributes are: a [`super::Spec`] or problems, never a panic.

use proptest::prelude::{Strategy, any};
use proptest::strategy::Just;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

use super::{TOPLEVEL, attributes, parse, parse_value};

fn runner() -> TestRunner {
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    TestRunner::new_with_rng(Config::with_cases(3000), rng)
}

/// Values that have been trouble somewhere.
fn value() -> impl Strategy<Value = Value> {
    proptest::prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        proptest::sample::select(vec![
            "",
            "/",
            "..",
            "auto",
            "none",
            "efi",
            "\0",
            "-1",
            "1.5Y",
            "é",
            "sha256:",
            TOPLEVEL,
            "18446744073709551615",
            "/nix/store/",
            "*",
            "8E",
            "a,b",
            "\u{202e}",
        ])
        .prop_map(Value::from),
        Just(json!([])),
        Just(json!({})),
        Just(json!([[null]])),
        Just(json!([{ "source": "/*", "target": "a", "user": 4_294_967_295_u32 }])),
    ]
}

/// Every place in `value`, as a JSON pointer.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(map) => map
            .iter()
            .for_each(|(key, value)| pointers(value, &format!("{at}/{key}"), found)),
        Value::Array(list) => list
            .iter()
            .enumerate()
            .for_each(|(index, value)| pointers(value, &format!("{at}/{index}"), found)),
        _ => {}
    }
}

#[test]
fn no_change_of_values_is_fatal() {
    let mut contents = attributes();
    contents["image"]["contents"] = json!([
        { "source": "/a", "target": "/b", "mode": "755", "user": "1", "group": "2" },
        { "source": "/a", "target": "/c" },
    ]);
    let mut places = Vec::new();
    pointers(&contents, "", &mut places);
    let change = (proptest::sample::select(places), value());
    let changes = proptest::collection::vec(change, 1..4);
    let outcome = runner().run(&changes, |changes| {
        let mut attributes = contents.clone();
        for (pointer, value) in changes {
            if let Some(place) = attributes.pointer_mut(&pointer) {
                *place = value;
            }
        }
        if let Err(problems) = parse_value(&attributes) {
            assert!(problems.iter().count() > 0);
            let text = problems.to_string();
            assert!(!text.contains(['\0', '\u{202e}']), "{text:?}");
        }
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn no_change_of_bytes_is_fatal() {
    let text = attributes().to_string().into_bytes();
    let change = (0..text.len(), any::<u8>());
    let changes = (proptest::collection::vec(change, 1..4), 0..=text.len());
    let outcome = runner().run(&changes, |(changes, length)| {
        let mut text = text.clone();
        for (place, byte) in changes {
            text[place] = byte;
        }
        text.truncate(length);
        if let Err(problems) = parse(&text) {
            assert!(problems.iter().count() > 0);
        }
        Ok(())
    });
    outcome.unwrap();
}
