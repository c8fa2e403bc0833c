//! mdBook shows the manual as it is meant: all pages, tables and blocks of code, and links that lead
//! somewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::{Page, blocks_of, pages};
use crate::common::markdown::tables;
use crate::common::{next, repository, run, said, scratch};

/// The HTML that mdBook makes.
struct Book {
    directory: TempDir,
    /// By the name of the file.
    pages: BTreeMap<String, Html>,
}

/// A page of it.
struct Html {
    /// The targets of links to this page.
    ids: BTreeSet<String>,
    /// The targets of links on this page.
    links: Vec<String>,
    /// How often each tag begins.
    tags: BTreeMap<String, usize>,
    /// The text that is not code.
    text: String,
}

impl Book {
    /// Builds it.
    ///
    /// # Panics
    /// If mdBook fails or warns.
    fn build() -> Book {
        let directory = scratch();
        let mut mdbook = next::program("usr/bin/mdbook");
        mdbook
            .args(["build", "--dest-dir"])
            .args([directory.path(), repository()])
            .env("RUST_LOG", "warn");
        let output = run(&mut mdbook);
        assert!(output.status.success(), "{}", said(&output));
        assert_eq!(said(&output), "");
        let mut pages = BTreeMap::new();
        for entry in fs::read_dir(directory.path()).unwrap() {
            let path = entry.unwrap().path();
            if path
                .extension()
                .is_some_and(|extension| extension == "html")
            {
                let name = path.file_name().unwrap().to_str().unwrap().to_owned();
                pages.insert(name, Html::read(&fs::read_to_string(&path).unwrap()));
            }
        }
        Book { directory, pages }
    }

    /// Whether `anchor` of the file `name` exists, or just the file if `anchor` is empty.
    fn has(&self, name: &str, anchor: &str) -> bool {
        match self.pages.get(name) {
            Some(page) => anchor.is_empty() || page.ids.contains(anchor),
            None => anchor.is_empty() && self.directory.path().join(name).exists(),
        }
    }
}

impl Html {
    fn read(html: &str) -> Html {
        let html = without(&without(html, "<!--", "-->"), "<script", "</script>");
        let mut page = Html {
            ids: BTreeSet::new(),
            links: Vec::new(),
            tags: BTreeMap::new(),
            text: String::new(),
        };
        for (tag, _) in pieces(&html) {
            let name = tag.split_whitespace().next().unwrap_or_default();
            *page.tags.entry(name.to_owned()).or_default() += 1;
            page.ids.extend(attribute(tag, "id"));
            match name {
                "a" => page.links.extend(attribute(tag, "href")),
                "img" => page.links.extend(attribute(tag, "src")),
                _ => {}
            }
        }
        let prose = without(&without(&html, "<pre", "</pre>"), "<code", "</code>");
        page.text.extend(pieces(&prose).map(|(_, text)| text));
        page
    }

    fn count(&self, tag: &str) -> usize {
        self.tags.get(tag).copied().unwrap_or_default()
    }
}

/// The tags of a page, each with the text that follows it.
fn pieces(html: &str) -> impl Iterator<Item = (&str, &str)> {
    html.split('<')
        .skip(1)
        .map(|piece| piece.split_once('>').unwrap_or((piece, "")))
}

/// `html` without everything from each `begin` to the next `end`.
fn without(html: &str, begin: &str, end: &str) -> String {
    let mut rest = html;
    let mut kept = String::new();
    while let Some((before, after)) = rest.split_once(begin) {
        kept.push_str(before);
        rest = after.split_once(end).unwrap_or_default().1;
    }
    kept + rest
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, value) = tag.split_once(&format!(" {name}=\""))?;
    value.split('"').next().map(str::to_owned)
}

/// The targets of links, without those to other hosts: a file, and an anchor or nothing.
fn internal(links: &[String]) -> impl Iterator<Item = (&str, &str)> {
    let links = links.iter().filter(|link| !link.contains("://"));
    links.map(|link| link.split_once('#').unwrap_or((link, "")))
}

/// The name of the HTML file of a page of docs.
fn html_of(path: &Path) -> Option<String> {
    let name = path.strip_prefix("docs").ok()?.with_extension("html");
    Some(name.display().to_string())
}

/// mdBook leaves out pages that the summary does not list, and fails if one that it lists does not exist
/// (`create-missing`).
#[test]
fn every_page_is_in_the_book() {
    let book = Book::build();
    let mut all = 0;
    for page in pages() {
        if page.path.ends_with("SUMMARY.md") {
            continue;
        }
        let Some(name) = html_of(&page.path) else {
            continue;
        };
        let html = book.pages.get(&name);
        let html = html.unwrap_or_else(|| panic!("SUMMARY.md does not list {name}"));
        let count = tables(&page.text).len();
        assert_eq!(html.count("table"), count, "{name}: tables");
        assert_eq!(html.count("pre"), blocks_of(&page).len(), "{name}: code");
        all += count;
        for raw in ["```", "|--", "](", "**"] {
            assert!(!html.text.contains(raw), "{name} shows {raw:?}");
        }
    }
    assert!(all > 50, "only {all} tables");
}

#[test]
fn every_link_of_the_book_leads_somewhere() {
    let book = Book::build();
    let mut anchors = 0;
    for (name, page) in &book.pages {
        for (file, anchor) in internal(&page.links) {
            anchors += usize::from(!file.is_empty() && !anchor.is_empty());
            let file = if file.is_empty() { name } else { file };
            assert!(book.has(file, anchor), "{name}: {file}#{anchor}");
        }
    }
    assert!(
        anchors > 8,
        "only {anchors} links to anchors of other pages"
    );
}

/// README is not part of the book: its links are to files of the repository.
#[test]
fn every_link_of_readme_leads_somewhere() {
    let book = Book::build();
    let readme: Page = pages().into_iter().next().unwrap();
    assert_eq!(readme.path, Path::new("README.md"));
    let parts = readme.text.split("](").skip(1);
    let links: Vec<String> = parts
        .map(|part| part.split(')').next().unwrap().to_owned())
        .collect();
    assert!(links.len() > 10, "{links:?}");
    for (file, anchor) in internal(&links) {
        assert!(repository().join(file).exists(), "{file}");
        if !anchor.is_empty() {
            let name = html_of(Path::new(file)).unwrap_or_else(|| panic!("{file}#{anchor}"));
            assert!(book.has(&name, anchor), "{file}#{anchor}");
        }
    }
}
