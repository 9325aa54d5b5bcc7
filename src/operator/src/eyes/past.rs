//! Stable's past, and the dependents': what was counted before the Change.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use firebreak_api::Change;
use firebreak_engine::{
    observation::{Past, Pasts},
    stats::{
        Phi,
        dispersion::{PodCounts, PodStep},
    },
    units::Millis,
};

use crate::{
    convert,
    metrics::{History, Hub, SignalShape, Span, Target, Trouble},
};

/// Stable's past that is read: the longest that is asked for.
pub(super) const PAST: Duration = Duration::from_secs(45 * 60);
/// Steps in which it is read.
pub(super) const PAST_STEP: Duration = Duration::from_secs(15);
/// Where nothing was read at both ends of such a step, stable is younger than two of them: then this much in shorter ones.
pub(super) const YOUNG_PAST: Duration = Duration::from_secs(2 * 60);
pub(super) const YOUNG_PAST_STEP: Duration = Duration::from_secs(5);

/// Whose past is read, and of what.
#[derive(Clone)]
pub(super) struct Stable {
    url: Option<String>,
    signals: Vec<(String, SignalShape)>,
    target: Target,
    /// When the Change began: before, stable had all of the traffic.
    pub(super) until: Millis,
}

impl Stable {
    pub(super) fn of(change: &Change, namespace: &str) -> Self {
        let spec = &change.spec;
        let signals = spec.signals.iter().filter_map(|signal| Some((signal.name.clone(), convert::shape(signal)?)));
        Self {
            url: spec.prometheus_url.clone(),
            signals: signals.collect(),
            target: Target::of(namespace, [&spec.stable.replica_set]),
            until: Millis(spec.detected_at.as_millisecond()),
        }
    }
}

/// Reads stable's past for every signal. What cannot be read is left unknown: the engine then assumes bursts. Read `again`
/// it is left out, and so is that of a single pod: it has no other to be compared with, and from one stage to the next its
/// counts fall as its share does.
pub(super) async fn pasts(hub: Arc<Hub>, stable: Stable, until: Millis, again: bool) -> Pasts {
    let unknown = Past { requests: 0, failures: 0, phi: Phi::UNKNOWN };
    let mut pasts = BTreeMap::new();
    for (signal, shape) in &stable.signals {
        let past = match past(&hub, &stable, shape, until).await {
            Ok((_, 0 | 1)) | Err(_) if again => continue,
            Ok((past, _)) => past,
            Err(trouble) => {
                tracing::warn!(signal, %trouble, "stable's past cannot be read; bursts are assumed");
                unknown
            }
        };
        pasts.insert(signal.clone(), past);
    }
    pasts
}

/// The past, and how many pods had requests in it.
async fn past(hub: &Hub, stable: &Stable, shape: &SignalShape, until: Millis) -> Result<(Past, usize), Trouble> {
    let read = async |window, step| {
        let span = Span { window, step, at_ms: until.0 };
        hub.history(stable.url.as_deref(), shape, &stable.target, span).await.map(|history| pod_steps(&history))
    };
    let mut steps = read(PAST, PAST_STEP).await?;
    if !steps.iter().flat_map(|step| &step.pods).any(|pod| pod.requests > 0) {
        steps = read(YOUNG_PAST, YOUNG_PAST_STEP).await?;
    }
    let busy = |pod: &usize| steps.iter().any(|step| step.pods.get(*pod).is_some_and(|counts| counts.requests > 0));
    let pods = (0..steps.first().map_or(0, |step| step.pods.len())).filter(busy).count();
    Ok((of_steps(&steps), pods))
}

/// All that was counted in `steps`, and how bursty the failures were.
pub(super) fn of_steps(steps: &[PodStep]) -> Past {
    let sum = |of: fn(&PodCounts) -> u64| steps.iter().flat_map(|step| &step.pods).map(of).sum();
    Past { requests: sum(|pod| pod.requests), failures: sum(|pod| pod.failures), phi: Phi::between_pods(steps) }
}

pub(super) fn pod_steps(history: &History) -> Vec<PodStep> {
    let steps = history.pods.values().map(Vec::len).max().unwrap_or(0);
    let at = |step: usize| {
        let counts = |series: &Vec<Option<crate::metrics::Step>>| {
            let counted = series.get(step).copied().flatten();
            counted.map_or(PodCounts::default(), |step| PodCounts { requests: step.requests, failures: step.failures })
        };
        PodStep { seconds: history.step_seconds, pods: history.pods.values().map(counts).collect() }
    };
    (0..steps).map(at).collect()
}
