//! Each wrong attribute is reported exactly once, regardless of other wrong attributes.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::any;
use proptest::sample::Index;
use serde_json::{Value, json};

use super::runner::runner;
use super::{attributes, changed, full, parse_value, places, with};

/// Conditions, and the attributes that are not read if all conditions are wrong.
type Dependent = (&'static [&'static str], &'static [&'static str]);

const DEPENDENT: [Dependent; 13] = [
    (
        &["/image/onlyNixStore"],
        &[
            "/image/toplevel",
            "/image/channel",
            "/tools/nixosInstall",
            "/guest",
            "/memSize",
        ],
    ),
    (
        &["/image/partitionTableType"],
        &["/image/bootSize", "/image/rootGPUID"],
    ),
    (&["/image/diskSize"], &["/image/additionalSpace"]),
    (
        &["/image/fsType"],
        &["/image/fsOptions", "/image/rootFSUID", "/tools/sqfstar"],
    ),
    (
        &["/image/fsOptions/compression"],
        &["/image/fsOptions/compressionLevel"],
    ),
    (
        &["/image/format"],
        &[
            "/image/compressImage",
            "/image/compression",
            "/image/compressionLevel",
            "/tools/qemuImg",
        ],
    ),
    (
        &["/image/compressImage"],
        &["/image/compression", "/image/compressionLevel"],
    ),
    (&["/image/compression"], &["/image/compressionLevel"]),
    (
        &["/image/deterministic"],
        &["/image/rootGPUID", "/image/rootFSUID"],
    ),
    (
        &["/image/touchEFIVars"],
        &["/image/efiVariables", "/guest/firmware"],
    ),
    (
        &["/image/installBootLoader"],
        &["/guest/grubDevices", "/guest/limineDevice"],
    ),
    (
        &["/image/installBootLoader", "/image/contents/1/user"],
        &["/guest", "/memSize"],
    ),
    (
        &["/image/installBootLoader", "/image/contents/1/group"],
        &["/guest", "/memSize"],
    ),
];

/// Additional dependencies if no boot loader is installed.
const DEPENDENT_ON_NAMES: [Dependent; 2] = [
    (&["/image/contents/1/user"], &["/guest", "/memSize"]),
    (&["/image/contents/1/group"], &["/guest", "/memSize"]),
];

/// Returns attributes with everything that can be read, and variants in which one of the attributes
/// that decide what is read is changed.
fn cases() -> Vec<Case> {
    let mut store = with(
        full(),
        &[
            ("/image/onlyNixStore", json!(true)),
            ("/image/contents", json!([])),
            ("/image/installBootLoader", json!(false)),
        ],
    );
    for unread in ["memSize", "guest"] {
        store.as_object_mut().unwrap().remove(unread);
    }
    let full_but = |pointer, value| Case::new(with(full(), &[(pointer, value)]), &[]);
    let uml = with(
        full(),
        &[
            ("/image/touchEFIVars", json!(false)),
            ("/guest/machine", json!("uml")),
        ],
    );
    let compressed = [
        ("/image/format", json!("qcow2-compressed")),
        ("/image/compressImage", Value::Null),
        ("/image/compression", json!("zlib")),
        ("/image/compressionLevel", json!(9)),
    ];
    let subvolumes = [
        ("/image/fsType", json!("btrfs")),
        (
            "/image/fsOptions",
            json!({ "compression": "zstd", "compressionLevel": 15, "subvolumes": ["nix", "/home/"] }),
        ),
    ];
    let squashfs = [
        ("/image/fsType", json!("squashfs")),
        ("/image/rootFSUID", Value::Null),
        ("/image/fsOptions", json!({ "blockSize": "128K" })),
        ("/tools/sqfstar", json!("/nix/store/x/bin/sqfstar")),
        ("/guest/grubDevices", json!([])),
    ];
    let other = changed(&[("/image/format", json!("qed"))]);
    let no_loader = with(full(), &[("/image/installBootLoader", json!(false))]);
    vec![
        Case::new(full(), &[]),
        full_but("/image/diskSize", json!(2048)),
        full_but("/image/deterministic", json!(false)),
        full_but("/image/touchEFIVars", json!(false)),
        Case::new(uml, &[]),
        Case::new(no_loader, &DEPENDENT_ON_NAMES),
        Case::new(store, &[]),
        Case::new(with(full(), &compressed), &[]),
        Case::new(with(full(), &subvolumes), &[]),
        Case::new(with(full(), &squashfs), &[]),
        Case::new(other, &[]),
        Case::new(attributes(), &[]),
        Case::new(
            changed(&[("/image/partitionTableType", json!("none"))]),
            &[],
        ),
    ]
}

/// Returns a value that is invalid except for attribute sets, and a value that is invalid for every
/// attribute.
fn garbage() -> [Value; 2] {
    [
        json!({ "_type": "if", "condition": false, "content": "256M" }),
        json!("\0"),
    ]
}

fn is_at_or_below(place: &str, top: &str) -> bool {
    place
        .strip_prefix(top)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Returns the name of the value at `pointer` in messages.
fn name(attributes: &Value, pointer: &str) -> String {
    let mut name = String::new();
    let mut at = String::new();
    for key in pointer.split('/').skip(1) {
        let in_list = attributes.pointer(&at).unwrap().is_array();
        at = format!("{at}/{key}");
        let path = attributes.pointer(&format!("{at}/path"));
        match path.and_then(Value::as_str) {
            Some(path) if in_list => name += &format!("[\"{}\"]", path.escape_default()),
            _ if in_list => name += &format!("[{key}]"),
            _ if name.is_empty() => name += key,
            _ => name += &format!(".{key}"),
        }
    }
    name
}

/// Returns the names of the attributes that have problems, sorted, once per problem.
fn wrong(attributes: &Value) -> Vec<String> {
    let mut names: Vec<String> = match parse_value(attributes) {
        Ok(_) => Vec::new(),
        Err(problems) => problems
            .iter()
            .map(|problem| problem.attribute.clone())
            .collect(),
    };
    names.sort();
    names
}

/// Valid attributes, the places in them that are read, and an invalid value for each place.
struct Case {
    base: Value,
    dependent: Vec<Dependent>,
    read: BTreeMap<String, Value>,
}

impl Case {
    /// Finds the places that are read: an invalid value there causes exactly one problem.
    fn new(base: Value, dependent: &[Dependent]) -> Case {
        assert_eq!(wrong(&base), [""; 0], "invalid without garbage");
        let mut read = BTreeMap::new();
        for place in places(&base) {
            for garbage in garbage() {
                let value = base.pointer(&place).unwrap();
                if value.is_object() && garbage.is_object() || place.is_empty() {
                    continue;
                }
                let attributes = with(base.clone(), &[(&place, garbage.clone())]);
                let wrong = wrong(&attributes);
                if !wrong.is_empty() {
                    assert_eq!(wrong, [name(&attributes, &place)], "{garbage} at {place}");
                    read.insert(place.clone(), garbage);
                }
            }
        }
        Case {
            base,
            dependent: [&DEPENDENT, dependent].concat(),
            read,
        }
    }

    /// Checks that with garbage at `places`, each of them has one problem, except those inside or
    /// dependent on another one.
    fn check(&self, places: &[&str]) {
        // Change inner places first, so that outer changes remain.
        let mut places = places.to_vec();
        places.sort_by(|a, b| b.cmp(a));
        places.dedup();
        let changes: Vec<(&str, Value)> = places
            .iter()
            .map(|place| (*place, self.read[*place].clone()))
            .collect();
        let attributes = with(self.base.clone(), &changes);
        let is_wrong = |place: &str| places.iter().any(|wrong| is_at_or_below(place, wrong));
        let unread: Vec<&str> = self
            .dependent
            .iter()
            .filter(|(conditions, _)| conditions.iter().all(|condition| is_wrong(condition)))
            .flat_map(|(_, dependent)| dependent.iter().copied())
            .collect();
        let is_reported = |place: &str| {
            let inside = |other: &str| other != place && is_at_or_below(place, other);
            !places.iter().any(|other| inside(other))
                && !unread.iter().any(|other| is_at_or_below(place, other))
        };
        let mut expected: Vec<String> = places
            .iter()
            .filter(|place| is_reported(place))
            .map(|place| name(&attributes, place))
            .collect();
        expected.sort();
        assert_eq!(wrong(&attributes), expected, "garbage at {places:?}");
    }
}

#[test]
fn one_bad_attribute_is_one_problem() {
    let full = Case::new(full(), &[]);
    let unread: Vec<String> = places(&full.base)
        .into_iter()
        .filter(|place| !full.read.contains_key(place))
        .filter(|place| !place.is_empty() && !place.starts_with("/exportReferencesGraph"))
        .collect();
    assert_eq!(
        unread,
        [
            "/builder",
            "/closure/0/closureSize",
            "/doCheck",
            "/name",
            "/system",
            "/tools/qemuImg"
        ]
    );
}

#[test]
fn reports_both_of_two_bad_attributes() {
    let full = Case::new(full(), &[]);
    let read: Vec<&str> = full.read.keys().map(String::as_str).collect();
    for (index, first) in read.iter().enumerate() {
        for second in &read[index..] {
            full.check(&[first, second]);
        }
    }
}

#[test]
fn reports_all_of_many_bad_attributes() {
    let cases = cases();
    let some = (any::<Index>(), vec(any::<Index>(), 1..20));
    let outcome = runner("ATTRIBUTES_CASES", 100).run(&some, |(case, places)| {
        let case = case.get(&cases);
        let read: Vec<&str> = case.read.keys().map(String::as_str).collect();
        let places: Vec<&str> = places.iter().map(|place| *place.get(&read)).collect();
        case.check(&places);
        Ok(())
    });
    outcome.unwrap();
}
