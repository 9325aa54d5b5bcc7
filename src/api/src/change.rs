//! `Change`: one candidate's whole way, from hold to promoted or taken back, and the record of it.

use firebreak_engine::gates;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    evidence::{Check, Dependent},
    guard::{Hold, PodPages, Revision, Signal, TargetRef, Traffic},
    intervention::Action,
    policy::Level,
};

/// One candidate's whole way, from hold to promoted or taken back, and the record of it. Made by the operator.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "firebreak.dev",
    version = "v1alpha1",
    kind = "Change",
    plural = "changes",
    shortname = "chg",
    category = "firebreak",
    namespaced,
    status = "ChangeStatus",
    derive = "PartialEq",
    doc = "One candidate's whole way, from hold to promoted or taken back, and the record of it. Made by the operator.",
    printcolumn(json_path = ".spec.guard", name = "Guard", type_ = "string"),
    printcolumn(json_path = ".spec.risk.level", name = "Risk", type_ = "string"),
    printcolumn(json_path = ".status.phase", name = "Phase", type_ = "string"),
    printcolumn(json_path = ".status.stage", name = "Stage", type_ = "string"),
    printcolumn(json_path = ".status.weightPercent", name = "Weight%", type_ = "string"),
    printcolumn(json_path = ".status.waiting.reason", name = "Waiting", type_ = "string"),
    printcolumn(json_path = ".metadata.creationTimestamp", name = "Age", type_ = "date")
)]
#[x_kube(validation = Rule::new("self == oldSelf").message("a Change is the record of what was started and is immutable; steer it with kubectl firebreak approve, promote, pause, resume or abort"))]
#[serde(rename_all = "camelCase")]
pub struct ChangeSpec {
    /// The Guard it belongs to.
    pub guard: String,
    /// The workload.
    pub target: TargetRef,
    /// `metadata.uid` of the workload.
    pub target_uid: String,
    /// The revision that serves users.
    pub stable: Revision,
    /// Images of the revision that serves users, for people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stable_images: Vec<String>,
    /// The revision under judgement.
    pub candidate: Candidate,
    /// 1 for the first Change of a template; one more for each retry.
    pub attempt: u32,
    /// The retry or clear by which a human let the template be judged again, after the Change before this one condemned it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cleared: Option<HumanAct>,
    /// When the operator saw the template.
    pub detected_at: Timestamp,
    /// Where it was held.
    pub hold: Hold,
    /// What the change says about itself, as it was when the Change began.
    pub claims: Claims,
    /// What follows from the claims.
    pub risk: Risk,
    /// The plan, as the policy gave it for this level.
    pub plan: Level,
    /// The policy that gave the plan: `built-in`, a `ClusterRiskPolicy`'s name, or that and a `RiskPolicy`'s.
    pub policy: String,
    /// What is different from stable, a sentence each, the riskier first; at most 40.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<String>,
    /// The facts and the policy that the risk was worked out from: deflated JSON in base64. It can be worked out again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk_basis: Option<String>,
    /// Percent of requests that must not fail, where the Guard names an objective.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub availability: Option<f64>,
    /// How traffic is divided, as in the Guard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic: Option<Traffic>,
    /// What is compared, as in the Guard, presets written out.
    #[schemars(length(min = 1, max = 24))]
    pub signals: Vec<Signal>,
    /// Absolute checks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Check>,
    /// Workloads that must not be hurt.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependents: Vec<Dependent>,
    /// Whether Prometheus is asked for the signals beside the pods' pages.
    #[serde(default)]
    pub both_sources: bool,
    /// Where the pods' own metrics pages are, if the evidence comes from there, as in the Guard's spec.metrics.pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_pages: Option<PodPages>,
    /// Query API the evidence comes from. Default: the operator's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prometheus_url: Option<String>,
    /// Whether the stable template is written back after a rollback.
    #[serde(default)]
    pub restore_template: bool,
    /// The Guard's generation when the Change began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard_generation: Option<i64>,
    /// A digest of the metrics, dependents, objective and routes that the Guard asked for then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard_asks: Option<String>,
}

impl ChangeSpec {
    /// Whether routes divide the requests; else the pods are the share.
    #[must_use]
    pub fn is_routed(&self) -> bool {
        self.traffic.as_ref().is_some_and(|traffic| !traffic.routes.is_empty())
    }

    /// The share of the requests that a stage of so many percent gives the candidate, in percent: where routes divide them,
    /// a part stays with stable to compare with.
    #[must_use]
    pub fn share_percent(&self, stage: i32) -> f64 {
        let most = if self.is_routed() { 100 - self.plan.holdback_percent } else { 100 };
        f64::from(stage.min(most))
    }
}

/// The revision under judgement.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Candidate {
    /// `pod-template-hash` of its pods.
    pub hash: String,
    /// Its ReplicaSet.
    pub replica_set: String,
    /// Digest of its template.
    pub template: String,
    /// Its images, for people.
    #[serde(default)]
    pub images: Vec<String>,
    /// Whether the ReplicaSet was there before and was taken over.
    #[serde(default)]
    pub taken_over: bool,
    /// Pods of the candidate that the native controller had started before the operator held the workload.
    #[serde(default)]
    pub late_pods: u32,
    /// Since when such pods ran, to the second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late_since: Option<Timestamp>,
}

/// What a change says about itself. Claims, not facts.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Claims {
    /// The claims as they stood on the workload: annotation to value.
    #[serde(default)]
    pub annotations: std::collections::BTreeMap<String, String>,
    /// Who asked the API server for the template, as the admission policy stamped it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_by: Option<String>,
    /// Claims that could not be read, and what to write instead.
    #[serde(default)]
    pub problems: Vec<String>,
}

/// The level and what led to it.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Risk {
    /// `low`, `medium`, `high` or `critical`.
    pub level: String,
    /// What led to it, in the order in which it was applied.
    pub factors: Vec<Factor>,
    /// Why the policy refuses the change: nothing runs from it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<Refused>,
}

/// Why a policy refuses a change.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Refused {
    /// The rule.
    pub rule: String,
    /// What it says.
    pub text: String,
}

/// One thing that led to the level.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Factor {
    /// Its name.
    pub name: String,
    /// What it did to the level, in words.
    pub effect: String,
}

/// Where a Change is on its way.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// Held; nothing runs from the candidate.
    #[default]
    Held,
    /// Pinning, candidate pods coming up, waiting to be seen by the metrics source.
    Preparing,
    /// At a stage, being judged.
    Progressing,
    /// At the last stage, with stable still warm.
    Baking,
    /// Hand-over to the native controller.
    Promoting,
    /// Being taken back.
    RollingBack,
    /// Promoted: the candidate is the new stable.
    Promoted,
    /// Taken back; the candidate is condemned.
    RolledBack,
    /// A newer template came, or its claims rose: another Change follows.
    Superseded,
    /// The stable template came back, or the Guard was deleted.
    Withdrawn,
}

impl Phase {
    /// Whether the Change is over.
    #[must_use]
    pub fn ended(self) -> bool {
        matches!(self, Self::Promoted | Self::RolledBack | Self::Superseded | Self::Withdrawn)
    }
}

/// Where the Change is, what it has seen, what was decided.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ChangeStatus {
    /// Generation of the spec.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`, `Reconciling`, `Stalled`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Where it is on its way.
    #[serde(default)]
    pub phase: Phase,
    /// The stage, for people: `2/4`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// Share of traffic the candidate may receive now, in percent.
    #[serde(default)]
    pub weight_percent: f64,
    /// Share of requests that reached the candidate since this stage began, measured, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exposure_percent: Option<f64>,
    /// Highest weight so far, in percent.
    #[serde(default)]
    pub highest_weight_percent: f64,
    /// Why it does not go on right now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Waiting>,
    /// Its place in the queue, where a limit of the policy is full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueuePlace>,
    /// Whether a human paused it.
    #[serde(default)]
    pub paused: bool,
    /// Who approved a stage that has not begun.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<Approved>,
    /// Why it goes back, or went back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub way_back: Option<Waiting>,
    /// When the candidate first got traffic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exposed_at: Option<Timestamp>,
    /// When this stage began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage_began_at: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// Evidence of each signal.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Evidence>,
    /// The absolute checks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CheckStatus>,
    /// Harm evidence of all signals together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub harm: Option<HarmScale>,
    /// The two arms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arms: Option<Arms>,
    /// The workloads that must not be hurt.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependents: Vec<DependentStatus>,
    /// Damage done by the candidate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blast_radius: Option<BlastRadius>,
    /// What was decided or asked, by whom, when and why; the newest last, at most 100. Of more, the first 20 and the newest 60 stay;
    /// between them what humans did stays before the rest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub decisions: Vec<DecisionRecord>,
    /// How many decisions are not kept.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub dropped: u32,
    /// Whether only the words of the record are kept, since newer Changes of the Guard have ended.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub words_only: bool,
    /// What the named routes said before, to be restored.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<RouteRecord>,
    /// The engine's memory: deflated JSON in base64. Any replica goes on from here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl ChangeStatus {
    /// Whether it takes one of the places that a limit of a policy gives, as it is recorded.
    #[must_use]
    pub fn is_under_way(&self) -> bool {
        match self.phase {
            Phase::Held => false,
            Phase::Preparing => {
                let on_its_way = |waiting: &Waiting| gates::ON_ITS_WAY.contains(&waiting.reason.as_str());
                self.waiting.as_ref().is_none_or(on_its_way)
            }
            phase => !phase.ended(),
        }
    }
}

/// Why a Change does not go on right now.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Waiting {
    /// One word.
    pub reason: String,
    /// What happened, what Firebreak did about it, what to do next.
    pub message: String,
    /// Since when.
    pub since: Timestamp,
}

/// A place in the queue before a limit that is full.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct QueuePlace {
    /// The place, from 1.
    pub position: u32,
    /// How many wait.
    pub of: u32,
}

/// A human's yes to a stage that has not begun.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Approved {
    /// Who, as the API server knows them.
    pub by: String,
    /// The stage, from 1.
    pub stage: u32,
    /// When.
    pub at: Timestamp,
    /// Until when it holds; for good, where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Evidence of one signal; natural logarithms of e-values.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// The signal.
    pub signal: String,
    /// Toward taking back.
    pub harm: f64,
    /// Toward the next stage.
    pub safety: f64,
    /// Where safety opens the next stage.
    pub safety_needed: f64,
    /// Requests and failures of the candidate since the Change began.
    pub candidate: Counted,
    /// Requests and failures of stable since the Change began.
    pub stable: Counted,
    /// Dispersion in use, 1 or more.
    pub dispersion: f64,
    /// Requests and failures of candidate pods in their first seconds, which are not judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_out: Option<Counted>,
}

/// How a check stands.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct CheckStatus {
    /// Its name.
    pub name: String,
    /// The newest value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// Why there is no answer now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
    /// How many of the last answers failed.
    pub failed: u32,
    /// How many answers that is of.
    pub answers: u32,
}

/// Requests and how many of them failed (or were slow).
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Counted {
    /// Requests.
    pub requests: u64,
    /// Failed or slow requests.
    pub failures: u64,
}

/// The scale toward taking back.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct HarmScale {
    /// Natural logarithm of the e-value of all signals together.
    pub evidence: f64,
    /// Where harm counts as proved.
    pub needed: f64,
    /// Largest ratio of failure rates that is proved; 0 while none is.
    pub proved_ratio: f64,
}

/// Pods of the two arms.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Arms {
    /// Candidate pods wanted.
    pub candidate_pods: u32,
    /// Candidate pods ready.
    pub candidate_ready: u32,
    /// Stable pods wanted.
    pub stable_pods: u32,
    /// Stable pods ready.
    pub stable_ready: u32,
    /// Ready candidate pods that are read, where not all pods are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate_read: Option<u32>,
    /// Ready stable pods that are read, where not all pods are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable_read: Option<u32>,
}

/// One workload that must not be hurt.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct DependentStatus {
    /// Its name.
    pub name: String,
    /// How it stands.
    pub state: DependentState,
    /// Natural logarithm of the e-value of "it is not hurt".
    pub evidence: f64,
}

/// How a workload that must not be hurt stands.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum DependentState {
    /// Not seen to be hurt.
    Unharmed,
    /// Hurt by the candidate.
    Harmed,
    /// In trouble since before the candidate had traffic: not held against it.
    SickBefore,
    /// In trouble together with workloads that have nothing to do with it.
    PlatformTrouble,
    /// Its past could not be read, so that it is not judged.
    PastUnknown,
}

/// Damage done by the candidate: the signal with the largest, with lower bounds.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct BlastRadius {
    /// The signal it is about.
    pub signal: String,
    /// Requests that failed because of the candidate (estimate); of a signal of successes, how many of these were lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_requests: Option<f64>,
    /// Its lower bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_requests_low: Option<f64>,
    /// Share of all requests that failed because of the candidate, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share_percent: Option<f64>,
    /// Its lower bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share_percent_low: Option<f64>,
    /// Share of all requests that would fail because of the candidate at the next stage, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub projected_percent: Option<f64>,
    /// `no`, or in which way it grows.
    pub growing: String,
}

/// One decision.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct DecisionRecord {
    /// When.
    pub at: Timestamp,
    /// One word: the reason of its Event.
    pub reason: String,
    /// What was seen and what follows.
    pub message: String,
    /// The human's act that it follows from; absent where none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub act: Option<HumanAct>,
    /// The stage it was at then, from 1; 0 before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<u32>,
    /// Share of traffic that the candidate may receive from then on, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_percent: Option<f64>,
    /// Memory and observation it was computed from, deflated JSON in base64: the decision can be computed again, bit for bit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basis: Option<String>,
}

/// A human's act, as the record keeps it: the Intervention can be deleted, this stays.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct HumanAct {
    /// Name of the Intervention.
    pub intervention: String,
    /// What they did.
    pub action: Action,
    /// Who, as the API server vouches for them; absent where it vouches for nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// When they did it; absent where it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// Why, in their words; absent where they gave none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What a route said before the Change.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RouteRecord {
    /// Kind of the route.
    pub kind: crate::guard::RouteKind,
    /// Its name.
    pub name: String,
    /// `metadata.uid`: another route of the same name is not restored.
    pub uid: String,
    /// The rules that send traffic to the Service.
    pub rules: Vec<RuleRecord>,
}

/// What a rule of a route said before the Change.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RuleRecord {
    /// Its place in the route.
    pub index: u32,
    /// Its `backendRefs`, as JSON text so that every field survives.
    pub backend_refs: String,
}
