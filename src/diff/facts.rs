//! Compares what containers, tables and file systems say about themselves.

use serde_json::Value;

use super::Pair;
use super::found::{Findings, Layer};
use crate::container::Facts;
use crate::volume::Volume;

/// A value as text.
pub fn value(value: Option<&Value>) -> String {
    match value {
        None => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(values)) => {
            let values = values.iter().map(|it| self::value(Some(it)));
            values.collect::<Vec<_>>().join(" ")
        }
        Some(other) => other.to_string(),
    }
}

/// The names of facts, in the order of `a`, then those that only `b` has.
pub fn names(a: &Facts, b: &Facts) -> Vec<&'static str> {
    let all = a.0.iter().chain(&b.0).map(|fact| fact.name);
    let mut names = Vec::new();
    for name in all {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// Adds the facts that differ.
pub fn compare(
    layer: Layer,
    partition: Option<u32>,
    place: &str,
    facts: [&Facts; 2],
    findings: &mut Findings,
) {
    let [a, b] = facts;
    for name in names(a, b) {
        let values = facts.map(|facts| value(facts.get(name)));
        let [a, b] = &values;
        findings.property(layer, partition, place, &name.replace('_', " "), [a, b]);
    }
}

/// Compares the file systems in a partition, except for their contents.
pub fn compare_volumes(pair: &Pair<'_>, findings: &mut Findings) {
    let number = Some(pair.number());
    let layer = Layer::Parameters;
    let (a, b) = match &pair.volumes {
        [None, None] => return,
        [Some(a), Some(b)] => (a, b),
        [a, b] => {
            let name = |volume: &Option<Volume>| volume.as_ref().map_or("", |it| it.kind);
            findings.property(layer, number, "file system", "type", [name(a), name(b)]);
            return;
        }
    };
    let place = a.kind;
    let bytes = |bytes: Option<u64>| bytes.map_or_else(String::new, |bytes| bytes.to_string());
    findings.property(layer, number, place, "type", [a.kind, b.kind]);
    findings.property(layer, number, place, "label", [&a.label, &b.label]);
    findings.property(layer, number, place, "UUID", [&a.uuid, &b.uuid]);
    findings.property(
        layer,
        number,
        place,
        "length",
        [&bytes(a.size), &bytes(b.size)],
    );
    compare(layer, number, place, [&a.facts, &b.facts], findings);
    let problem = |volume: &Volume| volume.problem.clone().unwrap_or_default();
    findings.property(layer, number, place, "problem", [&problem(a), &problem(b)]);
}
