//! The section of a system on the page: both machines side by side.

use serde_json::json;

use crate::common::median;
use crate::common::page::{Bound, Expectation, Section};
use crate::round::{Guest, Round};
use crate::system::System;

/// A row of the table.
struct Line {
    /// The key in `bench.json`.
    key: &'static str,
    label: &'static str,
    seconds: fn(&Guest) -> f64,
}

const fn line(key: &'static str, label: &'static str, seconds: fn(&Guest) -> f64) -> Line {
    Line {
        key,
        label,
        seconds,
    }
}

const LINES: [Line; 11] = [
    line(
        "plan",
        "planning its disk and generating the metadata",
        |guest| guest.times.plan,
    ),
    line(
        "guest",
        "initrd, mounts, finding changes, report",
        |guest| guest.times.guest(),
    ),
    line("merge", "merging the changes into the tree", |guest| {
        guest.times.merge
    }),
    line("again", "planning the disk again", |guest| {
        guest.times.again
    }),
    line("ours", "total of this program", |guest| guest.times.ours()),
    line("boot", "the machine, until init starts", |guest| {
        guest.times.boot
    }),
    line("programs", "the image's own programs", |guest| {
        guest.times.programs
    }),
    line("whole", "the whole stage", |guest| guest.times.whole()),
    line("cpu", "the whole stage, CPU time", |guest| guest.cpu),
    line("build", "the whole build", |guest| guest.build.seconds),
    line("build_cpu", "the whole build, CPU time", |guest| {
        guest.build.cpu
    }),
];

/// Returns the section of `system` at `order` on the page, with the figures of `rounds`.
pub fn of(system: &System, order: u32, rounds: &[Round]) -> Section {
    let uml = |line: &Line| median(rounds.iter().map(|round| (line.seconds)(&round.uml)));
    let emulated = |line: &Line| median(rounds.iter().map(|round| (line.seconds)(&round.emulated)));
    let without = [
        median(rounds.iter().map(|round| round.without.seconds)),
        median(rounds.iter().map(|round| round.without.cpu)),
    ];
    let mut rows = [
        json!({ "name": "User-Mode Linux" }),
        json!({ "name": "emulated" }),
        json!({ "name": "without a guest", "build": without[0], "build_cpu": without[1] }),
    ];
    for row in &mut rows {
        row["runs"] = json!(rounds.len());
    }
    let mut cells = Vec::new();
    for line in &LINES {
        let figures = [uml(line), emulated(line)];
        for (row, figure) in rows.iter_mut().zip(figures) {
            row[line.key] = json!(figure);
        }
        let figures = figures.map(|figure| format!("{figure:.2}"));
        cells.push([vec![line.label.to_owned()], figures.into()].concat());
    }
    Section {
        table: system.key.to_owned(),
        order,
        title: system.title.to_owned(),
        text: format!(
            "{} Without a boot loader, and so without a guest, the same build takes {:.2} s and {:.2} s of \
             CPU time. Medians of {} rounds, for each row separately.",
            system.text,
            without[0],
            without[1],
            rounds.len()
        ),
        columns: ["step", "User-Mode Linux", "emulated"]
            .map(str::to_owned)
            .to_vec(),
        cells,
        expectations: expectations(system, rounds),
        rows: rows.into(),
    }
}

fn expectations(system: &System, rounds: &[Round]) -> Vec<Expectation> {
    let limits = system.limits.iter();
    limits
        .map(|limit| Expectation {
            name: limit.name.to_owned(),
            figure: median(rounds.iter().map(limit.figure)),
            bound: Bound::AtMost(limit.most),
            unit: limit.unit.to_owned(),
        })
        .collect()
}
