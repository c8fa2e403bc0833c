//! A disk drawn to scale. A part that would be narrower than a column is as wide as a column, and
//! unused space that would be is left out.

use console::{Color, Style as Paint};
use indicatif::HumanBytes;

use super::Style;
use super::report::{PartitionReport, Report};
use crate::escape;

/// A part of the map.
struct Cell<'a> {
    start: u64,
    length: u64,
    /// `None` for space that is in no partition.
    partition: Option<&'a PartitionReport>,
    /// Columns, without borders.
    width: usize,
}

/// What space that is in no partition is called.
const UNUSED: &str = "unused";

/// The lines between the borders.
const LINES: usize = 3;

/// Draws the map, unless there are too many partitions.
pub fn map(report: &Report, style: Style) -> Option<String> {
    let cells = cells(report, style.width)?;
    let mut out = border(&cells, ['┌', '┬', '┐']);
    for line in 0..LINES {
        for cell in &cells {
            out.push('│');
            let text = fill(cell, line);
            match cell.partition {
                Some(partition) if style.color => {
                    let paint = Paint::new().fg(color(partition.role)).force_styling(true);
                    out.push_str(&paint.apply_to(text).to_string());
                }
                _ => out.push_str(&text),
            }
        }
        out.push_str("│\n");
    }
    out.push_str(&border(&cells, ['└', '┴', '┘']));
    out.push_str(&scale(&cells, report.disk.length, style.width));
    Some(out)
}

/// The color of a role.
fn color(role: &str) -> Color {
    match role {
        "root" | "linux" | "usr" | "home" | "var" => Color::Green,
        "esp" | "xbootldr" | "boot" => Color::Cyan,
        "bios-boot" | "prep" => Color::Yellow,
        "swap" => Color::Magenta,
        _ => Color::Blue,
    }
}

/// Divides `width` columns among partitions and the space between them.
fn cells(report: &Report, width: usize) -> Option<Vec<Cell<'_>>> {
    let total = report.disk.length;
    let drawn = report.partitions.iter().filter(|it| it.place != "extended");
    let mut partitions: Vec<&PartitionReport> = drawn.collect();
    partitions.sort_by_key(|partition| partition.start);
    // usize to u64: lossless on every target Rust has.
    let columns = width as u64;
    let mut cells = Vec::new();
    let mut position = 0;
    let gap = |from: u64, to: u64, cells: &mut Vec<Cell<'_>>| {
        let length = to.saturating_sub(from);
        if u128::from(length) * u128::from(columns) >= u128::from(total) && length > 0 {
            cells.push(Cell {
                start: from,
                length,
                partition: None,
                width: 0,
            });
        }
    };
    for partition in partitions {
        gap(position, partition.start, &mut cells);
        position = partition.start.saturating_add(partition.length);
        cells.push(Cell {
            start: partition.start,
            length: partition.length,
            partition: Some(partition),
            width: 0,
        });
    }
    gap(position, total, &mut cells);
    let available = width.checked_sub(cells.len().checked_add(1)?)?;
    if cells.is_empty() || available < cells.len() {
        return None;
    }
    divide(&mut cells, available);
    Some(cells)
}

/// Gives each cell its share of `available` columns, at least one.
fn divide(cells: &mut [Cell<'_>], available: usize) {
    let total: u128 = cells.iter().map(|cell| u128::from(cell.length)).sum();
    // usize to u128: lossless on every target Rust has.
    let columns = available as u128;
    for cell in &mut *cells {
        let share = u128::from(cell.length) * columns / total.max(1);
        cell.width = usize::try_from(share).unwrap_or(available).max(1);
    }
    // What rounding left over, or what narrow cells took, concerns the widest cells the least.
    loop {
        let used: usize = cells.iter().map(|cell| cell.width).sum();
        let Some(widest) = cells.iter_mut().max_by_key(|cell| cell.width) else {
            break;
        };
        match used.cmp(&available) {
            std::cmp::Ordering::Equal => break,
            std::cmp::Ordering::Less => {
                widest.width = widest.width.saturating_add(available.saturating_sub(used));
            }
            std::cmp::Ordering::Greater => widest.width = widest.width.saturating_sub(1).max(1),
        }
    }
}

/// A horizontal border.
fn border(cells: &[Cell<'_>], [left, middle, right]: [char; 3]) -> String {
    let mut out = String::new();
    for (number, cell) in cells.iter().enumerate() {
        out.push(if number == 0 { left } else { middle });
        out.push_str(&"─".repeat(cell.width));
    }
    out.push(right);
    out.push('\n');
    out
}

/// The text of a cell in a line: number and role; file system and label; used and free space.
fn fill(cell: &Cell<'_>, line: usize) -> String {
    let Some(partition) = cell.partition else {
        return match line {
            0 if cell.width >= UNUSED.len() => fit(UNUSED, cell.width),
            0 | 1 => " ".repeat(cell.width),
            _ => "·".repeat(cell.width),
        };
    };
    let volume = partition.volume.as_ref();
    match line {
        0 if partition.number == 0 => fit(partition.role, cell.width),
        0 => fit(
            &format!("{} {}", partition.number, partition.role),
            cell.width,
        ),
        1 => {
            let label = volume
                .and_then(|volume| volume.label.as_deref())
                .unwrap_or_default();
            let label = escape::short(label.as_bytes());
            let kind = volume.map_or("", |volume| volume.name());
            fit(format!("{kind} {label}").trim_end(), cell.width)
        }
        _ => match volume.and_then(|volume| volume.used) {
            None => " ".repeat(cell.width),
            Some(used) => {
                // usize to u128: lossless on every target Rust has.
                let columns = cell.width as u128;
                let share = u128::from(used) * columns / u128::from(partition.length.max(1));
                let mut full = usize::try_from(share).unwrap_or(cell.width).min(cell.width);
                // Little is not nothing.
                if used > 0 {
                    full = full.max(1);
                }
                "█".repeat(full) + &"░".repeat(cell.width.saturating_sub(full))
            }
        },
    }
}

/// The beginning of `text`, in exactly `width` columns.
fn fit(text: &str, width: usize) -> String {
    let length = text.chars().count();
    match length > width {
        false => format!("{text}{}", " ".repeat(width.saturating_sub(length))),
        true => text.chars().take(width).collect(),
    }
}

/// The positions of borders, as far as there is room for them.
fn scale(cells: &[Cell<'_>], total: u64, width: usize) -> String {
    let mut line = String::new();
    let end = HumanBytes(total).to_string();
    let room = width.saturating_sub(end.chars().count()).saturating_sub(1);
    let mut column = 0_usize;
    for cell in cells {
        let text = match cell.start {
            0 => "0".to_owned(),
            start => HumanBytes(start).to_string(),
        };
        let used = line.chars().count();
        let is_free = used == 0 || used < column;
        if is_free && column.saturating_add(text.chars().count()) < room {
            line.push_str(&" ".repeat(column.saturating_sub(used)));
            line.push_str(&text);
        }
        column = column.saturating_add(cell.width).saturating_add(1);
    }
    let used = line.chars().count().saturating_add(end.chars().count());
    line.push_str(&" ".repeat(width.saturating_sub(used)));
    line.push_str(&end);
    line.push('\n');
    line
}
