//! Codes of errors: a short name for each kind, which docs/errors.md explains.
//!
//! A function that knows what kind of error it returns adds the code with [`WithCode::code`] or
//! [`Code::error`]. The code is no part of the message; `command` prints it once, in front. Errors
//! with a type of their own have a code by their type (`command/diagnosis.rs`).

use std::fmt;

use anyhow::Error;

/// The kind of an error. The names are stable: they are never given to another kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// An argument of the function has a wrong value.
    Argument,
    /// The attributes were not written by the function of this version.
    Attributes,
    /// The installer wrote boot code where the image has no room for it.
    BootCode,
    /// `bootSize` is too small.
    BootSize,
    /// A file changed while the image was built.
    ChangedFile,
    /// A path of the closure is missing or its registration is damaged.
    Closure,
    /// An entry of `contents`, or `configFile`.
    Contents,
    /// The disk is too small or too large.
    DiskSize,
    /// A file could not be read or written.
    File,
    /// A file system cannot store something.
    FileSystem,
    /// The guest, or a program in it, failed.
    Guest,
    /// No machine can run the guest.
    GuestMachine,
    /// The guest has too little memory.
    GuestMemory,
    /// The guest sent a report that was refused.
    GuestReport,
    /// The guest took too long.
    GuestTime,
    /// An image cannot be described.
    Image,
    /// The system could not be installed.
    Install,
    /// Anything else: an error in this program.
    Internal,
    /// A file that an argument names does not exist.
    MissingFile,
    /// A file system or a quota is full.
    NoSpace,
    /// The output already exists.
    OutputExists,
    /// An attribute was overridden that has no effect.
    Override,
    /// The input of `plan` describes no image.
    PlanInput,
    /// `postVM` failed.
    PostVm,
    /// A file is larger than a limit.
    SizeLimit,
    /// A signal terminated the build.
    Terminated,
    /// A program failed or could not be started.
    Tool,
    /// The image could not be written.
    Write,
}

impl Code {
    /// All codes, sorted by name.
    pub const ALL: [Code; 28] = [
        Code::Argument,
        Code::Attributes,
        Code::BootCode,
        Code::BootSize,
        Code::ChangedFile,
        Code::Closure,
        Code::Contents,
        Code::DiskSize,
        Code::File,
        Code::FileSystem,
        Code::Guest,
        Code::GuestMachine,
        Code::GuestMemory,
        Code::GuestReport,
        Code::GuestTime,
        Code::Image,
        Code::Install,
        Code::Internal,
        Code::MissingFile,
        Code::NoSpace,
        Code::OutputExists,
        Code::Override,
        Code::PlanInput,
        Code::PostVm,
        Code::SizeLimit,
        Code::Terminated,
        Code::Tool,
        Code::Write,
    ];

    /// Returns its name.
    pub fn name(self) -> &'static str {
        match self {
            Code::Argument => "argument",
            Code::Attributes => "attributes",
            Code::BootCode => "boot-code",
            Code::BootSize => "boot-size",
            Code::ChangedFile => "changed-file",
            Code::Closure => "closure",
            Code::Contents => "contents",
            Code::DiskSize => "disk-size",
            Code::File => "file",
            Code::FileSystem => "file-system",
            Code::Guest => "guest",
            Code::GuestMachine => "guest-machine",
            Code::GuestMemory => "guest-memory",
            Code::GuestReport => "guest-report",
            Code::GuestTime => "guest-time",
            Code::Image => "image",
            Code::Install => "install",
            Code::Internal => "internal",
            Code::MissingFile => "missing-file",
            Code::NoSpace => "no-space",
            Code::OutputExists => "output-exists",
            Code::Override => "override",
            Code::PlanInput => "plan-input",
            Code::PostVm => "post-vm",
            Code::SizeLimit => "size-limit",
            Code::Terminated => "terminated",
            Code::Tool => "tool",
            Code::Write => "write",
        }
    }

    /// Returns whether an error may have a more specific code below this one in its chain of causes.
    pub(crate) fn is_general(self) -> bool {
        matches!(self, Code::Tool | Code::Write | Code::Guest)
    }

    /// Returns an error with this code.
    pub(crate) fn error(self, message: impl fmt::Display) -> Error {
        self.of(Error::msg(message.to_string()))
    }

    /// Returns `error` with this code, or with its own if that is more specific.
    pub(crate) fn of(self, error: Error) -> Error {
        // It is not one of the causes of the result, whose message is the same.
        let top = error.chain().next();
        let own = top.and_then(|top| Some(top.downcast_ref::<Coded>()?.code));
        let code = match own {
            Some(own) if self.is_general() && !own.is_general() => own,
            _ => self,
        };
        Error::new(Coded { code, error })
    }

    /// Returns the code that was added to `error`, if there is one: the outermost one that is not
    /// general, or else the outermost one.
    pub(crate) fn added_to(error: &Error) -> Option<Code> {
        let mut general = None;
        for cause in error.chain() {
            match cause.downcast_ref::<Coded>() {
                Some(coded) if !coded.code.is_general() => return Some(coded.code),
                Some(coded) => general = general.or(Some(coded.code)),
                None => {}
            }
        }
        general
    }
}

/// Adds codes to errors.
pub(crate) trait WithCode<T> {
    /// Adds `code` to the error.
    ///
    /// # Errors
    /// The error, with its code.
    fn code(self, code: Code) -> anyhow::Result<T>;
}

impl<T, E: Into<Error>> WithCode<T> for Result<T, E> {
    fn code(self, code: Code) -> anyhow::Result<T> {
        self.map_err(|error| code.of(error.into()))
    }
}

/// An error with a code. Its message and its causes are those of the error.
#[derive(Debug)]
struct Coded {
    code: Code,
    error: Error,
}

impl fmt::Display for Coded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.error)
    }
}

impl std::error::Error for Coded {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use anyhow::Context as _;

    use super::*;

    const ROOT: &str = env!("CARGO_MANIFEST_DIR");

    /// The text of all files with this extension below a directory of the repository.
    fn texts(directory: &str, extension: &str) -> Vec<(String, String)> {
        walkdir::WalkDir::new(Path::new(ROOT).join(directory))
            .into_iter()
            .map(|entry| entry.unwrap().into_path())
            .filter(|path| path.extension().is_some_and(|found| found == extension))
            .map(|path| {
                let text = fs::read_to_string(&path).unwrap();
                (path.display().to_string(), text)
            })
            .collect()
    }

    #[test]
    fn codes_are_part_of_the_error_but_not_of_its_message() {
        let inner = Code::DiskSize.error("too small");
        let outer = Err::<(), _>(inner).context("planning").code(Code::Write);
        let error = outer.context("building").unwrap_err();
        assert_eq!(format!("{error:#}"), "building: planning: too small");
        assert_eq!(Code::added_to(&error), Some(Code::DiskSize));
        let general = Code::Write.of(Code::Tool.error("failed"));
        assert_eq!(Code::added_to(&general), Some(Code::Write));
        let specific = Code::Guest.of(Code::GuestTime.error("late"));
        assert_eq!(Code::added_to(&specific), Some(Code::GuestTime));
        assert_eq!(format!("{specific:#}"), "late");
        let outer = Code::Install.of(Code::File.error("unreadable"));
        assert_eq!(Code::added_to(&outer), Some(Code::Install));
        assert_eq!(Code::added_to(&Error::msg("x")), None);
    }

    #[test]
    fn names_are_sorted_and_unique() {
        assert!(Code::ALL.is_sorted_by(|a, b| a.name() < b.name()));
    }

    #[test]
    fn every_code_is_used() {
        let sources = texts("src", "rs");
        let others = sources
            .iter()
            .filter(|(path, _)| !path.ends_with("src/code.rs"));
        let text: String = others.map(|(_, text)| text.as_str()).collect();
        for code in Code::ALL {
            assert!(
                text.contains(&format!("Code::{code:?}")),
                "{code:?} is not used"
            );
        }
    }

    /// The codes in the errors of the Nix files: `make-disk-image[code]: message`.
    fn codes_of_nix() -> BTreeSet<String> {
        let mut codes = BTreeSet::new();
        for (path, text) in texts("nix", "nix") {
            for rest in text.split("make-disk-image[").skip(1) {
                let (code, _) = rest.split_once(']').unwrap();
                assert!(
                    code.bytes()
                        .all(|byte| byte.is_ascii_lowercase() || byte == b'-'),
                    "{path}: {code}"
                );
                codes.insert(code.to_owned());
            }
            let mut lines = text.lines();
            let bare = lines.find(|line| line.trim_start().starts_with("make-disk-image: "));
            assert_eq!(bare, None, "{path}: an error without a code");
        }
        assert!(codes.len() >= 3, "{codes:?}");
        codes
    }

    #[test]
    fn the_manual_explains_exactly_these_codes() {
        let manual = fs::read_to_string(Path::new(ROOT).join("docs/errors.md")).unwrap();
        let headings = manual.lines().filter_map(|line| line.strip_prefix("## `"));
        let documented: Vec<&str> = headings.map(|line| line.trim_end_matches('`')).collect();
        assert!(documented.is_sorted(), "{documented:?}");
        let mut codes = codes_of_nix();
        codes.extend(Code::ALL.map(|code| code.name().to_owned()));
        let documented: BTreeSet<String> = documented.into_iter().map(str::to_owned).collect();
        assert_eq!(documented, codes);
    }

    #[test]
    fn the_manual_gives_a_cause_and_a_cure_for_each() {
        let manual = fs::read_to_string(Path::new(ROOT).join("docs/errors.md")).unwrap();
        for section in manual.split("\n## ").skip(1) {
            let (name, text) = section.split_once('\n').unwrap();
            for part in ["**Cause.**", "**Cure.**"] {
                assert_eq!(text.matches(part).count(), 1, "{name}: {part}");
            }
        }
    }
}
