//! A short piece of the acceptance; the whole is `cargo run --release -p firebreak-sim -- accept`.

use firebreak_sim::{
    Arms, Fails,
    accept::{accept, accept_rows, rows},
};

fn kept(runs: u64, wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let mut told = Vec::new();
    assert!(accept_rows(&rows(), runs, 1, wanted, |line| told.push(line.to_owned())), "{told:#?}");
    told
}

#[test]
fn given_a_harmless_candidate_or_one_at_the_margin_in_any_noise_when_accepted_then_alpha_is_kept() {
    let told = kept(40, |name| name.starts_with("taken back ") && name.contains(", 5 %") && name.contains(", 10 s looks"));
    assert_eq!(told.len(), 2 * 2 * 5 + 5 + 1, "ratios, rates and noises, other noises, and their sum: {told:#?}");
}

#[test]
fn given_a_stage_that_would_harm_exactly_the_budget_when_accepted_then_beta_is_kept() {
    let told = kept(200, |name| name.starts_with("opens wrongly ") && name.contains("-50 %"));
    assert_eq!(told.len(), 4 * 2 + 1, "stages and bursts, and their sum: {told:#?}");
}

#[test]
fn given_harm_of_any_size_when_accepted_then_it_costs_no_more_than_its_bar() {
    let told = kept(200, |name| name.starts_with("failed"));
    assert_eq!(told.len(), 8, "seven rows and their sum: {told:#?}");
}

#[test]
fn given_trouble_that_both_arms_share_when_accepted_then_nothing_goes_wrong() {
    let told = kept(400, |name| name.contains("both arms fail 10x") && name.contains("2000 rps, p 0.1 %"));
    assert_eq!(told.len(), 3, "two rows and their sum: {told:#?}");
}

#[test]
fn given_words_that_are_in_no_row_then_nothing_is_measured() {
    let mut told = Vec::new();
    assert!(accept(20, 1, "no such row", |line| told.push(line.to_owned())));
    assert_eq!(told.len(), 1);
}

#[test]
fn given_a_harmless_candidate_when_it_runs_then_it_is_not_taken_back() {
    let run = Arms { seconds: 600.0, ..Arms::even() }.run(3);
    assert_eq!((run.taken_back, run.looks), (None, 600));
}

#[test]
fn given_the_same_seed_then_the_same_run() {
    let mut arms = Arms { seconds: 300.0, ..Arms::even() }.with_candidate(Fails::Times(1.2));
    arms.load.bursts = 4.0;
    assert_eq!(arms.run(11), arms.run(11));
    assert_ne!(arms.run(11), arms.run(12));
}
