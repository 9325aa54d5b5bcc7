//! Between the resources' words and the engine's: plans, signals, setups.

use firebreak_api::{
    Change, ClusterRiskPolicy, Span, guard,
    policy::{self, Inconclusive, Level as PlanLevel, NoData},
};
use firebreak_engine::{
    plan::{self, Exposure, Plan, Setup, SignalCounts, SignalSetup},
    risk::Level,
    units::{Millis, Weight},
};

use crate::metrics::SignalShape;

/// Share of the harm evidence by kind of signal, where a signal names none: errors weigh more than slowness.
const FAILURES_SHARE: f64 = 0.5;
const SLOW_SHARE: f64 = 0.3;
const SUCCESSES_SHARE: f64 = 0.2;

/// The plan of a level, from the named policy or the built-in one.
pub(crate) fn level_plan(policy: Option<&ClusterRiskPolicy>, level: Level) -> PlanLevel {
    match policy {
        Some(policy) => {
            let levels = &policy.spec.levels;
            match level {
                Level::Low => levels.low.clone(),
                Level::Medium => levels.medium.clone(),
                Level::High => levels.high.clone(),
                Level::Critical => levels.critical.clone(),
            }
        }
        None => built_in(level),
    }
}

fn built_in(level: Level) -> PlanLevel {
    let (plan, slo_factor) = Plan::built_in(level);
    let span = |seconds: f64| Span(std::time::Duration::from_secs_f64(seconds));
    let percent = |weight: &Weight| i32::from(weight.as_permille() / 10);
    PlanLevel {
        alpha: plan.alpha,
        beta: plan.beta,
        margin: plan.margin,
        budget_percent: plan.budget * 100.0,
        slo_factor,
        stages: plan.stages.iter().map(percent).collect(),
        min_bake: span(plan.min_bake_seconds),
        max_bake: span(plan.max_bake_seconds),
        final_bake: span(plan.final_bake_seconds),
        holdback_percent: percent(&plan.holdback),
        approval_at: plan.approval_at.iter().map(percent).collect(),
        inconclusive: match plan.inconclusive {
            plan::Inconclusive::Promote => Inconclusive::Promote,
            plan::Inconclusive::Hold => Inconclusive::Hold,
            plan::Inconclusive::RollBack => Inconclusive::RollBack,
        },
        no_data: match plan.no_data {
            plan::NoData::Hold => NoData::Hold,
            plan::NoData::HoldAlert => NoData::HoldAlert,
            plan::NoData::RollBack => NoData::RollBack,
        },
        no_data_after: span(plan.no_data_after_seconds),
    }
}

fn engine_plan(level: &policy::Level, availability: Option<f64>) -> Plan {
    let plan = Plan {
        alpha: level.alpha,
        beta: level.beta,
        margin: level.margin,
        budget: level.budget_percent / 100.0,
        stages: level.stages.iter().map(|&stage| Weight::percent(stage)).collect(),
        min_bake_seconds: level.min_bake.as_secs_f64(),
        max_bake_seconds: level.max_bake.as_secs_f64(),
        final_bake_seconds: level.final_bake.as_secs_f64(),
        holdback: Weight::percent(level.holdback_percent),
        approval_at: level.approval_at.iter().map(|&stage| Weight::percent(stage)).collect(),
        inconclusive: match level.inconclusive {
            Inconclusive::Promote => plan::Inconclusive::Promote,
            Inconclusive::Hold => plan::Inconclusive::Hold,
            Inconclusive::RollBack => plan::Inconclusive::RollBack,
        },
        no_data: match level.no_data {
            NoData::Hold => plan::NoData::Hold,
            NoData::HoldAlert => plan::NoData::HoldAlert,
            NoData::RollBack => plan::NoData::RollBack,
        },
        no_data_after_seconds: level.no_data_after.as_secs_f64(),
    };
    plan.with_objective(availability, level.slo_factor)
}

/// The engine's setup of a Change. `ready_deadline_seconds` is the workload's progressDeadlineSeconds.
pub(crate) fn setup(change: &Change, ready_deadline_seconds: f64) -> Setup {
    let spec = &change.spec;
    let availability = spec.availability.map(|percent| percent / 100.0);
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
    let total: f64 = spec.signals.iter().map(weight).sum();
    let signals = spec.signals.iter().map(|signal| SignalSetup {
        name: signal.name.clone(),
        counts: counts(signal),
        share: weight(signal) / total,
    });
    let routed = spec.is_routed();
    Setup {
        plan: engine_plan(&spec.plan, availability),
        signals: signals.collect(),
        exposure: if routed { Exposure::Routes } else { Exposure::PodShare },
        ready_deadline_seconds,
        availability,
        restore_template: spec.restore_template,
        taken_over: spec.candidate.taken_over,
        late: (spec.candidate.late_pods > 0).then(|| plan::Late {
            pods: spec.candidate.late_pods,
            since: Millis(spec.candidate.late_since.unwrap_or(spec.detected_at).as_millisecond()),
        }),
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
