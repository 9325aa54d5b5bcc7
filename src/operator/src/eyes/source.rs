//! The signals of one Change as one metrics source tells them: Prometheus, or the pods' own pages.

use std::{sync::Arc, time::Duration};

use firebreak_api::{Change, guard};
use firebreak_engine::{
    observation::{Arm, Look, Part, Past, Pasts, Reading, Sampled, SignalLook},
    stats::{Phi, dispersion::PodCounts},
    units::Millis,
};
use tokio::{sync::watch, time::Instant};

use super::{Directly, failures::Failures, past::Lived};
use crate::{
    convert,
    metrics::{self, Addresses, Answer, Hub, Job, Page, PodSample, SignalShape, Started, Subscription, Target, Trouble},
};

/// A refused subscription is asked for again this often.
const ASK_AGAIN: Duration = Duration::from_secs(30);
/// Every ready pod of stable is read within this, or counts as come later.
const FIRST_READ_WITHIN: Duration = Duration::from_secs(20);
/// Readings older than this many scrapes are stale to the engine.
const STALE_AFTER_SCRAPES: f64 = 2.5;
/// How exactly a backend's clock is known: its `Date` is cut to seconds, and the answer took a while.
const DATE_WITHIN_MS: f64 = 2000.0;
/// A clock that is further ahead than this is worth a word.
const MOST_AHEAD_MS: i64 = 5000;
/// Time between two readings of a pod before it was learned.
pub(super) const SCRAPE_UNKNOWN: f64 = 15.0;

/// Subscriptions of one Change at one source, one a signal.
pub(super) struct Source {
    hub: Arc<Hub>,
    url: Option<String>,
    target: Target,
    skew_told: bool,
    arms: Arms,
    signals: Vec<SignalEye>,
    last_at: i64,
    /// The pods, where they are read directly.
    pods: Option<Addresses>,
    /// How many of them are, where not all.
    sampled: Option<watch::Receiver<Option<Arc<metrics::Sampled>>>>,
    opened: Instant,
}

/// What the names of both arms' pods begin with.
#[derive(Clone)]
pub(super) struct Arms {
    stable: String,
    candidate: String,
}

impl Arms {
    /// Of a Change.
    pub(super) fn new(change: &Change) -> Self {
        Self { stable: prefix(&change.spec.stable.replica_set), candidate: prefix(&change.spec.candidate.replica_set) }
    }

    /// The arm of a pod, by its name.
    pub(super) fn of(&self, pod: &str) -> Option<Arm> {
        // One ReplicaSet's name can begin with the other's: the longer one that fits is meant.
        let fits = |prefix: &String| pod.starts_with(prefix.as_str()).then_some(prefix.len());
        match (fits(&self.candidate), fits(&self.stable)) {
            (None, None) => None,
            (candidate, stable) if candidate > stable => Some(Arm::Candidate),
            _ => Some(Arm::Stable),
        }
    }
}

struct SignalEye {
    name: String,
    shape: SignalShape,
    /// Whether what it counts is what users came for.
    of_successes: bool,
    subscription: Result<Subscription, Trouble>,
    asked: Instant,
    /// Where its failures are to be found.
    failures: Option<Failures>,
    /// What stable's pods counted since the eye was opened, where they are read directly.
    lived: Lived,
}

impl Source {
    /// The pods' own pages.
    pub(super) fn of_pods(hub: &Arc<Hub>, change: &Change, namespace: &str, page: Page, directly: Directly) -> Self {
        let (named, target) = (named(change), both(change, namespace));
        let shapes: Vec<SignalShape> = named.iter().map(|(_, shape)| shape.clone()).collect();
        let Directly { addresses, read_key, before, exposed } = directly;
        let job = Job { target: target.clone(), page, addresses: Arc::clone(&addresses), read_key, before };
        let (subscriptions, sampled) = match metrics::read_pods(&shapes, job) {
            Ok(Started { subscriptions, sampled }) => (subscriptions.into_iter().map(Ok).collect(), Some(sampled)),
            Err(trouble) => (shapes.iter().map(|_| Err(trouble.clone())).collect(), None),
        };
        Self { pods: Some(addresses), sampled, ..Self::new(hub, change, target, named, subscriptions, exposed) }
    }

    /// Prometheus; one that is missing shows in the looks.
    pub(super) fn of_prometheus(hub: &Arc<Hub>, change: &Change, namespace: &str, exposed: bool) -> Self {
        let (named, target) = (named(change), both(change, namespace));
        let url = change.spec.prometheus_url.as_deref();
        let subscriptions = named.iter().map(|(_, shape)| hub.watch(url, shape, target.clone())).collect();
        Self::new(hub, change, target, named, subscriptions, exposed)
    }

    fn new(
        hub: &Arc<Hub>,
        change: &Change,
        target: Target,
        named: Vec<(&guard::Signal, SignalShape)>,
        subscriptions: Vec<Result<Subscription, Trouble>>,
        exposed: bool,
    ) -> Self {
        let eye = |((signal, shape), subscription): ((&guard::Signal, SignalShape), _)| SignalEye {
            name: signal.name.clone(),
            failures: Failures::of(&shape, exposed),
            shape,
            of_successes: signal.successes.is_some(),
            subscription,
            asked: Instant::now(),
            lived: Lived::default(),
        };
        Self {
            hub: Arc::clone(hub),
            url: change.spec.prometheus_url.clone(),
            target,
            skew_told: false,
            arms: Arms::new(change),
            signals: named.into_iter().zip(subscriptions).map(eye).collect(),
            last_at: i64::MIN,
            pods: None,
            sampled: None,
            opened: Instant::now(),
        }
    }

    /// Whether a look was given.
    pub(super) fn has_looked(&self) -> bool {
        self.last_at > i64::MIN
    }

    /// Resolves when a signal has a new answer; never where there is no subscription.
    pub(super) async fn changed(&mut self) {
        let subscriptions = self.signals.iter_mut().filter_map(|eye| eye.subscription.as_mut().ok());
        let waits: Vec<_> = subscriptions.map(|subscription| Box::pin(subscription.changed())).collect();
        if waits.is_empty() {
            std::future::pending::<()>().await;
        }
        futures::future::select_all(waits).await;
    }

    /// Where no Prometheus tells stable's past, its pods do: all that each has counted since its process began.
    pub(super) fn lifetimes(&self, pasts: &mut Pasts) {
        for eye in &self.signals {
            let unknown = pasts.get(&eye.name).is_none_or(|past| past.requests == 0);
            let answer = eye.subscription.as_ref().ok().and_then(Subscription::latest).filter(|_| unknown);
            let Some(Ok(samples)) = answer.as_ref().map(|answer| &answer.result) else { continue };
            let of_stable = samples.iter().filter(|sample| self.arms.of(&sample.pod) == Some(Arm::Stable));
            let counted = |sample: &PodSample| Some(PodCounts { requests: sample.requests?, failures: sample.failures? });
            let pods: Vec<PodCounts> = of_stable.filter_map(counted).collect();
            let (requests, failures) = pods.iter().fold((0, 0), |sum, pod| (sum.0 + pod.requests, sum.1 + pod.failures));
            // How they came is not known: over a life, pods differ by their age and by what was long ago.
            pasts.insert(eye.name.clone(), Past { requests, failures, phi: Phi::UNKNOWN });
        }
    }

    /// Where no Prometheus tells how stable's failures came of late, its pods do: what they counted since they are read.
    pub(super) fn lived(&self, pasts: &mut Pasts) {
        for eye in &self.signals {
            if let Some(past) = eye.lived.past().filter(|_| !pasts.contains_key(&eye.name)) {
                pasts.insert(eye.name.clone(), past);
            }
        }
    }

    /// Asks again for what was refused: where there were too many subscriptions, others may have ended.
    fn ask_again(&mut self) {
        // What pods' pages cannot be asked, they cannot be asked later either.
        for eye in self
            .signals
            .iter_mut()
            .filter(|eye| self.pods.is_none() && eye.subscription.is_err() && eye.asked.elapsed() >= ASK_AGAIN)
        {
            eye.subscription = self.hub.watch(self.url.as_deref(), &eye.shape, self.target.clone());
            eye.asked = Instant::now();
        }
    }

    /// A look, if any signal has an answer newer than the last look.
    pub(super) fn look(&mut self, now: Millis) -> Option<Look> {
        self.ask_again();
        let answers: Vec<Option<Arc<Answer>>> =
            self.signals.iter().map(|eye| eye.subscription.as_ref().ok().and_then(Subscription::latest)).collect();
        let refused = self.signals.iter().any(|eye| eye.subscription.is_err());
        let newest = answers.iter().flatten().map(|answer| answer.at_ms).max();
        let newest = if refused { newest.or(Some(now.0)) } else { newest }?;
        // A look needs a first answer of every signal; until then there is nothing to count from.
        if newest <= self.last_at || (!refused && answers.iter().any(Option::is_none)) {
            return None;
        }
        if self.last_at == i64::MIN && !self.all_read(&answers) {
            return None;
        }
        self.last_at = newest;
        let scrape = self.signals.iter().filter_map(|eye| eye.subscription.as_ref().ok()?.scrape_interval());
        let scrape_seconds = scrape.map(|interval| interval.as_secs_f64()).fold(0.0, f64::max);
        self.tell_skew(&answers);
        let signals = self.signals.iter().zip(&answers).map(|(eye, answer)| match (&eye.subscription, answer) {
            (Err(trouble), _) => told(trouble),
            (Ok(_), Some(answer)) => skewed(answer).unwrap_or_else(|| self.signal(answer, eye)),
            (Ok(_), None) => SignalLook::Read(Vec::new()),
        });
        let signals: Vec<SignalLook> = signals.collect();
        if self.pods.is_some() {
            for (eye, look) in self.signals.iter_mut().zip(&signals) {
                if let SignalLook::Read(readings) = look {
                    eye.lived.enter(Millis(newest), readings);
                }
            }
        }
        let scrape_seconds = if scrape_seconds > 0.0 { scrape_seconds } else { SCRAPE_UNKNOWN };
        Some(Look { at: Millis(newest), scrape_seconds, signals, sampled: self.sampled() })
    }

    /// How many pods are read, where not all are.
    fn sampled(&self) -> Option<Sampled> {
        let sampled = self.sampled.as_ref()?.borrow().clone()?;
        let part = |arm| {
            let of_arm = sampled.arms.iter().filter(|(set, _)| self.arms.of(&format!("{set}-")) == Some(arm));
            of_arm.fold(Part { read: 0, of: 0 }, |sum, (_, part)| Part { read: sum.read + part.read, of: sum.of + part.of })
        };
        let late = sampled.late.iter().cloned().collect();
        Some(Sampled { candidate: part(Arm::Candidate), stable: part(Arm::Stable), late })
    }

    /// Pods count from their first reading when counting begins, and from zero when they come later: so it begins when every
    /// ready pod of stable that is read directly has been read, for which it waits a while.
    fn all_read(&self, answers: &[Option<Arc<Answer>>]) -> bool {
        let Some(addresses) = &self.pods else { return true };
        let ready = addresses().into_iter().filter(|address| address.ready && self.arms.of(&address.pod) == Some(Arm::Stable));
        let names: Vec<String> = ready.map(|address| address.pod).collect();
        let read = |answer: &Arc<Answer>, name: &String| match &answer.result {
            // What is wrong with all of them is told.
            Err(_) => true,
            // One beside the sample is not read, or not yet.
            Ok(samples) => samples.iter().any(|sample| sample.pod == *name && sample.up != Some(false)),
        };
        let all = answers.iter().flatten().all(|answer| names.iter().all(|name| read(answer, name)));
        all || self.opened.elapsed() >= FIRST_READ_WITHIN
    }

    /// A backend whose clock is ahead is asked for its past: everything is judged, but that much later. Said once.
    fn tell_skew(&mut self, answers: &[Option<Arc<Answer>>]) {
        let ahead = answers.iter().flatten().filter_map(|answer| answer.backend_ahead_ms).max().unwrap_or(0);
        if ahead > MOST_AHEAD_MS && !std::mem::replace(&mut self.skew_told, true) {
            tracing::warn!(
                seconds = ahead / 1000,
                "the clock of the metrics backend is ahead of the operator's: harm is seen that much later; set both clocks by NTP"
            );
        }
    }

    fn signal(&self, answer: &Answer, eye: &SignalEye) -> SignalLook {
        match &answer.result {
            Err(trouble) => told(trouble),
            Ok(samples) => {
                // Successes that are not there are left out below.
                let failures = eye.failures.as_ref().filter(|_| !eye.of_successes);
                if let Some(message) = failures.and_then(|failures| failures.missing(samples, |pod| self.arms.of(pod))) {
                    return missing(message);
                }
                // Failures appear with the first; successes that are not there are not counted, which is not to say none came.
                let counted = |sample: &&PodSample| !eye.of_successes || sample.failures_exist;
                let readings = samples.iter().filter(counted).filter_map(|sample| {
                    Some(Reading {
                        arm: self.arms.of(&sample.pod)?,
                        pod: sample.pod.clone(),
                        requests: sample.requests?,
                        failures: sample.failures.unwrap_or(0),
                        read_at: Millis(sample.scraped_at_ms.unwrap_or(answer.at_ms)),
                    })
                });
                SignalLook::Read(readings.collect())
            }
        }
    }

    /// Candidate pods that every signal's source has seen: by their series, or because it reads them (`up`).
    pub(super) fn seen(&self) -> Vec<String> {
        let by_signal = self.signals.iter().map(|eye| -> Vec<String> {
            let answer = eye.subscription.as_ref().ok().and_then(Subscription::latest);
            let samples = answer.as_ref().and_then(|answer| answer.result.as_ref().ok());
            let seen = |sample: &&PodSample| sample.requests.is_some() || sample.up == Some(true);
            samples.into_iter().flatten().filter(seen).map(|sample| sample.pod.clone()).collect()
        });
        by_signal.reduce(|both, one| both.into_iter().filter(|pod| one.contains(pod)).collect()).unwrap_or_default()
    }

    /// Names of the signals, for logs.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.signals.iter().map(|eye| eye.name.as_str())
    }
}

/// The clock of a backend that is so far behind that all its readings look stale. Named, so that nobody searches the pods.
pub(super) fn skewed(answer: &Answer) -> Option<SignalLook> {
    let scrape_ms = answer.scrape_interval.map_or(SCRAPE_UNKNOWN * 1000.0, |interval| interval.as_secs_f64() * 1000.0);
    let behind_ms = answer.backend_ahead_ms?.checked_neg()?;
    let limit_ms = STALE_AFTER_SCRAPES * scrape_ms + DATE_WITHIN_MS;
    if answer.result.is_err() || (behind_ms as f64) <= limit_ms {
        return None;
    }
    let message = format!(
        "the clock of the metrics backend is {} s behind the operator's, so its newest readings look that old and nothing can be \
         judged; set the clocks of both nodes by NTP",
        behind_ms / 1000
    );
    Some(SignalLook::Trouble { reason: "ClockSkew".to_owned(), message })
}

/// The pods of both arms.
pub(super) fn both(change: &Change, namespace: &str) -> Target {
    Target::of(namespace, [&change.spec.stable.replica_set, &change.spec.candidate.replica_set])
}

/// The signals that can be asked for, with their shapes.
fn named(change: &Change) -> Vec<(&guard::Signal, SignalShape)> {
    change.spec.signals.iter().filter_map(|signal| Some((signal, convert::shape(signal)?))).collect()
}

/// Pods of a ReplicaSet are named by at most 58 characters of its name and a dash, and five of their own.
fn prefix(replica_set: &str) -> String {
    format!("{replica_set}-").chars().take(58).collect()
}

/// The source answered, but without what is expected.
pub(super) fn missing(message: String) -> SignalLook {
    SignalLook::Trouble { reason: "MetricsMissing".to_owned(), message }
}

pub(super) fn told(trouble: &Trouble) -> SignalLook {
    SignalLook::Trouble { reason: trouble.reason().to_owned(), message: trouble.to_string() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{fake, metrics::Limits};

    fn answer(ahead_ms: Option<i64>, scrape: Option<u64>) -> Answer {
        let scrape_interval = scrape.map(Duration::from_secs);
        Answer { at_ms: 0, took: Duration::ZERO, scrape_interval, backend_ahead_ms: ahead_ms, result: Ok(Vec::new()) }
    }

    #[rstest::rstest]
    #[case::same_clock(Some(0), Some(1), false)]
    #[case::within_what_a_date_can_tell(Some(-3_000), Some(1), false)]
    #[case::behind_by_many_scrapes(Some(-30_000), Some(1), true)]
    #[case::behind_by_less_than_what_is_stale(Some(-30_000), Some(15), false)]
    #[case::ahead_is_judged_on(Some(30_000), Some(1), false)]
    #[case::does_not_say(None, Some(1), false)]
    fn given_a_backend_whose_clock_is_behind_when_looked_at_then_its_clock_is_named(
        #[case] ahead_ms: Option<i64>,
        #[case] scrape: Option<u64>,
        #[case] named: bool,
    ) {
        match skewed(&answer(ahead_ms, scrape)) {
            Some(SignalLook::Trouble { reason, message }) => {
                assert!(named && reason == "ClockSkew" && message.contains("30 s behind"), "{message}");
            }
            other => assert!(!named && other.is_none()),
        }
    }

    #[tokio::test]
    async fn given_a_subscription_that_was_refused_when_there_is_room_again_then_it_is_had() {
        let hub = Arc::new(Hub::new(Some("http://127.0.0.1:1".to_owned()), Limits::default()));
        let change = fake::change("shop-x-1");
        let shape = convert::shape(change.spec.signals.first().unwrap()).unwrap();
        let other = |name: usize| Target::of("shop", [&format!("other-{name}")]);
        let mut others: Vec<_> = (0..).map_while(|name| hub.watch(None, &shape, other(name)).ok()).collect();
        let mut eyes = Source::of_prometheus(&hub, &change, "shop", false);
        assert!(matches!(eyes.signals.first().unwrap().subscription, Err(Trouble::TooMany { .. })));
        others.pop();
        eyes.look(Millis(1));
        assert!(eyes.signals.first().unwrap().subscription.is_err(), "asked again at once");
        tokio::time::pause();
        tokio::time::advance(ASK_AGAIN).await;
        eyes.look(Millis(2));
        assert!(eyes.signals.first().unwrap().subscription.is_ok());
    }

    fn directly() -> Directly {
        Directly {
            addresses: Arc::new(Vec::new),
            read_key: Arc::new(|_| unreachable!("no key is named")),
            before: crate::metrics::Before::default(),
            exposed: false,
        }
    }

    #[tokio::test]
    async fn given_pods_that_were_read_when_the_past_is_asked_again_then_they_tell_what_prometheus_does_not() {
        let hub = Arc::new(Hub::new(None, Limits::default()));
        let mut change = fake::change("shop-x-1");
        change.spec.pod_pages = Some(serde_json::from_value(serde_json::json!({"port": 9090})).unwrap());
        let pages = super::super::page(change.spec.pod_pages.as_ref().unwrap());
        let mut eyes = Source::of_pods(&hub, &change, "shop", pages, directly());
        for (at, requests) in [(0, 100), (15_000, 400)] {
            let reading = |pod: &str| {
                let (arm, pod, read_at) = (Arm::Stable, pod.to_owned(), Millis(at));
                Reading { arm, pod, requests, failures: requests / 10, read_at }
            };
            let eye = eyes.signals.first_mut().unwrap();
            eye.lived.enter(Millis(at), &[reading("shop-old-a"), reading("shop-old-b")]);
        }
        let name = eyes.signals.first().unwrap().name.clone();
        let mut pasts = Pasts::new();
        eyes.lived(&mut pasts);
        let past = pasts.get(&name).copied().unwrap();
        assert_eq!((past.requests, past.failures), (600, 60));
        let of_prometheus = Past { requests: 5, failures: 1, phi: Phi::INDEPENDENT };
        let mut pasts = Pasts::from([(name.clone(), of_prometheus)]);
        eyes.lived(&mut pasts);
        assert_eq!(pasts.get(&name), Some(&of_prometheus));
    }

    #[tokio::test]
    async fn given_a_sample_when_looked_at_then_each_arm_has_its_part() {
        let hub = Arc::new(Hub::new(None, Limits::default()));
        let mut change = fake::change("shop-x-1");
        change.spec.pod_pages = Some(serde_json::from_value(serde_json::json!({"port": 9090})).unwrap());
        let pages = super::super::page(change.spec.pod_pages.as_ref().unwrap());
        let mut eyes = Source::of_pods(&hub, &change, "shop", pages, directly());
        assert_eq!(eyes.sampled(), None);
        let part = |read, of| metrics::Part { read, of };
        let arms = std::collections::BTreeMap::from([("shop-old".to_owned(), part(20, 63)), ("shop-new".to_owned(), part(4, 4))]);
        let late = std::collections::BTreeSet::from(["shop-old-22222".to_owned()]);
        let (_sender, seen) = watch::channel(Some(Arc::new(metrics::Sampled { arms, late })));
        eyes.sampled = Some(seen);
        let expected = Sampled {
            candidate: Part { read: 4, of: 4 },
            stable: Part { read: 20, of: 63 },
            late: vec!["shop-old-22222".to_owned()],
        };
        assert_eq!(eyes.sampled(), Some(expected));
    }
}
