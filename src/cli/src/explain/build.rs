//! The explanation of a Change as data.

use std::collections::BTreeMap;

use firebreak_api::{
    Change,
    brief::Brief,
    change::{Arms, BlastRadius, Factor, Phase, Refused, Waiting},
    guard::{Hold, Revision},
    names, plan,
};
use jiff::Timestamp;
use serde::Serialize;

use super::{
    checks::{self, CheckWords},
    ended::EndedBy,
    numbers::{self, Number},
    outcome,
};
use crate::{
    curve::Evidence,
    facts::{self, Facts, Stage},
};

/// Decisions in the explanation: what fits a screen.
const DECISIONS: usize = 8;

/// A Change in words.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// Its name.
    pub change: String,
    /// Its Guard.
    pub guard: String,
    /// Its namespace.
    pub namespace: String,
    /// The workload.
    pub target: String,
    /// Where it is on its way.
    pub phase: Phase,
    /// When this was written.
    pub at: Timestamp,
    /// What ended it, or takes it back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_by: Option<EndedBy>,
    /// What a human needs who is asked, while one is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decide: Option<Brief>,
    /// What is new.
    pub what: What,
    /// Who and what wrote it.
    pub who: Who,
    /// The risk and what led to it.
    pub risk: RiskWords,
    /// The plan and what it means.
    pub plan: PlanWords,
    /// Where it is and what it needs.
    pub state: State,
    /// The numbers with their meaning.
    pub numbers: Vec<Number>,
    /// The absolute checks and how they stand.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CheckWords>,
    /// How the evidence went, once it was seen twice.
    pub curve: Option<Evidence>,
    /// Pods of the two arms.
    pub arms: Option<Arms>,
    /// Damage done.
    pub blast_radius: Option<BlastRadius>,
    /// The damage in words.
    pub blast_words: String,
    /// What would change the outcome.
    pub outcome: Vec<String>,
    /// The last decisions, the oldest first.
    pub decisions: Vec<DecisionWords>,
    /// Commands that fit now.
    pub commands: Vec<Command>,
}

/// What is new.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct What {
    /// Images of the candidate.
    pub images: Vec<String>,
    /// What is different from stable, a sentence each.
    pub differences: Vec<String>,
    /// `pod-template-hash` of the candidate.
    pub hash: String,
    /// Digest of its template.
    pub template: String,
    /// ReplicaSet of the candidate.
    pub replica_set: String,
    /// The revision that serves users.
    pub stable: Revision,
    /// When the operator saw it.
    pub detected_at: Timestamp,
    /// Where it was held.
    pub hold: Hold,
    /// Pods that the native controller had started before.
    pub late_pods: u32,
    /// Whether its ReplicaSet was there before.
    pub taken_over: bool,
    /// 1 for the first try with this template.
    pub attempt: u32,
}

/// Who and what wrote it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Who {
    /// Who asked the API server for it.
    pub changed_by: Option<String>,
    /// What it says about itself: claim (without its prefix) to value.
    pub claims: BTreeMap<String, String>,
    /// Claims that could not be read.
    pub problems: Vec<String>,
}

/// The risk and what led to it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RiskWords {
    /// The level.
    pub level: String,
    /// What led to it.
    pub factors: Vec<Factor>,
    /// Why the policy refuses it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<Refused>,
}

/// The plan and what it means.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanWords {
    /// The policy that gave it.
    pub policy: String,
    /// Its stages.
    pub stages: Vec<Stage>,
    /// What it means, sentence by sentence.
    pub words: Vec<String>,
}

/// Where it is and what it needs.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// The stage, from 1; 0 before the first.
    pub stage: usize,
    /// Number of stages.
    pub stages: usize,
    /// Share of traffic it may receive, in percent.
    pub weight_percent: f64,
    /// Share of requests that reached it, measured, in percent.
    pub exposure_percent: Option<f64>,
    /// When this stage began.
    pub stage_began_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Whether a human paused it.
    pub paused: bool,
    /// Why it does not go on.
    pub waiting: Option<Waiting>,
    /// Which step of the way back it is at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_back: Option<String>,
    /// That no request arrives, and what to look at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_request: Option<String>,
    /// The next stage in percent.
    pub next_stage: Option<i32>,
    /// What must come true before it goes on.
    pub needs: Vec<String>,
}

/// A decision.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DecisionWords {
    /// When.
    pub at: Timestamp,
    /// One word.
    pub reason: String,
    /// What was seen and what follows.
    pub message: String,
}

/// A command and what it does.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Command {
    /// What it does.
    pub does: String,
    /// The command line.
    pub command: String,
}

impl Explanation {
    /// Explains a Change as it is seen at `now`.
    #[must_use]
    pub fn new(change: &Change, now: Timestamp) -> Self {
        let facts = Facts::new(change, now);
        let (spec, status) = (&change.spec, facts.status);
        let namespace = change.metadata.namespace.clone().unwrap_or_default();
        let position = facts.position();
        let skip = status.decisions.len().saturating_sub(DECISIONS);
        Self {
            change: facts.name().to_owned(),
            guard: spec.guard.clone(),
            target: facts::target(&spec.target),
            phase: facts.phase(),
            at: now,
            ended_by: EndedBy::of(&facts),
            decide: Brief::of(change, now, facts::on_cluster()),
            what: what(change),
            who: who(change),
            risk: RiskWords {
                level: spec.risk.level.clone(),
                factors: spec.risk.factors.clone(),
                refused: spec.risk.refused.clone(),
            },
            plan: PlanWords {
                policy: spec.policy.clone(),
                stages: facts.stages(),
                words: outcome::plan(&spec.plan, spec.availability, spec.is_routed()),
            },
            state: State {
                stage: position.index,
                stages: position.of,
                weight_percent: status.weight_percent,
                exposure_percent: status.exposure_percent,
                stage_began_at: status.stage_began_at,
                ended_at: status.ended_at,
                paused: status.paused,
                waiting: status.waiting.clone().map(|waiting| Waiting { message: facts.waits_for(&waiting), ..waiting }),
                step_back: facts.step_back(),
                no_request: facts.no_request().filter(|_| status.waiting.is_none()),
                next_stage: facts.next_stage(),
                needs: facts.needs(),
            },
            numbers: numbers::of(&facts),
            checks: checks::of(&facts),
            curve: Evidence::of(change),
            arms: status.arms,
            blast_radius: status.blast_radius.clone(),
            blast_words: numbers::blast(&facts),
            outcome: outcome::of(&facts),
            decisions: status
                .decisions
                .iter()
                .skip(skip)
                .map(|decision| DecisionWords {
                    at: decision.at,
                    reason: decision.reason.clone(),
                    message: facts.said(&decision.message),
                })
                .collect(),
            commands: outcome::commands(&facts),
            namespace,
        }
    }
}

fn what(change: &Change) -> What {
    let candidate = &change.spec.candidate;
    What {
        images: candidate.images.clone(),
        differences: change.spec.differences.clone(),
        hash: candidate.hash.clone(),
        template: candidate.template.clone(),
        replica_set: candidate.replica_set.clone(),
        stable: change.spec.stable.clone(),
        detected_at: change.spec.detected_at,
        hold: change.spec.hold,
        late_pods: candidate.late_pods,
        taken_over: candidate.taken_over,
        attempt: change.spec.attempt,
    }
}

fn who(change: &Change) -> Who {
    let claims = &change.spec.claims;
    let prefix = format!("{}/", names::GROUP);
    let bare = |name: &str| name.strip_prefix(&prefix).unwrap_or(name).to_owned();
    Who {
        // Without the hold anyone can write the mark, so it says nothing.
        changed_by: plan::makers(&change.spec).changed_by,
        claims: claims.annotations.iter().map(|(name, value)| (bare(name), value.clone())).collect(),
        problems: claims.problems.clone(),
    }
}
