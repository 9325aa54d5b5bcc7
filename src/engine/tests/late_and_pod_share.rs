//! What ran before a late hold is told and put away; where pods are the share, they come one by one.
#![allow(clippy::unwrap_used)]

use firebreak_engine::{
    Decision, Effect, Memory, Observation, Setup, decide,
    gates::{Frozen, Running},
    memory::{LateWindow, Phase},
    observation::{Arm, Look, Pods, Reading, SignalLook, Template, Traffic, Workload},
    plan::{Exposure, Late, Plan, SignalCounts, SignalSetup},
    risk::Level,
    units::{Millis, Weight},
};

fn setup(exposure: Exposure, late: Option<Late>) -> Setup {
    Setup {
        plan: Plan { stages: vec![Weight::percent(10), Weight::percent(50), Weight::FULL], ..Plan::built_in(Level::Medium).0 },
        signals: vec![SignalSetup { name: "errors".to_owned(), counts: SignalCounts::Failures, share: 1.0, opens: true }],
        checks: Vec::new(),
        dependents: Vec::new(),
        both_sources: false,
        exposure,
        ready_deadline_seconds: 60.0,
        availability: None,
        makers: firebreak_engine::people::Makers { changed_by: Some("ci".to_owned()), author: None },
        restore_template: false,
        refused: None,
        taken_over: late.is_some(),
        late,
    }
}

fn names(arm: &str, count: u32) -> Vec<String> {
    (0..count).map(|pod| format!("{arm}-{pod}")).collect()
}

fn pods(arm: &str, wanted: u32, owned_by_change: bool) -> Pods {
    Pods {
        exists: true,
        owned_by_change,
        wanted,
        names: names(arm, wanted),
        ready: wanted,
        unready: Vec::new(),
        endpoints: wanted,
        lingering: wanted,
        ..Pods::default()
    }
}

fn seen(at: i64, replicas: u32, candidate: Pods) -> Observation {
    let reading =
        |arm: Arm, name: &str| Reading { pod: name.to_owned(), arm, requests: 40, failures: 1, read_at: Millis(at - 500) };
    let of_candidate = candidate.names.iter().map(|name| reading(Arm::Candidate, name));
    let stable = pods("stable", replicas, false);
    let of_stable = stable.names.iter().map(|name| reading(Arm::Stable, name));
    Observation {
        now: Millis(at),
        workload: Workload {
            template: Template::Candidate,
            replicas,
            held: true,
            rolled_out: false,
            bypassed: false,
            guard_leaves: false,
            raised: None,
            guard_changed: false,
        },
        look: Some(Look {
            at: Millis(at - 100),
            scrape_seconds: 1.0,
            signals: vec![SignalLook::Read(of_candidate.chain(of_stable).collect())],
            sampled: None,
        }),
        seen: candidate.names.clone(),
        stable,
        candidate,
        traffic: None,
        second: None,
        checks: Vec::new(),
        dependents: None,
        pasts: None,
        dependent_pasts: None,
        acts: Vec::new(),
        watching_since: Millis::default(),
        freezes: Vec::new(),
        queued: None,
    }
}

fn told<'d>(decision: &'d Decision, reason: &str) -> Option<&'d str> {
    decision.notes.iter().find(|note| note.reason == reason).map(|note| note.message.as_str())
}

fn pinned() -> Traffic {
    Traffic {
        pinned: true,
        candidate_service: true,
        largest_share: 0.0,
        smallest_share: 0.0,
        carries_candidate: false,
        unreadable: false,
        contention: None,
        problem: None,
    }
}

#[test]
fn given_pods_from_before_the_hold_when_they_are_cut_down_then_their_number_time_and_requests_are_told() {
    let late = Late { pods: 3, since: Millis(8_000) };
    let setup = setup(Exposure::Routes, Some(late));
    let memory = Memory::new(&setup, Millis(10_000));
    let mut first = seen(10_000, 4, pods("candidate", 3, false));
    first.traffic = Some(Traffic { pinned: false, ..pinned() });
    let first = decide(&setup, &memory, &first);
    let words = told(&first, "HeldLate").unwrap();
    assert!(words.contains("3 pods") && words.contains("2.0 s ago") && words.contains("43 %"), "{words}");
    assert!(first.effects.contains(&Effect::Pin) && first.effects.contains(&Effect::MakeCandidate { replicas: 2 }));

    let mut cut = seen(11_000, 4, pods("candidate", 2, true));
    cut.traffic = Some(pinned());
    let second = decide(&setup, &first.memory, &cut);
    assert_eq!(second.memory.late, LateWindow::Closed(Millis(11_000)));
    cut.now = Millis(13_000);
    cut.look.as_mut().unwrap().at = Millis(12_900);
    let third = decide(&setup, &second.memory, &cut);
    let words = told(&third, "LateExposure").unwrap();
    assert!(words.contains("3.0 s") && words.contains("80 requests, 2 of them failed"), "{words}");
    assert_eq!(third.memory.late, LateWindow::None);
}

#[test]
fn given_pods_from_before_the_hold_when_the_change_waits_for_a_human_then_none_is_left() {
    let mut setup = setup(Exposure::Routes, Some(Late { pods: 3, since: Millis(8_000) }));
    setup.plan.approval_at = vec![Weight::percent(10)];
    let memory = Memory::new(&setup, Millis(10_000));
    let mut first = seen(10_000, 4, pods("candidate", 3, false));
    first.traffic = Some(Traffic { pinned: false, ..pinned() });
    let decision = decide(&setup, &memory, &first);
    assert_eq!(decision.memory.phase, Phase::Held);
    assert_eq!(decision.effects, [Effect::MakeCandidate { replicas: 0 }]);
}

/// A Change at its second stage, 50 % of 4 pods, where pods are the share.
fn at_half(setup: &Setup) -> Memory {
    let mut memory = Memory::new(setup, Millis(0));
    memory.phase = Phase::Progressing;
    memory.stage = 1;
    memory.exposed_at = Some(Millis(0));
    memory
}

#[test]
fn given_pods_are_the_share_when_a_stage_needs_more_then_they_come_one_by_one_as_they_are_seen() {
    let setup = setup(Exposure::PodShare, None);
    let mut memory = at_half(&setup);
    for wanted in 1..4 {
        let decision = decide(&setup, &memory, &seen(i64::from(wanted) * 1000, 4, pods("candidate", wanted, true)));
        assert_eq!(decision.effects, [Effect::MakeCandidate { replicas: wanted + 1 }]);
        memory = decision.memory;
    }
    let mut unseen = seen(4_000, 4, pods("candidate", 2, true));
    unseen.seen.pop();
    assert!(decide(&setup, &at_half(&setup), &unseen).effects.is_empty(), "the next came before the last was seen");
    let mut unready = seen(4_000, 4, pods("candidate", 2, true));
    unready.candidate.ready = 1;
    assert!(decide(&setup, &at_half(&setup), &unready).effects.is_empty(), "the next came before the last was ready");
}

#[test]
fn given_pods_are_the_share_when_metrics_stay_away_then_the_deadline_for_readiness_does_not_take_it_back() {
    let setup = setup(Exposure::PodShare, None);
    let mut unseen = seen(600_000, 4, pods("candidate", 2, true));
    unseen.seen.clear();
    let decision = decide(&setup, &at_half(&setup), &unseen);
    assert_eq!(decision.memory.phase, Phase::Progressing);
    assert!(decision.memory.retreat.is_none());
}

#[test]
fn given_pods_are_the_share_when_a_freeze_opens_before_the_first_has_users_then_it_is_put_away() {
    let setup = setup(Exposure::PodShare, None);
    let begun = decide(&setup, &Memory::new(&setup, Millis(0)), &seen(1_000, 4, pods("candidate", 0, true)));
    assert_eq!((begun.memory.phase, begun.effects), (Phase::Preparing, vec![Effect::MakeCandidate { replicas: 1 }]));
    let mut frozen = seen(2_000, 4, pods("candidate", 1, true));
    frozen.freezes = vec![Frozen {
        name: "audit".to_owned(),
        since: Millis(1_500),
        until: Millis(9_000_000),
        until_words: "noon".to_owned(),
        running: Running::Finish,
        exception: false,
    }];
    let held = decide(&setup, &begun.memory, &frozen);
    assert_eq!((held.memory.phase, held.effects), (Phase::Held, vec![Effect::MakeCandidate { replicas: 0 }]));
    assert_eq!(held.memory.waiting.unwrap().reason, "Frozen");
}
