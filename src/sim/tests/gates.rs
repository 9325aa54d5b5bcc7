//! Freeze windows and full limits: they hold what leads on, where they say so, and nothing that leads back.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use firebreak_engine::{
    Decision, Observation, decide,
    gates::{FROZEN, FROZEN_UNLESS_APPROVED, Frozen, Queued, Running},
    memory::{Memory, Outcome, Phase},
    observation::{Act, Action, Template},
    people::{Approval, Makers},
    risk::Level,
    units::{Millis, Weight},
};
use firebreak_sim::{Cluster, setup};
use proptest::prelude::*;
use rstest::rstest;

fn frozen(running: Running, exception: bool) -> Frozen {
    Frozen {
        name: "weekend".to_owned(),
        since: Millis(0),
        until: Millis(i64::MAX / 2),
        until_words: "2026-12-07 07:00 Europe/Zurich".to_owned(),
        running,
        exception,
    }
}

fn queued() -> Queued {
    let limit = "2 under way in the cluster, and policy bank lets 2 (limits.cluster): a/x, b/y".to_owned();
    Queued { position: 2, of: 3, limit, behind: vec!["b/z".to_owned()] }
}

fn cluster() -> Cluster {
    let mut setup = setup(Level::Medium, 2);
    setup.plan.stages = vec![Weight::percent(20), Weight::percent(50), Weight::FULL];
    setup.makers = Makers { changed_by: Some("carol".to_owned()), author: None };
    Cluster::new(setup)
}

fn exposed() -> Cluster {
    let mut cluster = cluster();
    (0..8).for_each(|_| cluster.turn());
    assert_eq!((cluster.memory.phase, cluster.memory.granted), (Phase::Progressing, Weight::percent(20)));
    cluster
}

fn run_frozen(cluster: &mut Cluster, running: Running, seconds: usize) -> Vec<String> {
    let mut notes = Vec::new();
    for _ in 0..seconds {
        if matches!(cluster.memory.phase, Phase::Ended(_)) {
            break;
        }
        let decision = cluster.turn_with(|seen| seen.freezes = vec![frozen(running, false)]);
        notes.extend(decision.notes.into_iter().map(|note| format!("{}: {}", note.reason, note.message)));
    }
    notes
}

fn reason(cluster: &Cluster) -> &str {
    cluster.memory.waiting.as_ref().map_or("", |waiting| waiting.reason.as_str())
}

fn act(action: Action, by: &str, name: &str) -> Act {
    Act { name: name.to_owned(), action, by: Some(by.to_owned()), groups: Vec::new(), reason: None, stage: None, at: None }
}

#[test]
fn given_a_freeze_when_a_change_is_held_then_nothing_begins_and_it_begins_when_the_freeze_is_over() {
    let mut cluster = cluster();
    let notes = run_frozen(&mut cluster, Running::Finish, 30);
    assert_eq!((cluster.memory.phase, reason(&cluster), cluster.candidate), (Phase::Held, "Frozen", 0));
    let told: Vec<_> = notes.iter().filter(|note| note.starts_with("Frozen")).collect();
    assert_eq!(told.len(), 1, "{notes:?}");
    assert!(told[0].contains("freeze weekend is in force until 2026-12-07 07:00 Europe/Zurich"), "{told:?}");
    assert!(told[0].contains("no exception") && told[0].contains("no request reaches the candidate"), "{told:?}");
    assert_eq!(cluster.run(2000), Phase::Ended(Outcome::Promoted));
}

#[test]
fn given_a_freeze_that_starts_at_20_percent_when_running_changes_are_held_then_it_stays_judged_and_goes_on_after_it() {
    let mut cluster = exposed();
    run_frozen(&mut cluster, Running::Hold, 1500);
    assert_eq!((cluster.memory.phase, cluster.memory.granted), (Phase::Progressing, Weight::percent(20)));
    assert_eq!(reason(&cluster), "Frozen");
    assert!(cluster.memory.waiting.as_ref().unwrap().message.contains("it stays at 20 %"), "{:?}", cluster.memory.waiting);
    assert_eq!(cluster.run(2000), Phase::Ended(Outcome::Promoted));
}

#[test]
fn given_a_freeze_that_starts_at_20_percent_when_running_changes_finish_then_it_is_promoted_in_it() {
    let mut cluster = exposed();
    run_frozen(&mut cluster, Running::Finish, 2000);
    assert_eq!(cluster.memory.phase, Phase::Ended(Outcome::Promoted));
}

#[test]
fn given_a_freeze_when_the_last_stage_is_proved_then_it_is_not_handed_over() {
    let mut cluster = exposed();
    while cluster.memory.phase != Phase::Baking {
        cluster.turn();
    }
    run_frozen(&mut cluster, Running::Hold, 1500);
    assert_eq!((cluster.memory.phase, reason(&cluster)), (Phase::Baking, "Frozen"));
    assert!(cluster.owned, "its pods are the Change's still");
    assert!(cluster.memory.waiting.as_ref().unwrap().message.contains("it is not handed over before"));
    assert_eq!(cluster.run(2000), Phase::Ended(Outcome::Promoted));
}

#[test]
fn given_a_freeze_when_a_human_promotes_then_it_is_not_passed() {
    let mut cluster = exposed();
    for turn in 0..30 {
        cluster.turn_with(|seen| {
            seen.freezes = vec![frozen(Running::Hold, false)];
            seen.acts = if turn == 0 { vec![act(Action::Promote, "ann", "p")] } else { Vec::new() };
        });
    }
    assert_eq!((cluster.memory.stage, reason(&cluster)), (0, "Frozen"));
}

#[rstest]
#[case::abort(|seen: &mut Observation| seen.acts = vec![act(Action::Abort, "ann", "a")], "Aborted")]
#[case::newer(|seen: &mut Observation| seen.workload.template = Template::Newer, "Superseded")]
#[case::guard_goes(|seen: &mut Observation| seen.workload.guard_leaves = true, "GuardDeleted")]
#[case::crash(|seen: &mut Observation| seen.candidate.crash_looping = 99, "CandidateCrashLoops")]
fn given_a_freeze_and_a_full_limit_when_it_has_to_go_back_then_it_does_in_that_turn(
    #[case] change: fn(&mut Observation),
    #[case] reason: &str,
) {
    let mut cluster = exposed();
    run_frozen(&mut cluster, Running::Hold, 20);
    let decision = cluster.turn_with(|seen| {
        seen.freezes = vec![frozen(Running::Hold, true)];
        seen.queued = Some(queued());
        change(seen);
    });
    assert_eq!(cluster.memory.phase, Phase::Retreating);
    assert_eq!(cluster.memory.granted, Weight::ZERO);
    assert_eq!(decision.memory.retreat.unwrap().reason, reason);
}

#[test]
fn given_a_full_limit_when_a_change_would_begin_then_it_queues_and_begins_when_there_is_a_place() {
    let mut cluster = cluster();
    let mut told = Vec::new();
    for _ in 0..20 {
        told.extend(cluster.turn_with(|seen| seen.queued = Some(queued())).notes);
    }
    assert_eq!((cluster.memory.phase, reason(&cluster), cluster.candidate), (Phase::Held, "Queued", 0));
    assert!(!cluster.memory.takes_place());
    let told: Vec<_> = told.iter().filter(|note| note.reason == "Queued").map(|note| note.message.as_str()).collect();
    assert_eq!(told.len(), 1);
    assert!(told[0].contains("number 2 of 3 in the queue, behind b/z") && told[0].contains("limits.cluster"), "{told:?}");
    assert_eq!(cluster.run(2000), Phase::Ended(Outcome::Promoted));
}

#[test]
fn given_a_change_that_is_under_way_when_its_limit_is_full_then_it_goes_on() {
    let mut cluster = exposed();
    for _ in 0..2000 {
        cluster.turn_with(|seen| seen.queued = Some(queued()));
        if matches!(cluster.memory.phase, Phase::Ended(_)) {
            break;
        }
    }
    assert_eq!(cluster.memory.phase, Phase::Ended(Outcome::Promoted));
}

#[test]
fn given_candidate_pods_that_no_source_sees_when_others_took_the_places_then_it_queues_before_its_first_share() {
    let mut cluster = cluster();
    for _ in 0..90 {
        cluster.turn_with(|seen| seen.seen.clear());
    }
    assert_eq!((cluster.memory.phase, reason(&cluster)), (Phase::Preparing, "NotSeenByMetrics"));
    assert!(!cluster.memory.takes_place(), "who waits for something else takes no place");
    for _ in 0..20 {
        cluster.turn_with(|seen| seen.queued = Some(queued()));
    }
    assert_eq!((cluster.memory.granted, reason(&cluster)), (Weight::ZERO, "Queued"));
    assert_eq!(cluster.run(2000), Phase::Ended(Outcome::Promoted));
}

#[test]
fn given_a_change_that_queues_with_a_pod_that_is_not_ready_then_that_is_said_once_and_its_place_stays_its_own() {
    let mut cluster = cluster();
    for _ in 0..90 {
        cluster.turn_with(|seen| seen.seen.clear());
    }
    let unready = |seen: &mut Observation| {
        seen.queued = Some(queued());
        seen.candidate.ready -= 1;
        seen.candidate.unready = seen.candidate.names.iter().take(1).cloned().collect();
    };
    cluster.turn_with(unready);
    let since = cluster.memory.waiting.as_ref().unwrap().since;
    let notes: usize = (0..20).map(|_| cluster.turn_with(unready).notes.len()).sum();
    assert_eq!((reason(&cluster), cluster.memory.waiting.as_ref().unwrap().since, notes), ("Queued", since, 0));
}

#[test]
fn given_a_change_that_queues_when_a_freeze_comes_between_then_its_place_stays_its_own() {
    let mut cluster = cluster();
    cluster.turn_with(|seen| seen.queued = Some(queued()));
    let since = cluster.memory.queued_since.unwrap();
    run_frozen(&mut cluster, Running::Hold, 30);
    assert_eq!((reason(&cluster), cluster.memory.queued_since), ("Frozen", Some(since)));
    cluster.turn_with(|seen| seen.queued = Some(queued()));
    assert_eq!((reason(&cluster), cluster.memory.queued_since), ("Queued", Some(since)));
    assert_eq!(cluster.run(2000), Phase::Ended(Outcome::Promoted));
    assert_eq!(cluster.memory.queued_since, None);
}

#[test]
fn given_a_freeze_longer_than_pods_may_take_to_come_up_when_one_of_them_goes_then_nothing_is_taken_back() {
    let mut cluster = cluster();
    while cluster.observe().candidate.ready == 0 {
        cluster.turn_with(|_| {});
    }
    let deadline = cluster.setup.ready_deadline_seconds;
    run_frozen(&mut cluster, Running::Hold, deadline as usize + 60);
    assert_eq!((cluster.memory.phase, reason(&cluster)), (Phase::Preparing, "Frozen"));
    for _ in 0..30 {
        cluster.turn_with(|seen| {
            seen.freezes = vec![frozen(Running::Hold, false)];
            seen.candidate.ready -= 1;
            seen.candidate.endpoints = seen.candidate.endpoints.saturating_sub(1);
        });
    }
    assert_eq!(cluster.memory.phase, Phase::Preparing);
    assert_eq!(cluster.run(2000), Phase::Ended(Outcome::Promoted));
}

#[rstest]
#[case::someone_else("ann", None)]
#[case::who_asked_for_the_template("carol", Some("nobody may approve their own change"))]
fn given_a_freeze_with_an_exception_when_someone_approves_then_they_let_it_through_or_are_told_why_not(
    #[case] by: &str,
    #[case] refused: Option<&str>,
) {
    let mut cluster = cluster();
    let freeze = || vec![frozen(Running::Hold, true)];
    (0..5).for_each(|_| drop(cluster.turn_with(|seen| seen.freezes = freeze())));
    assert!(
        cluster.memory.waiting.as_ref().unwrap().message.contains("approve GUARD --reason '...' lets it through this window")
    );
    let decision = cluster.turn_with(|seen| {
        seen.freezes = freeze();
        seen.acts = vec![act(Action::Approve, by, "a")];
    });
    let answer = &decision.answers[0];
    match refused {
        Some(why) => {
            assert!(!answer.applied && answer.message.contains(why), "{answer:?}");
            assert_eq!(reason(&cluster), FROZEN_UNLESS_APPROVED);
        }
        None => {
            assert!(answer.applied && answer.message.contains("lets it through"), "{answer:?}");
            for _ in 0..2000 {
                cluster.turn_with(|seen| seen.freezes = freeze());
                if matches!(cluster.memory.phase, Phase::Ended(_)) {
                    break;
                }
            }
            assert_eq!(cluster.memory.phase, Phase::Ended(Outcome::Promoted));
        }
    }
}

/// Of two freezes at once, the one that nobody can let it pass is what it waits for: nobody is asked for nothing.
#[test]
fn given_two_freezes_of_which_one_lets_nothing_through_when_held_then_nobody_is_asked() {
    let mut cluster = cluster();
    let longer = Frozen { name: "year-end".to_owned(), until: Millis(i64::MAX), ..frozen(Running::Hold, true) };
    let both = || vec![longer.clone(), frozen(Running::Hold, false)];
    (0..5).for_each(|_| drop(cluster.turn_with(|seen| seen.freezes = both())));
    assert_eq!(reason(&cluster), FROZEN);
    assert!(cluster.memory.waiting.as_ref().unwrap().message.contains("lets no exception through"));
    cluster.turn_with(|seen| seen.freezes = vec![longer.clone()]);
    assert_eq!(reason(&cluster), FROZEN_UNLESS_APPROVED);
}

#[test]
fn given_an_exception_from_one_window_when_the_next_opens_then_it_is_asked_anew() {
    let mut cluster = exposed();
    cluster.turn_with(|seen| {
        seen.freezes = vec![frozen(Running::Hold, true)];
        seen.acts = vec![act(Action::Approve, "ann", "a")];
    });
    let next = |cluster: &Cluster| Frozen { since: cluster.now, ..frozen(Running::Hold, true) };
    let opened = next(&cluster);
    (0..600).for_each(|_| drop(cluster.turn_with(|seen| seen.freezes = vec![opened.clone()])));
    assert_eq!((cluster.memory.stage, reason(&cluster)), (0, FROZEN_UNLESS_APPROVED));
}

#[test]
fn given_a_policy_that_asks_two_people_of_a_group_when_a_freeze_lets_exceptions_through_then_it_asks_the_same_of_them() {
    let mut cluster = exposed();
    cluster.setup.plan.approval = Approval { count: 2, groups: vec!["release".to_owned()], expires_after_seconds: None };
    let said = |cluster: &mut Cluster, by: &str, groups: &[&str]| {
        let decision = cluster.turn_with(|seen| {
            seen.freezes = vec![frozen(Running::Hold, true)];
            let groups = groups.iter().map(|&group| group.to_owned()).collect();
            seen.acts = vec![Act { groups, ..act(Action::Approve, by, &format!("{by}-{}", seen.now.0)) }];
        });
        (decision.answers[0].applied, decision.answers[0].message.clone())
    };
    assert!(!said(&mut cluster, "bob", &["dev"]).0);
    let (applied, words) = said(&mut cluster, "ann", &["release"]);
    assert!(applied && words.contains("still takes 1 human of release"), "{words}");
    assert!(!said(&mut cluster, "ann", &["release"]).0, "the same person twice");
    let (applied, words) = said(&mut cluster, "dan", &["release"]);
    assert!(applied && words.contains("lets it through"), "{words}");
}

#[test]
fn given_an_exception_that_expires_in_its_freeze_then_it_is_void_and_said_so() {
    let mut cluster = exposed();
    cluster.setup.plan.approval.expires_after_seconds = Some(120.0);
    cluster.setup.plan.min_bake_seconds = 1e6;
    cluster.turn_with(|seen| {
        seen.freezes = vec![frozen(Running::Hold, true)];
        seen.acts = vec![act(Action::Approve, "ann", "a")];
    });
    let mut told = Vec::new();
    for _ in 0..200 {
        let decision = cluster.turn_with(|seen| seen.freezes = vec![frozen(Running::Hold, true)]);
        told.extend(decision.notes.into_iter().filter(|note| note.reason == "ApprovalExpired"));
    }
    assert!(told.len() == 1 && told[0].message.contains("ann") && told[0].message.contains("freeze weekend"), "{told:?}");
    assert!(cluster.memory.excepted.is_empty());
}

#[test]
fn given_a_freeze_without_exceptions_when_someone_approves_then_they_are_told_that_nobody_may() {
    let mut cluster = exposed();
    let decision = cluster.turn_with(|seen| {
        seen.freezes = vec![frozen(Running::Hold, false)];
        seen.acts = vec![act(Action::Approve, "ann", "a")];
    });
    assert!(!decision.answers[0].applied && decision.answers[0].message.contains("lets no exception through"));
}

/// How far a decision goes toward everyone.
fn reach(memory: &Memory) -> (bool, Weight, usize) {
    let promoted = matches!(memory.phase, Phase::Promoting | Phase::Ended(Outcome::Promoted));
    (promoted, memory.granted, if memory.granted == Weight::ZERO { 0 } else { memory.stage })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// From any state on any way, a freeze or a full limit makes no decision looser, and a way back is the same, in the same turn.
    #[test]
    fn given_any_state_when_a_freeze_or_a_limit_comes_then_nothing_is_looser_and_no_way_back_waits(
        turns in 0usize..400, level in 0usize..4, hold in any::<bool>(), exception in any::<bool>(),
        freeze in any::<bool>(), full in any::<bool>(), event in 0u8..6, forced in any::<bool>(),
    ) {
        let level = [Level::Low, Level::Medium, Level::High, Level::Critical][level];
        let mut cluster = Cluster::new(setup(level, 2));
        cluster.setup.plan.approval_at.clear();
        cluster.setup.plan.min_bake_seconds = 5.0;
        for turn in 0..turns {
            if forced && turn % 40 == 39 {
                let name = format!("p{turn}");
                cluster.turn_with(|seen| seen.acts = vec![act(Action::Promote, "ann", &name)]);
            } else {
                cluster.turn();
            }
        }
        cluster.next_second();
        let mut seen = cluster.observe();
        match event {
            0 => seen.acts = vec![act(Action::Abort, "ann", "abort")],
            1 => seen.workload.template = Template::Newer,
            2 => seen.workload.guard_leaves = true,
            3 => seen.candidate.crash_looping = u32::MAX,
            4 => seen.acts = vec![act(Action::Promote, "ann", "promote")],
            _ => {}
        }
        let free = decide(&cluster.setup, &cluster.memory, &seen);
        if freeze {
            seen.freezes = vec![frozen(if hold { Running::Hold } else { Running::Finish }, exception)];
        }
        if full {
            seen.queued = Some(queued());
        }
        let held = decide(&cluster.setup, &cluster.memory, &seen);
        prop_assert!(reach(&held.memory) <= reach(&free.memory), "{:?} > {:?}", reach(&held.memory), reach(&free.memory));
        let leads_back = |decision: &Decision| matches!(decision.memory.phase, Phase::Retreating | Phase::Ended(_));
        prop_assert_eq!(leads_back(&held), leads_back(&free));
        if leads_back(&free) {
            prop_assert_eq!(&held, &free);
        }
        if full && !cluster.memory.takes_place() && !leads_back(&held) {
            prop_assert!(!held.memory.takes_place(), "it took a place that there is not: {:?}", held.memory.phase);
        }
    }
}
