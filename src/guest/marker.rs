//! The lines by which init tells the host how it goes.

/// How each of them begins.
const INIT: &str = "MAKE-DISK-IMAGE";

/// What init says of its work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Marker {
    /// It has begun.
    Started,
    /// It has failed, for this reason: one line.
    Failed(String),
    /// It has ended with this exit status.
    Exit(i32),
}

impl Marker {
    /// The line for it, with the token of the job: what other programs print is none.
    pub fn line(&self, token: &str) -> String {
        match self {
            Marker::Started => format!("{INIT} {token} started"),
            Marker::Failed(reason) => format!("{INIT} {token} failed: {reason}"),
            Marker::Exit(status) => format!("{INIT} {token} exit {status}"),
        }
    }

    /// What `line` says, if it has `token`.
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
    fn only_who_knows_the_token_is_believed() {
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
