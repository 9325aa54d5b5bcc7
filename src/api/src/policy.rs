//! `ClusterRiskPolicy`: what each risk level means.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Span;

/// What each risk level means: how much proof, in which stages, with whom asked.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "firebreak.dev",
    version = "v1alpha1",
    kind = "ClusterRiskPolicy",
    plural = "clusterriskpolicies",
    shortname = "crp",
    category = "firebreak",
    derive = "PartialEq",
    doc = "What each risk level means: how much proof, in which stages, with whom asked.",
    printcolumn(json_path = ".spec.levels.medium.stages", name = "Medium", type_ = "string"),
    printcolumn(json_path = ".metadata.creationTimestamp", name = "Age", type_ = "date")
)]
#[serde(rename_all = "camelCase")]
pub struct ClusterRiskPolicySpec {
    /// One plan per level.
    pub levels: Levels,
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
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inconclusive {
    /// Go on, and say so in the record.
    Promote,
    /// Stay, and tell a human.
    Hold,
    /// Take it back.
    RollBack,
}

/// What happens when metrics are missing.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoData {
    /// Stay.
    Hold,
    /// Stay, with a Warning Event.
    HoldAlert,
    /// Take it back.
    RollBack,
}
