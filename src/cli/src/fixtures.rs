//! Guards and Changes as the operator writes them, for tests.

use firebreak_api::{
    Change, Guard,
    change::{DecisionRecord, Phase},
    packed::pack,
};
use firebreak_engine::{Basis, Setup};
use firebreak_sim::Cluster;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{cluster::Snapshot, look::Look};

/// The moment at which tests look.
pub(crate) fn now() -> Timestamp {
    "2026-07-01T12:10:00Z".parse().unwrap()
}

pub(crate) fn look() -> Look {
    Look::plain()
}

/// A Guard that is ready and has this Change, if any.
pub(crate) fn guard(change: Option<&Change>) -> Guard {
    let (mut active, mut last) = (None, None);
    if let Some(change) = change {
        let ended = change.status.as_ref().unwrap().phase.ended();
        *(if ended { &mut last } else { &mut active }) = change.metadata.name.clone();
    }
    let condition = json!({"type": "Ready", "status": "True", "reason": "Guarding", "message": "Watching Deployment checkout.",
        "lastTransitionTime": "2026-07-01T10:00:00Z"});
    from(json!({
        "apiVersion": "firebreak.dev/v1alpha1", "kind": "Guard",
        "metadata": {"name": "checkout", "namespace": "shop"},
        "spec": {"targetRef": {"kind": "Deployment", "name": "checkout"}, "metrics": {"signals": [
            {"name": "errors", "requests": "http_requests_total", "failures": "http_requests_total{code=~\"5..\"}"}]}},
        "status": {"conditions": [condition], "hold": "Admission", "activeChange": active, "lastChange": last}
    }))
}

/// A Change that is held and has seen nothing.
pub(crate) fn held() -> Change {
    let mut change: Change = from(json!({
        "apiVersion": "firebreak.dev/v1alpha1", "kind": "Change",
        "metadata": {"name": "checkout-bcdfghjkmn-1", "namespace": "shop"},
        "spec": {
            "guard": "checkout",
            "target": {"kind": "Deployment", "name": "checkout"},
            "targetUid": "0b6e",
            "stable": {"hash": "7d9f5c", "replicaSet": "checkout-7d9f5c"},
            "candidate": {"hash": "bcdfghjkmn", "replicaSet": "checkout-bcdfghjkmn", "template": "bcdfghjkmn",
                "images": ["registry.example/checkout:2.4.0"]},
            "attempt": 1,
            "detectedAt": "2026-07-01T12:00:00Z",
            "hold": "Admission",
            "claims": {"annotations": {"firebreak.dev/ai-contribution": "ai", "firebreak.dev/author": "coder-7",
                "firebreak.dev/summary": "retry card payments once"}, "changedBy": "system:serviceaccount:argocd:controller"},
            "risk": {"level": "high", "factors": [
                {"name": "no-claim", "effect": "no firebreak.dev/risk: medium"},
                {"name": "unreviewed-ai", "effect": "machine-written without a named human reviewer: medium to high"}]},
            "plan": {"alpha": 0.02, "beta": 0.05, "margin": 1.25, "budgetPercent": 0.05, "sloFactor": 0.05,
                "stages": [1, 5, 20, 50, 100], "minBake": "5m", "maxBake": "60m", "finalBake": "30m",
                "approvalAt": [100], "inconclusive": "Hold", "noData": "HoldAlert"},
            "policy": "built-in",
            "differences": ["container app: image registry.example/checkout:2.3.9 → registry.example/checkout:2.4.0 (tag)",
                "container app: env RETRY_CARDS added"],
            "availability": 99.9,
            "signals": [
                {"name": "errors", "requests": "http_requests_total", "failures": "http_requests_total{code=~\"5..\"}"},
                {"name": "slow", "histogram": "http_request_duration_seconds", "slowerThan": "300ms"}]
        },
        "status": {"phase": "Held", "stage": "0/5", "waiting": {"reason": "Preparing", "since": "2026-07-01T12:09:48Z",
            "message": "The workload is held and nothing runs from the candidate; the operator begins with the next look."}}
    }));
    decide(&mut change, "12:00:01", "ChangeDetected", "The template of Deployment checkout differs from stable 7d9f5c: held.");
    change
}

/// At stage 3 of 5, harmless so far.
pub(crate) fn healthy() -> Change {
    let mut change = held();
    patch(
        &mut change,
        json!({
            "phase": "Progressing", "stage": "3/5", "weightPercent": 20.0, "exposurePercent": 19.68, "highestWeightPercent": 20.0,
            "waiting": null, "exposedAt": "2026-07-01T12:01:10Z", "stageBeganAt": "2026-07-01T12:06:48Z",
            "evidence": [
                {"signal": "errors", "harm": -0.4, "safety": 2.04, "safetyNeeded": 3.101, "dispersion": 1.0,
                 "candidate": {"requests": 8_120, "failures": 8}, "stable": {"requests": 120_034, "failures": 125}},
                {"signal": "slow", "harm": -1.1, "safety": 3.4, "safetyNeeded": 3.101, "dispersion": 1.3,
                 "candidate": {"requests": 8_120, "failures": 161}, "stable": {"requests": 120_034, "failures": 2_481}}],
            "harm": {"evidence": -0.6, "needed": 3.912, "provedRatio": 0.0},
            "arms": {"candidatePods": 2, "candidateReady": 2, "stablePods": 6, "stableReady": 6},
            "blastRadius": {"signal": "errors", "failedRequests": 0.0, "failedRequestsLow": 0.0, "sharePercent": 0.0,
                "sharePercentLow": 0.0, "projectedPercent": 0.0, "growing": "no"}
        }),
    );
    decide(&mut change, "12:01:10", "StageStarted", "1 % of the traffic may reach the candidate.");
    decide(&mut change, "12:04:02", "StageStarted", "5 %: safety of errors 3.3, of slow 4.0 of 3.1; nothing suspected.");
    decide(&mut change, "12:06:48", "StageStarted", "20 %: safety of errors 3.2, of slow 3.6 of 3.1; nothing suspected.");
    remember(&mut change, 0.0);
    change
}

/// The evidence so far, a point every 6 s: stages of 1, 5 and 20 %; harm grows from the 60th on by so much a point.
fn remember(change: &mut Change, growth: f64) {
    let stages = [(28, 10), (56, 50), (89, 200)];
    let points: Vec<Value> = (0..89)
        .map(|at| {
            let nth = stages.iter().position(|(until, _)| at < *until).unwrap();
            let began = if nth == 0 { 0 } else { stages[nth - 1].0 };
            let harm = -0.3 + 0.3 * f64::sin(f64::from(at) / 4.0) + growth * f64::from((at - 60).max(0));
            let safety = f64::from(at - began) * 0.12 - 0.004 * growth * f64::from((at - 60).max(0)).powi(2) * 60.0;
            let share = stages[nth].1;
            json!([at * 6, share, share * 10 - 7, (harm * 100.0).round() as i32, (safety * 100.0).round() as i32])
        })
        .collect();
    let curve =
        json!({"since": "2026-07-01T12:01:10Z".parse::<Timestamp>().unwrap().as_millisecond(), "spacing": 4, "points": points});
    change.status.as_mut().unwrap().memory = Some(pack("memory", &json!({ "curve": curve })).unwrap());
}

/// The same with errors that become more.
pub(crate) fn harm_rising() -> Change {
    let mut change = healthy();
    patch(
        &mut change,
        json!({
            "evidence": [
                {"signal": "errors", "harm": 3.3, "safety": -2.2, "safetyNeeded": 3.101, "dispersion": 1.0,
                 "candidate": {"requests": 8_120, "failures": 31}, "stable": {"requests": 120_034, "failures": 125}},
                {"signal": "slow", "harm": -1.1, "safety": 3.4, "safetyNeeded": 3.101, "dispersion": 1.3,
                 "candidate": {"requests": 8_120, "failures": 161}, "stable": {"requests": 120_034, "failures": 2_481}}],
            "harm": {"evidence": 3.2, "needed": 3.912, "provedRatio": 0.0},
            "blastRadius": {"signal": "errors", "failedRequests": 22.6, "failedRequestsLow": 6.0, "sharePercent": 0.0176,
                "sharePercentLow": 0.005, "projectedPercent": 0.139, "growing": "no"}
        }),
    );
    remember(&mut change, 0.12);
    change
}

/// Waits for a human before the last stage.
pub(crate) fn waiting() -> Change {
    let mut change = healthy();
    patch(
        &mut change,
        json!({
            "stage": "4/5", "weightPercent": 50.0, "exposurePercent": 49.2, "highestWeightPercent": 50.0,
            "stageBeganAt": "2026-07-01T12:02:00Z",
            "waiting": {"reason": "WaitingForHuman", "since": "2026-07-01T12:08:30Z", "message":
                "The evidence allows 100 %, and the plan for high risk asks for a human before it. The candidate stays at 50 %. \
                 Look at it with kubectl firebreak explain checkout, then kubectl firebreak approve checkout --reason '...' or kubectl firebreak abort checkout."},
            "evidence": [
                {"signal": "errors", "harm": -0.9, "safety": 3.9, "safetyNeeded": 3.101, "dispersion": 1.0,
                 "candidate": {"requests": 48_120, "failures": 49}, "stable": {"requests": 180_034, "failures": 188}},
                {"signal": "slow", "harm": -1.1, "safety": 3.4, "safetyNeeded": 3.101, "dispersion": 1.3,
                 "candidate": {"requests": 48_120, "failures": 961}, "stable": {"requests": 180_034, "failures": 3_681}}]
        }),
    );
    decide(&mut change, "12:08:30", "WaitingForHuman", "100 % needs a human.");
    change
}

/// Taken back at 20 %.
pub(crate) fn rolled_back() -> Change {
    let mut change = harm_rising();
    patch(
        &mut change,
        json!({
            "phase": "RolledBack", "weightPercent": 0.0, "endedAt": "2026-07-01T12:09:40Z", "exposurePercent": null,
            "harm": {"evidence": 5.4, "needed": 3.912, "provedRatio": 2.0},
            "arms": {"candidatePods": 0, "candidateReady": 0, "stablePods": 6, "stableReady": 6},
            "blastRadius": {"signal": "errors", "failedRequests": 41.2, "failedRequestsLow": 20.5, "sharePercent": 0.032,
                "sharePercentLow": 0.016, "projectedPercent": 0.25, "growing": "intensity"}
        }),
    );
    decide(
        &mut change,
        "12:09:12",
        "HarmProved",
        "It fails at least 2 times as often as stable (ln E 5.4 of 3.9) and the harm grows: weight to 0.",
    );
    decide(
        &mut change,
        "12:09:40",
        "RolledBack",
        "Stable serves all requests; the candidate is condemned. 41 requests failed because of it (at least 20).",
    );
    change
}

/// At its first stage for 12 s: slow requests of its pods are not judged yet.
pub(crate) fn cold() -> Change {
    let mut change = healthy();
    patch(
        &mut change,
        json!({
            "stage": "1/5", "weightPercent": 1.0, "exposurePercent": 1.1, "highestWeightPercent": 1.0,
            "exposedAt": "2026-07-01T12:09:48Z", "stageBeganAt": "2026-07-01T12:09:48Z", "memory": null,
            "evidence": [
                {"signal": "errors", "harm": 0.0, "safety": 0.1, "safetyNeeded": 3.101, "dispersion": 1.0,
                 "candidate": {"requests": 137, "failures": 0}, "stable": {"requests": 12_034, "failures": 12}},
                {"signal": "slow", "harm": 0.0, "safety": 0.0, "safetyNeeded": 3.101, "dispersion": 1.0,
                 "candidate": {"requests": 0, "failures": 0}, "stable": {"requests": 12_034, "failures": 248},
                 "leftOut": {"requests": 137, "failures": 9}}],
            "harm": {"evidence": 0.0, "needed": 3.912, "provedRatio": 0.0}
        }),
    );
    let status = change.status.as_mut().unwrap();
    status.decisions.truncate(1);
    decide(&mut change, "12:09:48", "StageStarted", "stage 1 of 5: 1 % of the traffic");
    change
}

/// Taken back in its first seconds, since most of its requests were slow.
pub(crate) fn slow_at_once() -> Change {
    let mut change = cold();
    let mut evidence = serde_json::to_value(&change.status.as_ref().unwrap().evidence).unwrap();
    evidence[0]["candidate"] = json!({"requests": 24, "failures": 0});
    evidence[1]["leftOut"] = json!({"requests": 24, "failures": 20});
    let why = "signal slow: 20 of the candidate's last 24 requests were slow, 0.40 % of stable's";
    patch(
        &mut change,
        json!({
            "phase": "RolledBack", "weightPercent": 0.0, "endedAt": "2026-07-01T12:09:59Z", "exposurePercent": null,
            "evidence": evidence, "arms": {"candidatePods": 0, "candidateReady": 0, "stablePods": 6, "stableReady": 6},
            "wayBack": {"reason": "SlowerThanStable", "message": why, "since": "2026-07-01T12:09:51Z"}
        }),
    );
    let next =
        "the workload stays held. Ship a fixed template, or to try this one again: kubectl firebreak retry GUARD --reason '...'";
    decide(&mut change, "12:09:51", "SlowerThanStable", &format!("{why}: taking the candidate back from 1 %; {next}"));
    decide(&mut change, "12:09:59", "RolledBack", "all traffic is on stable; the candidate is condemned and gone");
    change
}

/// With checks: one passes, one fails, one gets no answer.
pub(crate) fn checked() -> Change {
    let mut change = healthy();
    change.spec.checks = from(json!([
        {"name": "p99", "query": "p99", "max": 0.8}, {"name": "stock", "query": "stock", "min": 1.0},
        {"name": "queue", "query": "queue", "max": 100.0}]));
    patch(
        &mut change,
        json!({"checks": [
            {"name": "p99", "value": 0.545_360_000_000_000_1, "failed": 0, "answers": 3},
            {"name": "stock", "value": 0.0, "failed": 2, "answers": 3},
            {"name": "queue", "missing": "the query gave no series", "failed": 0, "answers": 0}]}),
    );
    change
}

/// Promoted.
pub(crate) fn promoted() -> Change {
    let mut change = waiting();
    patch(
        &mut change,
        json!({
            "phase": "Promoted", "stage": "5/5", "weightPercent": 100.0, "exposurePercent": 100.0, "highestWeightPercent": 100.0,
            "endedAt": "2026-07-01T12:09:30Z", "waiting": null,
            "arms": {"candidatePods": 6, "candidateReady": 6, "stablePods": 0, "stableReady": 0}
        }),
    );
    decide(
        &mut change,
        "12:09:30",
        "Promoted",
        "The candidate is the new stable: every stage was passed on evidence and ana@example.org agreed to 100 %.",
    );
    change
}

/// A Change as the operator records a simulated one: its decisions with what they were computed from, and its memory.
///
/// `failing` are failures per 1000 requests of candidate and stable.
pub(crate) fn recorded(setup: Setup, failing: (u64, u64), seconds: usize) -> Change {
    let mut cluster = Cluster::new(setup);
    cluster.failing = failing;
    let mut decisions = Vec::new();
    for _ in 0..seconds {
        cluster.next_second();
        let basis = Basis { setup: cluster.setup.clone(), memory: cluster.memory.clone(), observation: cluster.observe() };
        let decision = basis.decide();
        decision.effects.iter().for_each(|effect| cluster.carry_out(effect));
        cluster.memory = decision.memory;
        let last = decision.notes.len().saturating_sub(1);
        decisions.extend(decision.notes.into_iter().enumerate().map(|(at, note)| DecisionRecord {
            at: Timestamp::from_millisecond(basis.observation.now.0).unwrap(),
            reason: note.reason,
            message: note.message,
            act: None,
            stage: None,
            weight_percent: None,
            basis: (at == last).then(|| pack("basis", &basis).unwrap()),
        }));
    }
    let mut change = promoted();
    let status = change.status.as_mut().unwrap();
    status.decisions = decisions;
    status.memory = Some(pack("memory", &cluster.memory).unwrap());
    change
}

/// With eight signals, a long reason and a long record: more than a small screen holds.
pub(crate) fn crowded() -> Change {
    let mut change = waiting();
    let one = serde_json::to_value(&change.status.as_ref().unwrap().evidence[0]).unwrap();
    let names = ["errors", "slow", "slow-checkout", "payments-declined-by-the-bank", "timeouts", "retries", "orders", "emails"];
    let evidence: Vec<Value> = names
        .iter()
        .enumerate()
        .map(|(at, name)| {
            let mut evidence = one.clone();
            evidence["signal"] = json!(name);
            evidence["safety"] = json!(3.0 - at as f64 / 3.0);
            evidence
        })
        .collect();
    patch(&mut change, json!({ "evidence": evidence }));
    change
}

/// The Change with another phase.
pub(crate) fn in_phase(phase: Phase) -> Change {
    let mut change = healthy();
    change.status.as_mut().unwrap().phase = phase;
    change
}

pub(crate) fn named(mut change: Change, name: &str, detected_at: &str) -> Change {
    change.metadata.name = Some(name.to_owned());
    change.spec.detected_at = detected_at.parse().unwrap();
    change
}

pub(crate) fn snapshot(changes: Vec<Change>) -> Snapshot {
    Snapshot { guards: vec![guard(changes.first())], changes, notes: Vec::new() }
}

/// Lays fields over the status; `null` removes one.
pub(crate) fn patch(change: &mut Change, fields: Value) {
    let mut status = serde_json::to_value(change.status.take()).unwrap();
    for (name, value) in fields.as_object().unwrap() {
        if value.is_null() {
            status.as_object_mut().unwrap().remove(name);
        } else {
            status[name] = value.clone();
        }
    }
    change.status = Some(from(status));
}

fn decide(change: &mut Change, time: &str, reason: &str, message: &str) {
    change
        .status
        .as_mut()
        .unwrap()
        .decisions
        .push(from(json!({"at": format!("2026-07-01T{time}Z"), "reason": reason, "message": message})));
}

fn from<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}
