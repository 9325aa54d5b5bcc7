//! What another Change follows upon for the same template: claims that rose, and a Guard that was changed before anyone got it.

#![allow(clippy::unwrap_used)]

use firebreak_engine::{
    decide,
    memory::{Outcome, Phase},
    plan::{Exposure, Late},
    risk::Level,
    units::Weight,
};
use firebreak_sim::{Cluster, setup};

fn running(level: Level) -> Cluster {
    Cluster::new(setup(level, 2))
}

/// At the first stage with some evidence.
fn exposed(level: Level) -> Cluster {
    let mut cluster = running(level);
    (0..8).for_each(|_| cluster.turn());
    assert_eq!(cluster.memory.phase, Phase::Progressing);
    cluster
}

/// Another Change follows, with the plan of the higher level: what this one has shown was asked of it by a gentler one.
#[test]
fn given_claims_that_rose_then_it_ends_for_a_change_of_that_level() {
    let mut cluster = exposed(Level::Low);
    let mut notes = Vec::new();
    for _ in 0..60 {
        cluster.now = cluster.now.plus_seconds(1.0);
        let mut seen = cluster.observe();
        seen.workload.raised = Some(Level::Critical);
        let decision = decide(&cluster.setup, &cluster.memory, &seen);
        decision.effects.iter().for_each(|effect| cluster.carry_out(effect));
        notes.extend(decision.notes);
        cluster.memory = decision.memory;
    }
    assert_eq!(cluster.memory.phase, Phase::Ended(Outcome::Superseded));
    let note = notes.iter().find(|note| note.reason == "RiskRaised").unwrap();
    assert!(note.message.contains("critical"), "{}", note.message);
}

/// What begins anew would begin unpaused, and expose what a human stopped.
#[test]
fn given_claims_that_rose_when_it_is_paused_then_it_stays_as_it_is() {
    let mut cluster = exposed(Level::Low);
    cluster.memory.paused = true;
    let mut seen = cluster.observe();
    seen.workload.raised = Some(Level::High);
    assert_eq!(decide(&cluster.setup, &cluster.memory, &seen).memory.phase, Phase::Progressing);
}

/// Seen before anything ran, it ends at once and nothing is exposed.
#[test]
fn given_claims_that_rose_before_the_first_stage_then_nothing_was_exposed() {
    let mut cluster = running(Level::Low);
    for _ in 0..5 {
        cluster.next_second();
        let mut seen = cluster.observe();
        seen.workload.raised = Some(Level::High);
        let decision = decide(&cluster.setup, &cluster.memory, &seen);
        decision.effects.iter().for_each(|effect| cluster.carry_out(effect));
        cluster.memory = decision.memory;
    }
    assert_eq!((cluster.memory.phase, cluster.memory.highest), (Phase::Ended(Outcome::Superseded), Weight::ZERO));
}

/// Whoever corrects a Guard that cannot work need not ship again.
#[test]
fn given_a_guard_that_was_changed_before_the_first_stage_then_a_new_change_begins_by_it() {
    let mut cluster = running(Level::Low);
    cluster.turn();
    let mut notes = Vec::new();
    for _ in 0..5 {
        notes.extend(cluster.turn_with(|seen| seen.workload.guard_changed = true).notes);
    }
    assert_eq!((cluster.memory.phase, cluster.memory.highest), (Phase::Ended(Outcome::Superseded), Weight::ZERO));
    assert!(notes.iter().any(|note| note.reason == "GuardChanged"), "{notes:?}");
}

/// What was shown by the metrics of before stays shown, and what a human stopped stays stopped.
#[test]
fn given_a_guard_that_was_changed_when_it_is_exposed_or_paused_then_it_goes_on_as_it_began() {
    let mut cluster = exposed(Level::Low);
    cluster.turn_with(|seen| seen.workload.guard_changed = true);
    assert_eq!(cluster.memory.phase, Phase::Progressing);
    let goes_on = |mut cluster: Cluster, what: &str| {
        cluster.turn_with(|seen| seen.workload.guard_changed = true);
        assert!(!matches!(cluster.memory.phase, Phase::Ended(_) | Phase::Retreating), "{what}: {:?}", cluster.memory.phase);
    };
    let mut cluster = running(Level::Low);
    cluster.memory.paused = true;
    goes_on(cluster, "paused");
    // Where pods are the share one that is ready has users.
    let mut cluster = running(Level::Low);
    cluster.setup.exposure = Exposure::PodShare;
    cluster.candidate = 1;
    goes_on(cluster, "a pod serves");
    // Pods that were there before the hold had users.
    let mut cluster = running(Level::Low);
    cluster.setup.late = Some(Late { pods: 1, since: cluster.now });
    goes_on(cluster, "pods served before the hold");
    // What a rule refused takes a retry.
    let mut cluster = running(Level::Low);
    cluster.setup.refused = Some("no".to_owned());
    goes_on(cluster, "refused");
}

/// Where pods are the share the first has users as soon as it is ready: none is started before stable can be counted.
#[test]
fn given_pods_as_the_share_when_nothing_can_be_read_then_no_pod_is_started() {
    let mut cluster = running(Level::Low);
    cluster.setup.exposure = Exposure::PodShare;
    cluster.metrics = false;
    let late = cluster.setup.ready_deadline_seconds as usize + 60;
    (0..late).for_each(|_| cluster.turn());
    assert_eq!((cluster.candidate, cluster.memory.phase), (0, Phase::Preparing), "no pod is late that was not asked for");
    // Whoever lets the native controller go on meanwhile is stopped.
    cluster.held = false;
    cluster.turn();
    assert!(cluster.held, "not held");
    cluster.metrics = true;
    (0..10).for_each(|_| cluster.turn());
    assert!(cluster.candidate > 0, "{:?}", cluster.memory.waiting);
}
