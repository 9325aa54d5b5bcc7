//! One Guard with its Change: what the table shows and what machines read.

use firebreak_api::{
    Guard,
    change::{Arms, BlastRadius, Evidence, HarmScale, Phase, Waiting},
    conditions::{self, kind},
    guard::{Hold, TargetRef},
};
use jiff::Timestamp;
use serde::Serialize;

use crate::{
    cluster::Snapshot,
    facts::{self, Facts},
};

/// One Guard with the Change that runs, else the last.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row<'a> {
    /// Namespace of the Guard.
    pub namespace: &'a str,
    /// Name of the Guard.
    pub guard: &'a str,
    /// The workload.
    pub target: &'a TargetRef,
    /// Where a template change is held; none before the operator has said so.
    pub hold: Option<Hold>,
    /// Whether the Guard is ready; none before the operator has said so.
    pub ready: Option<bool>,
    /// Why it is ready or not.
    pub ready_reason: Option<&'a str>,
    /// What to do if it is not.
    pub ready_message: Option<&'a str>,
    /// The Change; none where there was none yet.
    pub change: Option<ChangeRow<'a>>,
}

/// A Change in a row.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangeRow<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its risk level.
    pub risk: &'a str,
    /// Where it is on its way.
    pub phase: Phase,
    /// The stage, from 1; 0 before the first.
    pub stage: usize,
    /// Number of stages.
    pub stages: usize,
    /// Share of traffic the candidate may receive, in percent.
    pub weight_percent: f64,
    /// Share of requests that reached it, measured, in percent.
    pub exposure_percent: Option<f64>,
    /// Harm evidence as a share of what takes it back, 0 to 1.
    pub roll_back_share: Option<f64>,
    /// Safety evidence of the weakest signal as a share of what opens the next stage, 0 to 1.
    pub next_stage_share: Option<f64>,
    /// Whether a human paused it.
    pub paused: bool,
    /// Why it does not go on.
    pub waiting: Option<&'a Waiting>,
    /// When the operator saw the template.
    pub detected_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Harm evidence of all signals together.
    pub harm: Option<HarmScale>,
    /// Evidence of each signal.
    pub evidence: &'a [Evidence],
    /// Pods of the two arms.
    pub arms: Option<Arms>,
    /// Damage done.
    pub blast_radius: Option<&'a BlastRadius>,
}

impl<'a> Row<'a> {
    /// The row of a Guard.
    #[must_use]
    pub fn new(snapshot: &'a Snapshot, guard: &'a Guard, now: Timestamp) -> Self {
        let status = guard.status.as_ref();
        let ready = status.and_then(|status| conditions::get(&status.conditions, kind::READY));
        Self {
            namespace: guard.metadata.namespace.as_deref().unwrap_or_default(),
            guard: guard.metadata.name.as_deref().unwrap_or_default(),
            target: &guard.spec.target_ref,
            hold: status.and_then(|status| status.hold),
            ready: ready.map(|ready| ready.status == "True"),
            ready_reason: ready.map(|ready| ready.reason.as_str()),
            ready_message: ready.map(|ready| ready.message.as_str()),
            change: facts::shown(&snapshot.changes_of(guard), Some(guard)).map(|change| ChangeRow::new(&Facts::new(change, now))),
        }
    }
}

impl<'a> ChangeRow<'a> {
    fn new(facts: &Facts<'a>) -> Self {
        let status = facts.status;
        let position = facts.position();
        Self {
            name: facts.name(),
            risk: &facts.change.spec.risk.level,
            phase: facts.phase(),
            stage: position.index,
            stages: position.of,
            weight_percent: status.weight_percent,
            exposure_percent: status.exposure_percent,
            roll_back_share: facts.harm_share(),
            next_stage_share: facts.safety_share(),
            paused: status.paused,
            waiting: status.waiting.as_ref(),
            detected_at: facts.change.spec.detected_at,
            ended_at: status.ended_at,
            harm: status.harm,
            evidence: &status.evidence,
            arms: status.arms,
            blast_radius: status.blast_radius.as_ref(),
        }
    }
}
