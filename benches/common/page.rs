//! The output of the benchmarks. Each benchmark saves sections; `target/bench.json` (for programs) and
//! `docs/performance.md` (for people) are generated from all saved sections.

use std::fmt::Write as _;
use std::fs;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::machine::Machine;
use super::{repository, target_directory};

/// The directory with the sections of other benchmarks and earlier runs, below the target directory.
const SAVED: &str = "bench";

/// A group of related measurements.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Section {
    /// The value of `table` in its rows of `bench.json`; also the name of the file that it is saved in.
    pub table: String,
    /// The position on the page: lower numbers come first.
    pub order: u32,
    /// The heading.
    pub title: String,
    /// A description of the measurement, in Markdown.
    pub text: String,
    /// The column headers. The first column is text, the others are figures.
    pub columns: Vec<String>,
    /// The cells of each row.
    pub cells: Vec<Vec<String>>,
    /// The bounds that the project sets itself.
    pub expectations: Vec<Expectation>,
    /// The rows for `bench.json`, each an object.
    pub rows: Vec<Value>,
}

/// A figure and its bound.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Expectation {
    /// The name of the figure, such as "mke2fs -d / ours".
    pub name: String,
    /// The measured value.
    pub figure: f64,
    /// The worst acceptable value.
    pub bound: Bound,
    /// The unit of both, with a leading space; empty for ratios.
    pub unit: String,
}

/// The bound of a figure.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub enum Bound {
    /// An upper bound.
    AtMost(f64),
    /// A lower bound.
    AtLeast(f64),
}

impl Expectation {
    /// Returns whether the figure is within its bound.
    pub fn met(&self) -> bool {
        match self.bound {
            Bound::AtMost(most) => self.figure <= most,
            Bound::AtLeast(least) => self.figure >= least,
        }
    }

    fn expected(&self) -> String {
        match self.bound {
            Bound::AtMost(most) => format!("at most {most:.2}{}", self.unit),
            Bound::AtLeast(least) => format!("at least {least:.2}{}", self.unit),
        }
    }

    fn measured(&self) -> String {
        format!("{:.2}{}", self.figure, self.unit)
    }

    fn verdict(&self) -> &'static str {
        match self.met() {
            true => "met",
            false => "**missed**",
        }
    }
}

/// A saved section.
#[derive(Serialize, Deserialize)]
struct Saved {
    machine: Machine,
    section: Section,
}

/// Prints and saves `section`, and generates the page and `bench.json` from all sections that were saved
/// on this machine.
pub fn publish(section: Section) {
    print(&section);
    let directory = target_directory().join(SAVED);
    fs::create_dir_all(&directory).unwrap();
    let machine = Machine::this();
    let file = directory.join(&section.table).with_extension("json");
    let saved = Saved {
        machine: machine.clone(),
        section,
    };
    fs::write(file, serde_json::to_string_pretty(&saved).unwrap()).unwrap();

    let mut sections = Vec::new();
    for entry in fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        match serde_json::from_str::<Saved>(&text) {
            Ok(saved) if saved.machine == machine => sections.push(saved.section),
            _ => println!("{}: not from this machine; left out", path.display()),
        }
    }
    sections.sort_by_key(|section| section.order);
    let json = serde_json::to_string_pretty(&rows(&sections)).unwrap();
    fs::write(target_directory().join("bench.json"), json + "\n").unwrap();
    let page = page(&machine, &sections);
    fs::write(repository().join("docs/performance.md"), page).unwrap();
}

fn print(section: &Section) {
    let widths = widths(section);
    let line = |cells: &[String]| {
        let mut out = String::new();
        for (at, (cell, width)) in cells.iter().zip(&widths).enumerate() {
            match at {
                0 => write!(out, "{cell:width$}").unwrap(),
                _ => write!(out, "  {cell:>width$}").unwrap(),
            }
        }
        println!("{out}");
    };
    println!("\n{}", section.title);
    line(&section.columns);
    section.cells.iter().for_each(|cells| line(cells));
    for expectation in &section.expectations {
        println!(
            "{}: {}, expected {}: {}",
            expectation.name,
            expectation.measured(),
            expectation.expected(),
            expectation.verdict()
        );
    }
}

fn widths(section: &Section) -> Vec<usize> {
    let mut widths = vec![3; section.columns.len()];
    for cells in section.cells.iter().chain([&section.columns]) {
        for (width, cell) in widths.iter_mut().zip(cells) {
            *width = (*width).max(cell.chars().count());
        }
    }
    widths
}

fn rows(sections: &[Section]) -> Vec<Value> {
    let mut rows = Vec::new();
    for section in sections {
        for row in &section.rows {
            let mut row = row.clone();
            row["table"] = json!(section.table);
            rows.push(row);
        }
    }
    for section in sections {
        for expectation in &section.expectations {
            rows.push(json!({
                "table": "expectations",
                "name": expectation.name,
                "of": section.table,
                "figure": expectation.figure,
                "expected": expectation.expected(),
                "met": expectation.met(),
            }));
        }
    }
    rows
}

fn page(machine: &Machine, sections: &[Section]) -> String {
    let mut page = format!(
        "# Performance\n\n\
         `make bench` generates this page; its text is in `benches`. `target/bench.json` has the same \
         figures and more.\n\n\
         The machine: {machine}. Ratios carry over to other machines better than seconds, but not \
         exactly.\n\n\
         ## Expectations\n\n\
         | section | figure | expected | measured | result |\n|---|---|---|---|---|\n"
    );
    for section in sections {
        for expectation in &section.expectations {
            writeln!(
                page,
                "| {} | {} | {} | {} | {} |",
                section.title,
                expectation.name,
                expectation.expected(),
                expectation.measured(),
                expectation.verdict()
            )
            .unwrap();
        }
    }
    for section in sections {
        write!(page, "\n## {}\n\n{}\n\n", section.title, section.text).unwrap();
        let mut line = |cells: &[String]| writeln!(page, "| {} |", cells.join(" | ")).unwrap();
        line(&section.columns);
        let mut rule = vec!["---:".to_owned(); section.columns.len()];
        rule[0] = "---".to_owned();
        line(&rule);
        section.cells.iter().for_each(|cells| line(cells));
    }
    page
}
