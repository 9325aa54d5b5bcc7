//! Names that Firebreak reads or writes on objects of other kinds: annotations, labels, finalizers.

/// Group of all Firebreak kinds.
pub const GROUP: &str = "firebreak.dev";
/// Field manager of every write the operator makes.
pub const FIELD_MANAGER: &str = "firebreak";

/// Claim: `low`, `medium`, `high` or `critical`.
pub const RISK: &str = "firebreak.dev/risk";
/// Claim: percentile of this change among changes, `"0.00"` to `"1.00"`.
pub const RISK_SCORE: &str = "firebreak.dev/risk-score";
/// Claim: `human`, `ai`, `mixed` or `unknown`.
pub const AI_CONTRIBUTION: &str = "firebreak.dev/ai-contribution";
/// Claim: names of the coding agents that took part, comma-separated.
pub const AI_AGENTS: &str = "firebreak.dev/ai-agents";
/// Claim: revision in version control.
pub const REVISION: &str = "firebreak.dev/revision";
/// Claim: who wrote the change.
pub const AUTHOR: &str = "firebreak.dev/author";
/// Claim: humans who reviewed the change, comma-separated.
pub const REVIEWED_BY: &str = "firebreak.dev/reviewed-by";
/// Claim: where the change can be read (http or https).
pub const CHANGE_URL: &str = "firebreak.dev/change-url";
/// Claim: the change in a sentence.
pub const SUMMARY: &str = "firebreak.dev/summary";
/// The nine claims, in the order in which they are shown.
pub const CLAIMS: [&str; 9] = [RISK, RISK_SCORE, AI_CONTRIBUTION, AI_AGENTS, REVISION, AUTHOR, REVIEWED_BY, CHANGE_URL, SUMMARY];

/// Stamped by the admission policy: who asked for the template that is held.
pub const CHANGED_BY: &str = "firebreak.dev/changed-by";
/// Set while a workload is held, by the admission policy or (late hold) by the operator; its value is the guard's name.
pub const HELD: &str = "firebreak.dev/held";
/// Asks the admission policy to let a template change or a resume through; its value is the reason.
pub const BYPASS: &str = "firebreak.dev/bypass";
/// Set by the admission policy alone when it let a request through that was allowed to bypass; its value is the reason.
pub const BYPASSED: &str = "firebreak.dev/bypassed";
/// On a pinned Service: the pod-template-hash it is pinned to. The admission policy keeps pin and annotation.
pub const PIN: &str = "firebreak.dev/pin";

/// The ValidatingAdmissionPolicy of the chart that vouches for who makes Interventions.
pub const INTERVENTIONS_POLICY: &str = "firebreak-interventions";

/// Label that ties pods and ReplicaSets to one template.
pub const POD_TEMPLATE_HASH: &str = "pod-template-hash";
/// Label on objects of a Change: its guard.
pub const GUARD_LABEL: &str = "firebreak.dev/guard";
/// Label on objects of a Change: the Change.
pub const CHANGE_LABEL: &str = "firebreak.dev/change";
/// Finalizer of a Change until it has ended, and of its Guard while one runs or the workload is held: the candidate is taken
/// back and the marks are taken off before either goes.
pub const FINALIZER: &str = "firebreak.dev/candidate";

/// Native annotation: size the Deployment controller wants for all of the Deployment.
pub const DESIRED_REPLICAS: &str = "deployment.kubernetes.io/desired-replicas";
/// Native annotation: size plus surge.
pub const MAX_REPLICAS: &str = "deployment.kubernetes.io/max-replicas";

/// Name of the second Service, which selects the candidate.
///
/// Service names hold at most 63 characters; a longer name is cut and keeps a digest of the whole.
#[must_use]
pub fn candidate_service(service: &str) -> String {
    bounded_name(&format!("{service}-candidate"), 63)
}

/// `name`, or where it is longer than `limit` its beginning and a digest of the whole: still unique, still valid.
#[must_use]
pub fn bounded_name(name: &str, limit: usize) -> String {
    if name.len() <= limit {
        return name.to_owned();
    }
    let digest = crate::template::digest(name.as_bytes());
    let keep: String = name.chars().take(limit.saturating_sub(digest.len() + 1)).collect();
    format!("{}-{digest}", keep.trim_end_matches(['-', '.']))
}
