//! Sections and tables of README and manual.

use std::collections::BTreeMap;

/// The text of each cell, by row. The head is the first row; the line below it is left out.
pub type Table = Vec<Vec<String>>;

/// The text of the section `title` of a page.
///
/// # Panics
/// If there is no such section.
pub fn section<'a>(page: &'a str, title: &str) -> &'a str {
    let start = format!("\n## {title}\n");
    let (_, rest) = page.split_once(&start).expect(title);
    rest.split("\n## ").next().unwrap()
}

/// The tables of a page, in order.
///
/// # Panics
/// If the rows of a table differ in length, since a cell too many would not be shown, or if a table has no
/// head.
pub fn tables(page: &str) -> Vec<Table> {
    let mut tables: Vec<Table> = Vec::new();
    let (mut code, mut inside) = (false, false);
    for (index, line) in page.lines().enumerate() {
        code ^= line.starts_with("```");
        let row = line.strip_prefix('|').filter(|_| !code).map(cells);
        if row.is_some() && !inside {
            tables.push(Vec::new());
        }
        inside = row.is_some();
        if let (Some(row), Some(table)) = (row, tables.last_mut()) {
            let width = table.first().map_or(row.len(), Vec::len);
            assert_eq!(row.len(), width, "line {}: {line}", index + 1);
            table.push(row);
        }
    }
    for table in &mut tables {
        let line = table.remove(1);
        assert!(line.iter().all(|cell| cell.contains("---")), "{line:?}");
    }
    tables
}

/// The cells of a row without its first bar. `\|` is a bar within a cell.
fn cells(row: &str) -> Vec<String> {
    let row = row.trim_end().replace("\\|", "\0");
    let row = row.strip_suffix('|').expect("a row ends with a bar");
    row.split('|')
        .map(|cell| cell.trim().replace('\0', "|"))
        .collect()
}

/// The table of a page whose head has a cell `head`, as the text below `head` by the text of the first
/// column.
///
/// # Panics
/// If there is no such table.
pub fn column(page: &str, head: &str) -> BTreeMap<String, String> {
    for table in tables(page) {
        if let Some(at) = table[0].iter().position(|cell| cell == head) {
            let rows = table.into_iter().skip(1);
            return rows.map(|row| (row[0].clone(), row[at].clone())).collect();
        }
    }
    panic!("no table with a column {head:?}");
}
