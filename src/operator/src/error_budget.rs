//! The error-budget stop: while stable burns the budget of its objective too fast, nothing new is exposed.
//!
//! Multi-window, multi-burn-rate (Beyer et al., The Site Reliability Workbook, 2018, chapter 5): 14.4 times the even rate over
//! both an hour and five minutes, or 6 times over both six hours and thirty minutes. The long window says that it matters, the short
//! one that it still goes on, so the stop ends soon after the burning does. Asked of Prometheus as absolute checks that only hold.
//! Where it cannot be asked, nothing is held for it: stable's health of the last 30 s is judged all the same.

use std::time::Duration;

use firebreak_api::change::ChangeSpec;
use firebreak_engine::checks::{About, CheckSetup, Missing, OnFailure};

use crate::{
    convert,
    metrics::{Selector, SignalShape},
};

/// Windows, long and short, and the burn rate from which nothing new is exposed.
const BURNS: [(&str, &str, f64); 2] = [("1h", "5m", 14.4), ("6h", "30m", 6.0)];
/// Between two questions. The shortest window is ten times as long.
pub(crate) const EVERY: Duration = Duration::from_secs(30);

/// One pair of windows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Burn {
    /// Its windows, in words.
    name: String,
    /// PromQL of the smaller burn rate of both windows, with the variables of a check.
    pub(crate) query: String,
    limit: f64,
}

impl Burn {
    /// What the engine is asked to make of its answers.
    pub(crate) fn setup(&self) -> CheckSetup {
        CheckSetup {
            name: self.name.clone(),
            min: None,
            max: Some(self.limit),
            every_seconds: EVERY.as_secs_f64(),
            failed_answers: 1,
            of_answers: 1,
            on_failure: OnFailure::Hold,
            on_missing: Missing::Ignore,
            about: About::ErrorBudget,
        }
    }
}

/// What is asked of the first signal of failures of a Change with an objective; else nothing.
pub(crate) fn burns(spec: &ChangeSpec) -> impl Iterator<Item = Burn> {
    let selectors = spec.signals.iter().filter(|signal| signal.successes.is_none()).find_map(|signal| {
        let Some(SignalShape::Requests { requests, failures }) = convert::shape(signal) else { return None };
        Some((Selector::parse("requests", &requests).ok()?, Selector::parse("failures", &failures).ok()?))
    });
    spec.availability.zip(selectors).into_iter().flat_map(|(percent, (requests, failures))| {
        // Billionths: what a subtraction of doubles leaves beyond them is noise in the query.
        let budget = ((100.0 - percent) * 1e7).round() / 1e9;
        BURNS.map(|(long, short, limit)| {
            let share = |window: &str| {
                let of = |selector: &Selector| format!("sum(increase({}[{window}]))", selector.and(STABLE));
                // No failure was ever counted is no failure.
                format!("(({} or vector(0)) / {})", of(&failures), of(&requests))
            };
            let query = format!("clamp_max({}, scalar({})) / {budget}", share(long), share(short));
            Burn { name: format!("{long} and {short}"), query, limit }
        })
    })
}

/// All pods of the workload but the candidate's: the budget is spent by every revision that was stable.
const STABLE: &str = r#"namespace="$namespace",pod=~"$workload-[a-z0-9]+-[a-z0-9]{5}",pod!~"$candidate-[a-z0-9]{5}""#;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fake;

    fn asked(availability: Option<f64>, signals: &serde_json::Value) -> Vec<Burn> {
        let mut spec = fake::change("shop-x-1").spec;
        spec.availability = availability;
        spec.signals = serde_json::from_value(signals.clone()).unwrap_or_default();
        burns(&spec).collect()
    }

    #[test]
    fn given_an_objective_then_both_pairs_of_windows_are_asked_of_all_pods_but_the_candidates() {
        let signals = json!([{"name": "slow", "histogram": "h", "slowerThan": "300ms"},
            {"name": "errors", "requests": "r_total{a=\"b\"}", "failures": "r_total{code=~\"5..\"}"}]);
        let asked = asked(Some(99.9), &signals);
        let limits: Vec<_> = asked.iter().map(|burn| (burn.name.as_str(), burn.limit)).collect();
        assert_eq!(limits, [("1h and 5m", 14.4), ("6h and 30m", 6.0)]);
        let pods = r#"namespace="$namespace",pod=~"$workload-[a-z0-9]+-[a-z0-9]{5}",pod!~"$candidate-[a-z0-9]{5}""#;
        let share = |window: &str| {
            format!(
                "((sum(increase(r_total{{code=~\"5..\",{pods}}}[{window}])) or vector(0)) / sum(increase(r_total{{a=\"b\",{pods}}}[{window}])))"
            )
        };
        let first = asked.first().map(|burn| burn.query.as_str());
        assert_eq!(first, Some(format!("clamp_max({}, scalar({})) / 0.001", share("1h"), share("5m")).as_str()));
    }

    #[rstest::rstest]
    #[case::no_objective(None, json!([{"name": "errors", "requests": "r", "failures": "f"}]))]
    #[case::no_failures(Some(99.9), json!([{"name": "slow", "histogram": "h", "slowerThan": "300ms"}]))]
    #[case::only_successes(Some(99.9), json!([{"name": "orders", "requests": "r", "successes": "s"}]))]
    fn given_nothing_that_an_objective_is_about_then_nothing_is_asked(
        #[case] availability: Option<f64>,
        #[case] signals: serde_json::Value,
    ) {
        assert_eq!(asked(availability, &signals), []);
    }
}
