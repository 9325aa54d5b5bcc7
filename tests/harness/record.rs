//! Questions to a Change's record.

use firebreak_api::{Change, change::Phase};

/// What says that the candidate fails requests.
pub const HARM: [&str; 2] = ["FailsMoreThanStable", "MostRequestsFail"];

/// The phase of a Change.
#[must_use]
pub fn phase_of(change: &Change) -> Phase {
    change.status.as_ref().map(|status| status.phase).unwrap_or_default()
}

/// The reasons of its decisions, the oldest first.
#[must_use]
pub fn reasons(change: &Change) -> Vec<&str> {
    change.status.iter().flat_map(|status| &status.decisions).map(|decision| decision.reason.as_str()).collect()
}

/// What the first decision with this reason says.
#[must_use]
pub fn decided<'c>(change: &'c Change, reason: &str) -> Option<&'c str> {
    let mut decisions = change.status.iter().flat_map(|status| &status.decisions);
    decisions.find(|decision| decision.reason == reason).map(|decision| decision.message.as_str())
}

/// Whether it waits for one of these reasons.
#[must_use]
pub fn waits_for(change: &Change, reasons: &[&str]) -> bool {
    let waiting = change.status.as_ref().and_then(|status| status.waiting.as_ref());
    waiting.is_some_and(|waiting| reasons.contains(&waiting.reason.as_str()))
}

/// Whether a stage's weight is in effect.
#[must_use]
pub fn in_effect(change: &Change) -> bool {
    change.status.as_ref().is_some_and(|status| status.stage_began_at.is_some())
}
