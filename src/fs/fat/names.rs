//! Entries that a FAT file system can't store.

use std::collections::BTreeMap;

use super::LARGEST_FILE;
use crate::escape;
use crate::tree::{Kind, Tree};

/// Length of the longest name in UTF-16 units.
const LONGEST_NAME: usize = 255;

/// Maximum number of 32-byte entries in a directory, which has at most 2 MiB.
pub(super) const MAX_ENTRIES: usize = 65_536;

/// Returns a line for each entry of `tree` that can't be stored, with its path (escaped) and the
/// reason.
pub(super) fn problems(tree: &Tree) -> Vec<String> {
    let mut problems = Vec::new();
    let mut folded: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    tree.walk(|path, id| {
        let mut report =
            |reason: String| problems.push(format!("  /{}: {reason}", escape::bytes(path)));
        match &tree.inode(id).kind {
            Kind::Directory(directory) if directory.len() > MAX_ENTRIES => report(too_full()),
            Kind::Directory(_) => {}
            Kind::File(content) if content.size > LARGEST_FILE => report(format!(
                "the file has {} bytes; FAT's limit is {LARGEST_FILE}",
                content.size
            )),
            Kind::File(_) => {}
            Kind::Symlink(target) => report(format!(
                "FAT does not support symbolic links (target: {})",
                escape::bytes(target)
            )),
            _ => report("FAT does not support special files".to_owned()),
        }
        let name = path.rsplit(|&b| b == b'/').next().unwrap_or(path);
        if let Err(reason) = check(name) {
            report(reason);
        }
        if let Some(other) = folded.insert(fold(path), path.to_owned()) {
            report(format!(
                "differs only in case from /{}; FAT names are case-insensitive",
                escape::bytes(&other)
            ));
        }
    });
    problems
}

/// The reason why a directory with too many entries can't be stored.
pub(super) fn too_full() -> String {
    format!("its names need more than {MAX_ENTRIES} directory entries, which is FAT's limit")
}

/// Converts `path` to upper case, each character to a single character. If it is not UTF-8, only
/// ASCII letters are converted.
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

/// Checks that FAT can store `name`; otherwise returns the reason.
fn check(name: &[u8]) -> Result<(), String> {
    // Microsoft FAT specification, "Long Name Implementation".
    const FORBIDDEN: &[u8] = b"\"*/:<>?\\|";
    let Ok(text) = std::str::from_utf8(name) else {
        return Err("the name is not UTF-8; FAT names are Unicode".to_owned());
    };
    if let Some(&byte) = name.iter().find(|b| FORBIDDEN.contains(b)) {
        return Err(format!(
            "FAT does not allow {:?} in names",
            char::from(byte)
        ));
    }
    if name.iter().any(|&byte| byte < b' ') {
        return Err("FAT does not allow control characters in names".to_owned());
    }
    if text.ends_with(['.', ' ']) {
        return Err("FAT drops a dot or space at the end of a name".to_owned());
    }
    let units = text.encode_utf16().count();
    if units > LONGEST_NAME {
        return Err(format!(
            "the name has {units} UTF-16 units; FAT's limit is {LONGEST_NAME}"
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
    fn reports_everything_that_fat_cannot_store() {
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
            "  /a:b: FAT does not allow ':' in names".to_owned(),
            "  /b?: FAT does not allow '?' in names".to_owned(),
            "  /c\\n: FAT does not allow control characters in names".to_owned(),
            "  /d\\xc3: the name is not UTF-8; FAT names are Unicode".to_owned(),
            "  /dé: differs only in case from /DÉ; FAT names are case-insensitive".to_owned(),
            "  /efi: differs only in case from /EFI; FAT names are case-insensitive".to_owned(),
            "  /f.: FAT drops a dot or space at the end of a name".to_owned(),
            "  /g : FAT drops a dot or space at the end of a name".to_owned(),
            format!("  /{longest}n: the name has 256 UTF-16 units; FAT's limit is 255"),
            "  /s: FAT does not support symbolic links (target: /x\\u{1b})".to_owned(),
            "  /t: FAT does not support special files".to_owned(),
            "  /u: the file has 4294967296 bytes; FAT's limit is 4294967295".to_owned(),
        ];
        expected.sort();
        assert_eq!(found, expected);
    }
}
