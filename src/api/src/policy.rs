//! `ClusterRiskPolicy`: what each risk level means, and which changes are riskier than they claim. `RiskPolicy`: the same for one
//! namespace, where it may only be stricter.
//!
//! Holds the types alone; what a policy means is worked out in [`crate::plan`], [`crate::stricter`] and [`crate::in_force`].

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Span,
    freezes::{Freeze, Limits, OwnLimits},
};

/// What each risk level means: how much proof, in which stages, with whom asked; and which changes are riskier than they claim.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "firebreak.dev",
    version = "v1alpha1",
    kind = "ClusterRiskPolicy",
    plural = "clusterriskpolicies",
    shortname = "crp",
    category = "firebreak",
    status = "PolicyStatus",
    derive = "PartialEq",
    doc = "What each risk level means: how much proof, in which stages, with whom asked; and which changes are riskier than they claim.",
    printcolumn(json_path = ".spec.levels.medium.stages", name = "Medium", type_ = "string"),
    printcolumn(json_path = ".status.conditions[?(@.type==\"Ready\")].reason", name = "Ready", type_ = "string"),
    printcolumn(json_path = ".metadata.creationTimestamp", name = "Age", type_ = "date")
)]
#[serde(rename_all = "camelCase")]
pub struct ClusterRiskPolicySpec {
    /// One plan per level.
    pub levels: Levels,
    /// Rules that make a change riskier than it claims, ask a human, or refuse it. They only ever make stricter, and their order
    /// says nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = Rule::new("self.all(a, self.exists_one(b, b.name == a.name))").message("spec.rules: give each rule a name of its own"))]
    pub rules: Vec<RiskRule>,
    /// Time zone of `time` in rules and of freezes, as in the IANA database. Default: UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), regex(pattern = "^[A-Za-z][-+_A-Za-z0-9/]*$"))]
    pub time_zone: Option<String>,
    /// Windows in which nothing new reaches users.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(validation = Rule::new("self.all(a, self.exists_one(b, b.name == a.name))").message("spec.freezes: give each freeze a name of its own"))]
    pub freezes: Vec<Freeze>,
    /// How many Changes may be under way at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
}

/// What is stricter in this namespace than the ClusterRiskPolicy asks for. Nothing in it can make anything looser.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "firebreak.dev",
    version = "v1alpha1",
    kind = "RiskPolicy",
    plural = "riskpolicies",
    shortname = "rp",
    category = "firebreak",
    namespaced,
    status = "PolicyStatus",
    derive = "PartialEq",
    doc = "What is stricter in this namespace than the ClusterRiskPolicy asks for. Nothing in it can make anything looser.",
    printcolumn(json_path = ".spec.clusterPolicy", name = "Tightens", type_ = "string"),
    printcolumn(json_path = ".status.conditions[?(@.type==\"Ready\")].reason", name = "Ready", type_ = "string"),
    printcolumn(json_path = ".metadata.creationTimestamp", name = "Age", type_ = "date")
)]
#[x_kube(validation = Rule::new("has(self.atLeast) || has(self.rules) || has(self.levels) || has(self.freezes) || has(self.limits)").message("a RiskPolicy tightens a ClusterRiskPolicy: write atLeast, rules or levels, freezes or limits"))]
#[serde(rename_all = "camelCase")]
pub struct RiskPolicySpec {
    /// The ClusterRiskPolicy that it tightens. Default: the built-in policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub cluster_policy: Option<String>,
    /// The least level of every change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<RiskLevel>,
    /// Rules beside those of the ClusterRiskPolicy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = Rule::new("self.all(a, self.exists_one(b, b.name == a.name))").message("spec.rules: give each rule a name of its own"))]
    pub rules: Vec<RiskRule>,
    /// What is stricter in a level. Of each field the stricter of the two holds.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, Tightening>", extend("maxProperties" = 8))]
    #[x_kube(validation = Rule::new("self.all(name, name in ['low', 'medium', 'high', 'critical'])").message("spec.levels: levels are low, medium, high and critical"))]
    pub levels: BTreeMap<RiskLevel, Tightening>,
    /// Freezes beside those of the ClusterRiskPolicy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(validation = Rule::new("self.all(a, self.exists_one(b, b.name == a.name))").message("spec.freezes: give each freeze a name of its own"))]
    pub freezes: Vec<Freeze>,
    /// How many Changes may be under way at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<OwnLimits>,
}

/// A risk level.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[serde(rename_all = "lowercase")]
pub enum RiskLevel {
    /// Routine.
    Low,
    /// Usual.
    Medium,
    /// Asks for more proof.
    High,
    /// Asks for a human.
    Critical,
}

/// When a change is riskier than it claims, and what follows.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[x_kube(validation = Rule::new("has(self.raise) || has(self.atLeast) || has(self.approvalAt) || has(self.refuse) || has(self.factor)").message("say what follows: raise, atLeast, approvalAt, refuse or factor"))]
#[serde(rename_all = "camelCase")]
pub struct RiskRule {
    /// Its name.
    #[schemars(length(min = 1, max = 40), regex(pattern = "^[a-z]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// A condition in CEL over `claims`, `risk`, `workload`, `diff`, `time`, `history` and `changer`. What cannot be told counts as
    /// if it held. Try it with kubectl firebreak policy test.
    #[schemars(length(min = 1, max = 1024))]
    pub when: String,
    /// Levels by which the risk rises.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3))]
    pub raise: Option<u8>,
    /// The least level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<RiskLevel>,
    /// Percentages: a human is asked before the first stage that gives the candidate at least so much; 0 before any exposure.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 8), inner(range(min = 0, max = 100)))]
    pub approval_at: Vec<i32>,
    /// Why it is refused: the Change is made and held, and nothing runs from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub refuse: Option<String>,
    /// What people are told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub factor: Option<String>,
}

/// What is stricter in a level; each field says which of two is the stricter, and that one holds.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[x_kube(validation = Rule::new("!has(self.minBake) || !has(self.maxBake) || duration(self.minBake) <= duration(self.maxBake)").message("minBake must not be longer than maxBake"))]
#[serde(rename_all = "camelCase")]
pub struct Tightening {
    /// The larger: harm is taken back on less evidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self > 0.0 && self <= 0.5").message("alpha: a probability above 0 and up to 0.5, for example 0.02"))]
    pub alpha: Option<f64>,
    /// The smaller: a stage needs more proof.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self > 0.0 && self <= 0.5").message("beta: a probability above 0 and up to 0.5, for example 0.05"))]
    pub beta: Option<f64>,
    /// The smaller: less harm is tolerated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self >= 1.0 && self <= 10.0").message("margin: a ratio from 1 to 10, for example 1.1"))]
    pub margin: Option<f64>,
    /// The smaller: fewer requests may be harmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self > 0.0 && self < 50.0").message("budgetPercent: a percentage above 0 and below 50, for example 0.05"))]
    pub budget_percent: Option<f64>,
    /// The smaller: less of what the objective allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self > 0.0 && self <= 1.0").message("sloFactor: a factor above 0 and up to 1, for example 0.05"))]
    pub slo_factor: Option<f64>,
    /// Both: more stages are smaller steps. At most 20 in all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 20), inner(range(min = 1, max = 100)))]
    pub stages: Vec<i32>,
    /// The longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_bake: Option<Span>,
    /// The longer where what is inconclusive then is promoted, else the shorter; never shorter than `minBake`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bake: Option<Span>,
    /// The longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub final_bake: Option<Span>,
    /// The larger: more requests stay with stable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 20))]
    pub holdback_percent: Option<i32>,
    /// Both: a human is asked before the first stage of at least so much.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 20), inner(range(min = 1, max = 100)))]
    pub approval_at: Vec<i32>,
    /// Of how many humans, of which groups, and for how long, at the stages where a human is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<StricterApproval>,
    /// The later in `Promote`, `Hold`, `RollBack`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inconclusive: Option<Inconclusive>,
    /// The later in `Hold`, `HoldAlert`, `RollBack`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_data: Option<NoData>,
    /// The shorter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_data_after: Option<Span>,
}

/// What is stricter in an approval.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[x_kube(validation = Rule::new("has(self.count) || has(self.groups) || has(self.expiresAfter)").message("approval: write count, groups or expiresAfter"))]
#[serde(rename_all = "camelCase")]
pub struct StricterApproval {
    /// The larger: how many different people must approve each stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10))]
    pub count: Option<u32>,
    /// Groups that are in both lists; where the cluster's policy names none, these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 256)))]
    pub groups: Vec<String>,
    /// The shorter: how long an approval holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_after: Option<Span>,
}

/// What the operator knows of a policy.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PolicyStatus {
    /// Generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`, `Stalled`; of a RiskPolicy also `Tightens`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The newest spec that could be used. It stays in force while a newer one cannot be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_good: Option<LastGood>,
}

/// A spec that could be used.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct LastGood {
    /// Its generation.
    pub generation: i64,
    /// The spec: deflated JSON in base64.
    pub spec: String,
}

/// One plan per level.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Levels {
    /// Level low.
    pub low: Level,
    /// Level medium; also for a change that says nothing of its risk.
    pub medium: Level,
    /// Level high.
    pub high: Level,
    /// Level critical.
    pub critical: Level,
}

/// What one level asks for.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[x_kube(validation = Rule::new("duration(self.minBake) <= duration(self.maxBake)").message("minBake must not be longer than maxBake"))]
#[x_kube(validation = Rule::new("!has(self.approval) || !has(self.approval.at) || self.approval.at.all(a, a in self.stages)").message("approval.at: name stages of this level, for example [100]; a percentage that is no stage would ask nobody"))]
#[x_kube(validation = Rule::new("!has(self.approval) || has(self.approval.at) != has(self.approvalAt)").message("write the stages once: in approval.at, or in approvalAt"))]
#[x_kube(validation = Rule::new("!has(self.approvalAt) || self.approvalAt.all(a, a in self.stages)").message("approvalAt: name stages of this level, for example [100]; a percentage that is no stage would ask nobody"))]
#[serde(rename_all = "camelCase")]
pub struct Level {
    /// Probability, ever, of taking back a harmless candidate.
    #[x_kube(validation = Rule::new("self > 0.0 && self <= 0.5").message("alpha: a probability above 0 and up to 0.5, for example 0.01"))]
    pub alpha: f64,
    /// Probability, per stage, of going on although the next stage harms more than the budget.
    #[x_kube(validation = Rule::new("self > 0.0 && self <= 0.5").message("beta: a probability above 0 and up to 0.5, for example 0.05"))]
    pub beta: f64,
    /// Ratio of failure rates, candidate to stable, that is still tolerated.
    #[x_kube(validation = Rule::new("self >= 1.0 && self <= 10.0").message("margin: a ratio from 1 to 10, for example 1.25"))]
    pub margin: f64,
    /// Largest share of all requests, in percent, that the next stage may harm. With an SLO the smaller of the two holds.
    #[x_kube(validation = Rule::new("self > 0.0 && self < 50.0").message("budgetPercent: a percentage above 0 and below 50, for example 0.1"))]
    pub budget_percent: f64,
    /// Factor k: with an SLO the budget is k (1 - availability).
    #[x_kube(validation = Rule::new("self > 0.0 && self <= 1.0").message("sloFactor: a factor above 0 and up to 1, for example 0.1"))]
    pub slo_factor: f64,
    /// Exposure of each stage in percent, rising, ending at 100.
    #[schemars(length(min = 1, max = 20))]
    #[x_kube(validation = Rule::new("self[size(self) - 1] == 100 && self.all(s, s >= 1) && self.all(s, self.filter(o, o <= s).size() == self.indexOf(s) + 1)").message("stages: whole percentages, rising, ending at 100, for example [5, 20, 50, 100]"))]
    pub stages: Vec<i32>,
    /// Shortest time at a stage.
    pub min_bake: Span,
    /// Time at a stage after which the evidence counts as inconclusive.
    pub max_bake: Span,
    /// Time at the last stage, with stable still warm, before the hand-over.
    pub final_bake: Span,
    /// Percent of the requests that stays with stable where routes divide them, at every stage that would leave it less, so that
    /// it can be compared with until the hand-over; 0 for none.
    #[serde(default = "holdback_percent")]
    #[schemars(range(min = 0, max = 20))]
    pub holdback_percent: i32,
    /// Stages, as in `stages`, that wait for a human before they begin: the short form of `approval.at`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub approval_at: Vec<i32>,
    /// Which stages wait for humans before they begin, for whom, and for how many of them. Never the one who made the change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
    /// What happens when a stage is still inconclusive at `maxBake`.
    pub inconclusive: Inconclusive,
    /// What happens when metrics are missing for `noDataAfter`.
    pub no_data: NoData,
    /// How long metrics may be missing.
    #[serde(default = "no_data_after")]
    pub no_data_after: Span,
}

impl Level {
    /// The stages, in percent, that wait for humans before they begin.
    #[must_use]
    pub fn approval_stages(&self) -> Vec<i32> {
        let named = self.approval.as_ref().map_or(&[][..], |approval| &approval.at);
        let mut stages: Vec<i32> = self.approval_at.iter().chain(named).copied().collect();
        stages.sort_unstable();
        stages.dedup();
        stages
    }
}

/// Who may let a stage begin, and how many of them it takes.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Approval {
    /// Stages, as in `stages`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub at: Vec<i32>,
    /// How many different people must approve each.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    #[schemars(range(min = 1, max = 10))]
    pub count: u32,
    /// Groups, as the API server knows them, one of which each must be in. Default: whoever has the verb `approve` on the Guard.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 256)))]
    pub groups: Vec<String>,
    /// How long an approval holds: one that is older when its stage would begin is void. Default: until the Change ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_after: Option<Span>,
}

fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_one(count: &u32) -> bool {
    *count == 1
}

fn holdback_percent() -> i32 {
    5
}

fn no_data_after() -> Span {
    Span::seconds(60)
}

/// What happens when a stage stays inconclusive.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Inconclusive {
    /// Go on, and say so in the record.
    Promote,
    /// Stay, and tell a human.
    Hold,
    /// Take it back.
    RollBack,
}

/// What happens when metrics are missing.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NoData {
    /// Stay.
    Hold,
    /// Stay, with a Warning Event.
    HoldAlert,
    /// Take it back.
    RollBack,
}
