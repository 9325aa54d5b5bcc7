//! A short piece of the acceptance; the whole is `cargo run --release -p firebreak-sim -- accept`.

#![allow(clippy::unwrap_used)]

use firebreak_sim::{Arms, accept::accept};

#[test]
fn given_harm_of_any_size_when_accepted_then_it_costs_no_more_than_its_bar() {
    let mut told = Vec::new();
    assert!(accept(200, 1, "excess failures", |line| told.push(line.to_owned())), "{told:#?}");
    assert_eq!(told.len(), 6, "five rows and their sum: {told:#?}");
}

#[test]
fn given_a_harmless_candidate_when_it_runs_then_it_is_not_taken_back() {
    let run = Arms { seconds: 600.0, ..Arms::even() }.run(3);
    assert_eq!((run.taken_back, run.looks), (None, 600));
}

#[test]
fn given_the_same_seed_then_the_same_run() {
    let arms = Arms { seconds: 300.0, bursts: 4.0, ..Arms::even() };
    assert_eq!(arms.run(11), arms.run(11));
    assert_ne!(arms.run(11), arms.run(12));
}
