//! The eyes of one Change: its subscriptions to the metrics source, and the looks made from their answers.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use firebreak_api::{
    Change,
    guard::{self, KeyRef, PodPages, Scheme},
};
use firebreak_engine::{
    judge::Judgement,
    observation::{Arm, Look, Part, Past, Pasts, Reading, Sampled, SignalLook},
    stats::{
        Phi,
        dispersion::{PodCounts, PodStep},
    },
    units::Millis,
};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use tokio::{sync::watch, task::JoinHandle, time::Instant};

use crate::{
    convert,
    metrics::{
        self, Access, Address, Addresses, Answer, Before, History, Hub, Job, Kept, Key, Page, PodSample, ReadKey, SignalShape,
        Span, Started, Subscription, Target, Trouble, Trust,
    },
    observe,
    world::{Cache, View},
};

/// Stable's past that is read: the longest that is asked for.
const PAST: Duration = Duration::from_secs(45 * 60);
/// Steps in which it is read.
const PAST_STEP: Duration = Duration::from_secs(15);
/// Where nothing was read at both ends of such a step, stable is younger than two of them: then this much in shorter ones.
const YOUNG_PAST: Duration = Duration::from_secs(2 * 60);
const YOUNG_PAST_STEP: Duration = Duration::from_secs(5);
/// The past is read again this often.
const PAST_AGAIN: Duration = Duration::from_secs(5 * 60);
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
const SCRAPE_UNKNOWN: f64 = 15.0;

/// Subscriptions of one Change, one a signal.
pub(crate) struct Eyes {
    hub: Arc<Hub>,
    url: Option<String>,
    target: Target,
    skew_told: bool,
    stable_prefix: String,
    candidate_prefix: String,
    signals: Vec<SignalEye>,
    last_at: i64,
    /// The pods that are read directly.
    pods: Option<Addresses>,
    /// How many of them are, where not all.
    sampled: Option<watch::Receiver<Option<Arc<metrics::Sampled>>>>,
    opened: Instant,
    stable: Stable,
    pasts: Option<JoinHandle<Pasts>>,
    past_due: Instant,
}

/// What it takes to read pods directly.
pub(crate) struct Directly {
    addresses: Addresses,
    read_key: ReadKey,
    before: Before,
}

impl Directly {
    /// Of the pods that are there; what was `judged` of them goes on.
    pub(crate) fn of(view: &View, judged: &Judgement) -> Self {
        let pods = judged.pods().map(str::to_owned).collect();
        let before = Before { pods, sampled: judged.sampled().is_some() };
        Self { addresses: addresses(&view.pods), read_key: view.read_key(), before }
    }
}

/// Whose past is read, and of what.
#[derive(Clone)]
struct Stable {
    url: Option<String>,
    signals: Vec<(String, SignalShape)>,
    target: Target,
    /// When the Change began: before, stable had all of the traffic.
    until: Millis,
}

impl Stable {
    fn of(change: &Change, namespace: &str) -> Self {
        let spec = &change.spec;
        let signals = spec.signals.iter().filter_map(|signal| Some((signal.name.clone(), convert::shape(signal)?)));
        Self {
            url: spec.prometheus_url.clone(),
            signals: signals.collect(),
            target: Target { namespace: namespace.to_owned(), replica_sets: vec![spec.stable.replica_set.clone()] },
            until: Millis(spec.detected_at.as_millisecond()),
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
}

impl Eyes {
    /// Opens the eyes of a Change; a backend that is missing shows in the looks.
    pub(crate) fn open(hub: &Arc<Hub>, change: &Change, namespace: &str, directly: Directly) -> Self {
        let spec = &change.spec;
        let sets = vec![spec.stable.replica_set.clone(), spec.candidate.replica_set.clone()];
        let url = spec.prometheus_url.as_deref();
        let target = Target { namespace: namespace.to_owned(), replica_sets: sets };
        let named: Vec<(&guard::Signal, SignalShape)> =
            spec.signals.iter().filter_map(|signal| Some((signal, convert::shape(signal)?))).collect();
        let shapes: Vec<SignalShape> = named.iter().map(|(_, shape)| shape.clone()).collect();
        let Directly { addresses, read_key, before } = directly;
        let mut sampled = None;
        let subscriptions: Vec<Result<Subscription, Trouble>> = match &spec.pod_pages {
            None => shapes.iter().map(|shape| hub.watch(url, shape, target.clone())).collect(),
            Some(pages) => {
                let addresses = Arc::clone(&addresses);
                match metrics::read_pods(&shapes, Job { target: target.clone(), page: page(pages), addresses, read_key, before })
                {
                    Ok(Started { subscriptions, sampled: seen }) => {
                        sampled = Some(seen);
                        subscriptions.into_iter().map(Ok).collect()
                    }
                    Err(trouble) => shapes.iter().map(|_| Err(trouble.clone())).collect(),
                }
            }
        };
        let eye = |((signal, shape), subscription): ((&guard::Signal, SignalShape), _)| SignalEye {
            name: signal.name.clone(),
            shape,
            of_successes: signal.successes.is_some(),
            subscription,
            asked: Instant::now(),
        };
        let signals = named.into_iter().zip(subscriptions).map(eye).collect();
        Self {
            hub: Arc::clone(hub),
            url: spec.prometheus_url.clone(),
            target,
            skew_told: false,
            stable_prefix: prefix(&spec.stable.replica_set),
            candidate_prefix: prefix(&spec.candidate.replica_set),
            signals,
            last_at: i64::MIN,
            pods: spec.pod_pages.is_some().then_some(addresses),
            sampled,
            opened: Instant::now(),
            stable: Stable::of(change, namespace),
            pasts: None,
            past_due: Instant::now(),
        }
    }

    /// Resolves when a signal has a new answer; never where there is no subscription.
    pub(crate) async fn changed(&mut self) {
        let subscriptions = self.signals.iter_mut().filter_map(|eye| eye.subscription.as_mut().ok());
        let waits: Vec<_> = subscriptions.map(|subscription| Box::pin(subscription.changed())).collect();
        if waits.is_empty() {
            std::future::pending::<()>().await;
        }
        futures::future::select_all(waits).await;
    }

    /// Stable's past, once it was read: at first up to where the Change began, and again from time to time up to `now`, since
    /// how its failures come may change.
    pub(crate) async fn pasts(&mut self, now: Millis, known: bool) -> Option<Pasts> {
        // Pods are read first: their counts may be all that is known.
        let seen = self.pods.is_none() || self.last_at > i64::MIN;
        if self.pasts.is_none() && seen && Instant::now() >= self.past_due {
            self.past_due = Instant::now() + PAST_AGAIN;
            let until = if known { now } else { self.stable.until };
            self.pasts = Some(tokio::spawn(pasts(Arc::clone(&self.hub), self.stable.clone(), until, known)));
        }
        if !self.pasts.as_ref()?.is_finished() {
            return None;
        }
        let mut pasts = self.pasts.take()?.await.ok()?;
        if self.pods.is_some() && !known {
            self.lifetimes(&mut pasts);
        }
        Some(pasts)
    }

    /// Where no Prometheus tells stable's past, its pods do: all that each has counted since its process began.
    fn lifetimes(&self, pasts: &mut Pasts) {
        for eye in &self.signals {
            let unknown = pasts.get(&eye.name).is_none_or(|past| past.requests == 0);
            let answer = eye.subscription.as_ref().ok().and_then(Subscription::latest).filter(|_| unknown);
            let Some(Ok(samples)) = answer.as_ref().map(|answer| &answer.result) else { continue };
            let of_stable = samples.iter().filter(|sample| self.arm(&sample.pod) == Some(Arm::Stable));
            let counted = |sample: &PodSample| Some(PodCounts { requests: sample.requests?, failures: sample.failures? });
            let pods: Vec<PodCounts> = of_stable.filter_map(counted).collect();
            let (requests, failures) = pods.iter().fold((0, 0), |sum, pod| (sum.0 + pod.requests, sum.1 + pod.failures));
            // How they came is not known: over a life, pods differ by their age and by what was long ago.
            pasts.insert(eye.name.clone(), Past { requests, failures, phi: Phi::UNKNOWN });
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
    pub(crate) fn look(&mut self, now: Millis) -> Option<Look> {
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
            (Ok(_), Some(answer)) => skewed(answer).unwrap_or_else(|| self.signal(answer, eye.of_successes)),
            (Ok(_), None) => SignalLook::Read(Vec::new()),
        });
        let signals = signals.collect();
        let scrape_seconds = if scrape_seconds > 0.0 { scrape_seconds } else { SCRAPE_UNKNOWN };
        Some(Look { at: Millis(newest), scrape_seconds, signals, sampled: self.sampled() })
    }

    /// How many pods are read, where not all are.
    fn sampled(&self) -> Option<Sampled> {
        let sampled = self.sampled.as_ref()?.borrow().clone()?;
        let part = |arm| {
            let of_arm = sampled.arms.iter().filter(|(set, _)| self.arm(&format!("{set}-")) == Some(arm));
            of_arm.fold(Part { read: 0, of: 0 }, |sum, (_, part)| Part { read: sum.read + part.read, of: sum.of + part.of })
        };
        let late = sampled.late.iter().cloned().collect();
        Some(Sampled { candidate: part(Arm::Candidate), stable: part(Arm::Stable), late })
    }

    /// Pods count from their first reading when counting begins, and from zero when they come later: so it begins when every
    /// ready pod of stable that is read directly has been read, for which it waits a while.
    fn all_read(&self, answers: &[Option<Arc<Answer>>]) -> bool {
        let Some(addresses) = &self.pods else { return true };
        let ready = addresses().into_iter().filter(|address| address.ready && self.arm(&address.pod) == Some(Arm::Stable));
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

    fn signal(&self, answer: &Answer, of_successes: bool) -> SignalLook {
        match &answer.result {
            Err(trouble) => told(trouble),
            Ok(samples) => {
                // Failures appear with the first; successes that are not there are not counted, which is not to say none came.
                let counted = |sample: &&PodSample| !of_successes || sample.failures_exist;
                let readings = samples.iter().filter(counted).filter_map(|sample| {
                    Some(Reading {
                        arm: self.arm(&sample.pod)?,
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

    fn arm(&self, pod: &str) -> Option<Arm> {
        // One ReplicaSet's name can begin with the other's: the longer one that fits is meant.
        let fits = |prefix: &String| pod.starts_with(prefix.as_str()).then_some(prefix.len());
        match (fits(&self.candidate_prefix), fits(&self.stable_prefix)) {
            (None, None) => None,
            (candidate, stable) if candidate > stable => Some(Arm::Candidate),
            _ => Some(Arm::Stable),
        }
    }

    /// Candidate pods that every signal's source has seen: by their series, or because it reads them (`up`).
    pub(crate) fn seen(&self) -> Vec<String> {
        let by_signal = self.signals.iter().map(|eye| -> Vec<String> {
            let answer = eye.subscription.as_ref().ok().and_then(Subscription::latest);
            let samples = answer.as_ref().and_then(|answer| answer.result.as_ref().ok());
            let seen = |sample: &&PodSample| sample.requests.is_some() || sample.up == Some(true);
            samples.into_iter().flatten().filter(seen).map(|sample| sample.pod.clone()).collect()
        });
        by_signal.reduce(|both, one| both.into_iter().filter(|pod| one.contains(pod)).collect()).unwrap_or_default()
    }

    /// Names of the signals, for logs.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.signals.iter().map(|eye| eye.name.as_str())
    }
}

/// The clock of a backend that is so far behind that all its readings look stale. Named, so that nobody searches the pods.
fn skewed(answer: &Answer) -> Option<SignalLook> {
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

fn is_link_local(ip: std::net::IpAddr) -> bool {
    match ip {
        std::net::IpAddr::V4(ip) => ip.is_link_local(),
        std::net::IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

fn page(pages: &PodPages) -> Page {
    let kept = |kept: Kept, key: &KeyRef| Key { kept, name: key.name.clone(), key: key.key.clone() };
    let access = match pages.scheme {
        Scheme::HTTP => Access::Plain,
        Scheme::HTTPS => {
            let tls = pages.tls.clone().unwrap_or_default();
            let trust = match (&tls.ca_secret, &tls.ca_config_map) {
                _ if tls.insecure_skip_verify => Trust::Anyone,
                (Some(secret), _) => Trust::Authorities(kept(Kept::Secret, secret)),
                (None, Some(map)) => Trust::Authorities(kept(Kept::ConfigMap, map)),
                (None, None) => Trust::Image,
            };
            let token = pages.bearer_token_secret.as_ref().map(|secret| kept(Kept::Secret, secret));
            Access::Tls { trust, server_name: tls.server_name, token }
        }
    };
    Page { port: pages.port, path: pages.path.clone(), access, most_per_arm: pages.max_per_arm.into() }
}

/// The pods that can be asked for their pages now.
fn addresses(pods: &Cache<Pod>) -> Addresses {
    let pods = pods.clone();
    Arc::new(move || {
        let address = |pod: &Arc<Pod>| {
            let status = pod.status.as_ref()?;
            let ip: std::net::IpAddr = status.pod_ip.as_ref()?.parse().ok()?;
            // A pod on its node's own network, or none at all, would lead to what is no pod's.
            let of_node = status.host_ip == status.pod_ip || ip.is_loopback() || ip.is_unspecified() || is_link_local(ip);
            (!observe::finished(pod) && !of_node).then(|| Address { pod: pod.name_any(), ip, ready: observe::is_serving(pod) })
        };
        pods.all().iter().filter_map(address).collect()
    })
}

/// Pods of a ReplicaSet are named by at most 58 characters of its name and a dash, and five of their own.
fn prefix(replica_set: &str) -> String {
    format!("{replica_set}-").chars().take(58).collect()
}

fn told(trouble: &Trouble) -> SignalLook {
    SignalLook::Trouble { reason: trouble.reason().to_owned(), message: trouble.to_string() }
}

/// Reads stable's past for every signal. What cannot be read is left unknown: the engine then assumes bursts. Read `again`
/// it is left out, and so is that of a single pod: it has no other to be compared with, and from one stage to the next its
/// counts fall as its share does.
async fn pasts(hub: Arc<Hub>, stable: Stable, until: Millis, again: bool) -> Pasts {
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
    let sum = |of: fn(&PodCounts) -> u64| steps.iter().flat_map(|step| &step.pods).map(of).sum();
    let busy = |pod: &usize| steps.iter().any(|step| step.pods.get(*pod).is_some_and(|counts| counts.requests > 0));
    let pods = (0..steps.first().map_or(0, |step| step.pods.len())).filter(busy).count();
    let past = Past { requests: sum(|pod| pod.requests), failures: sum(|pod| pod.failures), phi: Phi::between_pods(&steps) };
    Ok((past, pods))
}

fn pod_steps(history: &History) -> Vec<PodStep> {
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

    fn directly() -> Directly {
        Directly {
            addresses: Arc::new(Vec::new),
            read_key: Arc::new(|_| unreachable!("no key is named")),
            before: Before::default(),
        }
    }

    #[rstest::rstest]
    #[case::plain(serde_json::json!({"port": 9090}), Access::Plain)]
    #[case::of_an_authority_that_the_image_knows(
        serde_json::json!({"port": 9090, "scheme": "HTTPS"}),
        Access::Tls { trust: Trust::Image, server_name: None, token: None },
    )]
    #[case::all_of_it(
        serde_json::json!({"port": 9090, "scheme": "HTTPS", "bearerTokenSecret": {"name": "scrape", "key": "token"},
            "tls": {"caConfigMap": {"name": "ca", "key": "ca.crt"}, "serverName": "metrics.shop"}}),
        Access::Tls {
            trust: Trust::Authorities(Key { kept: Kept::ConfigMap, name: "ca".to_owned(), key: "ca.crt".to_owned() }),
            server_name: Some("metrics.shop".to_owned()),
            token: Some(Key { kept: Kept::Secret, name: "scrape".to_owned(), key: "token".to_owned() }),
        },
    )]
    #[case::anyone(
        serde_json::json!({"port": 9090, "scheme": "HTTPS", "tls": {"insecureSkipVerify": true}}),
        Access::Tls { trust: Trust::Anyone, server_name: None, token: None },
    )]
    fn given_how_pages_are_asked_for_when_read_from_the_guard_then_so(#[case] pages: serde_json::Value, #[case] access: Access) {
        let read = page(&serde_json::from_value(pages).unwrap());
        assert_eq!((read.port, read.path.as_str(), read.most_per_arm, read.access), (9090, "/metrics", 50, access));
    }

    #[tokio::test]
    async fn given_a_sample_when_looked_at_then_each_arm_has_its_part() {
        let hub = Arc::new(Hub::new(None, Limits::default()));
        let mut change = fake::change("shop-x-1");
        change.spec.pod_pages = Some(serde_json::from_value(serde_json::json!({"port": 9090})).unwrap());
        let mut eyes = Eyes::open(&hub, &change, "shop", directly());
        assert_eq!(eyes.sampled(), None);
        let part = |read, of| metrics::Part { read, of };
        let arms = BTreeMap::from([("shop-old".to_owned(), part(20, 63)), ("shop-new".to_owned(), part(4, 4))]);
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

    #[tokio::test]
    async fn given_a_subscription_that_was_refused_when_there_is_room_again_then_it_is_had() {
        let hub = Arc::new(Hub::new(Some("http://127.0.0.1:1".to_owned()), Limits::default()));
        let change = fake::change("shop-x-1");
        let shape = convert::shape(change.spec.signals.first().unwrap()).unwrap();
        let other = |name: usize| Target { namespace: "shop".to_owned(), replica_sets: vec![format!("other-{name}")] };
        let mut others: Vec<_> = (0..).map_while(|name| hub.watch(None, &shape, other(name)).ok()).collect();
        let mut eyes = Eyes::open(&hub, &change, "shop", directly());
        assert!(matches!(eyes.signals.first().unwrap().subscription, Err(Trouble::TooMany { .. })));
        others.pop();
        eyes.look(Millis(1));
        assert!(eyes.signals.first().unwrap().subscription.is_err(), "asked again at once");
        tokio::time::pause();
        tokio::time::advance(ASK_AGAIN).await;
        eyes.look(Millis(2));
        assert!(eyes.signals.first().unwrap().subscription.is_ok());
    }
}
