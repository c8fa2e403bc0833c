//! Reports as no guest's init writes them: what comes of one is an error with a message, or a sound
//! tree in which everything that is the host's is as it was.
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
    // By what became of them; those that are sound have no message.
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
    // A loop that knows only one end tests nothing.
    assert!(ends[""] > 100 && ends.len() > 20, "{ends:#?}");
}

/// The last part of a message, without its numbers and names.
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

/// What a forged report differs from: else none of them would have to be refused for what it is.
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
