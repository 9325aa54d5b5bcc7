//! The chronicle's own rules, over states that were never seen.

use super::*;

fn pinned(entry: &Seen) -> Option<bool> {
    if let Seen::Pinned(pinned) = entry { Some(*pinned) } else { None }
}

fn change(stages: &[i32], decisions: usize) -> Change {
    let level = serde_json::json!({
        "alpha": 0.01, "beta": 0.05, "margin": 1.25, "budgetPercent": 2.0, "sloFactor": 1.0, "stages": stages, "minBake": "5s",
        "maxBake": "10m", "finalBake": "5s", "approvalAt": [], "inconclusive": "Hold", "noData": "Hold", "noDataAfter": "60s",
    });
    let started = serde_json::json!({"at": "2026-01-01T00:00:00Z", "reason": "StageStarted", "message": ""});
    serde_json::from_value(serde_json::json!({
        "apiVersion": "firebreak.dev/v1alpha1", "kind": "Change", "metadata": {"name": "c"},
        "spec": {
            "guard": "shop", "target": {"kind": "Deployment", "name": "shop"}, "targetUid": "u",
            "stable": {"hash": "s", "replicaSet": "shop-s", "template": "t"},
            "candidate": {"hash": "c", "replicaSet": "shop-c", "template": "t"}, "attempt": 1,
            "detectedAt": "2026-01-01T00:00:00Z", "hold": "Admission", "claims": {}, "policy": "swift",
            "risk": {"level": "medium", "factors": []}, "plan": level, "signals": [],
        },
        "status": {"decisions": vec![started; decisions]},
    }))
    .unwrap()
}

fn at(second: u64, entry: Seen) -> (Duration, Seen) {
    (Duration::from_secs(second), entry)
}

fn turn(second: u64, phase: Phase, weight: f64) -> (Duration, Seen) {
    at(second, Seen::Change { name: "c".to_owned(), phase, weight, in_effect: weight > 0.0 })
}

#[test]
fn given_the_plan_when_its_stages_come_one_by_one_then_it_holds_and_not_when_one_is_skipped_or_invented() {
    use Phase::{Progressing, RollingBack};
    let steps = |weights: &[(Phase, f64)], decisions: usize| {
        let entries: Vec<_> = (0..).zip(weights).map(|(second, (phase, weight))| turn(second, *phase, *weight)).collect();
        check_steps(&entries, &change(&[10, 50, 100], decisions)).is_ok()
    };
    assert!(steps(&[(Progressing, 0.0), (Progressing, 10.0), (Progressing, 10.0), (Progressing, 50.0)], 2));
    assert!(steps(&[(Progressing, 10.0), (RollingBack, 0.0)], 1));
    assert!(!steps(&[(Progressing, 100.0)], 1), "straight to everyone");
    assert!(!steps(&[(Progressing, 20.0)], 1), "no stage of the plan");
    assert!(!steps(&[(Progressing, 10.0), (Progressing, 50.0)], 1), "a step without a decision");
    assert!(!steps(&[(Progressing, 10.0), (RollingBack, 0.0), (RollingBack, 10.0)], 1), "up again on the way back");
}

#[test]
fn given_a_route_with_more_than_was_granted_when_checked_then_it_is_a_breach() {
    let ours = [turn(1, Phase::Progressing, 10.0), at(2, Seen::Route(10.0))];
    assert!(check_shares(&ours).is_ok());
    let more = [turn(1, Phase::Progressing, 10.0), at(2, Seen::Route(50.0))];
    assert!(check_shares(&more).is_err());
    let back = [turn(1, Phase::RollingBack, 0.0), at(0, Seen::Route(0.0)), at(9, Seen::Route(10.0))];
    assert!(check_shares(&back).is_err());
}

#[test]
fn given_stable_and_the_size_asked_for_when_it_does_not_follow_or_shrinks_then_it_is_a_breach() {
    let stable = |size| Seen::ReplicaSet("shop-s".to_owned(), size);
    let check = |entries: &[(Duration, Seen)]| {
        let mut all = vec![at(0, Seen::Workload(4)), at(0, stable(4)), turn(1, Phase::Progressing, 10.0)];
        all.extend_from_slice(entries);
        check_stable(&all, &change(&[10, 100], 1), Duration::from_secs(60)).is_ok()
    };
    let tick = |second| turn(second, Phase::Progressing, 10.0);
    assert!(check(&[at(10, Seen::Workload(10)), at(11, stable(10)), at(20, Seen::Workload(4)), at(21, stable(4)), tick(40)]));
    assert!(!check(&[at(10, Seen::Workload(10)), tick(20)]), "it never followed");
    assert!(!check(&[at(10, stable(3))]), "smaller than asked for");
    assert!(check(&[at(10, Seen::Bypassed), at(12, stable(3))]), "let through");
    assert!(check(&[turn(10, Phase::Promoting, 100.0), at(12, stable(0))]), "handed over");
}

#[test]
fn given_a_way_up_when_its_spans_are_asked_for_then_each_weight_has_its_time() {
    let entries = [
        turn(1, Phase::Preparing, 0.0),
        turn(4, Phase::Progressing, 10.0),
        turn(6, Phase::Progressing, 10.0),
        turn(9, Phase::Baking, 100.0),
        turn(12, Phase::Promoting, 100.0),
        turn(15, Phase::Promoted, 100.0),
    ];
    let seconds = Duration::from_secs;
    let spans = [(seconds(1), seconds(4), 0.0), (seconds(4), seconds(9), 10.0), (seconds(9), seconds(12), 100.0)];
    assert_eq!(granted(&entries, "c"), spans);
    assert!(most(10.0, 1000) < 140.0 && most(10.0, 1000) > 100.0 && most(0.0, 1000) == 0.0);
}

#[test]
fn given_a_watch_that_is_behind_when_read_then_states_stand_in_the_order_in_which_they_were_written() {
    let noted = |millis, revision, seen| Noted { at: Duration::from_millis(millis), revision, seen };
    let came = [(100, 7, 0.0), (2000, 9, 20.0), (2100, 8, 10.0), (2200, 11, 50.0)];
    let came = |known: bool| came.map(|(at, revision, share)| noted(at, known.then_some(revision), Seen::Route(share))).to_vec();
    let told = |all: Vec<(Duration, Seen)>| -> Vec<(u128, f64)> {
        all.into_iter()
            .filter_map(|(at, seen)| if let Seen::Route(share) = seen { Some((at.as_millis(), share)) } else { None })
            .collect()
    };
    assert_eq!(told(in_order(came(true))), [(100, 0.0), (2000, 10.0), (2000, 20.0), (2200, 50.0)]);
    assert_eq!(told(in_order(came(false))), [(100, 0.0), (2000, 20.0), (2100, 10.0), (2200, 50.0)]);
}

#[test]
fn given_a_time_shorter_than_its_order_when_checked_then_nothing_is_asked_of_it() {
    let entries = [(Duration::from_millis(10_100), Seen::Pinned(false))];
    let over = |to| steady(&entries, Duration::from_secs(10), Duration::from_millis(to), pinned).is_ok();
    assert!(over(10_300), "all of it is one moment");
    assert!(!over(12_000), "it was not so at the beginning");
}

fn over(states: &[(u64, bool)]) -> bool {
    let entries: Vec<_> = states.iter().map(|(at, is)| (Duration::from_secs(*at), Seen::Pinned(*is))).collect();
    steady(&entries, Duration::from_secs(10), Duration::from_secs(20), pinned).is_ok()
}

#[test]
fn given_states_before_and_within_a_time_when_checked_then_the_last_before_counts_and_every_one_within() {
    assert!(over(&[(1, false), (5, true)]));
    assert!(over(&[(5, true), (15, true), (25, false)]));
    assert!(!over(&[(5, false)]), "never so");
    assert!(!over(&[(5, true), (15, false), (16, true)]), "lost for a moment");
    assert!(!over(&[(15, true)]), "nothing is known of the beginning");
    assert!(!over(&[]), "nothing was seen");
}
