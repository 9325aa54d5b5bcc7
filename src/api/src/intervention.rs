//! `Intervention`: a human's recorded act.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A human's recorded act on a guarded workload.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "firebreak.dev",
    version = "v1alpha1",
    kind = "Intervention",
    plural = "interventions",
    shortname = "iv",
    category = "firebreak",
    namespaced,
    status = "InterventionStatus",
    derive = "PartialEq",
    doc = "A human's recorded act on a guarded workload.",
    printcolumn(json_path = ".spec.guard", name = "Guard", type_ = "string"),
    printcolumn(json_path = ".spec.action", name = "Action", type_ = "string"),
    printcolumn(json_path = ".spec.change", name = "Change", type_ = "string"),
    printcolumn(json_path = ".spec.by", name = "By", type_ = "string"),
    printcolumn(json_path = ".status.outcome", name = "Outcome", type_ = "string"),
    printcolumn(json_path = ".metadata.creationTimestamp", name = "Age", type_ = "date")
)]
#[x_kube(validation = Rule::new("self == oldSelf").message("an Intervention is immutable: make another one"))]
#[x_kube(validation = Rule::new("self.action in ['Pause', 'Resume', 'Abort'] || (has(self.reason) && self.reason.trim() != '')").message("spec.reason: say why, in a sentence that whoever reads the record understands; only Pause, Resume and Abort go without"))]
#[serde(rename_all = "camelCase")]
pub struct InterventionSpec {
    /// The Guard it is about.
    #[schemars(length(min = 1, max = 253))]
    pub guard: String,
    /// The Change it is about: an act never applies to a later candidate.
    #[schemars(length(min = 1, max = 253))]
    pub change: String,
    /// The act.
    pub action: Action,
    /// The stage at which it was asked, from 1; 0 while held. An approve or a promote that names another stage than the Change
    /// is at is refused: what it was asked about has passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 20))]
    pub stage: Option<u32>,
    /// Why, for the record. Pause, Resume and Abort go without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub reason: Option<String>,
    /// Who, as the API server knows them. Default: you, written by the admission policy; before Kubernetes 1.36 there is none that
    /// writes, so write it yourself. Another's name is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub by: Option<String>,
    /// The groups they are in, as the API server knows them, written like `by`; the first 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 512)))]
    pub groups: Vec<String>,
}

impl InterventionSpec {
    /// Whether the act lets something through or back: it takes a name that the API server vouches for, and what it is about is
    /// shown to be the requester's to decide. The others only make safer.
    #[must_use]
    pub fn needs_attesting(&self) -> bool {
        !matches!(self.action, Action::Pause | Action::Abort)
    }
}

/// What a human can do.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Answer yes to what the policy asks a human before the next stage; the evidence still has to open it.
    Approve,
    /// Go to the next stage now, without waiting for the evidence; what the policy asks a human is still asked.
    Promote,
    /// Stay at this stage.
    Pause,
    /// Go on after a pause.
    Resume,
    /// Take the candidate back.
    Abort,
    /// Clear a condemned candidate and begin again with it.
    Retry,
    /// Clear a condemned candidate without beginning: it may be shipped or retried again.
    Clear,
}

impl Action {
    /// The act as a verb on its Guard and a word of the command line.
    #[must_use]
    pub const fn verb(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Promote => "promote",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Abort => "abort",
            Self::Retry => "retry",
            Self::Clear => "clear",
        }
    }

    /// Whether the record has to say why: the act lets something through that was stopped.
    #[must_use]
    pub const fn needs_reason(self) -> bool {
        matches!(self, Self::Approve | Self::Promote | Self::Retry | Self::Clear)
    }
}

/// What became of an Intervention.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct InterventionStatus {
    /// `Applied` or `Refused`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// What was done, or why not and what to do instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// What became of an Intervention.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It took effect.
    Applied,
    /// It did not.
    Refused,
}
