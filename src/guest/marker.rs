//! The console lines by which init reports its state to the host.

/// The first word of these lines.
const INIT: &str = "MAKE-DISK-IMAGE";

/// A state of init.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Marker {
    /// It has started.
    Started,
    /// It has failed, for this reason (one line).
    Failed(String),
    /// It has ended with this exit status.
    Exit(i32),
}

impl Marker {
    /// Returns the line for this state. The job's token in it distinguishes it from the output of other
    /// programs.
    pub fn line(&self, token: &str) -> String {
        match self {
            Marker::Started => format!("{INIT} {token} started"),
            Marker::Failed(reason) => format!("{INIT} {token} failed: {reason}"),
            Marker::Exit(status) => format!("{INIT} {token} exit {status}"),
        }
    }

    /// Parses `line`, if it contains `token`.
    pub fn of(line: &str, token: &str) -> Option<Marker> {
        let rest = line.strip_prefix(INIT)?.strip_prefix(' ')?;
        let word = rest.strip_prefix(token)?.strip_prefix(' ')?;
        if let Some(reason) = word.strip_prefix("failed: ") {
            return Some(Marker::Failed(reason.to_owned()));
        }
        if let Some(status) = word.strip_prefix("exit ") {
            return status.parse().ok().map(Marker::Exit);
        }
        (word == "started").then_some(Marker::Started)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_only_lines_with_the_token() {
        for marker in [
            Marker::Started,
            Marker::Failed("a: b".to_owned()),
            Marker::Exit(-3),
        ] {
            let line = marker.line("abc");
            assert_eq!(Marker::of(&line, "abc"), Some(marker));
            assert_eq!(Marker::of(&line, "abcd"), None);
            assert_eq!(Marker::of(&line, "ab"), None);
        }
        for line in [
            "MAKE-DISK-IMAGE exit 0",
            "MAKE-DISK-IMAGE  exit 0",
            "MAKE-DISK-IMAGE abc exit x",
            "MAKE-DISK-IMAGE abc startedx",
            "x MAKE-DISK-IMAGE abc exit 0",
        ] {
            assert_eq!(Marker::of(line, "abc"), None, "{line}");
        }
    }
}
