//! What is missing, unreadable or not in effect: it neither promotes, nor blinds the way back, nor lasts longer than its cause.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use firebreak_engine::{
    Effect, Observation, decide,
    memory::{Memory, Outcome, Phase},
    observation::{Act, Action, Pods, Reading, SignalLook, Template},
    plan::{Exposure, Late, NoData, SignalCounts},
    risk::Level,
    units::Weight,
};
use firebreak_sim::{Cluster, setup};
use rstest::rstest;

fn exposed(level: Level) -> Cluster {
    let mut cluster = Cluster::new(setup(level, 2));
    (0..8).for_each(|_| cluster.turn());
    assert_eq!(cluster.memory.phase, Phase::Progressing);
    cluster
}

/// A Change that is to stay at its stage.
fn staying(level: Level) -> Cluster {
    let mut cluster = Cluster::new(setup(level, 2));
    cluster.setup.plan.min_bake_seconds = 1e6;
    (0..8).for_each(|_| cluster.turn());
    assert_eq!(cluster.memory.phase, Phase::Progressing);
    cluster
}

fn act(name: &str, action: Action, stage: Option<usize>) -> Act {
    Act { name: name.to_owned(), action, by: Some("ann".into()), reason: None, stage, groups: Vec::new(), at: None }
}

fn waiting(cluster: &Cluster) -> &str {
    cluster.memory.waiting.as_ref().map_or("", |waiting| waiting.reason.as_str())
}

/// The readings of the first so many signals.
fn readings(seen: &mut Observation, signals: usize, mut change: impl FnMut(&mut Vec<Reading>)) {
    for signal in seen.look.as_mut().unwrap().signals.iter_mut().take(signals) {
        let SignalLook::Read(readings) = signal else { panic!("no answer") };
        change(readings);
    }
}

#[test]
fn given_a_gap_of_one_arm_when_it_is_over_then_the_split_follows_as_before() {
    let mut cluster = staying(Level::Medium);
    for _ in 0..30 {
        cluster.turn_with(|_| ());
    }
    for _ in 0..60 {
        cluster.turn_with(|seen| readings(seen, 2, |all| all.retain(|reading| reading.pod.starts_with('s'))));
    }
    assert_eq!(waiting(&cluster), "MetricsStale");
    for _ in 0..10 {
        cluster.turn_with(|_| ());
    }
    assert_eq!(waiting(&cluster), "MinimumBake");
}

#[test]
fn given_a_split_that_follows_again_then_the_freeze_is_over() {
    let mut cluster = staying(Level::Medium);
    let weight = cluster.share;
    // The gateway sends four times what it was told.
    for _ in 0..30 {
        cluster.share = 4.0 * weight;
        cluster.next_second();
        cluster.share = weight;
        let seen = cluster.observe();
        let decision = decide(&cluster.setup, &cluster.memory, &seen);
        cluster.memory = decision.memory;
    }
    assert_eq!(waiting(&cluster), "SplitNotFollowed");
    let message = &cluster.memory.waiting.as_ref().unwrap().message;
    assert!(message.contains("kubectl firebreak abort"), "{message}");
    for _ in 0..180 {
        cluster.turn_with(|_| ());
    }
    assert_eq!(waiting(&cluster), "MinimumBake");
}

/// A pod that is there is never forgotten: else its silence would end by itself, and the last bake with it.
#[test]
fn given_no_series_of_the_candidate_for_long_in_the_last_bake_then_it_is_not_promoted() {
    let mut cluster = exposed(Level::Medium);
    cluster.setup.plan.final_bake_seconds = 60.0;
    while cluster.memory.phase != Phase::Baking {
        cluster.turn();
    }
    for _ in 0..1500 {
        cluster.turn_with(|seen| readings(seen, 2, |all| all.retain(|reading| reading.pod.starts_with('s'))));
    }
    assert_eq!((cluster.memory.phase, waiting(&cluster)), (Phase::Baking, "MetricsStale"));
}

#[test]
fn given_an_objective_then_slow_requests_do_not_burn_it() {
    let mut cluster = staying(Level::Medium);
    cluster.setup.availability = Some(0.999);
    cluster.memory.judgement = firebreak_engine::judge::Judgement::new(&cluster.setup);
    for _ in 0..60 {
        cluster.turn_with(|seen| {
            if let SignalLook::Read(slow) = &mut seen.look.as_mut().unwrap().signals[1] {
                slow.iter_mut().for_each(|reading| reading.failures = reading.requests / 20);
            }
        });
    }
    assert_eq!(waiting(&cluster), "MinimumBake");
}

#[test]
fn given_no_data_for_long_when_the_policy_alerts_then_it_warns_once_at_the_limit() {
    let mut cluster = exposed(Level::High);
    cluster.setup.plan.no_data = NoData::HoldAlert;
    cluster.metrics = false;
    let mut warned = Vec::new();
    for second in 1..=200 {
        let decision = cluster.turn_with(|_| ());
        warned.extend(decision.notes.iter().filter(|note| note.warning).map(|_| second));
    }
    assert_eq!(warned.len(), 1, "{warned:?}");
    let limit = cluster.setup.plan.no_data_after_seconds;
    assert!((limit..limit + 3.0).contains(&f64::from(warned[0])), "{warned:?}");
}

#[test]
fn given_failing_probes_before_a_pod_is_ready_then_nobody_is_judged_by_them() {
    let mut cluster = Cluster::new(setup(Level::Medium, 1));
    let mut probes = 0;
    for second in 0..30 {
        cluster.turn_with(|seen| {
            if second < 25 {
                probes += 10;
                seen.candidate = Pods { ready: 0, endpoints: 0, unready: seen.candidate.names.clone(), ..seen.candidate.clone() };
            }
            readings(seen, 1, |all| {
                for reading in all.iter_mut().filter(|reading| reading.pod.starts_with('c')) {
                    (reading.requests, reading.failures) = (reading.requests + probes, reading.failures + probes);
                }
            });
        });
    }
    assert_eq!(cluster.memory.phase, Phase::Progressing, "{:?}", cluster.memory.retreat);
}

#[test]
fn given_a_workload_scaled_to_zero_on_the_way_then_no_share_and_a_new_start_when_it_is_back() {
    let mut cluster = exposed(Level::Medium);
    cluster.replicas = 0;
    cluster.turn();
    assert_eq!((cluster.share, waiting(&cluster)), (0.0, "WorkloadScaledToZero"));
    (0..100).for_each(|_| cluster.turn());
    assert_eq!((cluster.candidate, cluster.memory.granted), (0, Weight::ZERO));
    cluster.replicas = 10;
    (0..3).for_each(|_| cluster.turn());
    assert_eq!((cluster.memory.phase, cluster.memory.stage), (Phase::Progressing, 0));
}

#[test]
fn given_a_route_that_cannot_be_used_then_it_holds_and_says_so_once() {
    let mut cluster = exposed(Level::Medium);
    let stage = cluster.memory.stage;
    let mut told = 0;
    for _ in 0..100 {
        let decision = cluster.turn_with(|seen| {
            let traffic = seen.traffic.as_mut().unwrap();
            (traffic.largest_share, traffic.smallest_share) = (0.0, 0.0);
            traffic.problem = Some("HTTPRoute shop does not exist".into());
        });
        told += decision.notes.len();
    }
    assert_eq!((cluster.memory.stage, waiting(&cluster), told), (stage, "RouteNotUsable", 1));
}

#[test]
fn given_a_share_that_someone_takes_back_again_and_again_then_it_bakes_nothing() {
    let mut cluster = exposed(Level::Medium);
    let stage = cluster.memory.stage;
    for _ in 0..200 {
        cluster.share = 0.0;
        cluster.turn_with(|_| ());
    }
    assert_eq!((cluster.memory.stage, waiting(&cluster)), (stage, "RoutesTakenBack"));
}

/// A tool that writes the route every minute takes the bake's seconds, not what was proved.
#[test]
fn given_a_share_that_is_taken_back_now_and_then_then_it_is_promoted_all_the_same() {
    let mut cluster = Cluster::new(setup(Level::Medium, 2));
    cluster.setup.plan.final_bake_seconds = 300.0;
    for second in 0..1500 {
        if second % 60 == 59 {
            cluster.share = 0.0;
        }
        cluster.turn_with(|_| ());
    }
    assert_eq!(cluster.memory.phase, Phase::Ended(Outcome::Promoted), "{:?}", cluster.memory.waiting);
}

#[test]
fn given_routes_that_cannot_be_read_for_a_turn_then_the_stage_goes_on_where_it_was() {
    let mut cluster = staying(Level::Medium);
    let before = cluster.memory.in_effect;
    let decision = cluster.turn_with(|seen| {
        let traffic = seen.traffic.as_mut().unwrap();
        (traffic.largest_share, traffic.smallest_share, traffic.unreadable) = (0.0, 0.0, true);
    });
    assert_eq!((cluster.memory.in_effect, decision.effects), (before, Vec::new()));
}

/// Two minutes without an operator say nothing of the metrics source.
#[test]
fn given_nobody_who_looked_for_long_then_that_is_no_missing_data() {
    let mut cluster = exposed(Level::Critical);
    assert_eq!(cluster.setup.plan.no_data, NoData::RollBack);
    for _ in 0..120 {
        cluster.next_second();
    }
    let since = cluster.now;
    for second in 0..20 {
        cluster.turn_with(|seen| {
            seen.watching_since = since;
            if second < 5 {
                seen.look = None;
            }
        });
    }
    assert_eq!(cluster.memory.retreat, None);
    for _ in 0..100 {
        cluster.turn_with(|seen| (seen.watching_since, seen.look) = (since, None));
    }
    assert_eq!(cluster.memory.retreat.as_ref().map(|retreat| retreat.reason.as_str()), Some("NoData"));
}

#[test]
fn given_no_ready_pod_while_a_larger_stage_is_entered_then_the_share_goes_at_once() {
    let mut cluster = exposed(Level::Medium);
    let stage = cluster.memory.stage;
    while cluster.memory.stage == stage {
        cluster.turn_with(|seen| seen.candidate.ready = seen.candidate.ready.min(2));
    }
    assert!(cluster.memory.in_effect.is_none() && cluster.share > 0.0);
    cluster.turn_with(|seen| (seen.candidate.ready, seen.candidate.endpoints) = (0, 0));
    assert_eq!(cluster.share, 0.0);
}

#[test]
fn given_an_unreadiness_that_stable_shares_then_it_is_not_counted_against_the_candidate() {
    let mut cluster = exposed(Level::Medium);
    cluster.turn_with(|seen| (seen.candidate.ready, seen.candidate.endpoints, seen.stable.ready) = (0, 0, 3));
    assert_eq!((cluster.share, cluster.memory.lost_ready), (0.0, 0));
}

#[rstest]
#[case(Phase::Preparing)]
#[case(Phase::Progressing)]
#[case(Phase::Promoting)]
fn given_a_pause_in_any_phase_then_it_is_obeyed(#[case] phase: Phase) {
    let mut cluster = Cluster::new(setup(Level::Medium, 1));
    // Pods of a larger stage are not there yet: it is being entered.
    let slow = |seen: &mut Observation| seen.candidate.ready = seen.candidate.ready.min(2);
    match phase {
        Phase::Preparing => {
            cluster.turn_with(|seen| seen.seen.clear());
        }
        Phase::Progressing => {
            while cluster.memory.stage == 0 {
                cluster.turn_with(slow);
            }
        }
        _ => {
            while cluster.memory.phase != Phase::Baking {
                cluster.turn();
            }
            while cluster.memory.phase == Phase::Baking {
                // The hand-over waits for a pod.
                let in_effect = cluster.memory.in_effect.is_some();
                cluster.turn_with(|seen| seen.candidate.ready -= u32::from(in_effect));
            }
        }
    }
    assert_eq!(cluster.memory.phase, phase);
    let share = cluster.share;
    let paused = cluster.turn_with(|seen| seen.acts = vec![act("stop", Action::Pause, None)]);
    assert!(paused.answers[0].applied);
    for _ in 0..100 {
        cluster.turn();
    }
    assert!(cluster.share <= share && cluster.owned, "{:?} {}", cluster.memory.phase, cluster.share);
    cluster.turn_with(|seen| seen.acts = vec![act("on", Action::Resume, None)]);
    assert_eq!(cluster.run(300), Phase::Ended(Outcome::Promoted));
}

#[test]
fn given_an_inconclusive_stage_that_needs_a_human_all_the_same_then_it_is_said_once() {
    let mut cluster = Cluster::new(setup(Level::Low, 1));
    cluster.rate = 1;
    cluster.setup.plan.approval_at = vec![Weight::permille(500)];
    let mut told = 0;
    for _ in 0..900 {
        told += cluster.turn_with(|_| ()).notes.len();
    }
    assert_eq!((cluster.memory.stage, waiting(&cluster)), (0, "WaitingForHuman"));
    assert!(told < 6, "{told} notes");
}

#[test]
fn given_an_act_whose_answer_was_lost_then_it_is_given_again() {
    let mut cluster = staying(Level::Medium);
    let acts = vec![act("again", Action::Resume, None)];
    let first = cluster.turn_with(|seen| seen.acts = acts.clone());
    let second = cluster.turn_with(|seen| seen.acts = acts.clone());
    assert!(!first.answers[0].applied && first.answers == second.answers, "{:?}", second.answers);
}

#[test]
fn given_two_people_who_let_the_same_stage_through_then_the_second_is_refused() {
    let mut cluster = staying(Level::Medium);
    let first = cluster.turn_with(|seen| seen.acts = vec![act("first", Action::Promote, Some(1))]);
    assert!(first.answers[0].applied && cluster.memory.stage == 1, "{:?}", first.answers);
    let second = cluster.turn_with(|seen| seen.acts = vec![act("second", Action::Promote, Some(1))]);
    assert!(!second.answers[0].applied && second.answers[0].message.contains("stage 1 of 4"), "{:?}", second.answers);
    assert_eq!((cluster.memory.stage, cluster.memory.let_through), (1, None));
}

#[test]
fn given_a_promote_before_the_first_stage_then_no_stage_is_left_out() {
    let mut cluster = Cluster::new(setup(Level::Medium, 2));
    cluster.setup.plan.min_bake_seconds = 1e6;
    cluster.metrics = false;
    (0..3).for_each(|_| cluster.turn());
    assert_eq!(cluster.memory.phase, Phase::Preparing);
    cluster.turn_with(|seen| seen.acts = vec![act("early", Action::Promote, None)]);
    cluster.metrics = true;
    (0..20).for_each(|_| cluster.turn());
    assert_eq!((cluster.memory.phase, cluster.memory.stage), (Phase::Progressing, 0));
}

#[test]
fn given_an_act_after_the_hand_over_then_it_is_refused_with_the_way_out() {
    let mut cluster = exposed(Level::Medium);
    while cluster.owned {
        cluster.turn();
    }
    let decision = cluster.turn_with(|seen| seen.acts = vec![act("late", Action::Abort, None)]);
    assert!(!decision.answers[0].applied && decision.answers[0].message.contains("rollout undo"), "{:?}", decision.answers);
}

#[test]
fn given_one_candidate_pod_that_is_not_ready_then_the_silence_of_the_others_is_named() {
    let mut cluster = staying(Level::Medium);
    for _ in 0..20 {
        cluster.turn_with(|seen| {
            seen.candidate.names.push("c-crashing".into());
            seen.candidate.unready = vec!["c-crashing".into()];
            readings(seen, 2, |all| all.retain(|reading| reading.pod.starts_with('s')));
        });
    }
    assert_eq!(waiting(&cluster), "MetricsStale");
}

/// A node that went away leaves a stable pod that runs and is not ready, for minutes.
#[test]
fn given_a_stable_pod_that_is_not_ready_and_not_read_then_harm_is_judged_all_the_same() {
    let mut cluster = staying(Level::Medium);
    let lost = |seen: &mut Observation, read: bool| {
        seen.stable.names.push("s-lost".into());
        seen.stable.unready = if read { Vec::new() } else { vec!["s-lost".into()] };
        if read {
            readings(seen, 2, |all| {
                let lost = Reading { pod: "s-lost".into(), ..all[0].clone() };
                all.push(lost);
            });
        }
    };
    cluster.turn_with(|seen| lost(seen, true));
    cluster.failing.0 = 200;
    let mut seconds = 0;
    while cluster.memory.retreat.is_none() && seconds < 60 {
        cluster.turn_with(|seen| lost(seen, false));
        seconds += 1;
    }
    assert!(seconds < 20, "not taken back after {seconds} s: {:?}", cluster.memory.waiting);
}

#[test]
fn given_one_signal_without_an_answer_then_another_shows_harm_all_the_same() {
    let mut cluster = staying(Level::Medium);
    cluster.failing.0 = 200;
    let mut seconds = 0;
    while cluster.memory.retreat.is_none() && seconds < 60 {
        cluster.turn_with(|seen| {
            seen.look.as_mut().unwrap().signals[1] =
                SignalLook::Trouble { reason: "MetricsMissing".into(), message: "no such series".into() };
        });
        seconds += 1;
    }
    assert!(seconds < 20, "not taken back after {seconds} s: {:?}", cluster.memory.waiting);
}

#[test]
fn given_most_requests_failing_while_stable_was_not_read_then_it_is_not_called_the_candidates_fault() {
    let mut cluster = staying(Level::Medium);
    for second in 0..40 {
        // What was read of stable has left the window by then.
        cluster.failing = if second < 15 { (1, 1) } else { (900, 900) };
        cluster.turn_with(|seen| readings(seen, 2, |all| all.retain(|reading| reading.pod.starts_with('c'))));
    }
    assert_eq!((cluster.memory.phase, waiting(&cluster)), (Phase::Progressing, "MetricsStale"));
}

/// Where pods are the share both arms serve at the last stage, and evidence goes on growing.
#[test]
fn given_suspicion_at_the_end_of_the_last_bake_then_it_is_not_handed_over() {
    let mut cluster = Cluster::new(setup(Level::Medium, 1));
    cluster.setup.exposure = Exposure::PodShare;
    cluster.setup.plan.final_bake_seconds = 30.0;
    cluster.setup.plan.alpha = 1e-12;
    let by_pods = |cluster: &mut Cluster| {
        let shares = f64::from(cluster.candidate) / f64::from(cluster.candidate + cluster.replicas);
        cluster.share = shares * 1000.0;
        cluster.turn_with(|seen| seen.traffic = None);
        cluster.share = shares * 1000.0;
    };
    while cluster.memory.phase != Phase::Baking {
        by_pods(&mut cluster);
    }
    cluster.failing = (30, 3);
    for _ in 0..32 {
        by_pods(&mut cluster);
    }
    assert_eq!((cluster.memory.phase, waiting(&cluster)), (Phase::Baking, "Suspicion"));
}

#[test]
fn given_pods_that_come_for_a_larger_share_then_it_waits_until_they_are_seen() {
    let mut cluster = exposed(Level::Medium);
    let stage = cluster.memory.stage;
    let weight = cluster.memory.granted;
    let unseen = |seen: &mut Observation| {
        let pods = seen.candidate.wanted;
        seen.candidate.names = (0..pods).map(|at| format!("c-{at}")).collect();
    };
    for _ in 0..120 {
        cluster.turn_with(unseen);
    }
    assert_eq!((cluster.memory.stage, cluster.memory.granted), (stage + 1, weight));
    assert_eq!(waiting(&cluster), "NotSeenByMetrics");
    for _ in 0..3 {
        cluster.turn_with(|seen| {
            unseen(seen);
            seen.seen = seen.candidate.names.clone();
        });
    }
    assert!(cluster.memory.granted > weight);
}

#[test]
fn given_a_route_that_carries_a_share_nobody_granted_when_a_change_begins_then_it_goes_first() {
    let mut cluster = Cluster::new(setup(Level::Medium, 1));
    cluster.share = 200.0;
    let decision = cluster.turn_with(|_| ());
    assert_eq!(decision.effects.first(), Some(&Effect::ZeroWeight));
}

#[test]
fn given_routes_that_cannot_be_read_when_it_goes_back_then_they_are_written_and_nothing_ends() {
    let mut cluster = exposed(Level::Medium);
    let blind = |seen: &mut Observation| {
        let traffic = seen.traffic.as_mut().unwrap();
        (traffic.largest_share, traffic.smallest_share, traffic.carries_candidate, traffic.unreadable) = (0.0, 0.0, false, true);
    };
    cluster.turn_with(|seen| {
        blind(seen);
        seen.acts = vec![act("back", Action::Abort, None)];
    });
    for _ in 0..100 {
        let decision = cluster.turn_with(blind);
        assert_eq!(decision.effects.first(), Some(&Effect::ZeroWeight));
    }
    assert!(cluster.memory.phase == Phase::Retreating && cluster.candidate > 0);
    assert_eq!(cluster.run(60), Phase::Ended(Outcome::RolledBack));
}

/// A ReplicaSet that was there before goes back to the workload, and after a bypass the native controller scales it up.
#[test]
fn given_a_bypass_of_an_older_revision_then_it_ends_although_its_pods_run() {
    let mut cluster = exposed(Level::Medium);
    cluster.setup.taken_over = true;
    for _ in 0..120 {
        cluster.held = false;
        let decision = cluster.turn_with(|seen| seen.workload.bypassed = true);
        if decision.effects.contains(&Effect::GiveBack) {
            (cluster.owned, cluster.candidate) = (false, 10);
        }
    }
    assert_eq!(cluster.memory.phase, Phase::Ended(Outcome::Withdrawn));
}

#[rstest]
#[case(Template::Newer, true)]
#[case(Template::Stable, false)]
fn given_a_template_that_came_unheld_then_it_is_held_beside_the_way_back(#[case] template: Template, #[case] held: bool) {
    let mut cluster = exposed(Level::Medium);
    (cluster.held, cluster.template) = (false, template);
    let decision = cluster.turn_with(|_| ());
    assert_eq!(decision.effects.first(), Some(&Effect::ZeroWeight));
    assert_eq!(decision.effects.contains(&Effect::Hold), held);
}

#[test]
fn given_a_service_that_does_not_reach_the_pods_then_the_deadline_ends_it() {
    let mut cluster = Cluster::new(setup(Level::Medium, 1));
    for _ in 0..70 {
        cluster.turn_with(|seen| seen.candidate.endpoints = 0);
    }
    let retreat = cluster.memory.retreat.as_ref().unwrap();
    assert!(retreat.reason == "CandidateNotReady" && retreat.message.contains("0 of them behind"), "{}", retreat.message);
}

/// Every second turn is the first of a process that has not read the routes yet.
fn turn_blind_at_times(cluster: &mut Cluster, turn: u32) {
    cluster.turn_with(|seen| {
        if turn.is_multiple_of(2) {
            let traffic = seen.traffic.as_mut().unwrap();
            (traffic.largest_share, traffic.smallest_share, traffic.carries_candidate, traffic.unreadable) =
                (0.0, 0.0, true, true);
        }
    });
}

#[test]
fn given_restarts_all_along_the_hand_over_then_its_waits_do_not_begin_anew() {
    let mut cluster = exposed(Level::Medium);
    while cluster.memory.phase != Phase::Promoting {
        cluster.turn();
    }
    for turn in 0..30 {
        turn_blind_at_times(&mut cluster, turn);
    }
    assert_eq!(cluster.memory.phase, Phase::Ended(Outcome::Promoted));
}

#[test]
fn given_restarts_all_along_the_way_back_then_its_waits_do_not_begin_anew() {
    let mut cluster = exposed(Level::Medium);
    cluster.turn_with(|seen| seen.acts = vec![act("back", Action::Abort, None)]);
    for turn in 0..60 {
        turn_blind_at_times(&mut cluster, turn);
    }
    assert_eq!(cluster.memory.phase, Phase::Ended(Outcome::RolledBack));
}

#[rstest]
#[case::counted(5, "had answered")]
#[case::never_counted(60, "could not be counted")]
fn given_pods_from_before_the_hold_then_the_first_share_waits_for_their_count(#[case] unread: usize, #[case] told: &str) {
    let mut cluster = Cluster::new(setup(Level::Medium, 2));
    cluster.setup.late = Some(Late { pods: 1, since: cluster.now });
    cluster.memory = Memory::new(&cluster.setup, cluster.now);
    let mut notes = Vec::new();
    let mut first_share = None;
    for second in 0..90 {
        let decision = cluster.turn_with(|seen| {
            if second < unread {
                readings(seen, 2, |all| all.retain(|reading| reading.pod.starts_with('s')));
            }
        });
        notes.extend(decision.notes);
        if cluster.memory.granted > Weight::ZERO {
            first_share.get_or_insert(second);
        }
    }
    let exposure = notes.iter().find(|note| note.reason == "LateExposure").unwrap();
    assert!(exposure.message.contains(told), "{}", exposure.message);
    let first_share = first_share.unwrap();
    assert!(first_share >= unread.min(30), "a share after {first_share} s");
    assert!(first_share < 45, "no share for {first_share} s");
}

/// A Change with a signal of orders beside the others; one in ten requests of stable orders, of the candidate `per_mille`.
fn ordering(cluster: &mut Cluster, seconds: usize, per_mille: u64) -> Vec<String> {
    let mut notes = Vec::new();
    for _ in 0..seconds {
        let decision = cluster.turn_with(|seen| {
            let SignalLook::Read(orders) = &mut seen.look.as_mut().unwrap().signals[1] else { panic!("no answer") };
            for reading in orders {
                let share = if reading.pod.starts_with('s') { 100 } else { per_mille };
                reading.failures = reading.requests * share / 1000;
            }
        });
        notes.extend(decision.notes.into_iter().map(|note| format!("{}: {}", note.reason, note.message)));
    }
    notes
}

#[rstest]
#[case::as_many(100, Outcome::Promoted)]
#[case::a_tenth_fewer(90, Outcome::Promoted)]
#[case::few(20, Outcome::RolledBack)]
#[case::none(0, Outcome::RolledBack)]
fn given_a_signal_of_successes_then_fewer_is_worse(#[case] per_mille: u64, #[case] outcome: Outcome) {
    let mut cluster = Cluster::new(setup(Level::Medium, 2));
    cluster.setup.signals[1].counts = SignalCounts::Successes;
    let notes = ordering(&mut cluster, 400, per_mille);
    assert_eq!(cluster.memory.phase, Phase::Ended(outcome), "{notes:?}");
    let fewer = notes.iter().find(|note| note.starts_with("FewerThanStable"));
    assert_eq!(fewer.is_some(), outcome == Outcome::RolledBack, "{notes:?}");
    if let Some(fewer) = fewer {
        assert!(fewer.contains("fewer by more than"), "{fewer}");
        let blast = cluster.memory.judgement.blast(&cluster.setup, Weight::FULL).unwrap();
        assert!(blast.ef.unwrap() > 0.0 && blast.ef_lo <= blast.ef.unwrap(), "{blast:?}");
    }
}

#[test]
fn given_nothing_but_successes_then_no_stage_opens() {
    let mut cluster = Cluster::new(setup(Level::Medium, 2));
    cluster.setup.signals.iter_mut().for_each(|signal| signal.counts = SignalCounts::Successes);
    ordering(&mut cluster, 400, 100);
    assert_eq!(cluster.memory.phase, Phase::Progressing);
    assert_eq!(cluster.memory.granted, Weight::percent(5));
}
