//! A Change's whole way, many times.

#![allow(clippy::unwrap_used)]

use firebreak_engine::{
    plan::{Inconclusive, Plan},
    risk::Level,
    units::Weight,
};
use firebreak_sim::{
    Fails, Load, Rollout,
    rollout::{End, Summary},
};

fn rollout(rate: f64, failing: f64, candidate: Fails) -> Rollout {
    let (plan, _) = Plan::built_in(Level::Medium);
    Rollout::new(plan, Load { candidate: vec![(0.0, candidate)], ..Load::even(rate, failing) })
}

fn shares(summary: &Summary) -> [f64; 4] {
    [&summary.promoted, &summary.taken_back, &summary.given_up, &summary.still_running].map(|share| share.value)
}

#[test]
fn given_the_same_seed_then_the_same_runs() {
    let rollout = rollout(500.0, 0.001, Fails::Times(5.0));
    assert_eq!(rollout.many(20, 7), rollout.many(20, 7));
    assert_ne!(rollout.many(20, 7).mean_failures, rollout.many(20, 8).mean_failures);
}

#[test]
fn given_a_harmless_candidate_and_many_requests_then_it_is_promoted_after_its_bakes() {
    let summary = rollout(2000.0, 0.001, Fails::Times(1.0)).many(20, 1);
    assert_eq!(shares(&summary), [1.0, 0.0, 0.0, 0.0], "{summary:?}");
    // Three stages of two minutes and five minutes at the last.
    assert!(summary.until_promoted.unwrap().median >= 660.0, "{summary:?}");
    assert_eq!(summary.stages.last(), Some(&20));
}

#[test]
fn given_a_candidate_that_fails_everything_then_it_is_taken_back_at_once() {
    let summary = rollout(200.0, 0.001, Fails::All).many(50, 1);
    assert_eq!(shares(&summary), [0.0, 1.0, 0.0, 0.0], "{summary:?}");
    assert!(summary.until_taken_back.unwrap().p90 <= 5.0 && summary.mean_failures.value < 40.0, "{summary:?}");
    assert_eq!(summary.stages, [50]);
}

#[test]
fn given_a_fault_that_comes_late_then_nothing_is_taken_back_before_it() {
    let mut rollout = rollout(500.0, 0.01, Fails::Times(1.0));
    rollout.load.candidate = vec![(0.0, Fails::Times(1.0)), (300.0, Fails::Times(20.0))];
    let runs: Vec<_> = (0..20).map(|seed| rollout.run(seed)).collect();
    assert!(runs.iter().all(|run| run.end == End::TakenBack && run.seconds > 300.0 && run.seconds < 400.0), "{runs:?}");
}

#[test]
fn given_delays_then_harm_goes_on_for_as_long() {
    let fast = rollout(1000.0, 0.001, Fails::All).many(20, 3);
    let slow = Rollout { seen_after: 5.0, follows_after: 3.0, ..rollout(1000.0, 0.001, Fails::All) }.many(20, 3);
    let failed = |summary: &Summary| summary.mean_failures.value;
    // 5 % of 1,000 requests a second for the five seconds until they are seen and the three until the gateway follows.
    assert!((failed(&slow) - failed(&fast) - 400.0).abs() < 60.0, "{} and {}", failed(&slow), failed(&fast));
}

#[test]
fn given_too_few_requests_to_tell_then_what_the_policy_says_happens() {
    let mut rollout = rollout(2.0, 0.001, Fails::Times(1.0));
    rollout.longest_seconds = 4000.0;
    assert_eq!(shares(&rollout.many(10, 1)), [0.0, 0.0, 0.0, 1.0]);
    rollout.setup.plan.inconclusive = Inconclusive::RollBack;
    assert_eq!(shares(&rollout.many(10, 1)), [0.0, 0.0, 1.0, 0.0]);
    rollout.setup.plan.inconclusive = Inconclusive::Promote;
    rollout.setup.plan.stages = vec![Weight::percent(5), Weight::FULL];
    assert_eq!(shares(&rollout.many(10, 1)), [1.0, 0.0, 0.0, 0.0]);
}

#[test]
fn given_no_runs_then_nothing_is_said_of_them() {
    let summary = rollout(100.0, 0.01, Fails::Times(1.0)).many(0, 1);
    assert_eq!((summary.runs, summary.until_promoted, summary.looks), (0, None, 0));
}
