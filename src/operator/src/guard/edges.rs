//! More edges of a histogram: which, is settled when a Change begins, by stable's past alone.

use std::time::Duration;

use firebreak_api::{
    Span,
    change::ChangeSpec,
    guard::{Signal, Unit},
};

use crate::{
    convert,
    metrics::{Hub, Target},
};

/// Stable's past that is asked for.
const WINDOW: Duration = Duration::from_secs(45 * 60);
/// Most signals of a Change: its definition refuses more.
const MOST_SIGNALS: usize = 24;
/// Longest name of a signal.
const LONGEST_NAME: usize = 40;
/// Smallest weight of a signal.
const LEAST_WEIGHT: f64 = 0.01;

/// Adds the edges that signals ask for, as signals of their own. Where the past cannot be read there is the named edge alone:
/// a Change does not wait for more.
pub(super) async fn widen(hub: &Hub, namespace: &str, spec: &mut ChangeSpec) {
    let target = Target::of(namespace, [&spec.stable.replica_set]);
    let at_ms = spec.detected_at.as_millisecond();
    for signal in spec.signals.clone().into_iter().filter(|signal| signal.more_edges) {
        let Some(shape) = convert::shape(&signal) else { continue };
        match hub.edges(spec.prometheus_url.as_deref(), &shape, &target, WINDOW, at_ms).await {
            Ok(edges) => add(spec, &signal, &edges),
            Err(trouble) => tracing::warn!(signal = signal.name, %trouble, "no more edges: stable's past cannot be read"),
        }
    }
}

/// Edges in thousandths of the signal's unit become signals beside it; all of them share its weight.
fn add(spec: &mut ChangeSpec, signal: &Signal, edges: &[u64]) {
    let in_millis = |edge: u64| match signal.unit {
        None | Some(Unit::Seconds) => Some(edge),
        Some(Unit::Milliseconds) => edge.is_multiple_of(1000).then_some(edge / 1000),
    };
    let named = signal.slower_than.map(|span| span.0);
    let spans = edges.iter().filter_map(|edge| Some(Span(Duration::from_millis(in_millis(*edge)?))));
    let others: Vec<Span> = spans.filter(|span| Some(span.0) != named).collect();
    let weight = signal.weight.unwrap_or(convert::SLOW_SHARE) / (others.len() + 1) as f64;
    for one in spec.signals.iter_mut().filter(|one| one.name == signal.name) {
        one.weight = Some(weight.max(LEAST_WEIGHT));
    }
    for span in others {
        let name = format!("{}-{span}", signal.name);
        let taken = spec.signals.iter().any(|one| one.name == name);
        if name.len() > LONGEST_NAME || taken || spec.signals.len() >= MOST_SIGNALS {
            continue;
        }
        let weight = Some(weight.max(LEAST_WEIGHT));
        spec.signals.push(Signal { name, weight, slower_than: Some(span), opens_stages: false, ..signal.clone() });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;
    use crate::fake;

    fn widened(signal: serde_json::Value, edges: &[u64]) -> Vec<(String, Option<f64>, bool)> {
        let mut spec = fake::change("shop-x-1").spec;
        let signal: Signal = serde_json::from_value(signal).unwrap();
        spec.signals = vec![signal.clone()];
        add(&mut spec, &signal, edges);
        spec.signals.into_iter().map(|one| (one.name, one.weight, one.opens_stages)).collect()
    }

    #[test]
    fn given_more_edges_then_each_is_a_signal_that_opens_nothing_and_all_share_the_weight() {
        let slow = json!({"name": "slow", "histogram": "h", "slowerThan": "300ms", "weight": 0.6});
        let expected = [("slow", true), ("slow-50ms", false), ("slow-1s", false)];
        let expected = expected.map(|(name, opens)| (name.to_owned(), Some(0.6 / 3.0), opens));
        assert_eq!(widened(slow, &[50, 300, 1000]), expected);
    }

    #[test]
    fn given_a_histogram_in_milliseconds_then_edges_are_whole_milliseconds() {
        let slow = json!({"name": "slow", "histogram": "h", "slowerThan": "300ms", "unit": "Milliseconds"});
        let names: Vec<String> = widened(slow, &[2_500, 50_000, 300_000]).into_iter().map(|one| one.0).collect();
        assert_eq!(names, ["slow", "slow-50ms"]);
    }

    #[test]
    fn given_no_other_edge_then_nothing_changes_but_that_the_weight_is_written_out() {
        let slow = json!({"name": "slow", "histogram": "h", "slowerThan": "300ms"});
        assert_eq!(widened(slow, &[300]), [("slow".to_owned(), Some(convert::SLOW_SHARE), true)]);
    }
}
