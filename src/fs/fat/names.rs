//! What a FAT file system can't hold, or mtools can't put there.

use std::collections::BTreeMap;

use super::LARGEST_FILE;
use crate::escape;
use crate::tree::{Kind, Tree};

/// Longest name in UTF-16 units, which for ASCII are bytes.
const LONGEST_NAME: usize = 255;

/// Everything in `tree` that can't be stored, a line each: its path (escaped) and the reason.
pub(super) fn problems(tree: &Tree) -> Vec<String> {
    let mut problems = Vec::new();
    let mut folded: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    tree.walk(|path, id| {
        let mut complain =
            |reason: String| problems.push(format!("  /{}: {reason}", escape::bytes(path)));
        match &tree.inode(id).kind {
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
        if let Some(reason) = unfit(name) {
            complain(reason);
        }
        if let Some(other) = folded.insert(path.to_ascii_lowercase(), path.to_owned()) {
            complain(format!(
                "the same name as /{} but for upper and lower case, which FAT does not tell apart",
                escape::bytes(&other)
            ));
        }
    });
    problems
}

/// Why `name` can't be used.
fn unfit(name: &[u8]) -> Option<String> {
    // Microsoft FAT specification, "Long Name Implementation".
    const FORBIDDEN: &[u8] = b"\"*/:<>?\\|";
    if let Some(&byte) = name.iter().find(|b| FORBIDDEN.contains(b)) {
        return Some(format!("FAT has no {:?} in names", char::from(byte)));
    }
    if name.iter().any(u8::is_ascii_control) {
        return Some("FAT has no control characters in names".to_owned());
    }
    if !name.is_ascii() {
        return Some("names on a boot partition must be ASCII".to_owned());
    }
    if name.contains(&b'[') {
        return Some("mtools takes a '[' for a pattern".to_owned());
    }
    if matches!(name.last(), Some(b'.' | b' ')) {
        return Some("FAT drops a dot or blank at the end of a name".to_owned());
    }
    if name.len() > LONGEST_NAME {
        return Some(format!(
            "the name has {} characters, and FAT at most {LONGEST_NAME}",
            name.len()
        ));
    }
    if is_device(name) {
        return Some("the name of a DOS device, which mtools does not make".to_owned());
    }
    None
}

fn is_device(name: &[u8]) -> bool {
    let name = name.to_ascii_uppercase();
    match &name[..] {
        b"CON" | b"PRN" | b"AUX" | b"NUL" | b"CLOCK$" => true,
        [kind @ .., digit] => (kind == b"COM" || kind == b"LPT") && digit.is_ascii_digit(),
        [] => false,
    }
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
        for name in [
            &b"EFI"[..],
            b"loader.conf",
            b"a b+c,d;e=f~1",
            b".hidden",
            b"console",
        ] {
            add(name, file());
        }
        for name in [
            &b"a:b"[..],
            b"b?",
            b"c\n",
            b"d\xc3\xa9",
            b"e[1]",
            b"f.",
            b"g ",
            b"Con",
            b"lpt1",
            b"efi",
        ] {
            add(name, file());
        }
        add(&[b'n'; 256], file());
        add(b"s", Kind::Symlink((*b"/x\x1b").into()));
        add(b"t", Kind::Fifo);
        let mut large = Content::bytes(Vec::new());
        large.size = 1 << 32;
        add(b"u", Kind::File(large));
        let mut found = problems(&tree);
        found.sort();
        let mut expected = vec![
            "  /Con: the name of a DOS device, which mtools does not make".to_owned(),
            "  /a:b: FAT has no ':' in names".to_owned(),
            "  /b?: FAT has no '?' in names".to_owned(),
            "  /c\\n: FAT has no control characters in names".to_owned(),
            "  /dé: names on a boot partition must be ASCII".to_owned(),
            "  /e[1]: mtools takes a '[' for a pattern".to_owned(),
            "  /efi: the same name as /EFI but for upper and lower case, which FAT does not tell \
             apart"
                .to_owned(),
            "  /f.: FAT drops a dot or blank at the end of a name".to_owned(),
            "  /g : FAT drops a dot or blank at the end of a name".to_owned(),
            "  /lpt1: the name of a DOS device, which mtools does not make".to_owned(),
            format!(
                "  /{}: the name has 256 characters, and FAT at most 255",
                "n".repeat(256)
            ),
            "  /s: a symbolic link (to /x\\u{1b}), and FAT has none".to_owned(),
            "  /t: a special file, and FAT has none".to_owned(),
            "  /u: it has 4294967296 bytes, and a file at most 4294967295".to_owned(),
        ];
        expected.sort();
        assert_eq!(found, expected);
    }
}
