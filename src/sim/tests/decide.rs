//! The turn of a Change as specifications: its way up, its way back, its holds, its invariants.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use firebreak_engine::{
    Decision, Effect, Memory, Observation, decide,
    decide::candidate_pods,
    memory::{Outcome, Phase},
    observation::{Act, Action, Past, Pods, SignalLook, Template, Traffic},
    plan::{Exposure, Inconclusive, NoData},
    risk::Level,
    stats::Phi,
    units::{Millis, Weight},
};
use firebreak_sim::{Cluster, setup};
use proptest::prelude::*;
use rstest::rstest;

fn running(level: Level) -> Cluster {
    Cluster::new(setup(level, 2))
}

/// At the first stage with some evidence.
fn exposed(level: Level) -> Cluster {
    let mut cluster = running(level);
    for _ in 0..8 {
        cluster.turn();
    }
    assert_eq!(cluster.memory.phase, Phase::Progressing);
    cluster
}

#[test]
fn given_a_harmless_candidate_when_it_runs_then_every_stage_in_order_and_the_same_pods_handed_over() {
    let mut cluster = running(Level::Low);
    assert_eq!(cluster.run(2000), Phase::Ended(Outcome::Promoted));
    let mut weights = cluster.weights();
    weights.dedup();
    assert_eq!(weights, [100, 500, 950].map(Weight::permille));
    insta::assert_snapshot!(cluster.notes().join("\n"), @r"
    Preparing: starting candidate pods; the first stage is 10 %
    StageStarted: stage 1 of 3: 10 % of the traffic
    StageStarted: stage 2 of 3: 50 % of the traffic, after 38 s at the stage before
    StageStarted: stage 3 of 3: 95 % of the traffic, after 5 s at the stage before; the rest stays with stable to compare with
    Promoting: proved; handing the candidate's pods to the workload
    Promoted: the candidate is the new stable; no pod was restarted for it
    ");
    assert!(!cluster.pinned && !cluster.carries && !cluster.service && !cluster.held && !cluster.owned);
}

#[rstest]
#[case(1000, 4)]
#[case(200, 12)]
#[case(50, 60)]
fn given_a_failing_candidate_when_it_runs_then_it_is_taken_back_soon(#[case] per_mille: u64, #[case] most_seconds: usize) {
    let mut cluster = running(Level::Medium);
    cluster.setup.plan.stages = vec![Weight::percent(10), Weight::FULL];
    cluster.failing.0 = per_mille;
    assert_eq!(cluster.run(600), Phase::Ended(Outcome::RolledBack));
    let exposed = cluster.log.iter().filter(|(phase, ..)| *phase == Phase::Progressing).count();
    assert!(exposed <= most_seconds, "exposed for {exposed} s");
    assert_eq!(cluster.weights().last(), Some(&Weight::ZERO));
}

/// A Change in its last bake, with this much kept back, and stable's past known.
fn baking(holdback: Weight) -> Cluster {
    let mut cluster = running(Level::Medium);
    cluster.setup.plan.final_bake_seconds = 300.0;
    cluster.setup.plan.holdback = holdback;
    let past = Past { requests: 200_000, failures: 200, phi: Phi::INDEPENDENT };
    let names = cluster.setup.signals.iter().map(|signal| signal.name.clone());
    let mut seen = cluster.observe();
    seen.pasts = Some(names.map(|name| (name, past)).collect());
    cluster.memory = decide(&cluster.setup, &cluster.memory, &seen).memory;
    while cluster.memory.phase != Phase::Baking {
        cluster.turn();
    }
    cluster
}

#[rstest]
#[case::compared(Weight::percent(5), 950.0)]
#[case::alone(Weight::ZERO, 1000.0)]
fn given_harm_that_begins_in_the_last_bake_then_it_is_taken_back(#[case] holdback: Weight, #[case] share: f64) {
    let mut cluster = baking(holdback);
    (0..10).for_each(|_| cluster.turn());
    assert_eq!(cluster.share, share);
    cluster.failing.0 = 20;
    assert_eq!(cluster.run(250), Phase::Ended(Outcome::RolledBack));
}

#[rstest]
#[case::compared(Weight::percent(5))]
#[case::alone(Weight::ZERO)]
fn given_a_harmless_candidate_in_the_last_bake_then_it_is_promoted(#[case] holdback: Weight) {
    assert_eq!(baking(holdback).run(400), Phase::Ended(Outcome::Promoted));
}

#[test]
fn given_trouble_of_both_arms_in_the_last_bake_then_neither_way_until_it_is_over() {
    let mut cluster = baking(Weight::percent(5));
    cluster.failing = (300, 300);
    (0..600).for_each(|_| cluster.turn());
    assert_eq!(cluster.memory.phase, Phase::Baking);
    assert_eq!(cluster.memory.waiting.as_ref().unwrap().reason, "StableUnhealthy");
    cluster.failing = (1, 1);
    assert_eq!(cluster.run(600), Phase::Ended(Outcome::Promoted));
}

#[test]
fn given_a_way_back_then_its_steps_come_in_the_safe_order() {
    let mut cluster = exposed(Level::Medium);
    cluster.failing.0 = 1000;
    cluster.run(200);
    let retreat: Vec<Effect> = cluster
        .log
        .iter()
        .skip_while(|(phase, ..)| *phase != Phase::Retreating)
        .flat_map(|(_, effects, _)| effects.clone())
        .collect();
    assert_eq!(
        retreat,
        [
            Effect::ZeroWeight,
            Effect::ScaleCandidate { replicas: 0 },
            Effect::RestoreRoutes,
            Effect::Unpin,
            Effect::RemoveCandidateService
        ]
    );
}

#[test]
fn given_no_traffic_when_time_passes_then_nothing_is_promoted() {
    let mut cluster = running(Level::Medium);
    cluster.rate = 0;
    assert!(!matches!(cluster.run(1000), Phase::Ended(_) | Phase::Promoting));
    assert_eq!(cluster.memory.granted, Weight::percent(5));
}

#[test]
fn given_missing_metrics_when_exposed_then_a_named_hold_and_neither_way() {
    let mut cluster = exposed(Level::Medium);
    cluster.metrics = false;
    let weight = cluster.memory.granted;
    for _ in 0..500 {
        cluster.turn();
        assert_eq!((cluster.memory.phase, cluster.memory.granted), (Phase::Progressing, weight));
    }
    assert_eq!(cluster.memory.waiting.as_ref().unwrap().reason, "BackendUnreachable");
    cluster.metrics = true;
    cluster.setup.plan.stages = vec![weight, Weight::FULL];
    assert_eq!(cluster.run(3000), Phase::Ended(Outcome::Promoted));
}

#[rstest]
#[case(NoData::Hold, false)]
#[case(NoData::HoldAlert, false)]
#[case(NoData::RollBack, true)]
fn given_no_metrics_for_too_long_then_as_the_policy_says(#[case] policy: NoData, #[case] back: bool) {
    let mut cluster = exposed(Level::Medium);
    cluster.setup.plan.no_data = policy;
    cluster.metrics = false;
    (0..120).for_each(|_| cluster.turn());
    assert_eq!(matches!(cluster.memory.phase, Phase::Ended(Outcome::RolledBack)), back);
}

#[rstest]
#[case(Inconclusive::Hold, Phase::Progressing)]
#[case(Inconclusive::RollBack, Phase::Ended(Outcome::RolledBack))]
fn given_too_few_requests_at_the_longest_bake_then_as_the_policy_says(#[case] policy: Inconclusive, #[case] phase: Phase) {
    let mut cluster = running(Level::Medium);
    cluster.rate = 1;
    cluster.setup.plan.max_bake_seconds = 60.0;
    cluster.setup.plan.inconclusive = policy;
    assert_eq!(cluster.run(300), phase);
}

#[test]
fn given_too_few_requests_and_a_policy_that_promotes_then_it_goes_on_and_says_so() {
    let mut cluster = running(Level::Low);
    cluster.rate = 1;
    cluster.setup.plan.max_bake_seconds = 60.0;
    assert_eq!(cluster.run(600), Phase::Ended(Outcome::Promoted));
    assert!(cluster.notes().iter().any(|note| note.starts_with("InconclusivePromoted")), "{:?}", cluster.notes());
}

#[test]
fn given_a_stage_that_needs_a_human_then_it_waits_and_approve_lets_it_go_on() {
    let mut cluster = running(Level::High);
    cluster.setup.plan.stages = vec![Weight::percent(20), Weight::FULL];
    cluster.run(200);
    assert_eq!(cluster.memory.waiting.as_ref().unwrap().reason, "WaitingForHuman");
    act(&mut cluster, Action::Approve);
    assert_eq!(cluster.run(200), Phase::Ended(Outcome::Promoted));
}

#[test]
fn given_a_change_that_the_policy_refuses_when_a_human_promotes_it_then_nothing_runs_and_the_answer_says_why() {
    let mut cluster = Cluster::new(setup(Level::Low, 1));
    cluster.setup.refused = Some("policy bank refuses it: nothing is released at weekends".into());
    cluster.run(30);
    let answer = act(&mut cluster, Action::Promote).answers.remove(0);
    assert!(!answer.applied && answer.message.contains("nothing is released at weekends"), "{answer:?}");
    cluster.run(300);
    assert_eq!((cluster.memory.phase, cluster.memory.granted, cluster.candidate), (Phase::Held, Weight::ZERO, 0));
    let waiting = cluster.memory.waiting.as_ref().unwrap();
    assert!(waiting.reason == "RefusedByPolicy" && waiting.warned, "{waiting:?}");
    act(&mut cluster, Action::Abort);
    assert_eq!(cluster.run(300), Phase::Ended(Outcome::RolledBack), "the way back is open");
}

fn act(cluster: &mut Cluster, action: Action) -> Decision {
    let mut seen = cluster.observe();
    seen.now = seen.now.plus_seconds(0.5);
    seen.look = None;
    seen.acts = vec![Act {
        name: format!("{action:?}"),
        action,
        by: Some("ann".into()),
        reason: Some("a test".into()),
        stage: None,
        groups: Vec::new(),
        at: None,
    }];
    let decision = decide(&cluster.setup, &cluster.memory, &seen);
    decision.effects.iter().for_each(|effect| cluster.carry_out(effect));
    cluster.memory = decision.memory.clone();
    decision
}

#[test]
fn given_a_pause_then_it_stays_until_resumed() {
    let mut cluster = exposed(Level::Low);
    act(&mut cluster, Action::Pause);
    cluster.run(300);
    assert_eq!((cluster.memory.phase, cluster.memory.granted), (Phase::Progressing, Weight::percent(10)));
    act(&mut cluster, Action::Resume);
    assert_eq!(cluster.run(300), Phase::Ended(Outcome::Promoted));
}

#[test]
fn given_an_act_that_was_handled_when_seen_again_then_it_is_not_handled_twice() {
    let mut cluster = exposed(Level::Low);
    act(&mut cluster, Action::Promote);
    let once = cluster.memory.stage;
    let decision = act(&mut cluster, Action::Promote);
    assert_eq!((cluster.memory.stage, once), (1, 1));
    assert!(decision.notes.iter().all(|note| note.reason != "PromotedByHuman"));
}

#[test]
fn given_abort_in_any_phase_then_the_first_effect_takes_the_share() {
    for turns in 1..40 {
        let mut cluster = running(Level::Low);
        (0..turns).for_each(|_| cluster.turn());
        let over = matches!(cluster.memory.phase, Phase::Ended(_)) || !cluster.owned;
        let had_share = cluster.share > 0.0;
        let decision = act(&mut cluster, Action::Abort);
        if over {
            continue;
        }
        assert_eq!(decision.memory.phase, Phase::Retreating, "after {turns} turns");
        if had_share {
            assert_eq!(decision.effects, [Effect::ZeroWeight], "after {turns} turns");
        }
        assert_eq!(cluster.run(100), Phase::Ended(Outcome::RolledBack));
    }
}

#[rstest]
#[case(Template::Newer, Outcome::Superseded)]
#[case(Template::Stable, Outcome::Withdrawn)]
#[case(Template::Missing, Outcome::Withdrawn)]
fn given_another_template_then_it_goes_back_without_condemning(#[case] template: Template, #[case] outcome: Outcome) {
    let mut cluster = exposed(Level::Low);
    cluster.template = template;
    assert_eq!(cluster.run(60), Phase::Ended(outcome));
}

#[test]
fn given_stages_that_would_leave_stable_less_than_the_holdback_then_each_leaves_it_that() {
    let mut cluster = running(Level::Low);
    cluster.setup.plan.stages = [10, 97, 100].map(Weight::percent).to_vec();
    assert_eq!(cluster.run(600), Phase::Ended(Outcome::Promoted));
    let highest = cluster.weights().into_iter().max();
    assert_eq!(highest, Some(Weight::percent(95)));
    cluster.setup.exposure = Exposure::PodShare;
    assert_eq!(cluster.setup.share(2), Weight::FULL, "pods cannot be held back");
}

fn past(failures: u64, phi: f64) -> Past {
    Past { requests: 100_000, failures, phi: Phi::new(phi) }
}

#[rstest]
#[case::more_bursts(past(200, 3.0), 3.0)]
#[case::fewer_bursts(past(200, 1.0), 1.5)]
#[case::too_few_to_tell(past(49, 2.0), 1.5)]
fn given_a_past_that_is_read_again_then_its_dispersion_only_rises_where_it_can_tell(#[case] again: Past, #[case] phi: f64) {
    let mut cluster = running(Level::Medium);
    let name = cluster.setup.signals[0].name.clone();
    let learnt = |cluster: &mut Cluster, past: Past| {
        let mut seen = cluster.observe();
        seen.pasts = Some(cluster.setup.signals.iter().map(|signal| (signal.name.clone(), past)).collect());
        cluster.memory = decide(&cluster.setup, &cluster.memory, &seen).memory;
    };
    learnt(&mut cluster, past(200, 1.5));
    learnt(&mut cluster, again);
    assert_eq!(cluster.memory.judgement.signals[0].phi(), Phi::new(phi), "{name}");
}

#[test]
fn given_a_past_that_could_not_be_read_at_first_then_it_is_taken_whole_and_its_dispersion_no_lower_than_assumed() {
    let mut cluster = running(Level::Medium);
    let names: Vec<String> = cluster.setup.signals.iter().map(|signal| signal.name.clone()).collect();
    for past in [Past { requests: 0, failures: 0, phi: Phi::UNKNOWN }, past(200, 1.0)] {
        let mut seen = cluster.observe();
        seen.pasts = Some(names.iter().map(|name| (name.clone(), past)).collect());
        cluster.memory = decide(&cluster.setup, &cluster.memory, &seen).memory;
    }
    assert_eq!(cluster.memory.judgement.signals[0].phi(), Phi::UNKNOWN);
    assert!(cluster.memory.judgement.has_past());
}

/// The Service may be gone or refuse the pin: that stands in front of nothing.
#[test]
fn given_a_way_back_without_a_pin_then_the_candidate_goes_first_and_the_pin_comes_after() {
    let mut cluster = exposed(Level::Low);
    act(&mut cluster, Action::Abort);
    (cluster.share, cluster.pinned) = (0.0, false);
    let mut effects = Vec::new();
    for _ in 0..8 {
        cluster.now = cluster.now.plus_seconds(1.0);
        let decision = decide(&cluster.setup, &cluster.memory, &cluster.observe());
        (cluster.memory, effects) = (decision.memory, decision.effects);
    }
    assert_eq!(effects, [Effect::ScaleCandidate { replicas: 0 }, Effect::Pin]);
}

#[test]
fn given_a_bypass_then_the_share_goes_the_service_is_free_and_it_ends() {
    let mut cluster = exposed(Level::Low);
    let mut seen = cluster.observe();
    seen.now = seen.now.plus_seconds(1.0);
    (seen.workload.held, seen.workload.bypassed) = (false, true);
    let decision = decide(&cluster.setup, &cluster.memory, &seen);
    assert_eq!(decision.effects, [Effect::ZeroWeight, Effect::Unpin]);
    assert_eq!(decision.memory.retreat.as_ref().unwrap().outcome, Outcome::Withdrawn);
    cluster.memory = decision.memory;
    (cluster.share, cluster.pinned) = (0.0, false);
    assert_eq!(cluster.run(60), Phase::Ended(Outcome::Withdrawn));
}

#[test]
fn given_pods_that_do_not_become_ready_then_the_reason_is_named_at_the_deadline() {
    let mut cluster = running(Level::Low);
    let mut told = String::new();
    for _ in 0..80 {
        cluster.now = cluster.now.plus_seconds(1.0);
        let mut seen = cluster.observe();
        seen.candidate = Pods { ready: 0, endpoints: 0, broken: Some("pod x: ErrImagePull".into()), ..seen.candidate };
        let decision = decide(&cluster.setup, &cluster.memory, &seen);
        decision.effects.iter().for_each(|effect| cluster.carry_out(effect));
        told.extend(decision.notes.iter().map(|note| format!("{}: {}\n", note.reason, note.message)));
        cluster.memory = decision.memory;
    }
    assert!(told.contains("CandidateNotReady: 0 of 2 candidate pods are ready after 60 s"), "{told}");
    assert!(told.contains("ErrImagePull") && cluster.memory.exposed_at.is_none());
}

#[test]
fn given_all_pods_crashing_then_it_goes_back_at_once() {
    let mut cluster = exposed(Level::Low);
    let mut seen = cluster.observe();
    seen.now = seen.now.plus_seconds(1.0);
    seen.candidate.crash_looping = 9;
    let decision = decide(&cluster.setup, &cluster.memory, &seen);
    assert_eq!(decision.effects, [Effect::ZeroWeight]);
    assert_eq!(decision.memory.retreat.unwrap().reason, "CandidateCrashLoops");
    cluster.run(1);
}

#[test]
fn given_pods_that_the_metrics_source_has_not_seen_then_nothing_is_exposed() {
    let mut cluster = running(Level::Low);
    for _ in 0..200 {
        cluster.now = cluster.now.plus_seconds(1.0);
        let mut seen = cluster.observe();
        seen.seen.clear();
        let decision = decide(&cluster.setup, &cluster.memory, &seen);
        decision.effects.iter().for_each(|effect| cluster.carry_out(effect));
        cluster.memory = decision.memory;
    }
    assert!(cluster.memory.exposed_at.is_none());
    assert_eq!(cluster.memory.waiting.as_ref().unwrap().reason, "NotSeenByMetrics");
}

#[test]
fn given_a_source_that_refuses_the_query_before_exposure_then_that_is_the_reason_and_not_the_pods() {
    let mut cluster = running(Level::Low);
    for _ in 0..200 {
        cluster.now = cluster.now.plus_seconds(1.0);
        let mut seen = cluster.observe();
        // Who gets no answer has seen no pod.
        seen.seen.clear();
        let refused = SignalLook::Trouble { reason: "QueryRefused".into(), message: "parse error".into() };
        if let Some(look) = &mut seen.look {
            look.signals[0] = refused;
        }
        let decision = decide(&cluster.setup, &cluster.memory, &seen);
        decision.effects.iter().for_each(|effect| cluster.carry_out(effect));
        cluster.memory = decision.memory;
    }
    assert!(cluster.memory.exposed_at.is_none());
    let waiting = cluster.memory.waiting.as_ref().unwrap();
    assert_eq!(waiting.reason, "QueryRefused");
    assert!(waiting.message.contains("signal-0: parse error"), "{}", waiting.message);
}

#[rstest]
#[case(Exposure::Routes, 10, 50, 2)]
#[case(Exposure::Routes, 10, 100, 2)]
#[case(Exposure::Routes, 10, 500, 5)]
#[case(Exposure::Routes, 1, 100, 1)]
#[case(Exposure::Routes, 100, 50, 5)]
#[case(Exposure::Routes, 7, 1000, 7)]
#[case(Exposure::Routes, 0, 100, 0)]
#[case(Exposure::PodShare, 9, 100, 1)]
#[case(Exposure::PodShare, 4, 100, 1)]
#[case(Exposure::PodShare, 18, 100, 2)]
#[case(Exposure::PodShare, 10, 500, 10)]
#[case(Exposure::PodShare, 10, 1000, 10)]
fn given_a_share_then_so_many_pods(#[case] exposure: Exposure, #[case] replicas: u32, #[case] permille: u16, #[case] pods: u32) {
    assert_eq!(candidate_pods(exposure, replicas, Weight::permille(permille)), pods);
}

proptest! {
    #[test]
    fn given_any_size_when_pods_are_the_share_then_one_pod_more_would_be_above_it(replicas in 1..u32::MAX, permille in 1_u16..1000) {
        let pods = candidate_pods(Exposure::PodShare, replicas, Weight::permille(permille));
        let within = |pods: u64| pods * 1000 <= u64::from(permille) * (u64::from(replicas) + pods);
        prop_assert!(pods <= replicas && (pods == 1 || within(pods.into())));
        prop_assert!(pods == replicas || !within(u64::from(pods) + 1));
    }
}

fn arbitrary_pods() -> impl Strategy<Value = Pods> {
    (any::<bool>(), any::<bool>(), 0u32..20, 0u32..20, 0u32..20, 0u32..5, proptest::option::of(".{0,8}")).prop_map(
        |(exists, owned_by_change, wanted, ready, endpoints, crash_looping, broken)| Pods {
            exists,
            owned_by_change,
            wanted,
            names: (0..wanted.min(6)).map(|at| format!("c-{at}")).collect(),
            ready,
            unready: (0..wanted.saturating_sub(ready).min(6)).map(|at| format!("c-{at}")).collect(),
            endpoints,
            lingering: ready,
            crash_looping,
            broken,
        },
    )
}

fn arbitrary_traffic() -> impl Strategy<Value = Traffic> {
    (any::<[bool; 4]>(), 0.0..1500.0f64, 0.0..1500.0f64, proptest::option::of(".{0,8}"), proptest::option::of(".{0,8}")).prop_map(
        |(flags, largest_share, smallest_share, contention, problem)| Traffic {
            pinned: flags[0],
            candidate_service: flags[1],
            carries_candidate: flags[2],
            unreadable: flags[3],
            largest_share,
            smallest_share,
            contention,
            problem,
        },
    )
}

/// What is seen in one turn, as far from sense as the types allow.
#[derive(Debug, Clone)]
struct Strange {
    seconds: i64,
    candidate: Pods,
    traffic: Traffic,
    template: Template,
    held: bool,
    replicas: u32,
    action: Option<Action>,
    requests: (u32, u32),
    failures: (u32, u32),
    trouble: bool,
}

fn strange() -> impl Strategy<Value = Strange> {
    let templates = prop_oneof![6 => Just(Template::Candidate), 1 => Just(Template::Newer), 1 => Just(Template::Stable)];
    let action = prop_oneof![
        8 => Just(None),
        1 => Just(Some(Action::Promote)),
        1 => Just(Some(Action::Approve)),
        1 => Just(Some(Action::Pause)),
        1 => Just(Some(Action::Resume)),
        1 => Just(Some(Action::Abort)),
    ];
    let counts = (any::<(u16, u16)>(), any::<(u16, u16)>(), any::<bool>());
    ((-5i64..120, arbitrary_pods(), arbitrary_traffic(), templates), (any::<bool>(), 0u32..20, action), counts).prop_map(
        |((seconds, candidate, traffic, template), (held, replicas, action), (requests, failures, trouble))| Strange {
            seconds,
            candidate,
            traffic,
            template,
            held,
            replicas,
            action,
            requests: (requests.0.into(), requests.1.into()),
            failures: (failures.0.into(), failures.1.into()),
            trouble,
        },
    )
}

fn observation(cluster: &mut Cluster, strange: &Strange, number: usize) -> Observation {
    cluster.now = Millis(cluster.now.0 + strange.seconds * 1000);
    cluster.metrics = !strange.trouble;
    let mut seen = cluster.observe();
    seen.workload.template = strange.template.clone();
    seen.workload.held = strange.held;
    seen.workload.replicas = strange.replicas;
    seen.candidate = strange.candidate.clone();
    seen.traffic = Some(strange.traffic.clone());
    for signal in &mut seen.look.as_mut().unwrap().signals {
        if let SignalLook::Read(readings) = signal {
            for (at, reading) in readings.iter_mut().enumerate() {
                let (requests, failures) =
                    if at == 0 { (strange.requests.0, strange.failures.0) } else { (strange.requests.1, strange.failures.1) };
                (reading.requests, reading.failures) = (requests.into(), failures.into());
            }
        }
    }
    seen.acts = strange
        .action
        .map(|action| Act {
            name: format!("act-{number}"),
            action,
            by: Some("ann".into()),
            reason: None,
            stage: None,
            groups: Vec::new(),
            at: None,
        })
        .into_iter()
        .collect();
    seen
}

fn json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// I1, I2, I10, and that nothing panics, whatever is seen.
    #[test]
    fn given_anything_seen_when_decided_then_the_invariants_hold(turns in proptest::collection::vec(strange(), 1..40), level in 0usize..4) {
        let level = [Level::Low, Level::Medium, Level::High, Level::Critical][level];
        let mut cluster = running(level);
        for (number, strange) in turns.iter().enumerate() {
            let seen = observation(&mut cluster, strange, number);
            let before = cluster.memory.clone();
            let decision = decide(&cluster.setup, &before, &seen);
            // I10: the same again, also from what was stored.
            let stored: Memory = serde_json::from_str(&json(&before)).unwrap();
            let recorded: Observation = serde_json::from_str(&json(&seen)).unwrap();
            prop_assert_eq!(json(&decide(&cluster.setup, &stored, &recorded)), json(&decision));
            let stage = cluster.setup.plan.weight(decision.memory.stage);
            for effect in &decision.effects {
                if let Effect::SetWeight(weight) = effect {
                    prop_assert!(*weight <= stage, "I1: {weight} at stage {stage}");
                    prop_assert!(!matches!(decision.memory.phase, Phase::Retreating | Phase::Ended(_)), "I2: a weight on the way back");
                }
            }
            if matches!(decision.memory.phase, Phase::Retreating) {
                prop_assert_eq!(decision.memory.granted, Weight::ZERO);
                if seen.traffic.as_ref().unwrap().largest_share > 0.0 {
                    prop_assert_eq!(decision.effects.first(), Some(&Effect::ZeroWeight));
                    let safe = |effect: &Effect| matches!(effect, Effect::ZeroWeight | Effect::Pin | Effect::Unpin | Effect::Hold);
                    prop_assert!(decision.effects.iter().all(safe), "tidied before it was safe: {:?}", decision.effects);
                }
            }
            if matches!(before.phase, Phase::Retreating) {
                prop_assert!(matches!(decision.memory.phase, Phase::Retreating | Phase::Ended(_)), "I2: back from the way back");
            }
            if matches!(before.phase, Phase::Ended(_)) {
                prop_assert!(decision.effects.is_empty() && decision.memory == before);
            }
            cluster.memory = decision.memory;
        }
    }

    /// I5: stored and read again at any turn, it ends as it would have.
    #[test]
    fn given_restarts_when_it_goes_on_then_the_same_end(restarts in proptest::collection::vec(any::<bool>(), 120), per_mille in 0u64..400) {
        let mut one = running(Level::Low);
        let mut other = running(Level::Low);
        (one.failing.0, other.failing.0) = (per_mille, per_mille);
        for restart in restarts {
            one.turn();
            if restart {
                other.memory = serde_json::from_str(&json(&other.memory)).unwrap();
            }
            other.turn();
        }
        prop_assert_eq!(json(&one.memory), json(&other.memory));
    }

    /// More failures of the candidate in one look never make the evidence of harm smaller.
    #[test]
    fn given_more_failures_in_a_look_then_no_less_evidence_of_harm(few in 0u64..=10, more in 0u64..=10, seconds in 5usize..60) {
        let mut cluster = running(Level::Medium);
        (0..seconds).for_each(|_| cluster.turn());
        cluster.share = 50.0;
        cluster.turn();
        let evidence = |failures: u64| {
            let mut seen = cluster.observe();
            seen.now = seen.now.plus_seconds(1.0);
            let look = seen.look.as_mut().unwrap();
            look.at = seen.now;
            for reading in look.signals.iter_mut().filter_map(|signal| match signal {
                SignalLook::Read(readings) => readings.iter_mut().find(|reading| reading.pod.starts_with('c')),
                SignalLook::Trouble { .. } => None,
            }) {
                (reading.requests, reading.failures) = (reading.requests + 10, reading.failures + failures);
            }
            let decision = decide(&cluster.setup, &cluster.memory, &seen);
            (decision.memory.judgement.harm_ln_e(&cluster.setup), decision.memory.retreat.is_some())
        };
        let ((less, back), (no_less, back_too)) = (evidence(few.min(more)), evidence(few.max(more)));
        prop_assert!(no_less >= less - 1e-9, "{few} and {more} failures: {less} and {no_less}");
        prop_assert!(back_too || !back);
    }
}

/// The fast path: at least 20 requests in 10 s, more where failures come in larger bursts than is assumed without a past; more
/// than half of them failed, stable below 5 %.
#[rstest]
#[case(2.0, 20, 11, 0, true)]
#[case(2.0, 20, 10, 0, false)]
#[case(2.0, 19, 19, 0, false)]
#[case(2.0, 20, 20, 4, true)]
#[case(2.0, 20, 20, 5, false)]
#[case(2.0, 20, 21, 0, false)]
#[case(1.0, 20, 11, 0, true)]
#[case(4.0, 47, 47, 0, false)]
#[case(4.0, 48, 25, 0, true)]
#[case(50.0, 99, 99, 0, false)]
#[case(50.0, 100, 51, 0, true)]
fn given_so_many_failures_in_ten_seconds_then_the_fast_path_is_taken_or_not(
    #[case] dispersion: f64,
    #[case] requests: u64,
    #[case] failures: u64,
    #[case] stable_percent: u64,
    #[case] back: bool,
) {
    let mut cluster = running(Level::Medium);
    let past = Past { requests: 100_000, failures: 100, phi: Phi::new(dispersion) };
    let pasts = cluster.setup.signals.iter().map(|signal| (signal.name.clone(), past)).collect();
    cluster.memory.judgement.learn(&cluster.setup, &pasts);
    // Nothing but the fast path can take it back.
    cluster.setup.plan.alpha = 1e-300;
    cluster.rate = 0;
    while cluster.memory.in_effect.is_none() {
        cluster.turn();
    }
    cluster.now = cluster.now.plus_seconds(1.0);
    let mut seen = cluster.observe();
    for signal in &mut seen.look.as_mut().unwrap().signals {
        let SignalLook::Read(readings) = signal else { panic!("no readings") };
        for reading in readings {
            (reading.requests, reading.failures) =
                if reading.pod.starts_with('c') { (requests, failures) } else { (1000, 10 * stable_percent) };
        }
    }
    let decision = decide(&cluster.setup, &cluster.memory, &seen);
    let reason = decision.memory.retreat.map(|retreat| retreat.reason);
    assert_eq!(reason.as_deref(), back.then_some("MostRequestsFail"));
}

#[test]
fn given_the_last_bake_is_over_then_the_hand_over_comes_in_the_order_that_loses_no_request() {
    let mut cluster = running(Level::Low);
    cluster.run(2000);
    let promoting = cluster.log.iter().skip_while(|(phase, ..)| *phase != Phase::Promoting);
    let effects: Vec<Effect> = promoting.flat_map(|(_, effects, _)| effects.clone()).collect();
    let (unpin, over) = (Effect::Unpin, Effect::HandOver { replicas: 10 });
    assert_eq!(effects, [unpin, over, Effect::Resume, Effect::RestoreRoutes, Effect::RemoveCandidateService]);
}
