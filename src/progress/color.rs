//! Colors of messages.

use std::env;
use std::io::{self, IsTerminal as _};
use std::sync::OnceLock;

/// Returns whether standard error is a terminal that a person watches. In a Nix build, it is one that
/// nobody watches.
pub fn on_terminal() -> bool {
    let in_nix = env::var_os("NIX_LOG_FD").is_some();
    let is_dumb = env::var_os("TERM").is_none_or(|name| name == "dumb");
    !in_nix && !is_dumb && io::stderr().is_terminal()
}

/// Returns whether messages have colors: on a terminal, unless `NO_COLOR` is set and not empty
/// (no-color.org).
fn are_wanted() -> bool {
    static WANTED: OnceLock<bool> = OnceLock::new();
    *WANTED.get_or_init(|| {
        let refused = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        !refused && on_terminal()
    })
}

/// Returns `text` in bold red, if colors are wanted.
pub fn red(text: &str) -> String {
    bold(31, text)
}

/// Returns `text` in bold yellow, if colors are wanted.
pub fn yellow(text: &str) -> String {
    bold(33, text)
}

fn bold(color: u8, text: &str) -> String {
    match are_wanted() {
        true => format!("\x1b[1;{color}m{text}\x1b[0m"),
        false => text.to_owned(),
    }
}
