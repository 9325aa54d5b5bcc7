//! Ways in which a Change could have been left in harm or let on without proof: each was one once.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use firebreak_engine::{
    Decision, Effect, Observation, decide,
    memory::{Outcome, Phase},
    observation::{Act, Action, Look, Pods, SignalLook},
    risk::Level,
    units::Weight,
};
use firebreak_sim::{Cluster, setup};

fn exposed(level: Level) -> Cluster {
    let mut cluster = Cluster::new(setup(level, 2));
    (0..8).for_each(|_| cluster.turn());
    assert_eq!(cluster.memory.phase, Phase::Progressing);
    cluster
}

/// One second, in which what is seen is changed first; what is decided is done.
fn turn_with(cluster: &mut Cluster, change: impl FnOnce(&mut Observation)) -> Decision {
    cluster.now = cluster.now.plus_seconds(1.0);
    let mut seen = cluster.observe();
    change(&mut seen);
    let decision = decide(&cluster.setup, &cluster.memory, &seen);
    decision.effects.iter().for_each(|effect| cluster.carry_out(effect));
    cluster.memory = decision.memory.clone();
    decision
}

fn act(action: Action) -> Vec<Act> {
    vec![Act {
        name: format!("{action:?}"),
        action,
        by: Some("ann".into()),
        reason: None,
        stage: None,
        groups: Vec::new(),
        at: None,
    }]
}

fn readings(look: &mut Look, mut change: impl FnMut(&mut firebreak_engine::observation::Reading)) {
    for signal in &mut look.signals {
        if let SignalLook::Read(readings) = signal {
            readings.iter_mut().for_each(&mut change);
        }
    }
}

#[test]
fn given_no_look_at_all_for_long_when_a_policy_promotes_the_inconclusive_then_it_is_held_as_missing() {
    let mut cluster = exposed(Level::Low);
    cluster.setup.plan.max_bake_seconds = 30.0;
    let weight = cluster.memory.granted;
    for _ in 0..600 {
        turn_with(&mut cluster, |seen| seen.look = None);
    }
    assert_eq!((cluster.memory.phase, cluster.memory.granted), (Phase::Progressing, weight));
    assert_eq!(cluster.memory.waiting.as_ref().unwrap().reason, "MetricsSilent");
}

#[test]
fn given_a_clock_that_went_back_when_looks_come_then_they_are_judged() {
    let mut cluster = exposed(Level::Medium);
    cluster.failing.0 = 1000;
    cluster.now = cluster.now.plus_seconds(-120.0);
    assert_eq!(cluster.run(30), Phase::Ended(Outcome::RolledBack));
}

/// No candidate pod is ready while this is asked for.
fn unready(seen: &mut Observation) {
    if seen.candidate.wanted > 0 {
        let unready = seen.candidate.names.clone();
        seen.candidate = Pods { ready: 0, endpoints: 0, unready, ..seen.candidate.clone() };
    }
}

#[test]
fn given_no_ready_pod_any_more_then_the_share_goes_at_once_and_the_candidate_at_the_deadline() {
    let mut cluster = exposed(Level::Medium);
    let decision = turn_with(&mut cluster, unready);
    assert_eq!((cluster.share, cluster.memory.granted), (0.0, Weight::ZERO), "{:?}", decision.effects);
    assert_eq!(decision.notes[0].reason, "ShareWithdrawn");
    for _ in 0..70 {
        turn_with(&mut cluster, unready);
    }
    assert_eq!(cluster.memory.retreat.as_ref().map(|retreat| retreat.reason.as_str()), Some("CandidateNotReady"));
}

#[test]
fn given_pods_that_come_back_then_it_starts_at_the_first_stage_and_the_third_loss_is_the_last() {
    let mut cluster = exposed(Level::Medium);
    for loss in 1..=3 {
        turn_with(&mut cluster, unready);
        assert_eq!(cluster.memory.lost_ready, loss);
        if loss < 3 {
            (0..3).for_each(|_| cluster.turn());
            assert_eq!((cluster.memory.phase, cluster.memory.stage), (Phase::Progressing, 0), "{:?}", cluster.memory.waiting);
        }
    }
    cluster.turn();
    assert_eq!(cluster.memory.retreat.as_ref().map(|retreat| retreat.reason.as_str()), Some("CandidateNotReady"));
}

#[test]
fn given_pods_of_both_arms_that_are_not_ready_then_it_is_not_the_candidate() {
    let mut cluster = exposed(Level::Medium);
    for _ in 0..200 {
        turn_with(&mut cluster, |seen| (seen.candidate.ready, seen.stable.ready) = (0, 0));
    }
    assert_eq!(cluster.memory.phase, Phase::Progressing);
}

#[test]
fn given_more_failures_than_requests_when_nothing_else_is_wrong_then_it_is_not_taken_back() {
    let mut cluster = exposed(Level::Medium);
    for second in 1..=20 {
        turn_with(&mut cluster, |seen| {
            readings(seen.look.as_mut().unwrap(), |reading| {
                if reading.pod.starts_with('c') {
                    (reading.requests, reading.failures) = (reading.requests + 3 * second, reading.failures + 100 * second);
                }
            });
        });
    }
    assert_eq!(cluster.memory.phase, Phase::Progressing, "{:?}", cluster.memory.retreat);
}

#[test]
fn given_harm_that_is_immaterial_when_a_human_promotes_then_it_goes_on() {
    let mut cluster = Cluster::new(setup(Level::Medium, 1));
    cluster.setup.plan.min_bake_seconds = 1000.0;
    // So many requests that ten times as many failures are proved at once, and hardly matter.
    let (mut candidate, mut stable) = ((0, 0), (0, 0));
    let mut turn = |cluster: &mut Cluster, acts: Vec<Act>| {
        let of_candidate = if cluster.share > 0.0 { 2_000_000 } else { 0 };
        candidate = (candidate.0 + of_candidate, candidate.1 + of_candidate / 100_000);
        stable = (stable.0 + 40_000_000 - of_candidate, stable.1 + 40 - of_candidate / 1_000_000);
        turn_with(cluster, |seen| {
            seen.acts = acts;
            readings(seen.look.as_mut().unwrap(), |reading| {
                (reading.requests, reading.failures) = if reading.pod.starts_with('c') { candidate } else { stable };
            });
        })
    };
    for _ in 0..100 {
        turn(&mut cluster, Vec::new());
    }
    let waiting = cluster.memory.waiting.as_ref().map(|waiting| waiting.reason.as_str());
    assert_eq!(waiting, Some("HarmImmaterial"), "{:?}", cluster.memory.retreat);
    turn(&mut cluster, act(Action::Promote));
    assert_eq!(cluster.memory.stage, 1, "the hold asks a human to decide, and the human did: {:?}", cluster.memory.waiting);
}

#[test]
fn given_an_unpinned_service_when_it_goes_back_then_the_share_goes_first_and_the_pin_with_it() {
    let mut cluster = exposed(Level::Medium);
    cluster.pinned = false;
    let decision = turn_with(&mut cluster, |seen| seen.acts = act(Action::Abort));
    assert_eq!(decision.effects, [Effect::ZeroWeight, Effect::Pin]);
    cluster.run(60);
    assert!(!cluster.pinned && cluster.memory.phase == Phase::Ended(Outcome::RolledBack));
}

#[test]
fn given_a_resumed_workload_when_it_goes_back_then_it_is_held_again() {
    let mut cluster = exposed(Level::Medium);
    cluster.held = false;
    let decision = turn_with(&mut cluster, |seen| seen.acts = act(Action::Abort));
    assert_eq!(decision.effects, [Effect::ZeroWeight, Effect::Hold]);
}

#[test]
fn given_pods_from_before_the_hold_when_it_is_aborted_at_once_then_they_are_taken_over_and_go() {
    let mut cluster = Cluster::new(setup(Level::Medium, 2));
    (cluster.candidate, cluster.owned) = (3, false);
    let decision = turn_with(&mut cluster, |seen| seen.acts = act(Action::Abort));
    assert!(decision.effects.contains(&Effect::MakeCandidate { replicas: 0 }), "{:?}", decision.effects);
    assert_eq!(cluster.run(100), Phase::Ended(Outcome::RolledBack));
    assert_eq!((cluster.candidate, cluster.memory.granted), (0, Weight::ZERO));
}
