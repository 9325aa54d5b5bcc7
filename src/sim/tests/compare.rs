//! Rules side by side.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use firebreak_engine::{plan::Plan, risk::Level};
use firebreak_sim::{
    Fails, Load, Rollout,
    compare::{Match, compare, matches},
    rollout::End,
    rules::RuleKind,
};

fn rules() -> Vec<RuleKind> {
    RuleKind::common()
}

fn rollout(candidate: Fails) -> Rollout {
    let load = Load { candidate: vec![(0.0, candidate)], ..Load::even(500.0, 0.001) };
    Rollout::new(Plan::built_in(Level::Medium).0, load)
}

#[test]
fn given_the_same_seed_when_rules_give_the_same_share_then_they_see_the_same_requests() {
    // All begin at the first stage's share, and all take this one back from there but at different times: the first look of
    // each has the same failures.
    let mut rollout = rollout(Fails::Times(3.0));
    rollout.longest_seconds = 60.0;
    let runs: Vec<_> = rules().iter().map(|rule| rollout.run_under(rule, 5)).collect();
    let waiting: Vec<_> = runs.iter().filter(|run| run.end == End::StillRunning && run.stage == 1).collect();
    assert!(waiting.len() >= 4, "{runs:?}");
    assert!(waiting.iter().all(|run| (run.requests, run.failures) == (waiting[0].requests, waiting[0].failures)), "{waiting:?}");
}

#[test]
fn given_a_release_that_fails_everything_then_every_rule_but_the_slowest_takes_it_back_and_firebreak_first() {
    let rollout = rollout(Fails::All);
    let runs: Vec<_> = rules().iter().map(|rule| (rule.name(), rollout.run_under(rule, 1))).collect();
    for (name, run) in runs.iter().filter(|(name, _)| name != "Argo-like, example") {
        assert_eq!(run.end, End::TakenBack, "{name}");
        assert!(name == "Firebreak" || runs[0].1.failures * 10 < run.failures, "{name}: {run:?}");
    }
}

#[test]
fn given_a_bad_release_that_was_promoted_then_what_it_fails_afterwards_counts() {
    let rollout = rollout(Fails::Times(5.0));
    let flagger = &rules()[1];
    let run = rollout.run_under(flagger, 1);
    assert_eq!(run.end, End::Promoted, "0.5 % is below its threshold");
    let expected = (rollout.longest_seconds - run.seconds) * 500.0 * 0.004;
    assert!((rollout.excess_after(&run) - expected).abs() < 1e-6 * expected);
    assert_eq!(rollout.excess_after(&rollout.run(1)), 0.0, "Firebreak takes it back");
}

#[test]
fn given_a_fault_that_comes_late_then_who_takes_back_before_it_has_not_found_it() {
    let late = matches(Level::Medium).into_iter().find(|of| of.name == "5x after 30 min: 200 rps, p 1 %").unwrap();
    let argo = late.score(&rules()[3], 10, 1);
    assert_eq!((argo.falsely.value, argo.found.value), (1.0, 0.0), "it takes back every service at 1 %");
}

#[test]
fn given_two_worlds_then_both_are_told_with_every_rule_and_its_settings() {
    let mut told = Vec::new();
    compare(4, 1, Level::Medium, "20x: 5 rps", |line| told.push(line.to_owned()));
    for rule in rules() {
        assert_eq!(told.iter().filter(|line| line.trim_start().starts_with(&rule.name())).count(), 3, "{told:#?}");
    }
    let names: Vec<String> = matches(Level::High).iter().map(|of: &Match| of.name.clone()).collect();
    assert!(names.iter().any(|name| name.contains("2000 rps")) && names.len() == 36, "{names:#?}");
}
