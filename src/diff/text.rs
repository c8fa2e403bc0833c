//! Findings as text.

use std::fmt::Write as _;

use super::Outcome;
use super::found::{Difference, Findings, LAYERS};

/// The findings about the images `names`.
pub fn text(findings: &Findings, names: [&str; 2]) -> String {
    let [a, b] = names;
    let mut out = String::new();
    let verdict = match findings.outcome() {
        Outcome::Equal => "are equal",
        Outcome::Different => "differ",
        Outcome::Trouble => "cannot be compared completely",
    };
    // Writing to a String can't fail.
    let _ = writeln!(out, "{a} and {b} {verdict}{}", counts(findings));
    for note in &findings.notes {
        let _ = writeln!(out, "  {note}");
    }
    for (layer, name) in LAYERS {
        if findings.count(layer) == 0 {
            continue;
        }
        let _ = writeln!(out, "{name}:");
        for difference in findings.differences.iter().filter(|it| it.layer == layer) {
            out.push_str(&line(difference));
        }
        match findings.omitted(layer) {
            0 => {}
            more => _ = writeln!(out, "  and {more} more (see --limit)"),
        }
    }
    for trouble in &findings.troubles {
        let _ = writeln!(out, "cannot be read: {trouble}");
    }
    out
}

/// How many files, structures and so on differ in each layer, unless none do.
fn counts(findings: &Findings) -> String {
    let counts = LAYERS.iter().filter_map(|(layer, name)| {
        let count = findings.places(*layer);
        (count > 0).then(|| format!("{name}: {count}"))
    });
    let counts: Vec<String> = counts.collect();
    match counts.is_empty() {
        true => String::new(),
        false => format!(" ({})", counts.join(", ")),
    }
}

/// The lines of a difference.
fn line(difference: &Difference) -> String {
    let mut line = String::from("  ");
    if let Some(number) = difference.partition.filter(|&number| number > 0) {
        let _ = write!(line, "partition {number}: ");
    }
    line.push_str(&difference.place);
    if let Some(property) = &difference.property {
        let _ = write!(line, ": {property}");
    }
    match (&difference.a, &difference.b) {
        (Some(a), Some(b)) => _ = write!(line, ": {} -> {}", shown(a), shown(b)),
        (Some(a), None) => _ = write!(line, ": only in the first image: {a}"),
        (None, Some(b)) => _ = write!(line, ": only in the second image: {b}"),
        (None, None) => {}
    }
    line.push('\n');
    for detail in &difference.details {
        let _ = writeln!(line, "    {detail}");
    }
    line
}

/// A value that can be seen.
fn shown(value: &str) -> &str {
    if value.is_empty() { "(none)" } else { value }
}
