//! Reports that no init would write: each gives an error message, or a valid tree with all
//! protected paths unchanged.
//!
//! `GUEST_REPORTS` is the number of random reports (5,000).

mod corpus;
mod forge;
mod judge;

use std::cell::RefCell;
use std::collections::BTreeMap;

use forge::{Case, Piece};
use judge::Judge;

#[test]
fn random_reports_are_rejected_or_valid() {
    let judge = Judge::new();
    // The number of reports by result; valid ones have no message.
    let ends = RefCell::new(BTreeMap::<String, u32>::new());
    crate::common::runner::runner("GUEST_REPORTS", 5000)
        .run(&forge::case(), |case| {
            let end = judge.judge(&case.bytes(judge.job())).err();
            let kind = kind(&end.unwrap_or_default());
            *ends.borrow_mut().entry(kind).or_default() += 1;
            Ok(())
        })
        .unwrap();
    let ends = ends.into_inner();
    println!("{ends:#?}");
    // If all reports had the same result, the test would be useless.
    assert!(ends[""] > 100 && ends.len() > 20, "{ends:#?}");
}

/// The last part of a message, without numbers and names.
fn kind(error: &str) -> String {
    let last = error.rsplit(": ").next().unwrap_or_default();
    last.replace(|c: char| c.is_ascii_digit(), "")
        .chars()
        .take(40)
        .collect()
}

#[test]
fn known_hostile_reports_are_rejected() {
    let judge = Judge::new();
    for (bytes, message) in corpus::found(judge.job()) {
        let error = judge.judge(&bytes).unwrap_err();
        assert!(error.contains(message), "{message}: {error}");
    }
}

/// Forged reports differ from this one. If it were rejected, too, they would not be rejected for
/// their own faults.
#[test]
fn a_valid_report_is_accepted() {
    let judge = Judge::new();
    let case = Case {
        pieces: corpus::good(),
        ..Case::default()
    };
    assert!(case.pieces.len() > 3);
    assert!(matches!(case.pieces[0], Piece::File(..)));
    assert_eq!(judge.judge(&case.bytes(judge.job())), Ok(()));
}
