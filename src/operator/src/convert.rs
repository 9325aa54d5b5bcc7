//! Between the resources' words and the engine's: signals, setups. Plans are converted beside the policies.

use firebreak_api::{
    Change,
    evidence::{Check, Dependent, MeasuredBy, OnFailure, OnMissing},
    guard,
    plan::{makers, plan},
};
use firebreak_engine::{
    checks::{self, CheckSetup},
    dependents::{DependentSetup, Measured},
    plan::{Exposure, Late, Setup, SignalCounts, SignalSetup},
    units::Millis,
};

use crate::{error_budget, metrics::SignalShape};

/// Share of the harm evidence by kind of signal, where a signal names none: errors weigh more than slowness.
const FAILURES_SHARE: f64 = 0.5;
pub(crate) const SLOW_SHARE: f64 = 0.3;
const SUCCESSES_SHARE: f64 = 0.2;

/// The engine's setup of a Change. `ready_deadline_seconds` is the workload's progressDeadlineSeconds.
pub(crate) fn setup(change: &Change, ready_deadline_seconds: f64) -> Setup {
    let spec = &change.spec;
    let availability = spec.availability.map(|percent| percent / 100.0);
    let routed = spec.is_routed();
    Setup {
        plan: plan(&spec.plan, availability),
        signals: signals(&spec.signals),
        checks: spec.checks.iter().map(check).chain(error_budget::burns(spec).map(|burn| burn.setup())).collect(),
        dependents: spec.dependents.iter().map(|named| dependent(named, change.metadata.namespace.as_deref())).collect(),
        both_sources: spec.both_sources && spec.pod_pages.is_some(),
        exposure: if routed { Exposure::Routes } else { Exposure::PodShare },
        ready_deadline_seconds,
        availability,
        makers: makers(spec),
        restore_template: spec.restore_template,
        refused: refused(change),
        taken_over: spec.candidate.taken_over,
        late: (spec.candidate.late_pods > 0).then(|| Late {
            pods: spec.candidate.late_pods,
            since: Millis(spec.candidate.late_since.unwrap_or(spec.detected_at).as_millisecond()),
        }),
    }
}

/// Why the policy refuses a Change, and the ways out, where it does.
fn refused(change: &Change) -> Option<String> {
    let spec = &change.spec;
    let why: Vec<String> = spec.risk.refused.iter().map(|why| format!("{} (rule {})", why.text, why.rule)).collect();
    let (guard, namespace) = (&spec.guard, change.metadata.namespace.as_deref().unwrap_or_default());
    (!why.is_empty()).then(|| {
        format!(
            "policy {} refuses it: {}; nothing runs from it. Ship another template; or when the reason is gone or the policy is \
             another: kubectl firebreak abort {guard} -n {namespace}, then kubectl firebreak retry {guard} -n {namespace} \
             --reason '...' has it judged anew",
            spec.policy,
            why.join("; ")
        )
    })
}

fn signals(signals: &[guard::Signal]) -> Vec<SignalSetup> {
    let counts = |signal: &guard::Signal| match (signal.slower_than, &signal.successes) {
        (Some(_), _) => SignalCounts::Slow,
        (None, Some(_)) => SignalCounts::Successes,
        (None, None) => SignalCounts::Failures,
    };
    let weight = |signal: &guard::Signal| {
        signal.weight.unwrap_or(match counts(signal) {
            SignalCounts::Failures => FAILURES_SHARE,
            SignalCounts::Slow => SLOW_SHARE,
            SignalCounts::Successes => SUCCESSES_SHARE,
        })
    };
    let total: f64 = signals.iter().map(weight).sum();
    let one = |signal: &guard::Signal| SignalSetup {
        name: signal.name.clone(),
        counts: counts(signal),
        share: weight(signal) / total,
        opens: signal.opens_stages,
    };
    signals.iter().map(one).collect()
}

fn check(check: &Check) -> CheckSetup {
    CheckSetup {
        name: check.name.clone(),
        min: check.min,
        max: check.max,
        every_seconds: check.every.as_secs_f64(),
        failed_answers: check.fails_after.answers,
        of_answers: check.fails_after.of,
        on_failure: match check.on_failure {
            OnFailure::RollBack => checks::OnFailure::RollBack,
            OnFailure::Hold => checks::OnFailure::Hold,
        },
        on_missing: match check.on_missing {
            OnMissing::Hold => checks::Missing::Hold,
            OnMissing::Ignore => checks::Missing::Ignore,
            OnMissing::RollBack => checks::Missing::RollBack,
        },
        about: checks::About::Asked,
    }
}

fn dependent(dependent: &Dependent, home: Option<&str>) -> DependentSetup {
    let elsewhere = dependent.namespace.as_deref().filter(|namespace| Some(*namespace) != home);
    DependentSetup {
        name: elsewhere.map_or_else(|| dependent.name.clone(), |namespace| format!("{}.{namespace}", dependent.name)),
        measured: match dependent.measured_by {
            MeasuredBy::Itself => Measured::ByItself,
            MeasuredBy::Callers => Measured::ByCallers,
        },
        signals: signals(&dependent.signals),
    }
}

/// What a signal asks of the metrics source; `None` where it is neither of the two shapes (the API server refuses those).
pub(crate) fn shape(signal: &guard::Signal) -> Option<SignalShape> {
    let signal = signal.expanded();
    // Successes are counted as failures are; what they mean is the engine's to know.
    match (&signal.requests, signal.failures.as_ref().or(signal.successes.as_ref()), &signal.histogram, signal.slower_than) {
        (Some(requests), Some(failures), None, None) => {
            Some(SignalShape::Requests { requests: requests.clone(), failures: failures.clone() })
        }
        (None, None, Some(histogram), Some(edge)) => {
            let milliseconds = u64::try_from(edge.0.as_millis()).unwrap_or(u64::MAX);
            let milli = match signal.unit {
                None | Some(guard::Unit::Seconds) => milliseconds,
                Some(guard::Unit::Milliseconds) => milliseconds.saturating_mul(1000),
            };
            Some(SignalShape::Histogram { histogram: histogram.clone(), edge_ms: milli })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn shape_of(signal: serde_json::Value) -> Option<SignalShape> {
        shape(&serde_json::from_value(signal).unwrap())
    }

    #[rstest::rstest]
    #[case::seconds(json!({"name": "slow", "histogram": "h", "slowerThan": "300ms"}), 300)]
    #[case::milliseconds(json!({"name": "slow", "histogram": "h", "slowerThan": "300ms", "unit": "Milliseconds"}), 300_000)]
    #[case::a_preset_knows_its_unit(json!({"name": "slow", "preset": "Linkerd", "slowerThan": "300ms"}), 300_000)]
    fn given_a_histogram_when_its_shape_is_asked_then_the_edge_is_in_thousandths_of_its_unit(
        #[case] signal: serde_json::Value,
        #[case] edge: u64,
    ) {
        assert!(matches!(shape_of(signal), Some(SignalShape::Histogram { edge_ms, .. }) if edge_ms == edge));
    }

    #[test]
    fn given_a_preset_when_its_shape_is_asked_then_every_source_can_read_it() {
        for preset in firebreak_api::presets::Preset::ALL {
            let preset = serde_json::to_value(preset).unwrap();
            for signal in [json!({"name": "a", "preset": preset}), json!({"name": "a", "preset": preset, "slowerThan": "250ms"})]
            {
                let shape = shape_of(signal).unwrap();
                crate::metrics::validate(&shape).unwrap();
                crate::metrics::validate_pages(&shape).unwrap();
            }
        }
    }

    #[test]
    fn given_presets_when_a_change_is_set_up_then_they_count_what_they_stand_for() {
        let mut change = crate::fake::change("shop-x-1");
        let signals = json!([{"name": "errors", "preset": "HTTP"}, {"name": "slow", "preset": "HTTP", "slowerThan": "250ms"}]);
        change.spec.signals = serde_json::from_value(signals).unwrap();
        let setup = setup(&change, 600.0);
        let counts: Vec<SignalCounts> = setup.signals.iter().map(|signal| signal.counts).collect();
        assert_eq!(counts, [SignalCounts::Failures, SignalCounts::Slow]);
    }
}
