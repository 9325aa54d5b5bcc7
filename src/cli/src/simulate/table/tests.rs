//! The table as people read it.

use super::*;
use crate::simulate::outcome::tests::outcome;

#[test]
fn given_a_simulation_when_written_then_this_table() {
    insta::assert_snapshot!("table", text(&outcome(), 100));
}

#[test]
fn given_bursts_and_what_is_given_up_when_written_then_it_is_said() {
    let mut outcome = outcome();
    outcome.bursts = 4.0;
    outcome.releases[0].under[0].given_up = Chance { percent: 80.0, error: 1.0 };
    let text = text(&outcome, 100);
    assert!(
        text.contains("in bursts, variance 4 times the mean") && text.contains("80 % are given up as inconclusive"),
        "{text}"
    );
}
