//! Random cases, the same in every run.

use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// A runner for the number of cases in the environment variable `variable`, or else `cases`.
///
/// # Panics
/// If the variable is not a number.
pub fn runner(variable: &str, cases: u32) -> TestRunner {
    let cases = match std::env::var(variable) {
        Ok(number) => number
            .parse()
            .unwrap_or_else(|_| panic!("{variable} is a number")),
        Err(_) => cases,
    };
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 200,
        ..Config::default()
    };
    // The seed depends only on the number of cases.
    let seed = [u8::try_from(cases % 251).unwrap(); 32];
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed))
}
