//! Where a Change is, how far its evidence is, what it needs.

use firebreak_api::{Change, change::Phase};
use jiff::SignedDuration;
use rstest::rstest;
use serde_json::json;

use super::{ByAge as _, Facts, Mark, Position, active, cluster_words, shown};
use crate::fixtures as fix;

#[rstest]
#[case(json!({"stage": "3/5"}), 3)]
#[case(json!({"stage": "0/5", "weightPercent": 50.0}), 0)]
#[case(json!({"stage": null, "weightPercent": 0.0}), 0)]
#[case(json!({"stage": null, "weightPercent": 20.0}), 3)]
#[case(json!({"stage": "soon", "weightPercent": 5.0}), 2)]
fn given_a_stage_or_only_a_weight_then_the_place_in_the_plan(#[case] status: serde_json::Value, #[case] index: usize) {
    let mut change = fix::healthy();
    fix::patch(&mut change, status);
    assert_eq!(Facts::new(&change, fix::now()).position(), Position { index, of: 5 });
}

#[test]
fn given_phases_then_marks_of_the_plan() {
    let marks = |change| Facts::new(&change, fix::now()).stages().into_iter().map(|stage| stage.mark).collect::<Vec<_>>();
    use Mark::{Ahead, Current, Done, Stopped};
    assert_eq!(marks(fix::held()), [Ahead; 5]);
    assert_eq!(marks(fix::healthy()), [Done, Done, Current, Ahead, Ahead]);
    assert_eq!(marks(fix::rolled_back()), [Done, Done, Stopped, Ahead, Ahead]);
    assert_eq!(marks(fix::promoted()), [Done; 5]);
}

#[test]
fn given_several_signals_then_the_one_with_least_safety_counts() {
    let change = fix::healthy();
    let facts = Facts::new(&change, fix::now());
    let share = facts.safety_share().unwrap();
    assert!((share - 2.04 / 3.101).abs() < 1e-9, "{share}");
    assert_eq!(facts.harm_share(), Some(0.0), "evidence below zero is no share");
}

#[rstest]
#[case(Phase::Held, Some(1))]
#[case(Phase::Progressing, Some(50))]
#[case(Phase::Baking, None)]
#[case(Phase::RollingBack, None)]
fn given_a_phase_then_the_stage_that_would_come_next(#[case] phase: Phase, #[case] next: Option<i32>) {
    assert_eq!(Facts::new(&fix::in_phase(phase), fix::now()).next_stage(), next);
}

#[test]
fn given_a_stage_under_way_then_the_times_of_the_plan_count_from_its_beginning() {
    let change = fix::healthy();
    let facts = Facts::new(&change, fix::now());
    assert_eq!(facts.bake_left(), Some(SignedDuration::from_secs(108)), "5m less 3m12s");
    assert_eq!(facts.inconclusive_in(), Some(SignedDuration::from_secs(3_600 - 192)));
    // 1m48s here, 5m at 50 %, 30m at 100 %.
    assert_eq!(facts.earliest_promotion(), Some(SignedDuration::from_secs(108 + 300 + 1_800)));
    let almost = fix::now() + SignedDuration::from_millis(107_400);
    assert_eq!(Facts::new(&change, almost).bake_left(), Some(SignedDuration::from_secs(1)), "rounded up");
}

#[test]
fn given_short_evidence_and_time_then_both_are_needed() {
    assert_eq!(
        Facts::new(&fix::healthy(), fix::now()).needs(),
        ["safety evidence (errors 2.0 of 3.1)", "1m48s more at this stage"]
    );
    assert_eq!(Facts::new(&fix::waiting(), fix::now()).needs(), ["a human's word for 100 %"]);
    assert_eq!(
        Facts::new(&fix::crowded(), fix::now()).needs().first().unwrap(),
        "safety evidence (emails 0.7 of 3.1, orders 1.0 of 3.1, retries 1.3 of 3.1, 5 more)"
    );
    assert!(Facts::new(&fix::rolled_back(), fix::now()).needs().is_empty());
}

#[test]
fn given_a_clock_behind_the_cluster_then_no_time_is_negative() {
    let early = fix::now() - SignedDuration::from_hours(2);
    let change = fix::healthy();
    let facts = Facts::new(&change, early);
    assert_eq!(facts.stage_for(), Some(SignedDuration::ZERO));
    assert_eq!(facts.bake_left(), Some(SignedDuration::from_secs(300)));
}

#[test]
fn given_several_changes_then_the_guards_word_counts_then_age() {
    let old = fix::named(fix::healthy(), "a-old", "2026-07-01T09:00:00Z");
    let new = fix::named(fix::held(), "a-new", "2026-07-01T11:00:00Z");
    let over = fix::named(fix::promoted(), "a-over", "2026-07-01T12:00:00Z");
    let mut changes = vec![&old, &over, &new];
    changes.newest_first();
    assert_eq!(active(&changes, Some(&fix::guard(Some(&old)))).unwrap().metadata.name.as_deref(), Some("a-old"));
    assert_eq!(active(&changes, Some(&fix::guard(Some(&over)))).unwrap().metadata.name.as_deref(), Some("a-new"));
    assert_eq!(shown(&[&over], None).unwrap().metadata.name.as_deref(), Some("a-over"));
    assert!(active(&[&over], None).is_none());
}

#[rstest]
#[case(None, None, "")]
#[case(None, Some("staging"), " --context staging")]
#[case(Some("/home/ann/kube config"), Some("it's"), r" --kubeconfig '/home/ann/kube config' --context 'it'\''s'")]
fn given_a_cluster_that_the_user_named_when_a_command_is_suggested_then_it_names_it_too(
    #[case] file: Option<&str>,
    #[case] context: Option<&str>,
    #[case] words: &str,
) {
    let global =
        crate::args::Global { kubeconfig: file.map(Into::into), context: context.map(ToOwned::to_owned), namespace: None };
    assert_eq!(cluster_words(&global), words);
}

#[rstest]
#[case(
    "to try again: kubectl firebreak retry GUARD --reason '...'",
    "to try again: kubectl firebreak retry checkout -n shop --reason '...'"
)]
#[case(
    "kubectl firebreak promote GUARD --reason '...', or kubectl firebreak abort GUARD",
    "kubectl firebreak promote checkout -n shop --reason '...', or kubectl firebreak abort checkout -n shop"
)]
#[case("kubectl firebreak policy test says more of GUARD", "kubectl firebreak policy test says more of GUARD")]
#[case("nothing to do", "nothing to do")]
fn given_a_message_with_commands_when_shown_then_they_name_the_guard(#[case] message: &str, #[case] shown: &str) {
    assert_eq!(Facts::new(&fix::healthy(), fix::now()).said(message), shown);
}

#[rstest]
#[case(json!({}), "step 1 of 2, its 2 pods finish what is under way")]
#[case(json!({"weightPercent": 0.0}), "step 1 of 2, stable gets all requests and its 2 pods finish what is under way")]
#[case(
    json!({"arms": {"candidatePods": 0, "candidateReady": 0, "stablePods": 6, "stableReady": 6}}),
    "step 2 of 2, its pods go; then the Service and the routes are put back as they were"
)]
fn given_a_change_on_its_way_back_then_the_step_it_is_at(#[case] status: serde_json::Value, #[case] step: &str) {
    let mut change = fix::in_phase(Phase::RollingBack);
    let routed = json!({"service": "checkout", "routes": [{"kind": "HTTPRoute", "name": "checkout"}]});
    change.spec.traffic = serde_json::from_value(routed).unwrap();
    fix::patch(&mut change, status);
    fix::patch(
        &mut change,
        json!({"wayBack": {"reason": "Aborted", "message": "aborted by ann", "since": "2026-07-01T12:09:50Z"}}),
    );
    assert_eq!(Facts::new(&change, fix::now()).step_back(), Some(format!("on its way back for 10s: {step}")));
}

#[test]
fn given_a_change_that_goes_forward_then_no_step_back() {
    assert_eq!(Facts::new(&fix::healthy(), fix::now()).step_back(), None);
}

/// After 100 s at the first stage, without any load.
fn unserved(exposure: Option<f64>, reason: &str) -> Change {
    let mut change = fix::cold();
    let waiting = json!({"reason": reason, "message": "more requests are needed", "since": "2026-07-01T12:08:20Z"});
    fix::patch(&mut change, json!({"exposurePercent": exposure, "stageBeganAt": "2026-07-01T12:08:20Z", "waiting": waiting}));
    change
}

#[rstest]
#[case(None, "CollectingEvidence", Some("the candidate"))]
#[case(Some(0.0), "MinimumBake", Some("the candidate"))]
#[case(Some(100.0), "CollectingEvidence", Some("stable"))]
#[case(Some(1.1), "CollectingEvidence", None)]
#[case(None, "BackendUnreachable", None)]
fn given_an_arm_without_requests_then_it_is_said_instead_of_a_time(
    #[case] exposure: Option<f64>,
    #[case] reason: &str,
    #[case] arm: Option<&str>,
) {
    let change = unserved(exposure, reason);
    let facts = Facts::new(&change, fix::now());
    let words = facts.no_request();
    let told = arm.map(|arm| {
        format!("no request arrives: none was counted at {arm} in the 1m40s of this stage. Look whether there is load")
    });
    assert_eq!(words.as_deref().map(|words| words.split(", and ").next().unwrap().to_owned()), told);
    assert_eq!(facts.earliest_promotion().is_none(), arm.is_some());
}

#[test]
fn given_a_stage_that_just_began_then_no_word_of_missing_requests() {
    let change = unserved(None, "MinimumBake");
    assert_eq!(Facts::new(&change, fix::now() - SignedDuration::from_secs(10)).no_request(), None);
}
