//! Entries: what each is made of, each once, and who is named.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use serde_json::{Value, json};

use super::*;

fn change(status: &Value) -> Change {
    serde_json::from_value(json!({
        "apiVersion": "firebreak.dev/v1alpha1", "kind": "Change",
        "metadata": {"name": "shop-x-2", "namespace": "shop", "uid": "u"},
        "spec": {
            "guard": "shop", "target": {"kind": "Deployment", "name": "shop"}, "targetUid": "u",
            "stable": {"hash": "old", "replicaSet": "old"}, "candidate": {"hash": "n", "replicaSet": "n", "template": "x"},
            "attempt": 2, "detectedAt": "2026-07-01T12:00:00Z", "hold": "Admission",
            "cleared": {"intervention": "retry-1", "action": "Retry", "by": "olga", "at": "2026-07-01T11:59:00Z", "reason": "the database was down"},
            "claims": {"changedBy": "carol", "annotations": {"firebreak.dev/summary": "retry once"}},
            "risk": {"level": "high", "factors": []},
            "plan": crate::plan::level(None, firebreak_engine::risk::Level::High), "policy": "built-in", "signals": [],
        },
        "status": status,
    }))
    .unwrap()
}

fn intervention(name: &str, made: &str, action: &str, outcome: Option<&str>) -> Intervention {
    serde_json::from_value(json!({
        "apiVersion": "firebreak.dev/v1alpha1", "kind": "Intervention",
        "metadata": {"name": name, "namespace": "shop", "creationTimestamp": made},
        "spec": {"guard": "shop", "change": "shop-x-2", "action": action, "by": "dave", "reason": "why not"},
        "status": {"outcome": outcome, "message": "so it is"},
    }))
    .unwrap()
}

fn approved() -> Value {
    json!({"at": "2026-07-01T12:05:00Z", "reason": "Approved", "message": "ann approved 100 % (1 of 1): read it",
        "act": {"intervention": "approve-1", "action": "Approve", "by": "ann", "reason": "read it"}, "stage": 4, "weightPercent": 50.0})
}

fn aborted() -> Value {
    json!({"at": "2026-07-01T12:06:00Z", "reason": "Aborted", "message": "aborted by someone: taking back",
        "act": {"intervention": "abort-1", "action": "Abort"}, "stage": 4, "weightPercent": 0.0})
}

fn whats(entries: &[Entry]) -> Vec<(What, Option<&str>)> {
    entries.iter().map(|entry| (entry.what, entry.actor.name())).collect()
}

#[test]
fn given_a_change_when_its_record_is_read_then_who_did_what_when_and_why_in_order() {
    let harm = json!({"at": "2026-07-01T12:05:30Z", "reason": "HarmProved", "message": "worse"});
    let status = json!({"phase": "RolledBack", "decisions": [approved(), harm, aborted(),
        {"at": "2026-07-01T12:07:00Z", "reason": "RolledBack", "message": "gone"}],
        "wayBack": {"reason": "HarmProved", "message": "worse", "since": "2026-07-01T12:05:30Z"}});
    let entries = entries(&change(&status), []);
    let expected = [
        (What::Retried, Some("olga")),
        (What::Held, Some("carol")),
        (What::Approved, Some("ann")),
        (What::TakingBack, None),
        (What::Aborted, None),
        (What::RolledBack, None),
    ];
    assert_eq!(whats(&entries), expected);
    assert_eq!(entries[2].why.as_deref(), Some("read it"));
    assert_eq!((&entries[3].actor, &entries[4].actor), (&Actor::Firebreak, &Actor::Unattested), "a missing name is a value");
    assert_eq!(approvers(&entries), ["ann"]);
}

#[test]
fn given_interventions_when_the_change_tells_of_them_then_each_is_one_entry() {
    let change = change(&json!({"phase": "RolledBack", "decisions": [approved(), aborted()]}));
    let acts = [
        intervention("approve-1", "2026-07-01T12:04:59Z", "Approve", Some("Applied")),
        intervention("approve-2", "2026-07-01T12:08:00Z", "Approve", Some("Refused")),
        intervention("clear-1", "2026-07-02T08:00:00Z", "Clear", Some("Applied")),
        intervention("open", "2026-07-02T09:00:00Z", "Clear", None),
        intervention("of-another-of-that-name", "2026-06-01T12:00:00Z", "Clear", Some("Applied")),
    ];
    let entries = entries(&change, &acts);
    let told: Vec<_> = entries.iter().filter_map(|entry| entry.intervention.as_deref()).collect();
    assert_eq!(told, ["retry-1", "approve-1", "abort-1", "approve-2", "clear-1"]);
    // Whom a refused act names nobody vouches for any more.
    assert_eq!(whats(&entries)[4..], [(What::Refused, None), (What::Cleared, Some("dave"))]);
    assert_eq!(entries[4].message, "approve: so it is");
}

#[rstest::rstest]
#[case("Superseded", What::Superseded)]
#[case("Withdrawn", What::Withdrawn)]
fn given_an_end_without_a_verdict_when_read_then_which(#[case] phase: &str, #[case] what: What) {
    let decisions = json!([{"at": "2026-07-01T12:07:00Z", "reason": "Ended", "message": "over"}]);
    let entries = entries(&change(&json!({"phase": phase, "decisions": decisions})), []);
    assert_eq!(entries.last().unwrap().what, what);
}

#[test]
fn given_a_late_hold_when_read_then_nobody_vouches_for_who_changed_it() {
    let mut late = change(&json!({"phase": "Held"}));
    late.spec.hold = Hold::Late;
    let held = entries(&late, []).into_iter().find(|entry| entry.what == What::Held).unwrap();
    assert_eq!(held.actor, Actor::Unattested);
}
