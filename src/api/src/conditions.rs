//! Conditions as kstatus reads them: `Ready`, `Reconciling`, `Stalled`, each with reason, message and generation.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// Condition types in use.
pub mod kind {
    /// The object does what it is for.
    pub const READY: &str = "Ready";
    /// Work is under way.
    pub const RECONCILING: &str = "Reconciling";
    /// Nothing will go on without someone's help.
    pub const STALLED: &str = "Stalled";
    /// Whether a template change is held in the API server (`Admission`) or after the fact (`Late`).
    pub const HOLDS: &str = "HoldsInAdmission";
    /// Of a Guard: whether the policy that it names is in force as it is written now.
    pub const POLICY: &str = "PolicyInForce";
    /// Of a RiskPolicy: whether all that it asks for is stricter; what is not is ignored.
    pub const TIGHTENS: &str = "Tightens";
}

/// One condition to set.
#[derive(Clone, Debug)]
pub struct Set<'a> {
    /// Condition type.
    pub kind: &'a str,
    /// `True` or `False`.
    pub status: bool,
    /// One word for machines.
    pub reason: &'a str,
    /// What happened and what to do next.
    pub message: &'a str,
}

/// Sets a condition in the list; the transition time moves only when the status does.
pub fn set(conditions: &mut Vec<Condition>, generation: Option<i64>, now: Timestamp, new: &Set<'_>) {
    let status = if new.status { "True" } else { "False" };
    let old = conditions.iter().position(|condition| condition.type_ == new.kind);
    let since = old
        .and_then(|at| conditions.get(at))
        .filter(|condition| condition.status == status)
        .map_or(Time(now), |condition| condition.last_transition_time.clone());
    let condition = Condition {
        type_: new.kind.to_owned(),
        status: status.to_owned(),
        reason: new.reason.to_owned(),
        message: new.message.to_owned(),
        observed_generation: generation,
        last_transition_time: since,
    };
    match old.and_then(|at| conditions.get_mut(at)) {
        Some(place) => *place = condition,
        None => conditions.push(condition),
    }
}

/// The condition of a type, if set.
#[must_use]
pub fn get<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == kind)
}
