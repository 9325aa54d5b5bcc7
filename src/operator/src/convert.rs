//! Between the resources' words and the engine's: signals, setups. Plans are converted beside the policies.

use firebreak_api::{
    Change,
    evidence::{Check, Dependent, MeasuredBy, OnFailure, OnMissing},
    guard,
    plan::plan,
};
use firebreak_engine::{
    checks::{self, CheckSetup},
    dependents::{DependentSetup, Measured},
    plan::{Exposure, Late, Setup, SignalCounts, SignalSetup},
    units::Millis,
};

use crate::metrics::SignalShape;

/// Share of the harm evidence by kind of signal, where a signal names none: errors weigh more than slowness.
const FAILURES_SHARE: f64 = 0.5;
const SLOW_SHARE: f64 = 0.3;
const SUCCESSES_SHARE: f64 = 0.2;

/// The engine's setup of a Change. `ready_deadline_seconds` is the workload's progressDeadlineSeconds.
pub(crate) fn setup(change: &Change, ready_deadline_seconds: f64) -> Setup {
    let spec = &change.spec;
    let availability = spec.availability.map(|percent| percent / 100.0);
    let routed = spec.is_routed();
    Setup {
        plan: plan(&spec.plan, availability),
        signals: signals(&spec.signals),
        checks: spec.checks.iter().map(check).collect(),
        dependents: spec.dependents.iter().map(|named| dependent(named, change.metadata.namespace.as_deref())).collect(),
        both_sources: spec.both_sources && spec.pod_pages.is_some(),
        exposure: if routed { Exposure::Routes } else { Exposure::PodShare },
        ready_deadline_seconds,
        availability,
        restore_template: spec.restore_template,
        taken_over: spec.candidate.taken_over,
        late: (spec.candidate.late_pods > 0).then(|| Late {
            pods: spec.candidate.late_pods,
            since: Millis(spec.candidate.late_since.unwrap_or(spec.detected_at).as_millisecond()),
        }),
    }
}

fn signals(signals: &[guard::Signal]) -> Vec<SignalSetup> {
    let counts = |signal: &guard::Signal| match (&signal.histogram, &signal.successes) {
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
    let one =
        |signal: &guard::Signal| SignalSetup { name: signal.name.clone(), counts: counts(signal), share: weight(signal) / total };
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
    // Successes are counted as failures are; what they mean is the engine's to know.
    match (&signal.requests, signal.failures.as_ref().or(signal.successes.as_ref()), &signal.histogram, signal.slower_than) {
        (Some(requests), Some(failures), None, None) => {
            Some(SignalShape::Requests { requests: requests.clone(), failures: failures.clone() })
        }
        (None, None, Some(histogram), Some(edge)) => Some(SignalShape::Histogram {
            histogram: histogram.clone(),
            edge_ms: u64::try_from(edge.0.as_millis()).unwrap_or(u64::MAX),
        }),
        _ => None,
    }
}
