//! How much this build may do at a time.

use std::num::NonZero;
use std::thread;

/// The processors that Nix gives the build (`NIX_BUILD_CORES`; 0 is all), but no more than there are.
pub fn count() -> usize {
    let given = std::env::var("NIX_BUILD_CORES").ok();
    let there = thread::available_parallelism().map_or(1, NonZero::get);
    of(given.as_deref(), there)
}

fn of(given: Option<&str>, there: usize) -> usize {
    let given = given.and_then(|text| text.parse().ok()).filter(|&n| n > 0);
    given.unwrap_or(there).min(there)
}

#[cfg(test)]
mod tests {
    #[test]
    fn nix_says_how_many_processors_a_build_has() {
        for (given, expected) in [
            (None, 8),
            (Some("0"), 8),
            (Some("3"), 3),
            (Some("64"), 8),
            (Some("many"), 8),
        ] {
            assert_eq!(super::of(given, 8), expected, "{given:?}");
        }
    }
}
