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
    /// The stage at which it was asked, from 1; 0 while held. A promote that names another stage than the Change is at is
    /// refused: what it was asked about has passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 20))]
    pub stage: Option<u32>,
    /// Why, for the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub reason: Option<String>,
    /// Who, as the API server knows them: the admission policy writes it over whatever stands here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub by: Option<String>,
}

/// What a human can do.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Go to the next stage now, on the human's word.
    Promote,
    /// Stay at this stage.
    Pause,
    /// Go on after a pause.
    Resume,
    /// Take the candidate back.
    Abort,
    /// Clear a condemned candidate and begin again with it.
    Retry,
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
