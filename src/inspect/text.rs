//! A report as text.

use std::fmt::Write as _;

use indicatif::HumanBytes;
use serde_json::Value;

use super::Style;
use super::map;
use super::report::{PartitionReport, Report, VolumeReport};
use crate::escape;

/// Facts of a container that the first line does not show.
const HIDDEN: [&str; 2] = ["format", "variant"];

/// The report as text.
pub fn text(report: &Report, style: Style) -> String {
    let mut out = String::new();
    let facts = &report.container;
    let variant = match facts.text("variant") {
        "" => String::new(),
        variant => format!(" ({})", escape::short(variant.as_bytes())),
    };
    let mut items = vec![format!(
        "{}: {}{variant}, {} bytes",
        report.file.path,
        facts.text("format"),
        report.file.length
    )];
    let shown = facts.0.iter().filter(|fact| !HIDDEN.contains(&fact.name));
    items.extend(shown.filter_map(|fact| {
        let name = fact.name.replace('_', " ");
        match &fact.value {
            Value::Bool(false) => None,
            Value::Bool(true) => Some(name),
            Value::String(text) => Some(format!("{name} {}", escape::short(text.as_bytes()))),
            other => Some(format!("{name} {other}")),
        }
    }));
    wrap(&mut out, "", &items, style.width);
    wrap(&mut out, "", &disk(report), style.width);
    out.push('\n');
    if let Some(map) = map::map(report, style) {
        out.push_str(&map);
        out.push('\n');
    }
    let table = Table::new(&report.partitions, style.width);
    out.push_str(&table.text());
    out.push('\n');
    for (row, partition) in (1..).zip(&report.partitions) {
        let prefix = format!("{:3}  ", partition.number);
        let mut items = identifiers(partition);
        items.extend(table.left_out(row));
        wrap(&mut out, &prefix, &items, style.width);
    }
    if let Some(rest) = &report.rest_sha256 {
        let _ = writeln!(out, "outside of partitions: sha256 {rest}");
    }
    for problem in problems(report) {
        let _ = writeln!(out, "problem: {problem}");
    }
    out
}

/// What is said about the disk and its table.
fn disk(report: &Report) -> Vec<String> {
    let disk = &report.disk;
    let table = &report.table;
    let mut items = vec![
        format!("disk: {} ({} bytes)", HumanBytes(disk.length), disk.length),
        format!("sectors of {} bytes", disk.sector_size),
    ];
    items.push(match &table.id {
        None => "no partition table".to_owned(),
        Some(id) => format!("{} {id}", table.kind.to_uppercase()),
    });
    items.extend(
        table
            .scheme
            .map(|scheme| format!("partitionTableType {scheme}")),
    );
    items.extend(disk.boot_code.map(|code| format!("boot code: {code}")));
    items
}

/// Everything that is wrong.
fn problems(report: &Report) -> Vec<String> {
    let mut problems: Vec<String> = report.table.problem.iter().cloned().collect();
    for partition in &report.partitions {
        let volume = partition.volume.as_ref();
        if let Some(problem) = volume.and_then(|volume| volume.problem.as_ref()) {
            let title = match partition.number {
                0 => "the file system".to_owned(),
                number => format!("the file system in partition {number}"),
            };
            problems.push(format!("{title}: {problem}"));
        }
    }
    problems
}

/// A name, escaped and in quotation marks.
fn quoted(name: &str) -> String {
    format!("\"{}\"", escape::short(name.as_bytes()))
}

/// Type, name and identifiers of a partition.
fn identifiers(partition: &PartitionReport) -> Vec<String> {
    let mut items = Vec::new();
    if partition.place != "primary" {
        items.push(partition.place.to_owned());
    }
    items.push(partition.type_name.to_owned());
    items.extend(partition.kind.as_ref().map(|kind| format!("type {kind}")));
    items.extend(
        partition
            .name
            .as_deref()
            .map(|name| format!("name {}", quoted(name))),
    );
    if partition.partuuid.as_ref().is_some_and(|id| id.len() == 11) && partition.attributes != 0 {
        items.push("active".to_owned());
    } else if partition.attributes != 0 {
        items.push(format!("attributes {:#x}", partition.attributes));
    }
    items.extend(
        partition
            .partuuid
            .as_ref()
            .map(|id| format!("PARTUUID {id}")),
    );
    if let Some(volume) = &partition.volume {
        let uuid = volume.uuid.as_ref();
        items.extend(uuid.map(|uuid| format!("UUID {}", escape::short(uuid.as_bytes()))));
    }
    items.extend(partition.sha256.as_ref().map(|sum| format!("sha256 {sum}")));
    items
}

/// Writes `items` with commas between them, in lines of at most `width` columns if they fit, the first
/// of which begins with `prefix`, and the others with spaces.
fn wrap(out: &mut String, prefix: &str, items: &[String], width: usize) {
    let indent = match prefix.len() {
        0 => 4,
        length => length,
    };
    let mut line = prefix.to_owned();
    let mut is_first = true;
    for (number, item) in (1..).zip(items) {
        let comma = if number == items.len() { "" } else { "," };
        let length = item
            .chars()
            .count()
            .saturating_add(comma.len())
            .saturating_add(1);
        if !is_first && line.chars().count().saturating_add(length) > width {
            let _ = writeln!(out, "{line}");
            line = " ".repeat(indent);
        } else if !is_first {
            line.push(' ');
        }
        line.push_str(item);
        line.push_str(comma);
        is_first = false;
    }
    let _ = writeln!(out, "{line}");
}

/// Columns of the table of partitions.
const COLUMNS: [&str; 9] = [
    "#",
    "role",
    "first sector",
    "last sector",
    "size",
    "file system",
    "label",
    "used",
    "free",
];

/// Columns that are left out of a table that is too wide, in this order.
const LEFT_OUT_FIRST: [usize; 6] = [3, 2, 8, 7, 6, 4];

/// Columns whose text begins at their left end.
const LEFT: [usize; 3] = [1, 5, 6];

/// The table of partitions. Columns are as wide as their contents.
struct Table {
    /// The first row has the names of the columns.
    rows: Vec<[String; COLUMNS.len()]>,
    widths: [usize; COLUMNS.len()],
    shown: [bool; COLUMNS.len()],
}

impl Table {
    /// A table that is not wider than `width`, if possible.
    fn new(partitions: &[PartitionReport], width: usize) -> Table {
        let bytes = |it: Option<u64>| it.map_or_else(String::new, |it| HumanBytes(it).to_string());
        let mut rows = vec![COLUMNS.map(str::to_owned)];
        for partition in partitions {
            let volume = partition.volume.as_ref();
            let label = volume.and_then(|volume| volume.label.as_deref());
            rows.push([
                partition.number.to_string(),
                partition.role.to_owned(),
                partition.first_sector.to_string(),
                partition.last_sector.to_string(),
                bytes(Some(partition.length)),
                volume.map_or("-", VolumeReport::name).to_owned(),
                label.map_or_else(|| "-".to_owned(), |it| escape::beginning(it.as_bytes(), 32)),
                bytes(volume.and_then(|volume| volume.used)),
                bytes(volume.and_then(|volume| volume.free)),
            ]);
        }
        let widest = |column: usize| {
            let cells = rows.iter().map(|row| row[column].chars().count());
            cells.max().unwrap_or(0)
        };
        let mut table = Table {
            widths: std::array::from_fn(widest),
            rows,
            shown: [true; COLUMNS.len()],
        };
        for column in LEFT_OUT_FIRST {
            if table.width() > width {
                table.shown[column] = false;
            }
        }
        table
    }

    /// The numbers of the columns that are shown.
    fn columns(&self) -> impl Iterator<Item = usize> {
        (0..COLUMNS.len()).filter(|&column| self.shown[column])
    }

    fn width(&self) -> usize {
        self.columns()
            .map(|column| self.widths[column].saturating_add(2))
            .sum()
    }

    /// What columns that are not shown say about the partition in `row`.
    fn left_out(&self, row: usize) -> Vec<String> {
        let hidden = (0..COLUMNS.len()).filter(|&column| !self.shown[column]);
        let item = |column: usize| {
            let cell = self.rows.get(row)?.get(column)?;
            let has_value = !matches!(cell.as_str(), "" | "-");
            has_value.then(|| format!("{} {cell}", COLUMNS[column]))
        };
        hidden.filter_map(item).collect()
    }

    fn text(&self) -> String {
        let mut out = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for column in self.columns() {
                let cell = &row[column];
                let length = cell.chars().count();
                let padding = " ".repeat(self.widths[column].saturating_sub(length));
                let separator = if column == 0 { " " } else { "  " };
                let _ = match LEFT.contains(&column) {
                    true => write!(line, "{separator}{cell}{padding}"),
                    false => write!(line, "{separator}{padding}{cell}"),
                };
            }
            let _ = writeln!(out, "{}", line.trim_end());
        }
        out
    }
}
