//! rsync's `--chmod`.
//!
//! The syntax is that of rsync(1). Where the manual page is silent, it follows the program;
//! `tests/library/chmod.rs` compares the two. There are three differences from chmod(1): `u=rw`
//! keeps the special bits, a clause has one operator, and `+s` and `o+s` set the set-user-ID bit.
//!
//! The reference is rsync 3.5, the version in nixpkgs. Earlier versions differ in three ways: `a+s`
//! sets only the set-user-ID bit, `a=t` keeps both bits and `a=s` the set-group-ID bit, and `g=u`
//! is rejected (see the NEWS of 3.5.0 and the history of `chmod.c`). The rsync version of the
//! caller's nixpkgs does not matter: the mode of a file depends only on the attributes.

/// The umask for clauses without u, g, o or a (`+w`). Nix builds with this umask, so rsync has it
/// in nixpkgs' builder. The umask of this process is not used.
const UMASK: u16 = 0o022;

const SET_USER_ID: u16 = 0o4000;
const SET_GROUP_ID: u16 = 0o2000;
const STICKY: u16 = 0o1000;

/// Changes to modes in the notation of `rsync --chmod` and `chmod(1)`: `755`, `D755,F644`,
/// `u+rwX,go-w`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chmod {
    clauses: Vec<Clause>,
}

/// The text between two commas.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Clause {
    only: Only,
    change: Change,
}

/// The kind of files that a clause applies to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Only {
    Everything,
    Directories,
    Files,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Change {
    /// Set the mode.
    Octal(u16),
    /// Clear the bits `clear`, then set the bits `set`.
    Bits {
        clear: u16,
        set: u16,
        /// Set execute bits only for directories and files that were already executable (`X`).
        conditional_execute: bool,
    },
    /// Use the permissions of another class (`g=u`).
    Copy {
        operator: Operator,
        from: Class,
        /// The permission bits that it may change.
        mask: u16,
        /// The bits that `=` clears first.
        special: u16,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Add,
    Remove,
    Assign,
}

/// A class of users; the value is the position of their three bits in the mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    User = 6,
    Group = 3,
    Others = 0,
}

impl Chmod {
    /// Parses an argument of `rsync --chmod`.
    ///
    /// # Errors
    /// If rsync would reject the argument. The message has the invalid clause and the valid syntax.
    pub fn parse(text: &str) -> Result<Chmod, String> {
        let clauses = text.split(',').map(|clause| {
            parse_clause(clause).map_err(|reason| {
                let shown = crate::escape::short(clause.as_bytes());
                format!("\"{shown}\": {reason}")
            })
        });
        Ok(Chmod {
            clauses: clauses.collect::<Result<_, _>>()?,
        })
    }

    /// Applies the changes to `mode` (0 to 0o7777). Do not call this for symbolic links, which keep
    /// their mode.
    pub fn apply(&self, mode: u16, is_directory: bool) -> u16 {
        let execute = is_directory || mode & 0o111 != 0;
        self.clauses
            .iter()
            .filter(|clause| match clause.only {
                Only::Everything => true,
                Only::Directories => is_directory,
                Only::Files => !is_directory,
            })
            .fold(mode & 0o7777, |mode, clause| {
                clause.change.apply(mode, execute)
            })
    }
}

impl Change {
    fn apply(&self, mode: u16, execute: bool) -> u16 {
        match *self {
            Change::Octal(new) => new,
            Change::Bits {
                clear,
                set,
                conditional_execute,
            } => {
                let withheld = if conditional_execute && !execute {
                    0o111
                } else {
                    0
                };
                mode & !clear | set & !withheld
            }
            Change::Copy {
                operator,
                from,
                mask,
                special,
            } => {
                // The discriminant is a shift of 0, 3 or 6.
                let bits = every_class(mode >> from as u16 & 7) & mask;
                match operator {
                    Operator::Add => mode | bits,
                    Operator::Remove => mode & !bits,
                    Operator::Assign => bits | mode & !special,
                }
            }
        }
    }
}

/// Repeats three permission bits for user, group and others.
fn every_class(permissions: u16) -> u16 {
    permissions * 0o111
}

fn parse_clause(text: &str) -> Result<Clause, String> {
    const OPERATORS: [char; 3] = ['+', '-', '='];
    let octal = |c: char| ('0'..='7').contains(&c);
    let Some(middle) = text.find(|c| OPERATORS.contains(&c) || octal(c)) else {
        return Err(
            "use an octal mode such as 0755, or [DFugoa], one of + - =, and [rwxXst], \
             as in D755,F644 or u+rwX,go-w"
                .to_owned(),
        );
    };
    let (who, rest) = text.split_at(middle);
    let who = Who::parse(who)?;
    if rest.starts_with(octal) {
        return parse_octal(who, rest);
    }
    let operator = match &rest[..1] {
        "+" => Operator::Add,
        "-" => Operator::Remove,
        _ => Operator::Assign,
    };
    Ok(Clause {
        only: who.only,
        change: parse_permissions(&who, operator, &rest[1..])?,
    })
}

fn parse_octal(who: Who, digits: &str) -> Result<Clause, String> {
    if who.classes != 0 {
        return Err("an octal mode can follow only D or F, not u, g, o or a".to_owned());
    }
    // from_str_radix alone would accept a sign. Leading zeros are allowed.
    match u16::from_str_radix(digits, 8) {
        Ok(mode) if mode <= 0o7777 => Ok(Clause {
            only: who.only,
            change: Change::Octal(mode),
        }),
        _ => Err("an octal mode has digits 0 to 7 and is at most 7777".to_owned()),
    }
}

/// The part of a clause before the operator.
struct Who {
    only: Only,
    /// The permission bits of the named classes; 0 if there are none.
    classes: u16,
    /// The special bits that `s` stands for with these classes.
    set_id: u16,
    /// All special bits of these classes.
    special: u16,
}

impl Who {
    fn parse(text: &str) -> Result<Who, String> {
        let mut who = Who {
            only: Only::Everything,
            classes: 0,
            set_id: 0,
            special: 0,
        };
        for c in text.chars() {
            let (classes, special) = match c {
                'D' if who.only != Only::Files => {
                    who.only = Only::Directories;
                    continue;
                }
                'F' if who.only != Only::Directories => {
                    who.only = Only::Files;
                    continue;
                }
                'D' | 'F' => {
                    return Err("D and F cannot be combined; write two clauses".to_owned());
                }
                'u' => (0o700, SET_USER_ID),
                'g' => (0o070, SET_GROUP_ID),
                'o' => (0o007, STICKY),
                'a' => (0o777, SET_USER_ID | SET_GROUP_ID | STICKY),
                _ => {
                    return Err(
                        "only D, F, u, g, o and a may precede an octal mode or + - =".to_owned(),
                    );
                }
            };
            who.classes |= classes;
            who.special |= special;
            who.set_id |= special & !STICKY;
        }
        Ok(who)
    }
}

fn parse_permissions(who: &Who, operator: Operator, text: &str) -> Result<Change, String> {
    let touched = match who.classes {
        0 => 0o777,
        classes => classes,
    };
    let mask = match who.classes {
        0 => 0o777 & !UMASK,
        classes => classes,
    };
    let from = match text {
        "u" => Some(Class::User),
        "g" => Some(Class::Group),
        "o" => Some(Class::Others),
        _ => None,
    };
    if let Some(from) = from {
        let special = match who.classes {
            0 => SET_USER_ID | SET_GROUP_ID | STICKY,
            _ => who.special,
        };
        return Ok(Change::Copy {
            operator,
            from,
            mask,
            special: touched | special,
        });
    }
    let mut permissions = 0;
    let mut special = 0;
    let mut conditional_execute = false;
    for c in text.chars() {
        match c {
            'r' => permissions |= 4,
            'w' => permissions |= 2,
            'x' => permissions |= 1,
            'X' => {
                permissions |= 1;
                conditional_execute = true;
            }
            // Like rsync, this drops an earlier t.
            's' if who.set_id == 0 => special = SET_USER_ID,
            's' => special |= who.set_id,
            't' => special |= STICKY,
            _ => {
                return Err(
                    "only r, w, x, X, s and t, or one of u, g and o, may follow + - =; \
                     separate clauses with commas"
                        .to_owned(),
                );
            }
        }
    }
    let bits = every_class(permissions) & mask | special;
    let (clear, set) = match operator {
        Operator::Add => (0, bits),
        Operator::Remove => (bits, 0),
        // The special bits are kept unless the clause names one.
        Operator::Assign if special == 0 => (touched, bits),
        Operator::Assign => (touched | who.set_id, bits),
    };
    Ok(Change::Bits {
        clear,
        set,
        conditional_execute,
    })
}

#[cfg(test)]
mod tests {
    use super::Chmod;

    #[test]
    fn changes_modes_like_rsync() {
        // Text, mode before, as a file, as a directory.
        for (text, before, file, directory) in [
            ("755", 0o600, 0o755, 0o755),
            ("D755,F644", 0o700, 0o644, 0o755),
            ("u+rwX,go-w", 0o466, 0o644, 0o744),
            ("u+rwX,go-w", 0o577, 0o755, 0o755),
            ("a=r", 0o4755, 0o4444, 0o4444),
            ("ug=rwx,o=", 0o644, 0o770, 0o770),
            ("+w", 0o444, 0o644, 0o644),
            ("=w", 0o4751, 0o4200, 0o4200),
            ("u=t", 0o7777, 0o3077, 0o3077),
            ("+ts", 0o700, 0o4700, 0o4700),
            ("a+s", 0o700, 0o6700, 0o6700),
            ("u+x,+X", 0o600, 0o700, 0o711),
            ("g=u", 0o2711, 0o771, 0o771),
            ("Dg=u", 0o751, 0o751, 0o771),
        ] {
            let chmod = Chmod::parse(text).unwrap();
            assert_eq!(chmod.apply(before, false), file, "{text} on a file");
            assert_eq!(
                chmod.apply(before, true),
                directory,
                "{text} on a directory"
            );
        }
    }

    #[test]
    fn rejects_what_rsync_rejects_with_a_reason() {
        for (text, message) in [
            ("", "\"\": use an octal mode"),
            ("755,", "\"\": use an octal mode"),
            ("u", "\"u\": use an octal mode"),
            ("8", "\"8\": use an octal mode"),
            ("rwxr-xr-x", "\"rwxr-xr-x\": only D, F, u, g, o and a"),
            ("758", "\"758\": an octal mode has digits 0 to 7"),
            ("17777", "\"17777\": an octal mode has digits 0 to 7"),
            ("u755", "\"u755\": an octal mode can follow only D or F"),
            ("DF+x", "\"DF+x\": D and F cannot be combined"),
            ("u+r-w", "\"u+r-w\": only r, w, x, X, s and t"),
            ("u=gr", "\"u=gr\": only r, w, x, X, s and t"),
            ("é+x", "\"é+x\": only D, F, u, g, o and a"),
            ("\x1b+x", "\"\\u{1b}+x\": only D, F, u, g, o and a"),
        ] {
            let error = Chmod::parse(text).unwrap_err();
            assert!(error.starts_with(message), "{text:?} gives {error}");
        }
    }
}
