//! README and manual: every command and every piece of Nix code in them works, every link leads
//! somewhere, what they list is complete, and what README claims is so.

mod arguments;
mod book;
mod claims;
mod commands;
mod figures;
mod module;
mod nix_code;

use std::fs;
use std::path::PathBuf;

use crate::common::{read_from_repository, repository};

/// A page: README.md or one of docs.
struct Page {
    /// Relative to the repository.
    path: PathBuf,
    text: String,
}

/// A block of code in a page.
struct Block {
    /// The page and the line, for messages.
    place: String,
    /// What follows the opening fence: the language and how it is tested.
    kind: String,
    text: String,
}

/// All pages.
fn pages() -> Vec<Page> {
    let mut paths = vec![PathBuf::from("README.md")];
    for entry in fs::read_dir(repository().join("docs")).unwrap() {
        let path = PathBuf::from("docs").join(entry.unwrap().file_name());
        if path.extension().is_some_and(|extension| extension == "md") {
            paths.push(path);
        }
    }
    paths.sort();
    assert!(paths.len() > 15, "{paths:?}");
    let read = |path: PathBuf| Page {
        text: read_from_repository(&path),
        path,
    };
    paths.into_iter().map(read).collect()
}

/// All blocks of code.
fn blocks() -> Vec<Block> {
    pages().iter().flat_map(blocks_of).collect()
}

fn blocks_of(page: &Page) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut inside = false;
    for (index, line) in page.text.lines().enumerate() {
        match (line.strip_prefix("```"), inside) {
            (Some(kind), false) => {
                blocks.push(Block {
                    place: format!("{}:{}", page.path.display(), index + 1),
                    kind: kind.to_owned(),
                    text: String::new(),
                });
                inside = true;
            }
            (Some(_), true) => inside = false,
            (None, true) => {
                let block = blocks.last_mut().unwrap();
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, false) => {}
        }
    }
    assert!(!inside, "{}: a block does not end", page.path.display());
    blocks
}

/// The blocks of one kind, of which there must be some.
fn blocks_of_kind(kind: &str) -> Vec<Block> {
    let mut found = blocks();
    found.retain(|block| block.kind == kind);
    assert!(!found.is_empty(), "no {kind}");
    found
}

/// A block of a kind that no test knows would not be tested.
#[test]
fn every_block_says_how_it_is_tested() {
    const KINDS: [&str; 11] = [
        "nix,arguments",
        "nix,expression",
        "nix,flake",
        "nix,module",
        "nix,syntax",
        "sh,hardware",
        "sh,make",
        "sh,nixpkgs",
        "sh,run",
        "text",
        "yaml",
    ];
    for block in blocks() {
        assert!(
            KINDS.contains(&block.kind.as_str()),
            "{}: \"{}\"",
            block.place,
            block.kind
        );
    }
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
