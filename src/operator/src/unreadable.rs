//! A Change whose stored memory cannot be read: another version of the operator wrote it, or someone edited it.
//!
//! What it knew of harm is lost, so its candidate can be judged no more: it is taken back, which is safe whatever was
//! known. What the rest of the status says still holds: a hand-over that was made is finished, and a candidate that was
//! being taken back for its harm stays condemned. Pure.

use firebreak_api::{
    Change, ChangeStatus,
    change::Phase,
    conditions::{self, kind},
    packed::PackError,
};
use firebreak_engine::{
    Memory, Note, Setup, memory,
    memory::Outcome,
    retreat::Retreat,
    units::{Millis, Weight},
};
use kube::ResourceExt as _;

/// One word for it.
const REASON: &str = "MemoryUnreadable";
/// Ways back that condemn nothing.
const HARMLESS: [&str; 8] =
    ["Superseded", "RiskRaised", "GuardChanged", "Withdrawn", "WorkloadGone", "Bypassed", "GuardDeleted", REASON];

/// The memory to go on with, and what people should know. `handed_over`: the workload has the candidate's ReplicaSet.
pub(crate) fn instead(setup: &Setup, change: &Change, handed_over: bool, why: &PackError, now: Millis) -> (Memory, Note) {
    let status = change.status.clone().unwrap_or_default();
    let mut memory = Memory::new(setup, now);
    // It may have had traffic whatever the status says: pods are drained before they go.
    memory.exposed_at = Some(status.exposed_at.map_or(now, |at| Millis(at.as_millisecond())));
    memory.highest = weight(status.highest_weight_percent);
    let happened = format!("the memory of Change {} cannot be read: {why}", change.name_any());
    if handed_over && status.phase == Phase::Promoting {
        memory.phase = memory::Phase::Promoting;
        memory.stage = setup.plan.stages.len().saturating_sub(1);
        memory.granted = setup.share(memory.stage);
        let message = format!("{happened}. The workload has the candidate's pods already, so the hand-over is finished");
        return (memory, Note { reason: REASON.to_owned(), message, warning: true });
    }
    let (percent, workload) = (status.weight_percent, &change.spec.target.name);
    let (outcome, message) = match condemned_for(&status) {
        Some(reason) => {
            let follows = format!(
                "it stays condemned. Ship a fixed template, or to try this one again: kubectl firebreak retry {} -n {} --reason '...'",
                change.spec.guard,
                change.namespace().unwrap_or_default()
            );
            (Outcome::RolledBack, format!("{happened}. The candidate was being taken back ({reason}) and still is; {follows}"))
        }
        None => {
            let follows = format!(
                "the template is not condemned: where Deployment {workload} still carries it, it gets a new Change from the first stage"
            );
            let message = format!(
                "{happened}. It can be judged no more, so Firebreak takes the candidate back from {percent} %; {follows}"
            );
            (Outcome::Withdrawn, message)
        }
    };
    let note = Note { reason: REASON.to_owned(), message: message.clone(), warning: true };
    let reason = REASON.to_owned();
    memory.phase = memory::Phase::Retreating;
    memory.retreat = Some(Retreat { outcome, reason, message, hurry: false, since: now, share_zero_at: None });
    (memory, note)
}

/// Why the candidate was being taken back, where that condemns it. Unknown counts as harm: it must not serve again (I3).
fn condemned_for(status: &ChangeStatus) -> Option<String> {
    if status.phase != Phase::RollingBack {
        return None;
    }
    let told = conditions::get(&status.conditions, kind::READY).map_or("unknown", |condition| condition.reason.as_str());
    (!HARMLESS.contains(&told)).then(|| told.to_owned())
}

fn weight(percent: f64) -> Weight {
    // Thousandths, rounded: the cast saturates.
    Weight::permille((percent * 10.0).round() as u16)
}
