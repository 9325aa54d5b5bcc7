//! What ended a Change, or takes it back, before any number: not every end is one of statistics.

use firebreak_api::change::Phase;
use serde::Serialize;

use crate::facts::Facts;

/// What ended it, or takes it back.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EndedBy {
    /// One word.
    pub reason: String,
    /// What was seen.
    pub message: String,
    /// Whether the comparison of the two arms decided it.
    pub by_evidence: bool,
    /// All of it in words, a sentence each.
    #[serde(skip)]
    pub words: Vec<String>,
}

impl EndedBy {
    /// What ended a Change; none of one that goes forward or was promoted.
    #[must_use]
    pub fn of(facts: &Facts<'_>) -> Option<Self> {
        let back = facts.way_back()?;
        let by_evidence = facts.is_back_by_evidence();
        let message = facts.said(&back.message);
        let mut words = vec![format!("{} ({}): {message}", verb(facts.phase()), back.reason)];
        if !by_evidence {
            let rule = rule(facts).map_or_else(String::new, |rule| format!("{rule}; "));
            words.push(format!("{rule}the numbers and the curve below did not have to decide"));
        }
        Some(Self { reason: back.reason.clone(), message, by_evidence, words })
    }
}

const fn verb(phase: Phase) -> &'static str {
    match phase {
        Phase::RollingBack => "goes back",
        Phase::RolledBack => "taken back",
        _ => "ended",
    }
}

/// The rule by which it goes back without the comparison, where it does not speak for itself.
fn rule(facts: &Facts<'_>) -> Option<&'static str> {
    let back = facts.way_back()?;
    match back.reason.as_str() {
        "MostRequestsFail" => Some("a candidate most of whose requests fail is taken back at once"),
        "SlowerThanStable" => Some("a candidate most of whose requests are slow is taken back at once"),
        "CheckFailed" | "CheckMissing" => Some("a check decides by its own limit"),
        "CandidateCrashLoops" | "CandidateNotReady" => Some("pods that serve nobody need no comparison"),
        "Aborted" => Some("a human decided"),
        _ => None,
    }
}
