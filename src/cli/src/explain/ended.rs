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
            let below = match back.reason.as_str() {
                "Inconclusive" | "NoData" => "the numbers and the curve below could not decide",
                _ => "the numbers and the curve below did not have to decide",
            };
            words.push(format!("{rule}{below}"));
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
        "Inconclusive" => Some("there were too few requests, and the policy takes back then"),
        "NoData" => Some("there were no metrics, and the policy takes back then"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::fixtures as fix;

    #[rstest]
    #[case("Aborted", "aborted by ann", false)]
    #[case("CheckFailed", "check p99: the value is 0.9", false)]
    #[case("CandidateCrashLoops", "all 1 candidate pods crash again and again", false)]
    #[case("SlowerThanStable", "signal slow: 20 of the candidate's last 24 requests were slow", false)]
    #[case("SlowerThanStable", "signal slow: 40 of 80 candidate requests against 1 of 1520 stable ones: worse", true)]
    #[case("FailsMoreThanStable", "signal errors: 20 of 80 candidate requests", true)]
    fn given_a_way_back_when_explained_then_whether_the_evidence_decided(
        #[case] reason: &str,
        #[case] message: &str,
        #[case] by_evidence: bool,
    ) {
        let mut change = fix::in_phase(Phase::RollingBack);
        let back = serde_json::json!({"reason": reason, "message": message, "since": "2026-07-01T12:09:50Z"});
        fix::patch(&mut change, serde_json::json!({"wayBack": back}));
        let ended = EndedBy::of(&Facts::new(&change, fix::now())).unwrap();
        assert_eq!(ended.by_evidence, by_evidence);
        assert_eq!(ended.words[0], format!("goes back ({reason}): {message}"));
        assert_eq!(ended.words.len() == 1, by_evidence, "{:?}", ended.words);
    }

    #[test]
    fn given_a_change_that_goes_forward_then_nothing_ended_it() {
        assert!(EndedBy::of(&Facts::new(&fix::healthy(), fix::now())).is_none());
    }
}
