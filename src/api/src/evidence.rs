//! What speaks beside a Guard's signals: absolute checks, and the workloads that must not be hurt.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Span, guard::Signal};

/// An absolute check: any PromQL with limits. It can hold a Change and take it back; it never lets one go on.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[x_kube(validation = Rule::new("has(self.max) || has(self.min)").message("a check needs max, min or both, for example max: 0.5"))]
#[x_kube(validation = Rule::new("!has(self.max) || !has(self.min) || self.min <= self.max").message("min is larger than max: no value could pass"))]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// Its name.
    #[schemars(length(min = 1, max = 40), regex(pattern = "^[a-z]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// PromQL that gives numbers: every one of them must be within the limits. These are replaced in it: `$namespace`,
    /// `$workload`, `$candidate` and `$stable` (names of the ReplicaSets, which the names of their pods begin with),
    /// `$candidateHash` and `$stableHash` (their `pod-template-hash`).
    #[schemars(length(min = 1, max = 4096))]
    pub query: String,
    /// Largest number that passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// Smallest number that passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// How often it is asked: `1s` to `1h`.
    #[serde(default = "Check::every")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1s') && duration(self) <= duration('1h')").message("every: from 1s to 1h"))]
    pub every: Span,
    /// How many answers must fail until it has failed. Default: three, one after another.
    #[serde(default)]
    pub fails_after: FailsAfter,
    /// What happens when it has failed.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// What happens while its query gives no number.
    #[serde(default)]
    pub on_missing: OnMissing,
}

impl Check {
    fn every() -> Span {
        Span::seconds(10)
    }
}

/// So many failed answers of the last so many.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[x_kube(validation = Rule::new("self.answers <= self.of").message("failsAfter: answers is at most of; the same number twice means one after another"))]
#[serde(rename_all = "camelCase")]
pub struct FailsAfter {
    /// Failed answers.
    #[schemars(range(min = 1, max = 100))]
    pub answers: u32,
    /// Of the last so many.
    #[schemars(range(min = 1, max = 100))]
    pub of: u32,
}

impl Default for FailsAfter {
    fn default() -> Self {
        Self { answers: 3, of: 3 }
    }
}

/// What a failed check does.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFailure {
    /// The candidate is taken back.
    #[default]
    RollBack,
    /// The Change stays where it is.
    Hold,
}

/// What a check without a number does.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnMissing {
    /// The Change stays where it is.
    #[default]
    Hold,
    /// Nothing.
    Ignore,
    /// The candidate is taken back after the plan's `noDataAfter`.
    RollBack,
}

/// A workload that must not be hurt by the guarded one.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Dependent {
    /// Name of its Deployment.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Its namespace. Default: the Guard's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
    /// Whose counters tell of it.
    #[serde(default)]
    pub measured_by: MeasuredBy,
    /// What is counted of it.
    #[schemars(length(min = 1, max = 4))]
    #[x_kube(validation = Rule::new("self.all(a, self.exists_one(b, b.name == a.name))").message("spec.dependents: give each signal of one dependent a name of its own"))]
    #[x_kube(validation = Rule::new("self.all(s, !has(s.successes))").message("spec.dependents: signals of successes are judged of the guarded workload only; count failures here"))]
    pub signals: Vec<Signal>,
}

/// Whose counters tell of a dependent.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MeasuredBy {
    /// Its own: it is judged against its own past, and against the other workloads of its namespace.
    #[default]
    Itself,
    /// The guarded workload's pods, which call it (client counters, or a mesh's with `reporter="source"`): the calls of both
    /// versions are compared.
    Callers,
}
