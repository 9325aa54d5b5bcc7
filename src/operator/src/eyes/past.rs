//! Stable's past, and the dependents': what was counted before the Change, or, where nobody tells that, while it runs.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use firebreak_api::Change;
use firebreak_engine::{
    observation::{Arm, Past, Pasts, Reading},
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

/// Counts by the pod's name, which all steps share.
type PerPod = BTreeMap<Arc<str>, PodCounts>;

/// What stable's pods counted while a Change runs, as their own pages told it: the past where there is no Prometheus.
#[derive(Default)]
pub(super) struct Lived {
    /// What each pod had counted when the step that is open began, and when that was.
    from: Option<(Millis, PerPod)>,
    /// The newest steps, each with its length in seconds: as many as fit into [`PAST`].
    steps: VecDeque<(f64, PerPod)>,
}

impl Lived {
    /// Takes in one look; a step ends with the first that is [`PAST_STEP`] after its beginning. A pod counts from its first reading on.
    pub(super) fn enter(&mut self, at: Millis, readings: &[Reading]) {
        let began = self.from.as_ref().map(|(began, _)| *began);
        if began.is_some_and(|began| at >= began && at.seconds_since(began) < PAST_STEP.as_secs_f64()) {
            return;
        }
        let of_stable = readings.iter().filter(|reading| reading.arm == Arm::Stable);
        let known = self.from.as_ref().map(|(_, before)| before);
        let name = |pod: &str| {
            known.and_then(|known| known.get_key_value(pod)).map_or_else(|| Arc::from(pod), |(name, _)| Arc::clone(name))
        };
        let now: PerPod = of_stable
            .map(|reading| (name(&reading.pod), PodCounts { requests: reading.requests, failures: reading.failures }))
            .collect();
        let Some((began, before)) = self.from.replace((at, now)).filter(|(began, _)| at > *began) else { return };
        let Some((_, now)) = &self.from else { return };
        let counted = |(pod, now): (&Arc<str>, &PodCounts)| Some((Arc::clone(pod), since(*before.get(pod)?, *now)));
        self.steps.push_back((at.seconds_since(began), now.iter().filter_map(counted).collect()));
        let most = PAST.as_secs() / PAST_STEP.as_secs();
        while self.steps.len() as u64 > most {
            self.steps.pop_front();
        }
    }

    /// What was counted so far, where at least two pods had requests: one has no other to be compared with.
    pub(super) fn past(&self) -> Option<Past> {
        let pods: BTreeSet<&Arc<str>> = self.steps.iter().flat_map(|(_, pods)| pods.keys()).collect();
        let step = |(seconds, counted): &(f64, PerPod)| PodStep {
            seconds: *seconds,
            pods: pods.iter().map(|pod| counted.get(*pod).copied().unwrap_or_default()).collect(),
        };
        let steps: Vec<PodStep> = self.steps.iter().map(step).collect();
        (busy(&steps) > 1).then(|| of_steps(&steps))
    }
}

/// What a pod counted since `before`; one that counts less began anew.
fn since(before: PodCounts, now: PodCounts) -> PodCounts {
    if now.requests < before.requests || now.failures < before.failures {
        return now;
    }
    PodCounts { requests: now.requests - before.requests, failures: now.failures - before.failures }
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
    Ok((of_steps(&steps), busy(&steps)))
}

/// How many pods had requests.
fn busy(steps: &[PodStep]) -> usize {
    let had = |pod: &usize| steps.iter().any(|step| step.pods.get(*pod).is_some_and(|counts| counts.requests > 0));
    (0..steps.first().map_or(0, |step| step.pods.len())).filter(had).count()
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks once a second at `pods`, of which each has 10 requests a second and `fails` says how many of them fail.
    fn lived(pods: usize, seconds: i64, fails: impl Fn(i64, usize) -> u64) -> Lived {
        let mut lived = Lived::default();
        let mut failures = vec![0; pods];
        for second in 0..=seconds {
            let readings: Vec<Reading> = failures
                .iter_mut()
                .enumerate()
                .map(|(pod, failed)| {
                    *failed += fails(second, pod);
                    let (pod, requests) = (format!("shop-old-{pod}"), 10 * second.unsigned_abs());
                    Reading { arm: Arm::Stable, pod, requests, failures: *failed, read_at: Millis(second * 1000) }
                })
                .collect();
            lived.enter(Millis(second * 1000), &readings);
        }
        lived
    }

    #[test]
    fn given_failures_that_come_eight_at_once_when_pods_are_read_then_that_is_how_they_come() {
        let one_by_one = lived(4, 600, |second, pod| u64::from((second + 7 * pod as i64) % 8 == 0));
        let at_once = lived(4, 600, |second, pod| if (second + 16 * pod as i64) % 64 == 0 { 8 } else { 0 });
        let phi = |lived: &Lived| lived.past().map_or(0.0, |past| past.phi.get());
        assert!(phi(&one_by_one) < 1.5, "{}", phi(&one_by_one));
        assert!(phi(&at_once) > 3.0, "{}", phi(&at_once));
    }

    #[test]
    fn given_one_pod_or_a_few_seconds_when_asked_for_the_past_then_there_is_none() {
        assert_eq!(lived(1, 600, |_, _| 1).past(), None);
        assert_eq!(lived(4, 14, |_, _| 1).past(), None);
        assert!(lived(4, 15, |_, _| 1).past().is_some());
    }

    #[test]
    fn given_more_than_is_asked_for_then_only_the_newest_is_kept() {
        let lived = lived(2, 2 * PAST.as_secs() as i64, |_, _| 0);
        assert_eq!(lived.past().map(|past| past.requests), Some(2 * 10 * PAST.as_secs()));
    }

    /// A process that began anew counts from zero, and another pod from what it had when it was first read.
    #[test]
    fn given_a_pod_that_restarts_and_one_that_comes_when_read_then_only_what_came_since_is_counted() {
        let mut lived = Lived::default();
        let reading = |pod: &str, requests, failures| Reading {
            arm: Arm::Stable,
            pod: pod.to_owned(),
            requests,
            failures,
            read_at: Millis(0),
        };
        lived.enter(Millis(0), &[reading("a", 1000, 10), reading("b", 1000, 10)]);
        lived.enter(Millis(15_000), &[reading("a", 30, 3), reading("b", 1100, 11), reading("c", 5000, 50)]);
        lived.enter(Millis(30_000), &[reading("a", 40, 4), reading("c", 5020, 52)]);
        let past = lived.past().map(|past| (past.requests, past.failures));
        assert_eq!(past, Some((30 + 100 + 10 + 20, 3 + 1 + 1 + 2)));
    }

    /// The clock may be set back: the step that is open is given up.
    #[test]
    fn given_a_clock_that_is_set_back_then_counting_goes_on() {
        let mut lived = lived(2, 60, |_, _| 1);
        let before = lived.steps.len();
        for (at, requests) in [(5_000, 2000), (20_000, 2300)] {
            let of = |pod: &str| Reading { arm: Arm::Stable, pod: pod.to_owned(), requests, failures: 70, read_at: Millis(at) };
            lived.enter(Millis(at), &[of("shop-old-0"), of("shop-old-1")]);
        }
        assert_eq!(lived.steps.len(), before + 1);
    }
}
