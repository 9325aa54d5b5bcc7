//! A short piece of the scenario table; the whole is `cargo run --release -p firebreak-sim -- scenarios`.

#![allow(clippy::unwrap_used)]

use firebreak_sim::scenarios::{End, Row, rows};

/// Rows that are decided otherwise than they should be; SCENARIOS.md tells why. One that is decided well leaves this list.
const MISSED: &[&str] = &[
    "harmless, a pod with more to do is slower",
    "cold pods are 2x slower for their first 20 s",
    "harmless, the clock is set ahead by an hour while pods start",
];

/// Rows of which it takes more seeds to show that.
const MISSED_AT_TIMES: &[&str] = &["harmless, its failures come four at once, stable's do not"];

#[test]
fn given_what_can_happen_when_it_does_then_what_common_sense_asks_for_is_decided() {
    let is_wrong = |row: &Row| {
        // What comes by chance may once not come.
        let told = row.tell(if row.end == End::Promoted { 2 } else { 1 }, 2);
        let well = if MISSED.contains(&row.name) { told.share < 1.0 } else { told.kept };
        (!well).then(|| told.to_string())
    };
    let rows = rows();
    let (at_times, asked): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(|row| MISSED_AT_TIMES.contains(&row.name));
    assert_eq!(at_times.len(), MISSED_AT_TIMES.len(), "a row of another name");
    assert!(MISSED.iter().all(|name| asked.iter().any(|row| row.name == *name)), "a row of another name");
    let wrong: Vec<String> = asked.into_iter().filter_map(is_wrong).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn named(name: &str) -> Row {
    rows().into_iter().find(|row| row.name == name).unwrap()
}

#[test]
fn given_an_expectation_that_is_not_met_then_it_is_missed_with_the_story_of_a_seed() {
    for (name, end) in [
        ("every request fails", End::Promoted),
        ("every request fails", End::Open),
        ("every request fails", End::TakenBack(&["SlowerThanStable"])),
        ("harmless", End::TakenBack(&["FailsMoreThanStable"])),
    ] {
        let told = Row { end, ..named(name) }.tell(2, 1);
        assert!(!told.kept && told.share == 0.0 && told.others.iter().map(|(_, seeds)| seeds).sum::<u64>() == 2, "{told}");
        let (seed, story) = told.miss.unwrap();
        assert_eq!(named(name).story(seed), story, "the same seed tells the same story");
    }
}

#[test]
fn given_a_hold_that_does_not_come_or_does_not_last_then_it_is_missed() {
    let hold = |reasons, to| Row {
        hold: Some(firebreak_sim::scenarios::Hold { reasons, to }),
        ..named("metrics are gone for 15 minutes")
    };
    assert!(hold(&["BackendUnreachable"], 1200.0).tell(1, 1).kept);
    assert!(!hold(&["StableUnhealthy"], 1200.0).tell(1, 1).kept);
    assert!(!hold(&["BackendUnreachable"], 1500.0).tell(1, 1).kept);
}
