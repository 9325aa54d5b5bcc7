//! Which act fits which phase, and what is said where it does not.

use firebreak_api::{Change, change::Phase, guard::Condemned};
use firebreak_engine::gates::{FROZEN, FROZEN_UNLESS_APPROVED};
use rstest::rstest;

use super::fit;
use crate::{
    error::FAILED,
    facts::ByAge as _,
    fixtures as fix,
    steer::{Action, intervention, stage},
};

const NAME: &str = "checkout-bcdfghjkmn-1";

fn outcome(action: Action, change: &Change) -> Result<String, String> {
    let guard = fix::guard(Some(change));
    fit(action, &guard, &[change], None).map(str::to_owned).map_err(|error| error.to_string())
}

#[rstest]
fn given_an_active_change_when_aborted_then_it_goes_through_in_every_phase_but_the_way_back(
    #[values(Phase::Held, Phase::Preparing, Phase::Progressing, Phase::Baking, Phase::Promoting)] phase: Phase,
) {
    assert_eq!(outcome(Action::Abort, &fix::in_phase(phase)).unwrap(), NAME);
}

#[rstest]
#[case(Action::Promote)]
#[case(Action::Pause)]
fn given_a_change_under_way_when_steered_then_it_is_the_one(
    #[case] action: Action,
    #[values(Phase::Held, Phase::Preparing, Phase::Progressing, Phase::Baking)] phase: Phase,
) {
    assert_eq!(outcome(action, &fix::in_phase(phase)).unwrap(), NAME);
}

#[rstest]
#[case(Action::Promote, Phase::RollingBack, "kubectl firebreak retry checkout -n shop --reason '...'")]
#[case(Action::Promote, Phase::Promoting, "kubectl firebreak status checkout -n shop -w")]
#[case(Action::Pause, Phase::Promoting, "To go back, ship the older template")]
#[case(Action::Resume, Phase::Progressing, "kubectl firebreak promote checkout -n shop --reason '...'")]
#[case(Action::Promote, Phase::Promoted, "The last one, checkout-bcdfghjkmn-1, is Promoted")]
#[case(Action::Abort, Phase::RolledBack, "kubectl firebreak retry checkout -n shop --reason '...'")]
#[case(Action::Retry, Phase::Progressing, "kubectl firebreak abort checkout -n shop")]
#[case(Action::Retry, Phase::Promoted, "its last Change, checkout-bcdfghjkmn-1, is Promoted")]
fn given_an_act_that_does_not_fit_when_asked_then_it_says_what_to_do(
    #[case] action: Action,
    #[case] phase: Phase,
    #[case] words: &str,
) {
    let why = outcome(action, &fix::in_phase(phase)).unwrap_err();
    assert!(why.contains(words), "{why}");
}

#[test]
fn given_a_paused_change_when_paused_or_resumed_then_only_the_resume_fits() {
    let mut change = fix::healthy();
    change.status.as_mut().unwrap().paused = true;
    assert!(outcome(Action::Pause, &change).unwrap_err().contains("kubectl firebreak resume checkout -n shop"));
    assert_eq!(outcome(Action::Resume, &change).unwrap(), NAME);
}

#[test]
fn given_the_name_of_an_older_change_when_promoted_then_refused_with_the_one_that_runs() {
    let old = fix::named(fix::rolled_back(), "checkout-old-1", "2026-07-01T09:00:00Z");
    let (now, guard) = (fix::healthy(), fix::guard(Some(&fix::healthy())));
    let mut changes = vec![&old, &now];
    changes.newest_first();
    let error = fit(Action::Promote, &guard, &changes, Some("checkout-old-1")).unwrap_err();
    assert!(
        error.to_string().ends_with(&format!("kubectl firebreak promote checkout -n shop --change {NAME} --reason '...'")),
        "{error}"
    );
    assert_eq!(error.exit_code(), FAILED);
    let error = fit(Action::Abort, &guard, &changes, Some("nobody")).unwrap_err();
    assert!(error.to_string().contains(&format!("Its Changes: {NAME}, checkout-old-1")), "{error}");
}

#[test]
fn given_a_rolled_back_change_when_retried_then_it_is_the_one() {
    assert_eq!(outcome(Action::Retry, &fix::rolled_back()).unwrap(), NAME);
}

#[test]
fn given_a_condemned_template_and_a_later_withdrawal_when_retried_then_the_change_that_condemned_it() {
    let old = fix::rolled_back();
    let later = fix::named(fix::in_phase(Phase::Withdrawn), "checkout-later-1", "2026-07-01T12:09:00Z");
    let mut guard = fix::guard(Some(&later));
    guard.status.as_mut().unwrap().condemned =
        vec![Condemned { template: "bcdfghjkmn".to_owned(), change: NAME.to_owned(), cleared: false }];
    assert_eq!(fit(Action::Retry, &guard, &[&later, &old], None).unwrap(), NAME);
    let error = fit(Action::Retry, &guard, &[&later, &old], Some("checkout-later-1")).unwrap_err();
    assert!(error.to_string().contains("was not rolled back (it is Withdrawn)"), "{error}");
}

#[test]
fn given_a_template_whose_change_was_deleted_when_retried_then_that_change_and_not_an_older_one() {
    let old = fix::rolled_back();
    let mut guard = fix::guard(Some(&old));
    let condemned = |change: &str| Condemned { template: change.to_owned(), change: change.to_owned(), cleared: false };
    guard.status.as_mut().unwrap().condemned = vec![condemned(NAME), condemned("checkout-deleted-1")];
    assert_eq!(fit(Action::Retry, &guard, &[&old], None).unwrap(), "checkout-deleted-1");
}

#[test]
fn given_an_act_when_recorded_then_it_is_bound_to_its_change_and_named_by_the_server() {
    let stage = stage(Action::Promote, &fix::healthy());
    let made = intervention(Action::Promote, "checkout", NAME, stage, Some("looked at the traces".to_owned()));
    insta::assert_yaml_snapshot!(made, @r"
    apiVersion: firebreak.dev/v1alpha1
    kind: Intervention
    metadata:
      generateName: checkout-promote-
    spec:
      guard: checkout
      change: checkout-bcdfghjkmn-1
      action: Promote
      stage: 3
      reason: looked at the traces
    ");
}

#[test]
fn given_a_promote_when_recorded_then_it_names_the_stage_that_was_seen() {
    assert_eq!(stage(Action::Promote, &fix::held()), Some(0));
    assert_eq!(stage(Action::Promote, &fix::healthy()), Some(3));
    assert_eq!(stage(Action::Abort, &fix::healthy()), None);
}

#[test]
fn given_a_change_that_goes_back_when_aborted_then_it_says_that_it_does_already() {
    let refused = outcome(Action::Abort, &fix::in_phase(Phase::RollingBack)).unwrap_err();
    assert!(refused.contains("is being taken back already"), "{refused}");
}

#[rstest]
fn given_a_change_that_a_freeze_holds_when_approved_then_the_operator_is_asked(
    #[values(Phase::Held, Phase::Progressing, Phase::Baking, Phase::Promoting)] phase: Phase,
    #[values(FROZEN, FROZEN_UNLESS_APPROVED)] reason: &str,
) {
    let mut change = fix::in_phase(phase);
    change.spec.plan.approval_at.clear();
    assert!(outcome(Action::Approve, &change).is_err());
    change.status.as_mut().unwrap().waiting = Some(firebreak_api::change::Waiting {
        reason: reason.to_owned(),
        message: "freeze audit is in force".to_owned(),
        since: fix::now(),
    });
    assert_eq!(outcome(Action::Approve, &change).unwrap(), NAME);
}
