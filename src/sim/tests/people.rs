//! Who may let a change through: approvals by how many of whom, four eyes, expiry, names that nobody vouches for.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use firebreak_engine::{
    memory::{Memory, Outcome, Phase},
    observation::{Act, Action},
    people::{Approval, Makers},
    risk::Level,
    units::{Millis, Weight},
};
use firebreak_sim::{Cluster, setup};
use proptest::prelude::*;
use rstest::rstest;

const MINUTE: f64 = 60.0;

/// A Change whose second and last stage a human is asked about; carol asked for the template and Dave wrote it.
fn asking(approval: Approval) -> Cluster {
    let mut setup = setup(Level::High, 2);
    setup.plan.stages = vec![Weight::percent(20), Weight::FULL];
    setup.plan.approval = approval;
    setup.makers = Makers { changed_by: Some("carol".to_owned()), author: Some("Dave Doe <dave@example.com>".to_owned()) };
    Cluster::new(setup)
}

/// The same, once it waits for nothing but humans.
fn waiting(approval: Approval) -> Cluster {
    let mut cluster = asking(approval);
    cluster.run(200);
    assert_eq!(reason(&cluster), "WaitingForHuman", "{:?}", cluster.memory.waiting);
    cluster
}

fn reason(cluster: &Cluster) -> &str {
    cluster.memory.waiting.as_ref().map_or("", |waiting| waiting.reason.as_str())
}

fn act(action: Action, by: &str, groups: &[&str]) -> Act {
    Act {
        name: format!("{action:?}-{by}"),
        action,
        by: Some(by.to_owned()).filter(|by| !by.is_empty()),
        groups: groups.iter().map(|&group| group.to_owned()).collect(),
        reason: Some("looked at it".to_owned()),
        stage: None,
        at: None,
    }
}

/// What became of one act.
fn asked(cluster: &mut Cluster, act: Act) -> Result<String, String> {
    let decision = cluster.turn_with(|seen| seen.acts = vec![act]);
    let answer = decision.answers[0].clone();
    if answer.applied { Ok(answer.message) } else { Err(answer.message) }
}

fn of(count: u32, groups: &[&str]) -> Approval {
    Approval { count, groups: groups.iter().map(|&group| group.to_owned()).collect(), expires_after_seconds: None }
}

#[rstest]
#[case::someone_else(Action::Approve, "ann", &[], None)]
#[case::who_asked_for_it(Action::Approve, "carol", &[], Some("carol asked for this template (firebreak.dev/changed-by)"))]
#[case::who_asked_for_it_in_another_case(Action::Approve, "Carol", &[], Some("nobody may approve their own change"))]
#[case::the_author(Action::Approve, "dave@example.com", &[], Some("is named as its author"))]
#[case::the_author_behind_an_issuer(Action::Approve, "oidc:DAVE@example.com", &[], Some("is named as its author"))]
#[case::nobody_vouches(Action::Approve, "", &[], Some("nobody vouches for who asked to approve"))]
#[case::in_a_group(Action::Approve, "ann", &["dev", "release"], None)]
#[case::in_none(Action::Approve, "ann", &["dev"], Some("none of the groups that the policy asks before 100 % (release, sre)"))]
#[case::promote_by_someone_else(Action::Promote, "ann", &[], None)]
#[case::promote_by_who_asked_for_it(Action::Promote, "carol", &[], Some("nobody may promote their own change"))]
#[case::promote_where_nobody_vouches(Action::Promote, "", &[], Some("nobody vouches for who asked to promote"))]
#[case::resume_where_nobody_vouches(Action::Resume, "", &[], Some("nobody vouches for who asked to resume"))]
fn given_a_question_to_humans_when_someone_answers_then_they_may_or_are_told_why_not(
    #[case] action: Action,
    #[case] by: &str,
    #[case] groups: &[&str],
    #[case] refused: Option<&str>,
) {
    let mut cluster = waiting(of(1, if groups.is_empty() { &[] } else { &["release", "sre"] }));
    let told = asked(&mut cluster, act(action, by, groups));
    match refused {
        None => assert!(told.is_ok(), "{told:?}"),
        Some(why) => {
            let told = told.unwrap_err();
            assert!(told.contains(why), "{told}");
            assert_eq!((cluster.memory.stage, reason(&cluster)), (0, "WaitingForHuman"));
        }
    }
}

#[rstest]
#[case(Action::Pause)]
#[case(Action::Abort)]
fn given_nobody_who_vouches_when_it_makes_safer_then_it_is_done(#[case] action: Action) {
    assert!(asked(&mut waiting(of(1, &[])), act(action, "", &[])).is_ok());
}

#[test]
fn given_an_approval_before_the_evidence_then_the_stage_begins_when_both_are_there() {
    let mut cluster = asking(of(1, &[]));
    (0..8).for_each(|_| cluster.turn());
    assert_eq!((cluster.memory.phase, cluster.memory.stage), (Phase::Progressing, 0));
    asked(&mut cluster, act(Action::Approve, "ann", &[])).unwrap();
    assert_eq!(cluster.memory.stage, 0, "an approval is no evidence");
    assert_eq!(cluster.run(300), Phase::Ended(Outcome::Promoted));
    assert!(!cluster.notes().iter().any(|note| note.starts_with("WaitingForHuman")), "{:?}", cluster.notes());
}

/// Promote does not wait for the evidence, approve answers the policy: neither does the other's work.
#[test]
fn given_a_promote_at_a_stage_that_asks_humans_then_it_waits_for_their_word_alone() {
    let mut cluster = asking(of(1, &[]));
    (0..8).for_each(|_| cluster.turn());
    let told = asked(&mut cluster, act(Action::Promote, "ann", &[])).unwrap();
    assert!(told.contains("once it is approved"), "{told}");
    assert_eq!((cluster.memory.stage, reason(&cluster)), (0, "WaitingForHuman"));
    asked(&mut cluster, act(Action::Approve, "bob", &[])).unwrap();
    assert_eq!(cluster.memory.stage, 1);
}

/// No word of a human replaces eyes, and whoever gave it is told so.
#[test]
fn given_a_promote_while_metrics_are_missing_then_it_is_told_what_it_waits_for_all_the_same() {
    let mut cluster = Cluster::new(setup(Level::Medium, 2));
    cluster.metrics = false;
    (0..8).for_each(|_| cluster.turn());
    let told = asked(&mut cluster, act(Action::Promote, "ann", &[])).unwrap();
    assert!(told.contains("not before it can be seen: ") && told.contains("nobody answers"), "{told}");
    (0..8).for_each(|_| cluster.turn());
    assert_eq!((cluster.memory.highest, reason(&cluster)), (Weight::ZERO, "BackendUnreachable"));
}

#[test]
fn given_two_that_are_asked_for_when_one_approves_twice_then_another_person_is_still_missing() {
    let mut cluster = waiting(of(2, &[]));
    let first = asked(&mut cluster, act(Action::Approve, "ann", &[])).unwrap();
    assert!(first.contains("1 of 2") && first.contains("still takes 1 human"), "{first}");
    let mut again = act(Action::Approve, "Ann", &[]);
    again.name = "again".to_owned();
    assert!(asked(&mut cluster, again).unwrap_err().contains("has approved 100 % already"));
    assert_eq!(cluster.memory.stage, 0);
    asked(&mut cluster, act(Action::Approve, "bob", &[])).unwrap();
    assert_eq!(cluster.memory.stage, 1);
}

#[test]
fn given_nobody_who_vouches_for_the_changer_when_one_approves_then_one_more_is_asked() {
    let mut cluster = waiting(of(1, &[]));
    cluster.setup.makers.changed_by = None;
    let told = asked(&mut cluster, act(Action::Approve, "ann", &[])).unwrap();
    assert!(told.contains("1 of 2"), "{told}");
    let message = &cluster.memory.waiting.as_ref().unwrap().message;
    assert!(message.contains("ann approved already") && message.contains("one more is asked"), "{message}");
    asked(&mut cluster, act(Action::Approve, "bob", &[])).unwrap();
    assert_eq!(cluster.memory.stage, 1);
}

#[test]
fn given_a_stage_that_asks_nobody_when_approved_then_it_is_refused_with_what_comes() {
    let mut cluster = Cluster::new(setup(Level::High, 2));
    (0..8).for_each(|_| cluster.turn());
    let told = asked(&mut cluster, act(Action::Approve, "ann", &[])).unwrap_err();
    assert!(told.contains("asks nobody before 5 %") && told.contains("before 100 %"), "{told}");
    assert!(cluster.memory.approvals.is_empty());
}

/// Approved for ten minutes while the evidence is not there: then it is void, said so, and can be given again.
#[test]
fn given_an_approval_that_expires_before_its_stage_begins_then_it_is_void_and_said_so() {
    let mut cluster = asking(Approval { expires_after_seconds: Some(10.0 * MINUTE), ..of(1, &[]) });
    cluster.setup.plan.min_bake_seconds = 20.0 * MINUTE;
    (0..8).for_each(|_| cluster.turn());
    asked(&mut cluster, act(Action::Approve, "ann", &[])).unwrap();
    let mut told = Vec::new();
    while cluster.memory.stage == 0 && told.is_empty() {
        told = cluster.turn_with(|_| ()).notes.into_iter().filter(|note| note.reason == "ApprovalExpired").collect();
    }
    assert!(told[0].message.contains("ann") && told[0].message.contains("10 min"), "{told:?}");
    cluster.run(1300);
    assert_eq!((cluster.memory.stage, reason(&cluster)), (0, "WaitingForHuman"));
    let mut again = act(Action::Approve, "ann", &[]);
    again.name = "again".to_owned();
    asked(&mut cluster, again).unwrap();
    assert_eq!(cluster.memory.stage, 1);
}

#[rstest]
#[case::in_time(5.0 * MINUTE, true)]
#[case::too_old(11.0 * MINUTE, false)]
fn given_an_approval_that_waited_for_the_operator_then_it_counts_from_when_it_was_made(#[case] old: f64, #[case] counts: bool) {
    let mut cluster = waiting(Approval { expires_after_seconds: Some(10.0 * MINUTE), ..of(1, &[]) });
    let now = cluster.now;
    let told = asked(&mut cluster, Act { at: Some(Millis(now.0 - (old * 1000.0) as i64)), ..act(Action::Approve, "ann", &[]) });
    assert_eq!(told.is_ok(), counts, "{told:?}");
    assert_eq!(cluster.memory.stage, usize::from(counts));
}

#[test]
fn given_an_approval_from_a_clock_that_is_ahead_then_it_holds_no_longer_than_it_may() {
    let mut cluster = asking(Approval { expires_after_seconds: Some(MINUTE), ..of(1, &[]) });
    cluster.setup.plan.min_bake_seconds = 1e6;
    (0..8).for_each(|_| cluster.turn());
    let now = cluster.now;
    asked(&mut cluster, Act { at: Some(now.plus_seconds(1e5)), ..act(Action::Approve, "ann", &[]) }).unwrap();
    (0..70).for_each(|_| cluster.turn());
    assert!(cluster.memory.approvals.is_empty());
}

#[test]
fn given_a_share_that_was_withdrawn_when_it_starts_again_then_humans_are_asked_again() {
    let mut cluster = asking(of(1, &[]));
    cluster.setup.plan.min_bake_seconds = 1e6;
    (0..8).for_each(|_| cluster.turn());
    asked(&mut cluster, act(Action::Approve, "ann", &[])).unwrap();
    cluster.turn_with(|seen| (seen.candidate.ready, seen.candidate.endpoints) = (0, 0));
    assert!(cluster.memory.approvals.is_empty(), "{:?}", cluster.memory.phase);
}

/// What was approved while the workload was held is asked again where it expired while pods came up.
#[test]
fn given_a_first_stage_that_asks_when_the_approval_expires_while_pods_come_up_then_nothing_is_exposed() {
    let mut cluster = asking(Approval { expires_after_seconds: Some(30.0), ..of(1, &[]) });
    cluster.setup.plan.approval_at = vec![Weight::percent(20)];
    cluster.turn();
    assert_eq!((cluster.memory.phase, reason(&cluster)), (Phase::Held, "WaitingForHuman"));
    cluster.metrics = false;
    asked(&mut cluster, act(Action::Approve, "ann", &[])).unwrap();
    assert_eq!(cluster.memory.phase, Phase::Preparing);
    (0..40).for_each(|_| cluster.turn());
    cluster.metrics = true;
    (0..20).for_each(|_| cluster.turn());
    assert_eq!((cluster.memory.granted, reason(&cluster)), (Weight::ZERO, "WaitingForHuman"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whoever acts in whatever order, with a kill between any two turns: the stage that asks begins only after as many
    /// different people as the policy asks for, none of whom made the change, and all of them in its groups.
    #[test]
    fn given_any_acts_then_a_stage_that_asks_begins_only_with_enough_people(
        count in 1u32..4, known in any::<bool>(),
        acts in proptest::collection::vec((0usize..5, 0usize..6, any::<bool>(), any::<bool>()), 0..14),
    ) {
        let mut cluster = waiting(of(count, &["release"]));
        if !known { cluster.setup.makers.changed_by = None; }
        let needed = count + u32::from(!known);
        let mut words = std::collections::BTreeSet::new();
        for (number, (action, who, member, killed)) in acts.into_iter().enumerate() {
            let action = [Action::Approve, Action::Approve, Action::Promote, Action::Pause, Action::Resume][action];
            let by = ["ann", "bob", "Ann", "carol", "dave", ""][who];
            let mut asked = act(action, by, if member { &["release"] } else { &["dev"] });
            asked.name = format!("act-{number}");
            if killed {
                cluster.memory = serde_json::from_str::<Memory>(&serde_json::to_string(&cluster.memory).unwrap()).unwrap();
            }
            cluster.turn_with(|seen| seen.acts = vec![asked]);
            let may = !by.is_empty() && member && by != "dave" && (by != "carol" || !known);
            if action == Action::Approve && may {
                words.insert(by.to_lowercase());
            }
            prop_assert!(cluster.memory.stage == 0 || words.len() >= needed as usize, "began with {words:?} of {needed}");
        }
    }
}
