//! The absolute checks of a Change: their last value, their limits and how often they failed.

use firebreak_api::{change::CheckStatus, evidence::Check};
use firebreak_engine::checks::{limits, written};
use serde::Serialize;

use crate::facts::Facts;

/// A check and how it stands.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckWords {
    /// Its name.
    pub name: String,
    /// The newest value.
    pub value: Option<f64>,
    /// Smallest value that passes.
    pub min: Option<f64>,
    /// Largest value that passes.
    pub max: Option<f64>,
    /// How many of the last answers failed.
    pub failed: u32,
    /// How many answers that is of.
    pub answers: u32,
    /// Why there is no answer now.
    pub missing: Option<String>,
    /// All of it in words.
    pub words: String,
}

/// The checks of a Change, in the order of its Guard, whether they pass or not.
#[must_use]
pub fn of(facts: &Facts<'_>) -> Vec<CheckWords> {
    let recorded = |name: &str| facts.status.checks.iter().find(|check| check.name == name);
    facts.change.spec.checks.iter().map(|check| one(check, recorded(&check.name))).collect()
}

fn one(check: &Check, stands: Option<&CheckStatus>) -> CheckWords {
    let missing = match stands {
        None => Some("nothing is recorded of it".to_owned()),
        Some(stands) => stands.missing.clone(),
    };
    let (failed, answers) = stands.map_or((0, 0), |stands| (stands.failed, stands.answers));
    let value = stands.and_then(|stands| stands.value);
    CheckWords {
        name: check.name.clone(),
        value,
        min: check.min,
        max: check.max,
        failed,
        answers,
        words: said(check, value, missing.as_deref(), (failed, answers)),
        missing,
    }
}

fn said(check: &Check, value: Option<f64>, missing: Option<&str>, (failed, answers): (u32, u32)) -> String {
    let number = |value| written(value, check.min, check.max);
    let newest = match (missing, value) {
        (Some(missing), Some(value)) => format!("no answer now ({missing}), before {}", number(value)),
        (Some(missing), None) => format!("no answer ({missing})"),
        (None, Some(value)) => number(value),
        (None, None) => "no answer yet".to_owned(),
    };
    let failures = if answers == 0 { String::new() } else { format!("; {failed} of the last {answers} answers failed") };
    format!("{newest}; {}{failures}", limits(check.min, check.max))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures as fix;

    #[test]
    fn given_checks_that_pass_fail_and_are_not_answered_when_explained_then_each_says_how_it_stands() {
        let change = fix::checked();
        let all: Vec<String> =
            of(&Facts::new(&change, fix::now())).into_iter().map(|one| format!("{}: {}", one.name, one.words)).collect();
        assert_eq!(
            all,
            [
                "p99: 0.545; at most 0.8 is allowed; 0 of the last 3 answers failed",
                "stock: 0; at least 1 is asked for; 2 of the last 3 answers failed",
                "queue: no answer (the query gave no series); at most 100 is allowed",
            ]
        );
    }
}
