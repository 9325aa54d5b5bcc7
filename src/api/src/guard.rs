//! `Guard`: puts one workload under guard.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Span,
    evidence::{Check, Dependent},
    presets::Preset,
};

/// Puts one workload under guard: its next template is held, let through in stages, and taken back if it does harm.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "firebreak.dev", version = "v1alpha1", kind = "Guard", plural = "guards", shortname = "gd", category = "firebreak",
    namespaced, status = "GuardStatus", derive = "PartialEq",
    doc = "Puts one workload under guard: its next template is held, let through in stages, and taken back if it does harm.",
    validation = Rule::new("size(self.metadata.name) <= 40").message("metadata.name: at most 40 characters, since the names of Changes begin with it"),
    printcolumn(json_path = ".spec.targetRef.name", name = "Target", type_ = "string"),
    printcolumn(json_path = ".status.conditions[?(@.type==\"Ready\")].status", name = "Ready", type_ = "string"),
    printcolumn(json_path = ".status.conditions[?(@.type==\"Ready\")].reason", name = "Reason", type_ = "string"),
    printcolumn(json_path = ".status.hold", name = "Hold", type_ = "string"),
    printcolumn(json_path = ".status.activeChange", name = "Change", type_ = "string"),
    printcolumn(json_path = ".metadata.creationTimestamp", name = "Age", type_ = "date")
)]
#[serde(rename_all = "camelCase")]
pub struct GuardSpec {
    /// The workload. It need not exist yet. Immutable: make another Guard for another workload.
    #[x_kube(validation = Rule::new("self == oldSelf").message("spec.targetRef is immutable: delete this Guard and make one for the other workload"))]
    pub target_ref: TargetRef,
    /// The policy that turns risk into stages. Default: the built-in policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_ref: Option<PolicyRef>,
    /// How the workload's traffic is divided. Default: by the pods' share behind the workload's Services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic: Option<Traffic>,
    /// Where the evidence comes from.
    pub metrics: Metrics,
    /// The service level objective; with one, the budget is a share of what it allows to fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slo: Option<Slo>,
    /// Workloads that must not be hurt: a Change that hurts one is taken back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(validation = Rule::new("self.all(a, self.exists_one(b, b.name == a.name && has(b.__namespace__) == has(a.__namespace__) && (!has(a.__namespace__) || b.__namespace__ == a.__namespace__)))").message("spec.dependents: name each workload once"))]
    pub dependents: Vec<Dependent>,
    /// What happens after a rollback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<Rollback>,
    /// How many ended Changes are kept, and how long. Default: the newest 20.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<History>,
}

/// Names the workload.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct TargetRef {
    /// Kind of the workload: `Deployment`.
    pub kind: TargetKind,
    /// Its name, in the Guard's namespace.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// Kinds of workload that can be guarded.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetKind {
    /// `apps/v1` Deployment.
    Deployment,
}

/// Names a policy.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PolicyRef {
    /// Kind of the policy: `ClusterRiskPolicy`, or `RiskPolicy` for one in the Guard's namespace.
    pub kind: PolicyKind,
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// Kinds of policy.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyKind {
    /// For the whole cluster.
    ClusterRiskPolicy,
    /// For one namespace: stricter than a ClusterRiskPolicy.
    RiskPolicy,
}

/// How traffic is divided.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Traffic {
    /// The Service whose traffic is divided. It is pinned to the stable pods while a Change runs.
    #[schemars(length(min = 1, max = 63))]
    pub service: String,
    /// Every route that sends traffic to the Service.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(validation = Rule::new("self.all(a, self.exists_one(b, b.kind == a.kind && b.name == a.name))").message("spec.traffic.routes: name each route once"))]
    pub routes: Vec<RouteRef>,
}

/// Names a route in the Guard's namespace.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "camelCase")]
pub struct RouteRef {
    /// Kind of the route.
    pub kind: RouteKind,
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// Kinds of route of the Gateway API that can be divided.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RouteKind {
    /// `gateway.networking.k8s.io/v1` HTTPRoute.
    HTTPRoute,
    /// `gateway.networking.k8s.io/v1` GRPCRoute.
    GRPCRoute,
}

/// Where the evidence comes from.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[x_kube(validation = Rule::new("!has(self.bothSources) || !self.bothSources || has(self.pods)").message("spec.metrics.bothSources: name the pods' pages as well, for example pods: {port: 9090}"))]
#[serde(rename_all = "camelCase")]
pub struct Metrics {
    /// Prometheus, or anything that speaks its query API.
    #[serde(default)]
    pub prometheus: Prometheus,
    /// The pods' own metrics pages, read every second while a Change runs, instead of asking Prometheus for counters: harm is
    /// seen sooner, and no Prometheus is needed. Only stable's past is asked of Prometheus then, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods: Option<PodPages>,
    /// Whether Prometheus is asked for the signals beside the pods: the pods' pages, which are faster, can take back, and both
    /// must agree to go on. Where they contradict each other the Change is held.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub both_sources: bool,
    /// Absolute checks: any PromQL with limits. They can hold and take back, never let go on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(validation = Rule::new("self.all(a, self.exists_one(b, b.name == a.name))").message("spec.metrics.checks: give each check a name of its own"))]
    pub checks: Vec<Check>,
    /// What is compared between the arms. At least one.
    #[schemars(length(min = 1, max = 8))]
    #[x_kube(validation = Rule::new("self.all(a, self.exists_one(b, b.name == a.name))").message("spec.metrics.signals: give each signal a name of its own"))]
    #[x_kube(validation = Rule::new("self.exists(s, !has(s.successes) && (!has(s.opensStages) || s.opensStages))").message("spec.metrics.signals: a signal of successes opens no stage, nor does one with opensStages: false; add one of failures or of a histogram that does"))]
    pub signals: Vec<Signal>,
}

/// Where every pod of the workload has its metrics page, in the Prometheus text format or in OpenMetrics.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[x_kube(validation = Rule::new("!has(self.tls) || self.scheme == 'HTTPS'").message("tls is for scheme: HTTPS; write that, or leave out tls"))]
#[x_kube(validation = Rule::new("!has(self.bearerTokenSecret) || self.scheme == 'HTTPS'").message("a token takes scheme: HTTPS: over HTTP whoever is on the way can read it"))]
#[serde(rename_all = "camelCase")]
pub struct PodPages {
    /// Number of the port.
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,
    /// Path of the page.
    #[serde(default = "metrics_path")]
    #[schemars(length(max = 1024), regex(pattern = "^/[^?#\\s]*$"))]
    pub path: String,
    /// How it is asked for.
    #[serde(default)]
    pub scheme: Scheme,
    /// Whom to trust over HTTPS. Default: who has a certificate of an authority that the operator's image knows, for the pod's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<PageTls>,
    /// Key of a Secret in the Guard's namespace with a token that pods ask for (`Authorization: Bearer`). The operator needs the
    /// right to get that Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bearer_token_secret: Option<KeyRef>,
    /// Of more pods than this in one arm, so many are read: the same ones as long as they live. What is said of counts and shares
    /// is then worked out from them, and a split that does not follow the weights shows only when it is off by half.
    #[serde(default = "max_per_arm")]
    #[schemars(range(min = 2, max = 200))]
    pub max_per_arm: u16,
}

fn metrics_path() -> String {
    "/metrics".to_owned()
}

const fn max_per_arm() -> u16 {
    50
}

/// How a page is asked for.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scheme {
    /// In the clear.
    #[default]
    HTTP,
    /// Over TLS.
    HTTPS,
}

/// Whom to trust over HTTPS.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[x_kube(validation = Rule::new("!has(self.caSecret) || !has(self.caConfigMap)").message("name one of caSecret and caConfigMap"))]
#[x_kube(validation = Rule::new("!self.insecureSkipVerify || !(has(self.caSecret) || has(self.caConfigMap))").message("insecureSkipVerify trusts everyone: leave it out, or caSecret and caConfigMap"))]
#[serde(rename_all = "camelCase")]
pub struct PageTls {
    /// Trust everyone: then whoever takes a pod's address can answer for it, and gets the token.
    #[serde(default)]
    pub insecure_skip_verify: bool,
    /// Key of a Secret in the Guard's namespace with the certificate authorities to trust, as PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret: Option<KeyRef>,
    /// The same in a ConfigMap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_config_map: Option<KeyRef>,
    /// Name that the certificates are for. Default: the pod's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = "^([-a-zA-Z0-9]+\\.)*[a-zA-Z][-a-zA-Z0-9]*$"))]
    pub server_name: Option<String>,
}

/// One key of a Secret or ConfigMap in the Guard's namespace.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct KeyRef {
    /// Name of the object.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The key.
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[-._a-zA-Z0-9]+$"))]
    pub key: String,
}

/// A Prometheus query API.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Prometheus {
    /// Its address. Default: the operator's `--prometheus-url`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048), regex(pattern = "^https?://"))]
    pub url: Option<String>,
}

/// What is compared: failures among requests, slow requests among requests, or successes among requests.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[x_kube(validation = Rule::new("!has(self.preset) || !(has(self.requests) || has(self.failures) || has(self.successes) || has(self.histogram))").message("a preset names what is counted itself: leave out requests, failures, successes and histogram, or leave out preset"))]
#[x_kube(validation = Rule::new("has(self.preset) || has(self.requests) != has(self.histogram)").message("a signal needs either requests and failures, or histogram and slowerThan, or a preset"))]
#[x_kube(validation = Rule::new("has(self.requests) == (has(self.failures) || has(self.successes))").message("requests and failures go together: write both, for example requests: http_requests_total and failures: 'http_requests_total{code=~\"5..\"}'; for what fewer of is worse, requests and successes"))]
#[x_kube(validation = Rule::new("!has(self.moreEdges) || !self.moreEdges || has(self.slowerThan)").message("moreEdges belongs to a histogram: name slowerThan as well"))]
#[x_kube(validation = Rule::new("!has(self.failures) || !has(self.successes)").message("failures and successes are two signals: give each a name of its own"))]
#[x_kube(validation = Rule::new("!has(self.unit) || has(self.histogram)").message("unit is that of a histogram; a preset knows its own"))]
#[x_kube(validation = Rule::new("has(self.preset) || has(self.histogram) == has(self.slowerThan)").message("histogram and slowerThan go together: write both, for example histogram: http_request_duration_seconds and slowerThan: 300ms"))]
#[serde(rename_all = "camelCase")]
pub struct Signal {
    /// Its name.
    #[schemars(length(min = 1, max = 40), regex(pattern = "^[a-z]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Whether it must prove each next stage safe as well. Without, it can take back and hold, and opens no stage. Signals of
    /// successes never open one.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub opens_stages: bool,
    /// Its share of the harm evidence, relative to the other signals'. Default: by the kind of signal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.01, max = 100))]
    pub weight: Option<f64>,
    /// Who counts, in place of selectors: failed requests, or with `slowerThan` slow ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<Preset>,
    /// PromQL series selector of a counter of requests, with labels `namespace` and `pod`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub requests: Option<String>,
    /// PromQL series selector of a counter of what users came for, among the requests (orders, logins): fewer of them is worse.
    /// At most one a request, counted with it, and there from the start, at 0. Such a signal can take a candidate back and hold
    /// it; it opens no stage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub successes: Option<String>,
    /// PromQL series selector of a counter of failed requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub failures: Option<String>,
    /// Name (or series selector) of a classic histogram of durations, without `_bucket`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub histogram: Option<String>,
    /// In which the histogram's bounds are written. Default: `Seconds`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<Unit>,
    /// A request slower than this counts as slow. Must be the upper bound of one of the histogram's buckets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slower_than: Option<Span>,
    /// Whether the bucket edges nearest to stable's own p90 and p99 are judged beside `slowerThan`, which shows a release that
    /// makes every request a little slower. They share the signal's weight, can take back, and open no stage. A version that is
    /// slower only while it warms up is taken back for it as well.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more_edges: bool,
}

/// In which a histogram's bounds are written.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// As Prometheus asks for.
    Seconds,
    /// As Envoy and the meshes write them.
    Milliseconds,
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_yes(yes: &bool) -> bool {
    *yes
}

/// The service level objective.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Slo {
    /// Percent of requests that must not fail.
    #[x_kube(validation = Rule::new("self >= 50.0 && self < 100.0").message("spec.slo.availability: a percentage from 50 up to but not 100, for example 99.9"))]
    pub availability: f64,
}

/// What happens after a rollback.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Rollback {
    /// Write the stable template back into the workload. Default: leave it held, so that GitOps tools stay in sync.
    #[serde(default)]
    pub restore_template: bool,
}

/// How many ended Changes are kept, and how long. Beyond either bound the oldest are deleted; the newest one stays, and so does the
/// one whose condemned template the workload carries.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct History {
    /// How many. Default: 20.
    #[serde(default = "twenty")]
    #[schemars(range(min = 1, max = 200))]
    pub changes: u32,
    /// For how many days after their end. Default: without limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3650))]
    pub days: Option<u32>,
}

impl Default for History {
    fn default() -> Self {
        Self { changes: twenty(), days: None }
    }
}

fn twenty() -> u32 {
    20
}

/// What the operator knows of a Guard.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct GuardStatus {
    /// Generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`, `Reconciling`, `Stalled`, `HoldsInAdmission`, `PolicyInForce`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Where a template change is held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// The revision that serves users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable: Option<Revision>,
    /// The Change that runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_change: Option<String>,
    /// The Change that ended last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_change: Option<String>,
    /// The end of a Change that this status took in last: what it means is taken in once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accounted: Option<Accounted>,
    /// Templates that were rolled back, or whose Change was deleted; they do not run again until a human clears them. The newest last, at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub condemned: Vec<Condemned>,
    /// Changes that began until then are not all kept any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forgotten_until: Option<Timestamp>,
    /// Templates that someone let through unjudged; the newest last, at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bypasses: Vec<Bypass>,
}

/// A template that someone who may bypass let through, unjudged.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Bypass {
    /// When the operator took the revision as stable.
    pub at: Timestamp,
    /// Who, as the admission policy stamped it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Why, in their words.
    pub reason: String,
    /// The revision that served users before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Revision>,
    /// The revision that serves users since.
    pub to: Revision,
    /// Its images, for people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<String>,
}

/// The end of a Change, which its name does not tell: a Change can be deleted, and names come again.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Accounted {
    /// `metadata.uid` of the Change.
    pub uid: String,
    /// The latest end of all that were taken in.
    pub ended_at: Timestamp,
}

/// Where a template change is held.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// In the API server: nothing ever runs before the operator has seen the change.
    Admission,
    /// By the operator on the watch event: the native controller may have started pods before.
    Late,
}

/// One revision of the workload.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Revision {
    /// `pod-template-hash` of its pods.
    pub hash: String,
    /// Its ReplicaSet.
    pub replica_set: String,
}

/// A template that was rolled back, or whose Change was deleted.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Condemned {
    /// Digest of the template.
    pub template: String,
    /// The Change that condemned it.
    pub change: String,
    /// Whether a human cleared it while the workload carried it: it stays held until it is retried or shipped again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cleared: bool,
}
