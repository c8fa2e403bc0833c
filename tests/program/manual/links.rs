//! Links and the table of contents.

use std::collections::BTreeSet;
use std::path::Path;

use regex::Regex;

use super::{Page, pages};
use crate::common::repository;

/// The anchors of a page's headings, as GitHub and mdBook make them.
fn anchors(page: &str) -> BTreeSet<String> {
    let headings = page.lines().filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| {
        let text = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = text
            .chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}

/// The targets of all links in a page, except those to other hosts.
fn targets(page: &Page) -> Vec<String> {
    let link = Regex::new(r"\]\(([^)\s]+)\)").unwrap();
    let targets = link
        .captures_iter(&page.text)
        .map(|found| found[1].to_owned());
    targets.filter(|target| !target.contains("://")).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut count = 0;
    for page in pages() {
        for target in targets(&page) {
            let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let directory = page.path.parent().unwrap_or(Path::new(""));
            let path = match file {
                "" => page.path.clone(),
                file => directory.join(file),
            };
            let place = format!("{}: {target}", page.path.display());
            let path = repository().join(path);
            assert!(path.exists(), "{place}");
            if !anchor.is_empty() {
                let text = std::fs::read_to_string(&path).unwrap();
                assert!(anchors(&text).contains(anchor), "{place}");
            }
            count += 1;
        }
    }
    assert!(count > 60, "only {count} links");
}

/// mdBook shows only what the summary lists.
#[test]
fn the_summary_lists_every_page() {
    let pages = pages();
    let summary = pages.iter().find(|page| page.path.ends_with("SUMMARY.md"));
    let listed: BTreeSet<String> = targets(summary.unwrap()).into_iter().collect();
    let below = pages
        .iter()
        .filter_map(|page| page.path.strip_prefix("docs").ok());
    let names = below.map(|path| path.display().to_string());
    let present: BTreeSet<String> = names.filter(|name| name != "SUMMARY.md").collect();
    assert_eq!(listed, present);
    let book = std::fs::read_to_string(repository().join("book.toml")).unwrap();
    assert!(book.contains("src = \"docs\""));
}

/// As a formatter leaves them.
#[test]
fn pages_have_one_title_and_no_trailing_blanks() {
    for page in pages() {
        let place = page.path.display();
        assert!(page.text.starts_with("# "), "{place}");
        let blank = page.text.lines().find(|line| line.ends_with(' '));
        assert_eq!(blank, None, "{place}");
        assert!(page.text.ends_with('\n'), "{place}");
    }
}
