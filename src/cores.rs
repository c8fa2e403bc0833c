//! The number of processors that this build may use.

use std::num::NonZero;
use std::thread;

/// Returns the number of processors that Nix gives the build (`NIX_BUILD_CORES`; 0 means all), but
/// no more than are available.
pub fn count() -> usize {
    let given = std::env::var("NIX_BUILD_CORES").ok();
    let available = thread::available_parallelism().map_or(1, NonZero::get);
    of(given.as_deref(), available)
}

fn of(given: Option<&str>, available: usize) -> usize {
    let given = given.and_then(|text| text.parse().ok()).filter(|&n| n > 0);
    given.unwrap_or(available).min(available)
}

#[cfg(test)]
mod tests {
    #[test]
    fn nix_limits_the_number_of_processors() {
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
