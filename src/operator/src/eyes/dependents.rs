//! The dependents of one Change, as Prometheus tells them: by their callers' counters, or by their own.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use firebreak_api::{
    Change,
    evidence::{Dependent, MeasuredBy},
};
use firebreak_engine::{
    dependents::{DependentPast, DependentsLook},
    observation::{Arm, Past, Reading, SignalLook},
    stats::{Phi, dispersion::PodStep},
    units::Millis,
};
use futures::future::select_all;

use super::{
    failures::Failures,
    past::{PAST, PAST_STEP, YOUNG_PAST, YOUNG_PAST_STEP, of_steps, pod_steps},
    source::{Arms, SCRAPE_UNKNOWN, both, missing, skewed, told},
};
use crate::{
    convert,
    metrics::{Answer, History, Hub, PodSample, SignalShape, Span, Subscription, Target, Trouble},
};

/// Most pods of bystanders that are read: enough to tell what everyone suffers.
const MOST_BYSTANDERS: usize = 200;
/// The newest part of it, at most a third: trouble that shows there began before the Change.
const LATELY_STEPS: usize = 8;

/// Subscriptions of one Change, one a dependent and signal.
pub(super) struct Dependents {
    all: Vec<Watched>,
    arms: Arms,
    url: Option<String>,
    /// Stable's pods: the callers before the Change.
    stable: Target,
    last_at: i64,
}

#[derive(Clone)]
struct Who {
    /// Workload and namespace.
    name: String,
    namespace: String,
    by_callers: bool,
    /// Workloads of that namespace that are no bystanders: the guarded one and all dependents.
    concerned: Vec<String>,
}

struct Watched {
    who: Who,
    signals: Vec<Counted>,
}

/// One signal of a dependent.
struct Counted {
    shape: SignalShape,
    failures: Option<Failures>,
    subscription: Result<Subscription, Trouble>,
    /// Whether stable was seen to call it.
    called: AtomicBool,
}

impl Dependents {
    /// Opens the eyes on a Change's dependents; `None` where it has none.
    ///
    /// Where the candidate was `exposed` before, all that has to be seen at first was seen.
    pub(super) fn open(hub: &Arc<Hub>, change: &Change, namespace: &str, exposed: bool) -> Option<Self> {
        let spec = &change.spec;
        let url = spec.prometheus_url.as_deref();
        let space = |dependent: &Dependent| dependent.namespace.clone().unwrap_or_else(|| namespace.to_owned());
        let watch = |dependent: &Dependent| {
            let there = space(dependent);
            let dependents = spec.dependents.iter().filter(|other| space(other) == there).map(|other| other.name.clone());
            let guarded = (there == namespace).then(|| spec.target.name.clone());
            let by_callers = dependent.measured_by == MeasuredBy::Callers;
            let target = if by_callers { both(change, namespace) } else { Target::whole(&there) };
            let shapes = dependent.signals.iter().filter_map(convert::shape);
            let signals = shapes.map(|shape| {
                let subscription = hub.watch(url, &shape, target.clone());
                Counted { failures: Failures::of(&shape, exposed), shape, subscription, called: AtomicBool::new(exposed) }
            });
            let signals = signals.collect();
            let concerned = dependents.chain(guarded).collect();
            Watched { who: Who { name: dependent.name.clone(), namespace: there, by_callers, concerned }, signals }
        };
        let all: Vec<Watched> = spec.dependents.iter().map(watch).collect();
        let stable = Target::of(namespace, [&spec.stable.replica_set]);
        let url = spec.prometheus_url.clone();
        (!all.is_empty()).then(|| Self { all, arms: Arms::new(change), url, stable, last_at: i64::MIN })
    }

    /// Resolves when there is a new answer; never where nothing could be asked.
    pub(super) async fn changed(&mut self) {
        let subscriptions =
            self.all.iter_mut().flat_map(|watched| &mut watched.signals).filter_map(|signal| signal.subscription.as_mut().ok());
        let waits: Vec<_> = subscriptions.map(|subscription| Box::pin(subscription.changed())).collect();
        if waits.is_empty() {
            std::future::pending::<()>().await;
        }
        select_all(waits).await;
    }

    /// A look, if any signal has an answer newer than the last.
    pub(super) fn look(&mut self, now: Millis) -> Option<DependentsLook> {
        let subscriptions = || self.all.iter().flat_map(|watched| &watched.signals).map(|signal| &signal.subscription);
        let newest = subscriptions().filter_map(|s| Some(s.as_ref().ok()?.latest()?.at_ms)).max();
        let refused = subscriptions().any(Result::is_err);
        let newest = if refused { newest.or(Some(now.0)) } else { newest }?;
        // The first look is what all count from.
        let all_there = subscriptions().all(|s| s.as_ref().is_err() || s.as_ref().is_ok_and(|s| s.latest().is_some()));
        if newest <= self.last_at || !all_there {
            return None;
        }
        let scrape = subscriptions().filter_map(|s| s.as_ref().ok()?.scrape_interval()).map(|interval| interval.as_secs_f64());
        let scrape_seconds = scrape.fold(0.0, f64::max);
        let dependents = self.all.iter().map(|watched| {
            let looks = watched.signals.iter().map(|signal| match &signal.subscription {
                Err(trouble) => told(trouble),
                Ok(subscription) => subscription.latest().map_or_else(
                    || SignalLook::Read(Vec::new()),
                    |answer| skewed(&answer).unwrap_or_else(|| watched.who.look(&answer, signal, &self.arms)),
                ),
            });
            looks.collect()
        });
        let dependents = dependents.collect();
        self.last_at = newest;
        let scrape_seconds = if scrape_seconds > 0.0 { scrape_seconds } else { SCRAPE_UNKNOWN };
        Some(DependentsLook { at: Millis(newest), scrape_seconds, dependents })
    }

    /// What is to be read of their past, up to `until`.
    pub(super) fn past(&self, until: Millis) -> PastOf {
        let of = |watched: &Watched| {
            let shapes = watched.signals.iter().map(|signal| signal.shape.clone()).collect();
            (watched.who.clone(), shapes)
        };
        PastOf { url: self.url.clone(), stable: self.stable.clone(), all: self.all.iter().map(of).collect(), until }
    }
}

impl Who {
    fn look(&self, answer: &Answer, signal: &Counted, arms: &Arms) -> SignalLook {
        let samples = match &answer.result {
            Err(trouble) => return told(trouble),
            Ok(samples) => samples,
        };
        // Of a dependent that measures itself its own pods are the ones that have to show it.
        let own = |pod: &str| self.arm(pod).filter(|arm| *arm == Arm::Candidate).map(|_| Arm::Stable);
        let whose = |pod: &str| if self.by_callers { arms.of(pod) } else { own(pod) };
        if let Some(message) = signal.failures.as_ref().and_then(|failures| failures.missing(samples, whose)) {
            return missing(message);
        }
        let mut bystanders = 0;
        let reading = |sample: &PodSample| {
            let arm = if self.by_callers { arms.of(&sample.pod)? } else { self.arm(&sample.pod)? };
            if !self.by_callers && arm == Arm::Stable {
                bystanders += 1;
                if bystanders > MOST_BYSTANDERS {
                    return None;
                }
            }
            Some(Reading {
                arm,
                pod: sample.pod.clone(),
                requests: sample.requests?,
                failures: sample.failures.unwrap_or(0),
                read_at: Millis(sample.scraped_at_ms.unwrap_or(answer.at_ms)),
            })
        };
        let readings: Vec<Reading> = samples.iter().filter_map(reading).collect();
        if !self.by_callers && !readings.iter().any(|reading| reading.arm == Arm::Candidate) {
            let message = format!(
                "no series of any pod of {} in namespace {}; check that the Deployment of that name runs there and that its series \
                 carry the labels namespace and pod",
                self.name, self.namespace
            );
            return missing(message);
        }
        let called = signal.called.load(Ordering::Relaxed) || readings.iter().any(|reading| reading.arm == Arm::Stable);
        signal.called.store(called, Ordering::Relaxed);
        if self.by_callers && !called {
            let message = format!(
                "no stable pod of the guarded workload counts its requests to {}; check the selectors, that the series carry the labels \
                 namespace and pod, and that it is called at all: one that only the new version calls is declared once that is stable",
                self.name
            );
            return missing(message);
        }
        SignalLook::Read(readings)
    }

    /// Its own pods stand as the candidate's, those of the bystanders as stable's; `None` of who is concerned otherwise.
    fn arm(&self, pod: &str) -> Option<Arm> {
        if is_of(pod, &self.name) {
            return Some(Arm::Candidate);
        }
        let concerned = self.concerned.iter().any(|workload| is_of(pod, workload));
        (!concerned).then_some(Arm::Stable)
    }
}

/// Whether a pod is one of a Deployment's, by name: its ReplicaSets add one part to the name, their pods another of five.
fn is_of(pod: &str, deployment: &str) -> bool {
    let parts = pod.strip_prefix(deployment).and_then(|rest| rest.strip_prefix('-')).and_then(|rest| rest.split_once('-'));
    let plain = |text: &str| text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    parts.is_some_and(|(hash, random)| hash.len() >= 5 && plain(hash) && random.len() == 5 && plain(random))
}

/// Whose past is read, and of what.
pub(super) struct PastOf {
    url: Option<String>,
    stable: Target,
    all: Vec<(Who, Vec<SignalShape>)>,
    until: Millis,
}

impl PastOf {
    /// One entry a dependent and signal; `None` where it could not be read, or nothing was counted.
    pub(super) async fn read(&self, hub: &Hub) -> Vec<Vec<Option<DependentPast>>> {
        let mut all = Vec::new();
        for (who, shapes) in &self.all {
            let mut of_one = Vec::new();
            for shape in shapes {
                of_one.push(self.of_signal(hub, who, shape).await);
            }
            all.push(of_one);
        }
        all
    }

    async fn of_signal(&self, hub: &Hub, who: &Who, shape: &SignalShape) -> Option<DependentPast> {
        for (window, step) in [(PAST, PAST_STEP), (YOUNG_PAST, YOUNG_PAST_STEP)] {
            let span = Span { window, step, at_ms: self.until.0 };
            let whose = if who.by_callers { self.stable.clone() } else { Target::whole(&who.namespace) };
            match hub.history(self.url.as_deref(), shape, &whose, span).await {
                Ok(history) => {
                    let past = if who.by_callers { of_callers(&history) } else { split(who, &history) };
                    if past.before.requests > 0 {
                        return Some(past);
                    }
                }
                Err(trouble) => {
                    let meanwhile = if who.by_callers { "bursts are assumed" } else { "it is not judged" };
                    tracing::warn!(dependent = who.name, %trouble, meanwhile, "its past cannot be read");
                    return None;
                }
            }
        }
        None
    }
}

/// Stable's requests to it: how their failures came.
fn of_callers(history: &History) -> DependentPast {
    let nothing = Past { requests: 0, failures: 0, phi: Phi::UNKNOWN };
    DependentPast { before: of_steps(&pod_steps(history)), lately: nothing, bystanders: nothing }
}

fn split(who: &Who, history: &History) -> DependentPast {
    let of = |arm: Arm| {
        let pods = history.pods.iter().filter(|(pod, _)| who.arm(pod) == Some(arm));
        pod_steps(&History { pods: pods.map(|(pod, steps)| (pod.clone(), steps.clone())).collect(), ..*history })
    };
    let own: Vec<PodStep> = of(Arm::Candidate);
    let first = own.iter().position(|step| step.pods.iter().any(|pod| pod.requests > 0)).unwrap_or(own.len());
    let lately = LATELY_STEPS.min((own.len() - first) / 3);
    let (before, lately) = own.split_at(own.len() - lately);
    DependentPast { before: of_steps(before), lately: of_steps(lately), bystanders: of_steps(&of(Arm::Stable)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("payments-5d4f8c7b9d-x7k2p", true)]
    #[case("payments-0123456789abcdef-x7k2p", true)]
    #[case("payments-db-5d4f8c7b9d-x7k2p", false)]
    #[case("payments-0", false)]
    #[case("payments-api-x7k2p", false)]
    #[case("pay-5d4f8c7b9d-x7k2p", false)]
    fn given_the_name_of_a_pod_then_it_is_the_deployments_or_not(#[case] pod: &str, #[case] is: bool) {
        assert_eq!(is_of(pod, "payments"), is);
    }

    #[test]
    fn given_the_pods_of_a_namespace_then_the_dependents_the_bystanders_and_those_concerned_are_told_apart() {
        let concerned = vec!["payments".to_owned(), "ledger".to_owned(), "shop".to_owned()];
        let who = Who { name: "payments".into(), namespace: "shop".into(), by_callers: false, concerned };
        assert_eq!(who.arm("payments-5d4f8c7b9d-x7k2p"), Some(Arm::Candidate));
        assert_eq!(who.arm("search-5d4f8c7b9d-x7k2p"), Some(Arm::Stable));
        assert_eq!(who.arm("shop-5d4f8c7b9d-x7k2p"), None);
        assert_eq!(who.arm("ledger-5d4f8c7b9d-x7k2p"), None);
    }

    #[rstest::rstest]
    #[case::its_own_pods_show_them(false, &[("payments-5d4f8c7b9d-x7k2p", true), ("search-5d4f8c7b9d-x7k2p", false)], None)]
    #[case::its_own_pods_cannot(false, &[("payments-5d4f8c7b9d-x7k2p", false), ("search-5d4f8c7b9d-x7k2p", true)], Some("has no series"))]
    #[case::it_has_no_pods(false, &[("search-5d4f8c7b9d-x7k2p", true)], Some("no series of any pod of payments"))]
    #[case::stable_calls_it(true, &[("shop-old-x7k2p", true)], None)]
    #[case::nobody_calls_it(true, &[], Some("no stable pod of the guarded workload counts its requests to payments"))]
    fn given_what_is_told_of_a_dependent_when_its_failures_could_not_show_then_they_are_missing(
        #[case] by_callers: bool,
        #[case] pods: &[(&str, bool)],
        #[case] missing: Option<&str>,
    ) {
        let who = Who { name: "payments".into(), namespace: "shop".into(), by_callers, concerned: vec!["payments".to_owned()] };
        let shape = SignalShape::Requests { requests: "x_total".into(), failures: "x_total{code=~\"5..\"}".into() };
        let signal = Counted {
            failures: Failures::of(&shape, false),
            shape,
            subscription: Err(Trouble::NoUrl),
            called: AtomicBool::new(false),
        };
        let sample = |(pod, siblings): &(&str, bool)| PodSample { siblings: *siblings, ..crate::fake::sample(pod, Some(10)) };
        let samples = pods.iter().map(sample).collect();
        let answer = Answer {
            at_ms: 0,
            took: std::time::Duration::ZERO,
            scrape_interval: None,
            backend_ahead_ms: None,
            result: Ok(samples),
        };
        let mut change = crate::fake::change("shop-x-1");
        change.spec.stable.replica_set = "shop-old".to_owned();
        match (who.look(&answer, &signal, &Arms::new(&change)), missing) {
            (SignalLook::Read(readings), None) => assert!(!readings.is_empty()),
            (SignalLook::Trouble { message, .. }, Some(words)) => assert!(message.contains(words), "{message}"),
            (look, _) => panic!("{look:?}"),
        }
    }
}
