//! What a FAT file system can't hold.

use std::collections::BTreeMap;

use super::LARGEST_FILE;
use crate::escape;
use crate::tree::{Kind, Tree};

/// Longest name in UTF-16 units.
const LONGEST_NAME: usize = 255;

/// Most entries of a directory, each name counted once: it has at most 2 MiB.
pub(super) const MOST_ENTRIES: usize = 65_536;

/// Everything in `tree` that can't be stored, a line each: its path (escaped) and the reason.
pub(super) fn problems(tree: &Tree) -> Vec<String> {
    let mut problems = Vec::new();
    let mut folded: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    tree.walk(|path, id| {
        let mut complain =
            |reason: String| problems.push(format!("  /{}: {reason}", escape::bytes(path)));
        match &tree.inode(id).kind {
            Kind::Directory(directory) if directory.len() > MOST_ENTRIES => complain(too_full()),
            Kind::Directory(_) => {}
            Kind::File(content) if content.size > LARGEST_FILE => complain(format!(
                "it has {} bytes, and a file at most {LARGEST_FILE}",
                content.size
            )),
            Kind::File(_) => {}
            Kind::Symlink(target) => complain(format!(
                "a symbolic link (to {}), and FAT has none",
                escape::bytes(target)
            )),
            _ => complain("a special file, and FAT has none".to_owned()),
        }
        let name = path.rsplit(|&b| b == b'/').next().unwrap_or(path);
        if let Err(reason) = check(name) {
            complain(reason);
        }
        if let Some(other) = folded.insert(fold(path), path.to_owned()) {
            complain(format!(
                "the same name as /{} but for upper and lower case, which FAT does not tell apart",
                escape::bytes(&other)
            ));
        }
    });
    problems
}

/// Why a directory can't be stored.
pub(super) fn too_full() -> String {
    format!(
        "its names take more than {MOST_ENTRIES} directory entries, and a directory has no more"
    )
}

/// `path` in capitals, one character for one, and as it is where it is not UTF-8.
fn fold(path: &[u8]) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(path) else {
        return path.to_ascii_uppercase();
    };
    let capital = |c: char| {
        let mut capitals = c.to_uppercase();
        match (capitals.next(), capitals.next()) {
            (Some(capital), None) => capital,
            _ => c,
        }
    };
    text.chars().map(capital).collect::<String>().into_bytes()
}

/// Why `name` can't be used.
fn check(name: &[u8]) -> Result<(), String> {
    // Microsoft FAT specification, "Long Name Implementation".
    const FORBIDDEN: &[u8] = b"\"*/:<>?\\|";
    let Ok(text) = std::str::from_utf8(name) else {
        return Err("the name is not UTF-8, and FAT has names of Unicode characters".to_owned());
    };
    if let Some(&byte) = name.iter().find(|b| FORBIDDEN.contains(b)) {
        return Err(format!("FAT has no {:?} in names", char::from(byte)));
    }
    if name.iter().any(|&byte| byte < b' ') {
        return Err("FAT has no control characters in names".to_owned());
    }
    if text.ends_with(['.', ' ']) {
        return Err("FAT drops a dot or blank at the end of a name".to_owned());
    }
    let units = text.encode_utf16().count();
    if units > LONGEST_NAME {
        return Err(format!(
            "the name has {units} UTF-16 units, and FAT at most {LONGEST_NAME}"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Content, Inode, InodeId, Metadata};

    fn node(kind: Kind) -> Inode {
        Inode {
            metadata: Metadata::new(0o644),
            kind,
        }
    }

    #[test]
    fn everything_that_does_not_fit_is_listed() {
        let mut tree = Tree::new(Metadata::new(0o755));
        let mut add = |name: &[u8], kind| {
            tree.insert(InodeId::ROOT, name, node(kind)).unwrap();
        };
        let file = || Kind::File(Content::bytes(Vec::new()));
        let longest = "🎉".repeat(127) + "n";
        for name in [
            "EFI",
            "loader.conf",
            "a b+c,d;e=f~1",
            ".hidden",
            "console",
            "Con",
            "lpt1",
            "e[1]",
            "Größe.txt",
            "\u{7f}",
            "\u{ffff}",
            "ß",
            "ss",
            &longest,
        ] {
            add(name.as_bytes(), file());
        }
        for name in [
            &b"a:b"[..],
            b"b?",
            b"c\n",
            b"d\xc3",
            "dé".as_bytes(),
            "DÉ".as_bytes(),
            b"f.",
            b"g ",
            b"efi",
        ] {
            add(name, file());
        }
        add(format!("{longest}n").as_bytes(), file());
        add(b"s", Kind::Symlink((*b"/x\x1b").into()));
        add(b"t", Kind::Fifo);
        let mut large = Content::bytes(Vec::new());
        large.size = 1 << 32;
        add(b"u", Kind::File(large));
        let mut found = problems(&tree);
        found.sort();
        let mut expected = vec![
            "  /a:b: FAT has no ':' in names".to_owned(),
            "  /b?: FAT has no '?' in names".to_owned(),
            "  /c\\n: FAT has no control characters in names".to_owned(),
            "  /d\\xc3: the name is not UTF-8, and FAT has names of Unicode characters".to_owned(),
            "  /dé: the same name as /DÉ but for upper and lower case, which FAT does not tell \
             apart"
                .to_owned(),
            "  /efi: the same name as /EFI but for upper and lower case, which FAT does not tell \
             apart"
                .to_owned(),
            "  /f.: FAT drops a dot or blank at the end of a name".to_owned(),
            "  /g : FAT drops a dot or blank at the end of a name".to_owned(),
            format!("  /{longest}n: the name has 256 UTF-16 units, and FAT at most 255"),
            "  /s: a symbolic link (to /x\\u{1b}), and FAT has none".to_owned(),
            "  /t: a special file, and FAT has none".to_owned(),
            "  /u: it has 4294967296 bytes, and a file at most 4294967295".to_owned(),
        ];
        expected.sort();
        assert_eq!(found, expected);
    }
}
