//! What speaks beside the signals: absolute checks, dependents, a second source.
#![allow(clippy::unwrap_used)]

use firebreak_engine::{
    Memory, Observation, Setup,
    checks::{About, CheckLook, CheckSetup, Found, Missing, OnFailure},
    decide,
    dependents::{DependentPast, DependentSetup, DependentsLook, Measured},
    memory::{Outcome, Phase},
    observation::{Arm, Past, Reading, SignalLook},
    plan::{SignalCounts, SignalSetup},
    risk::Level,
    stats::Phi,
    units::Weight,
};
use firebreak_sim::{Cluster, setup};

/// A cluster whose observations are changed before they are decided on.
struct Witnessed {
    cluster: Cluster,
    notes: Vec<String>,
}

impl Witnessed {
    fn new(change: impl FnOnce(&mut Setup)) -> Self {
        let mut setup = setup(Level::Medium, 1);
        change(&mut setup);
        Self { cluster: Cluster::new(setup), notes: Vec::new() }
    }

    fn turn(&mut self, change: &mut impl FnMut(&mut Observation, &Memory)) {
        let cluster = &mut self.cluster;
        cluster.next_second();
        let mut seen = cluster.observe();
        change(&mut seen, &cluster.memory);
        let decision = decide(&cluster.setup, &cluster.memory, &seen);
        decision.effects.iter().for_each(|effect| cluster.carry_out(effect));
        self.notes.extend(decision.notes.iter().map(|note| format!("{}: {}", note.reason, note.message)));
        cluster.memory = decision.memory;
    }

    fn run(&mut self, seconds: usize, mut change: impl FnMut(&mut Observation, &Memory)) {
        for _ in 0..seconds {
            if matches!(self.cluster.memory.phase, Phase::Ended(_)) {
                return;
            }
            self.turn(&mut change);
        }
    }

    fn phase(&self) -> Phase {
        self.cluster.memory.phase
    }

    fn waiting(&self) -> Option<&str> {
        self.cluster.memory.waiting.as_ref().map(|waiting| waiting.reason.as_str())
    }

    fn told(&self, reason: &str) -> Option<&str> {
        self.notes.iter().find_map(|note| note.strip_prefix(reason)?.strip_prefix(": "))
    }
}

fn check(on_failure: OnFailure, on_missing: Missing) -> CheckSetup {
    CheckSetup {
        name: "p99".into(),
        min: None,
        max: Some(0.5),
        every_seconds: 1.0,
        failed_answers: 3,
        of_answers: 3,
        on_failure,
        on_missing,
        about: About::Asked,
    }
}

fn answer(seen: &mut Observation, value: Option<f64>) {
    let found = value.map_or_else(|| Found::Nothing("no series".into()), |v| Found::Values { least: v, most: v });
    seen.checks = vec![CheckLook { check: 0, at: seen.now, found }];
}

#[test]
fn given_a_check_that_fails_since_the_candidate_has_a_share_then_it_is_taken_back_and_says_why() {
    let mut world = Witnessed::new(|setup| setup.checks = vec![check(OnFailure::RollBack, Missing::Hold)]);
    world.run(60, |seen, memory| answer(seen, Some(if memory.granted > Weight::ZERO { 0.9 } else { 0.1 })));
    assert_eq!(world.phase(), Phase::Ended(Outcome::RolledBack));
    let words = world.told("CheckFailed").unwrap();
    assert!(words.starts_with("check p99: the value is 0.9, at most 0.5 is allowed; 3 of the last 3 answers failed"), "{words}");
}

#[test]
fn given_a_check_that_may_only_hold_when_it_fails_then_it_holds_until_it_passes() {
    let mut world = Witnessed::new(|setup| setup.checks = vec![check(OnFailure::Hold, Missing::Hold)]);
    world.run(300, |seen, memory| answer(seen, Some(if memory.granted > Weight::ZERO { 0.9 } else { 0.1 })));
    assert_eq!((world.phase(), world.waiting()), (Phase::Progressing, Some("CheckFailed")));
    world.run(1000, |seen, _| answer(seen, Some(0.1)));
    assert_eq!(world.phase(), Phase::Ended(Outcome::Promoted));
}

#[test]
fn given_an_error_budget_that_burns_then_nothing_new_is_exposed_until_it_does_not_and_nobody_is_needed() {
    let burn = CheckSetup {
        name: "1h and 5m".into(),
        max: Some(14.4),
        failed_answers: 1,
        of_answers: 1,
        about: About::ErrorBudget,
        ..check(OnFailure::Hold, Missing::Ignore)
    };
    let mut world = Witnessed::new(|setup| setup.checks = vec![burn.clone()]);
    world.run(120, |seen, _| answer(seen, Some(20.0)));
    assert_eq!(
        (world.waiting(), world.cluster.memory.highest),
        (Some("ErrorBudgetBurns"), Weight::ZERO),
        "before it has a share"
    );
    world.run(20, |seen, _| answer(seen, Some(1.0)));
    let stage = world.cluster.memory.highest;
    assert!(stage > Weight::ZERO);
    world.run(600, |seen, _| answer(seen, Some(20.0)));
    assert_eq!((world.waiting(), world.cluster.memory.highest), (Some("ErrorBudgetBurns"), stage), "it stays where it is");
    let words = world.told("ErrorBudgetBurns").unwrap();
    assert!(
        words.starts_with("stable burns its error budget 20.0 times as fast as the objective allows over 1h and 5m"),
        "{words}"
    );
    // No answer is no stop: stable's health is judged by what is counted, too.
    world.run(1000, |seen, _| answer(seen, None));
    assert_eq!(world.phase(), Phase::Ended(Outcome::Promoted));
    let mut unknown = Witnessed::new(|setup| {
        setup.checks = vec![burn];
        setup.plan.no_data_after_seconds = 5.0;
    });
    unknown.run(1000, |seen, _| answer(seen, None));
    let told: Vec<&String> = unknown.notes.iter().filter(|note| note.starts_with("ErrorBudgetUnknown")).collect();
    assert!(told.len() == 1 && told[0].contains("no series") && told[0].contains("nothing is held for it"), "{told:?}");
}

#[test]
fn given_a_check_that_fails_before_then_nothing_is_exposed_until_it_passes() {
    let mut world = Witnessed::new(|setup| setup.checks = vec![check(OnFailure::RollBack, Missing::Hold)]);
    world.run(120, |seen, _| answer(seen, Some(0.9)));
    assert_eq!((world.phase(), world.cluster.memory.highest), (Phase::Preparing, Weight::ZERO));
    assert_eq!(world.waiting(), Some("CheckFailed"));
    world.run(1000, |seen, _| answer(seen, Some(0.1)));
    assert_eq!(world.phase(), Phase::Ended(Outcome::Promoted));
}

#[test]
fn given_a_check_without_an_answer_then_its_guard_says_what_that_means() {
    let exposed = |missing| {
        let mut world = Witnessed::new(|setup| setup.checks = vec![check(OnFailure::RollBack, missing)]);
        world.run(400, |seen, memory| answer(seen, (memory.granted == Weight::ZERO).then_some(0.1)));
        (world.phase(), world.waiting().map(str::to_owned))
    };
    assert_eq!(exposed(Missing::Hold), (Phase::Progressing, Some("CheckMissing".to_owned())));
    assert_eq!(exposed(Missing::Ignore), (Phase::Ended(Outcome::Promoted), None));
    assert_eq!(exposed(Missing::RollBack).0, Phase::Ended(Outcome::RolledBack));
}

/// Failures of a dependent and of its bystanders in every 100 of their requests.
fn dependent_world(failing: impl Fn(&Memory) -> (u64, u64)) -> Witnessed {
    let mut world = Witnessed::new(|setup| {
        let signals = vec![SignalSetup { name: "errors".into(), counts: SignalCounts::Failures, share: 1.0, opens: true }];
        setup.dependents = vec![DependentSetup { name: "payments".into(), measured: Measured::ByItself, signals }];
    });
    let past = Past { requests: 100_000, failures: 500, phi: Phi::new(1.0) };
    let known = DependentPast { before: past, lately: Past { requests: 3000, failures: 15, ..past }, bystanders: past };
    let mut counted = [(0, 0), (0, 0)];
    world.run(600, move |seen, memory| {
        let of = failing(memory);
        for (sum, failed) in counted.iter_mut().zip([of.0, of.1]) {
            *sum = (sum.0 + 100, sum.1 + failed);
        }
        let reading = |arm, pod: &str, (requests, failures): (u64, u64)| Reading {
            pod: pod.into(),
            arm,
            requests,
            failures,
            read_at: seen.now,
        };
        let readings = vec![reading(Arm::Candidate, "payments-1", counted[0]), reading(Arm::Stable, "search-1", counted[1])];
        let dependents = vec![vec![SignalLook::Read(readings)]];
        seen.dependents = Some(DependentsLook { at: seen.now, scrape_seconds: 1.0, dependents });
        seen.dependent_pasts = Some(vec![vec![Some(known)]]);
    });
    world
}

#[test]
fn given_a_dependent_hurt_by_a_candidate_that_looks_healthy_then_it_is_taken_back_and_the_dependent_named() {
    let world = dependent_world(|memory| if memory.granted > Weight::ZERO { (10, 0) } else { (0, 0) });
    assert_eq!(world.phase(), Phase::Ended(Outcome::RolledBack));
    let words = world.told("DependentHarmed").unwrap();
    assert!(words.starts_with("harms payments: "), "{words}");
    assert!(words.contains("of the requests of payments failed, 0 of"), "{words}");
}

#[test]
fn given_the_same_fault_in_workloads_that_are_no_dependents_then_the_platform_is_blamed_and_it_stays() {
    let world = dependent_world(|memory| if memory.granted > Weight::ZERO { (10, 10) } else { (0, 0) });
    assert_eq!((world.phase(), world.waiting()), (Phase::Progressing, Some("PlatformTrouble")));
}

#[test]
fn given_a_dependent_in_trouble_since_before_then_the_change_goes_its_way() {
    let world = dependent_world(|_| (10, 0));
    assert_eq!(world.phase(), Phase::Ended(Outcome::Promoted));
}

/// The second source's look: the first's, with another count of the candidate's failures.
fn second(seen: &mut Observation, failures: impl Fn(u64) -> u64) {
    let mut look = seen.look.clone().unwrap();
    for signal in &mut look.signals {
        let SignalLook::Read(readings) = signal else { continue };
        for reading in readings.iter_mut().filter(|reading| reading.arm == Arm::Candidate) {
            reading.failures = failures(reading.requests).max(reading.failures);
        }
    }
    seen.second = Some(look);
}

#[test]
fn given_two_sources_that_agree_then_it_is_promoted() {
    let mut world = Witnessed::new(|setup| setup.both_sources = true);
    world.run(1000, |seen, _| second(seen, |_| 0));
    assert_eq!(world.phase(), Phase::Ended(Outcome::Promoted));
}

#[test]
fn given_harm_that_only_the_second_source_sees_then_it_is_held_and_both_counts_are_told() {
    let mut world = Witnessed::new(|setup| setup.both_sources = true);
    world.run(600, |seen, _| second(seen, |requests| requests / 5));
    assert_eq!((world.phase(), world.waiting()), (Phase::Progressing, Some("SourcesDisagree")));
    assert!(world.told("SourcesDisagree").unwrap().contains("signal signal-0: "), "{:?}", world.notes);
}

#[test]
fn given_harm_that_the_first_source_sees_then_it_takes_back_without_the_second() {
    let mut world = Witnessed::new(|setup| setup.both_sources = true);
    world.cluster.failing = (300, 1);
    world.run(600, |seen, _| {
        let mut look = seen.look.clone().unwrap();
        let SignalLook::Read(readings) = &mut look.signals[0] else { return };
        readings.iter_mut().for_each(|reading| reading.failures = 0);
        seen.second = Some(look);
    });
    assert_eq!(world.phase(), Phase::Ended(Outcome::RolledBack));
}

#[test]
fn given_the_first_source_blind_when_the_second_sees_harm_then_the_second_takes_back() {
    let mut world = Witnessed::new(|setup| setup.both_sources = true);
    world.run(600, |seen, memory| {
        second(seen, |requests| requests / 5);
        if memory.granted > Weight::ZERO {
            let trouble = SignalLook::Trouble { reason: "BackendUnreachable".into(), message: "nobody answers".into() };
            seen.look.as_mut().unwrap().signals = vec![trouble];
        }
    });
    assert_eq!(world.phase(), Phase::Ended(Outcome::RolledBack));
}

#[test]
fn given_a_second_source_that_says_nothing_then_it_does_not_go_on() {
    let mut world = Witnessed::new(|setup| setup.both_sources = true);
    world.run(600, |_, _| {});
    assert_eq!((world.phase(), world.waiting()), (Phase::Preparing, Some("WaitingForMetrics")));
}

/// A stage that takes long says how long, and the time that it says comes nearer.
#[test]
fn given_a_stage_that_collects_evidence_then_it_says_about_how_long_that_will_take() {
    let mut world = Witnessed::new(|setup| setup.plan.budget = 0.002);
    world.cluster.failing = (0, 0);
    let mut said: Vec<f64> = Vec::new();
    for _ in 0..600 {
        world.turn(&mut |_, _| {});
        let message = world.cluster.memory.waiting.as_ref().map(|waiting| waiting.message.clone()).unwrap_or_default();
        if world.cluster.memory.stage > 0 {
            break;
        }
        let Some((_, left)) = message.split_once("in about ") else { continue };
        let (number, unit) = left.split_once(' ').unwrap();
        said.push(number.parse::<f64>().unwrap() * if unit == "min" { 60.0 } else { 1.0 });
    }
    let (first, last) = (said.first().unwrap(), said.last().unwrap());
    assert!(said.len() > 10 && first > last && *last <= 10.0, "{said:?}");
}
