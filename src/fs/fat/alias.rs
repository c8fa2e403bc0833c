//! The short names of directory entries, generated as mtools and the kernel do.

use std::collections::{HashMap, HashSet};

/// Flags for a name in lower case before the dot, and for one in lower case after it. If there are
/// no other differences, no long name is needed (kernel source, `fs/fat/fat.h`, `CASE_LOWER_BASE`).
const LOWER_BASE: u8 = 0x08;
const LOWER_EXTENSION: u8 = 0x10;

/// Characters that a short name replaces with `_`, besides those that no name may contain.
const REPLACED: &[u8] = b"'+,;=[]";

/// A short name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Alias {
    /// Eight bytes and three of extension, each padded with spaces.
    pub name: [u8; 11],
    /// Which parts are lower case.
    pub case: u8,
    /// Whether a long name is needed, too, because the short name does not represent the whole
    /// name.
    pub long: bool,
}

/// Generates the short names of the entries of one directory, in their order.
#[derive(Debug, Default)]
pub(super) struct Aliases {
    /// Aliases in use, and names that are valid short names themselves and so must not be aliases
    /// of other entries.
    taken: HashSet<[u8; 11]>,
    /// For each name without its number, the first number that may be free.
    next: HashMap<([u8; 11], u32), u32>,
}

impl Aliases {
    /// Prepares the short names of a directory that will contain `names`.
    pub fn of<T: AsRef<str>>(names: impl Iterator<Item = T>) -> Aliases {
        let mut aliases = Aliases::default();
        for name in names {
            let short = Short::of(name.as_ref());
            if !short.numbered {
                aliases.taken.insert(short.padded());
            }
        }
        aliases
    }

    /// Returns the alias of the next entry.
    pub fn next(&mut self, name: &str) -> Alias {
        let short = Short::of(name);
        if !short.numbered {
            return Alias {
                name: short.padded(),
                case: if short.mixed { 0 } else { short.case },
                long: short.mixed,
            };
        }
        let (stem, first) = short.stem();
        // A number leaves room for at most this much.
        let stem = &stem[..stem.len().min(6)];
        let key = short.with_base(stem);
        let mut number = *self.next.get(&(key, first)).unwrap_or(&first);
        loop {
            let tail = format!("~{number}");
            let kept = stem.len().min(8usize.saturating_sub(tail.len()));
            let base = [&stem[..kept], tail.as_bytes()].concat();
            let name = short.with_base(&base);
            number += 1;
            if self.taken.insert(name) {
                self.next.insert((key, first), number);
                let (case, long) = (0, true);
                return Alias { name, case, long };
            }
        }
    }
}

/// A name reduced to eight characters and three.
struct Short {
    base: Vec<u8>,
    extension: Vec<u8>,
    /// Characters of the name were dropped or replaced, so that a number has to make it unique.
    numbered: bool,
    /// One of the two parts has both upper and lower case letters.
    mixed: bool,
    case: u8,
}

impl Short {
    fn of(name: &str) -> Short {
        let trimmed = name.trim_start_matches(['.', ' ']);
        let (base, extension) = trimmed.rsplit_once('.').unwrap_or((trimmed, ""));
        let (mut numbered, mut mixed, mut flags) = (trimmed != name, false, 0);
        let mut part = |text: &str, most: usize, flag: u8| {
            let (mut bytes, mut lower, mut upper) = (Vec::new(), false, false);
            numbered |= text.chars().count() > most;
            for c in text.chars().take(most).filter(|c| !matches!(c, ' ' | '.')) {
                let byte = u8::try_from(c).ok().filter(u8::is_ascii_graphic);
                let byte = byte.filter(|byte| !REPLACED.contains(byte));
                numbered |= byte.is_none();
                lower |= c.is_ascii_lowercase();
                upper |= c.is_ascii_uppercase();
                bytes.push(byte.unwrap_or(b'_').to_ascii_uppercase());
            }
            numbered |= text.contains([' ', '.']);
            mixed |= lower && upper;
            flags |= if lower { flag } else { 0 };
            bytes
        };
        let base = part(base, 8, LOWER_BASE);
        let extension = part(extension, 3, LOWER_EXTENSION);
        Short {
            // DOS treats the name of a device as the device, whatever the extension.
            numbered: numbered || is_device(&base),
            base,
            extension,
            mixed,
            case: flags,
        }
    }

    /// Returns the base without any number that it already has, and the first number to try.
    fn stem(&self) -> (&[u8], u32) {
        let digits = self.base.iter().rev();
        let digits = digits.take_while(|byte| byte.is_ascii_digit()).count();
        let (stem, number) = self.base.split_at(self.base.len() - digits);
        let number = match (stem, number) {
            ([.., b'~'], [b'1'..=b'9', ..]) if digits <= 6 => std::str::from_utf8(number).ok(),
            _ => None,
        };
        match number.and_then(|digits| digits.parse().ok()) {
            Some(number) => (&stem[..stem.len() - 1], number),
            None => (&self.base, 1),
        }
    }

    fn padded(&self) -> [u8; 11] {
        self.with_base(&self.base)
    }

    fn with_base(&self, base: &[u8]) -> [u8; 11] {
        let mut name = [b' '; 11];
        name[..base.len()].copy_from_slice(base);
        name[8..8 + self.extension.len()].copy_from_slice(&self.extension);
        name
    }
}

/// Returns whether DOS treats the name, which is in upper case, as a device (Microsoft, "Naming
/// Files, Paths, and Namespaces").
fn is_device(name: &[u8]) -> bool {
    match name {
        b"CON" | b"PRN" | b"AUX" | b"NUL" => true,
        [kind @ .., b'1'..=b'9'] => kind == b"COM" || kind == b"LPT",
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the aliases of `names` with a dot and without padding, followed by marks for case
    /// and long names.
    fn aliases(names: &[&str]) -> Vec<String> {
        let mut aliases = Aliases::of(names.iter().copied());
        let shown = |name: &&str| {
            let alias = aliases.next(name);
            let text = std::str::from_utf8(&alias.name).unwrap();
            let (base, extension) = (text[..8].trim_end(), text[8..].trim_end());
            let marks = ["", " long"][usize::from(alias.long)];
            format!("{base}.{extension} {}{marks}", alias.case)
        };
        names.iter().map(shown).collect()
    }

    #[test]
    fn makes_the_same_aliases_as_mtools() {
        let expected = [
            ("foo.txt", "FOO.TXT 24"),
            ("Foo2.TXT", "FOO2.TXT 0 long"),
            ("EFI", "EFI. 0"),
            ("a.B", "A.B 8"),
            ("con.txt", "CON~1.TXT 0 long"),
            ("AUX", "AUX~1. 0 long"),
            ("com1.x", "COM1~1.X 0 long"),
            ("com0.x", "COM0.X 24"),
            ("~1.text", "~1.TEX 0 long"),
            ("~1234567.text", "~12345~1.TEX 0 long"),
            ("longfi~1.text", "LONGFI~1.TEX 0 long"),
            ("longfi~5.text", "LONGFI~5.TEX 0 long"),
            ("a+b", "A_B~1. 0 long"),
            ("a;b~7", "A_B~7. 0 long"),
            ("foo bar.efi", "FOOBAR~1.EFI 0 long"),
            (".hidden", "HIDDEN~1. 0 long"),
            ("a..b", "A~1.B 0 long"),
            ("ab.cdef", "AB~1.CDE 0 long"),
            ("del\x7fx", "DEL_X~1. 0 long"),
            ("prn.tar.gz", "PRNTAR~1.GZ 0 long"),
            ("a.b.c", "AB~1.C 0 long"),
            ("+", "_~1. 0 long"),
            ("a[1].txt", "A_1_~1.TXT 0 long"),
            ("Größe.txt", "GR__E~1.TXT 0 long"),
            ("🎉", "_~2. 0 long"),
        ];
        let names: Vec<_> = expected.iter().map(|(name, _)| *name).collect();
        let found = aliases(&names);
        for ((name, expected), found) in expected.iter().zip(found) {
            assert_eq!(found, *expected, "{name}");
        }
    }

    #[test]
    fn numbering_continues_when_the_name_gets_shorter() {
        let names: Vec<String> = (1..=12).map(|n| format!("samename{n}.x")).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let found = aliases(&names);
        assert_eq!(found[8], "SAMENA~9.X 0 long");
        assert_eq!(found[9], "SAMEN~10.X 0 long");
        assert_eq!(found[11], "SAMEN~12.X 0 long");
    }

    #[test]
    fn an_alias_never_equals_the_name_of_another_file() {
        let names = [
            "longfi~3.txt",
            "longfilename.txt",
            "longfi~1.txt",
            "Longfi~2.Txt",
        ];
        assert_eq!(
            aliases(&names),
            [
                "LONGFI~3.TXT 24",
                "LONGFI~4.TXT 0 long",
                "LONGFI~1.TXT 24",
                "LONGFI~2.TXT 0 long"
            ]
        );
    }
}
