//! The second source: the pods' own metrics pages, read every second while a Change runs. No Prometheus is asked.
//!
//! [`start`] reads all pods of a target and gives every signal its [`Subscription`], as a [`super::Hub`] does for Prometheus.
//! `page` reads the format, `counted` finds a signal's counters in it. One page serves all signals of a Change.
//!
//! A counter that falls is a process that began anew, by its own start time or by its series; where some of these have vanished
//! instead, the pod is not read. What is wrong with one pod keeps no other from being read.

mod counted;
mod page;

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::{StreamExt as _, stream};
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use tokio::{
    sync::{Semaphore, watch},
    time::{Instant, sleep_until},
};

use self::counted::{Counted, Found, Owner};
use super::{
    client::innermost,
    hub::Subscription,
    memory::Memory,
    poller::{Answer, Latest, now_ms},
    reading::PodSample,
    shape::{Selectors, SignalShape, Target},
    trouble::Trouble,
};

/// Every pod is read this often.
const EVERY: Duration = Duration::from_secs(1);
/// Shortest pause between two rounds, whatever they took.
const BREATH: Duration = Duration::from_millis(100);
/// To connect to a pod.
const CONNECT: Duration = Duration::from_millis(500);
/// For one page: a pod that is starved of CPU is slow, and is what is sought.
const READ: Duration = Duration::from_secs(3);
/// Bytes of one page.
const MOST_BYTES: usize = 1024 * 1024;
/// Pods of one target read at once.
const AT_ONCE: usize = 32;
/// Pages that are read at once by all of the operator: they are held in memory.
static PAGES: Semaphore = Semaphore::const_new(24);
/// Most pods of both arms: reading more every second would load them, and the operator, more than the evidence is worth.
const MOST_PODS: usize = 400;
/// Most Changes whose pods are read.
const MOST_READERS: usize = 128;
static READERS: AtomicUsize = AtomicUsize::new(0);
/// Characters of what is wrong with a page.
const MAX_DETAIL_CHARS: usize = 200;
/// The text format is understood best; OpenMetrics where a pod has nothing else.
const FORMATS: &str = "text/plain;version=0.0.4;q=1,application/openmetrics-text;version=1.0.0;q=0.5";

/// A pod that can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Its name.
    pub pod: String,
    /// Where it is.
    pub ip: IpAddr,
    /// Whether it is to get requests.
    pub ready: bool,
}

/// The pods that are there now.
pub type Addresses = Arc<dyn Fn() -> Vec<Address> + Send + Sync>;

/// Where pods have their pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The port.
    pub port: u16,
    /// The path, with its slash.
    pub path: String,
}

/// Reads the pods of a target until all subscriptions are dropped; one a shape, in their order.
///
/// # Errors
/// [`Trouble::BadSelector`], [`Trouble::Unreachable`] where no client can be made.
///
/// # Panics
/// Outside a tokio runtime.
pub fn start(shapes: &[SignalShape], target: Target, page: Page, addresses: Addresses) -> Result<Vec<Subscription>, Trouble> {
    let signals = shapes.iter().map(|shape| Counted::of(&Selectors::parse(shape)?)).collect::<Result<Vec<_>, _>>()?;
    let place = Place::take()?;
    let (senders, receivers): (Vec<_>, Vec<_>) = shapes.iter().map(|_| watch::channel::<Latest>(None)).unzip();
    let reader = Reader {
        http: client()?,
        memories: signals.iter().map(|_| Memory::default()).collect(),
        last: BTreeMap::new(),
        signals: signals.into(),
        _place: place,
        target,
        page,
        addresses,
        answers: senders,
    };
    let task = Arc::new(AbortOnDrop(tokio::spawn(reader.run())));
    Ok(receivers.into_iter().map(|latest| Subscription::kept(latest, Arc::clone(&task))).collect())
}

/// Whether a signal can be counted on pages.
///
/// # Errors
/// [`Trouble::BadSelector`], with the field and what to write there.
pub fn validate(shape: &SignalShape) -> Result<(), Trouble> {
    Counted::of(&Selectors::parse(shape)?).map(drop)
}

/// A place among the readers.
struct Place;

impl Place {
    fn take() -> Result<Self, Trouble> {
        let taken = READERS.fetch_add(1, Ordering::Relaxed);
        let place = Self;
        if taken < MOST_READERS {
            Ok(place)
        } else {
            Err(Trouble::TooMany { what: "Changes whose pods are read", limit: MOST_READERS })
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        READERS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Ends the task with the last subscription.
#[derive(Debug)]
pub(super) struct AbortOnDrop(pub(super) tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn client() -> Result<reqwest::Client, Trouble> {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    let builder = || {
        reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .timeout(READ)
            .redirect(reqwest::redirect::Policy::none())
            // A pod is asked itself, whatever proxy the operator has for the world outside.
            .no_proxy()
            .user_agent(concat!("firebreak/", env!("CARGO_PKG_VERSION")))
    };
    let client = builder().build().or_else(|_| builder().tls_certs_only([]).build());
    client.map_err(|error| Trouble::Unreachable { url: "the pods".to_owned(), detail: error.to_string() })
}

struct Reader {
    http: reqwest::Client,
    signals: Arc<[Counted]>,
    memories: Vec<Memory>,
    /// What each pod counted last.
    last: BTreeMap<String, Last>,
    target: Target,
    page: Page,
    addresses: Addresses,
    answers: Vec<watch::Sender<Latest>>,
    _place: Place,
}

/// What a pod counted last: when its process began, and of each signal requests, failures and the number of series.
struct Last {
    started: Option<f64>,
    counts: Vec<Option<(u64, u64, usize)>>,
}

/// What one pod's page says, or why it cannot be read.
type Read = Result<counted::Page, String>;

impl Reader {
    async fn run(mut self) {
        loop {
            let begun = Instant::now();
            self.round().await;
            sleep_until((begun + EVERY).max(Instant::now() + BREATH)).await;
        }
    }

    async fn round(&mut self) {
        let begun = Instant::now();
        let mut pods = (self.addresses)();
        pods.retain(|address| self.target.owns(&self.target.namespace, &address.pod));
        if pods.len() > MOST_PODS {
            let trouble = Trouble::TooMany { what: "pods to read directly", limit: MOST_PODS };
            return self.tell(begun, |_, _| Err(trouble.clone()));
        }
        let mut reads: BTreeMap<String, Read> = {
            let reader = &*self;
            let read = |address: Address| async move {
                let read = reader.read(&address).await;
                (address.pod, read)
            };
            stream::iter(pods.into_iter().map(read)).buffer_unordered(AT_ONCE).collect().await
        };
        for (pod, read) in &mut reads {
            self.compare(pod, read);
        }
        self.last.retain(|pod, _| reads.contains_key(pod));
        let namespace = self.target.namespace.clone();
        let shown = format!("http://POD:{}{}", self.page.port, self.page.path);
        self.tell(begun, |signal, _| answer(&namespace, &shown, &reads, signal));
    }

    /// Whether what fell began anew; else some series have vanished, and the pod counts as not read.
    fn compare(&mut self, pod: &str, read: &mut Read) {
        let Ok(page) = read else { return };
        let counts: Vec<Option<(u64, u64, usize)>> =
            page.signals.iter().map(|found| found.as_ref().ok().and_then(counts)).collect();
        let mut anew = false;
        if let Some(last) = self.last.get(pod) {
            let restarted = last.started.zip(page.started).map(|(before, now)| now > before);
            let pairs = last.counts.iter().zip(&counts).filter_map(|(before, now)| Some(((*before)?, (*now)?)));
            let fell: Vec<_> = pairs.filter(|(before, now)| now.0 < before.0).collect();
            anew = restarted.unwrap_or(!fell.is_empty());
            // Without a start time, the same number of series is a new beginning, and fewer are a loss.
            let lost = !fell.is_empty()
                && (restarted == Some(false) || restarted.is_none() && fell.iter().any(|(before, now)| now.2 < before.2));
            if lost {
                *read = Err("its requests fell although its process did not begin anew: some series have vanished".to_owned());
                return;
            }
        }
        if anew {
            self.memories.iter_mut().for_each(|memory| memory.forget(pod));
        }
        self.last.insert(pod.to_owned(), Last { started: page.started, counts });
    }

    /// Gives each signal what was read of it.
    fn tell(&mut self, begun: Instant, of: impl Fn(usize, i64) -> Result<Vec<PodSample>, Trouble>) {
        let at_ms = now_ms();
        let took = begun.elapsed();
        for (signal, (sender, memory)) in self.answers.iter().zip(&mut self.memories).enumerate() {
            let result = of(signal, at_ms).map(|samples| {
                let namespace = &self.target.namespace;
                let mend = |sample: PodSample| {
                    let mut one = [sample];
                    // What contradicts itself is one pod's, and so is what follows.
                    match memory.apply(&mut one, at_ms) {
                        Ok(()) => one.into_iter().next(),
                        Err(trouble) => {
                            tracing::debug!(%trouble, "not judged");
                            one.first().map(|sample| unread(namespace, &sample.pod))
                        }
                    }
                };
                samples.into_iter().filter_map(mend).collect()
            });
            let answer = Answer { at_ms, took, scrape_interval: Some(EVERY.max(took)), backend_ahead_ms: None, result };
            sender.send_replace(Some(Arc::new(answer)));
        }
    }

    async fn read(&self, address: &Address) -> Read {
        let ip = match address.ip {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        };
        let url = format!("http://{ip}:{}{}", self.page.port, self.page.path);
        let _page = PAGES.acquire().await.map_err(|error| error.to_string())?;
        let answer = self.http.get(&url).header(ACCEPT, FORMATS).send().await.map_err(|error| cause(&error))?;
        if !answer.status().is_success() {
            return Err(format!("status {}", answer.status().as_u16()));
        }
        let kind = answer.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let whole = kind.contains("openmetrics");
        let bytes = body(answer).await?;
        let text = String::from_utf8(bytes).map_err(|_| "the page is not UTF-8".to_owned())?;
        let (signals, read_at_ms) = (Arc::clone(&self.signals), now_ms());
        let (namespace, pod) = (self.target.namespace.clone(), address.pod.clone());
        // A long page under a costly pattern takes a thread of its own, not one that others' turns wait for.
        let counted = tokio::task::spawn_blocking(move || {
            counted::count_all(&text, whole, &signals, Owner { namespace: &namespace, pod: &pod }, read_at_ms)
        });
        counted.await.map_err(|error| error.to_string())?
    }
}

fn counts(found: &Found) -> Option<(u64, u64, usize)> {
    Some((found.sample.requests?, found.sample.failures?, found.series))
}

/// What was read of a signal. A pod that cannot be read is known, and so is that it could not be read; where none can, why.
fn answer(namespace: &str, shown: &str, reads: &BTreeMap<String, Read>, signal: usize) -> Result<Vec<PodSample>, Trouble> {
    let mut first: Option<Trouble> = None;
    let mut samples = Vec::new();
    let mut any = reads.is_empty();
    for (pod, read) in reads {
        let found = match read {
            Ok(page) => match page.signals.get(signal) {
                Some(found) => found.clone(),
                None => continue,
            },
            Err(why) => {
                let detail = format!("pod {pod}: {why}");
                Err(Trouble::Unreachable { url: shown.to_owned(), detail })
            }
        };
        match found {
            Ok(found) => {
                any = true;
                samples.push(found.sample);
            }
            Err(trouble) => {
                tracing::debug!(pod, %trouble, "metrics page not read");
                first.get_or_insert(trouble);
                samples.push(unread(namespace, pod));
            }
        }
    }
    match first {
        Some(trouble) if !any => Err(trouble),
        _ => Ok(samples),
    }
}

fn unread(namespace: &str, pod: &str) -> PodSample {
    PodSample {
        namespace: namespace.to_owned(),
        pod: pod.to_owned(),
        requests: None,
        failures: None,
        failures_exist: false,
        scraped_at_ms: None,
        up: Some(false),
    }
}

async fn body(mut answer: reqwest::Response) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| cause(&error))? {
        if bytes.len() + chunk.len() > MOST_BYTES {
            return Err(format!("the page is longer than {MOST_BYTES} bytes"));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// What is wrong, in few words: a pod's own are not quoted at length.
fn cause(error: &dyn std::error::Error) -> String {
    innermost(error).chars().take(MAX_DETAIL_CHARS).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use std::sync::atomic::{AtomicU64, Ordering};

    use axum::{Router, http::StatusCode, routing::get};

    use super::*;

    /// A pod on this machine, whose page is what `page` gives.
    async fn pod<F>(page: F) -> u16
    where
        F: Fn() -> (StatusCode, String) + Clone + Send + Sync + 'static,
    {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let router = Router::new().route("/metrics", get(move || async move { page() }));
        tokio::spawn(async move { axum::serve(listener, router).await });
        port
    }

    fn started(port: u16) -> Vec<Subscription> {
        let shapes = [SignalShape::Requests { requests: "r".to_owned(), failures: "f".to_owned() }];
        let target = Target::of("shop", &["shop-a".to_owned(), "shop-b".to_owned()]);
        let pods = ["shop-a-22222", "shop-b-33333", "cart-c-44444"];
        let address = |pod: &&str| Address { pod: (*pod).to_owned(), ip: "127.0.0.1".parse().unwrap(), ready: true };
        let addresses: Addresses = Arc::new(move || pods.iter().map(address).collect());
        start(&shapes, target, Page { port, path: "/metrics".to_owned() }, addresses).unwrap()
    }

    async fn next(subscription: &mut Subscription) -> Arc<Answer> {
        tokio::time::timeout(Duration::from_secs(10), subscription.changed()).await.unwrap();
        subscription.latest().unwrap()
    }

    #[tokio::test]
    async fn given_pods_when_read_then_those_of_the_target_every_second() {
        let requests = Arc::new(AtomicU64::new(10));
        let counter = Arc::clone(&requests);
        let page = move || (StatusCode::OK, format!("r {}\nf 1\n", counter.fetch_add(1, Ordering::Relaxed)));
        let mut subscriptions = started(pod(page).await);
        let first = next(&mut subscriptions[0]).await;
        let samples = first.result.clone().unwrap();
        let mut names: Vec<&str> = samples.iter().map(|sample| sample.pod.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["shop-a-22222", "shop-b-33333"]);
        assert!(samples.iter().all(|sample| sample.failures == Some(1) && sample.scraped_at_ms.unwrap() <= first.at_ms));
        let second = next(&mut subscriptions[0]).await;
        assert!(second.at_ms - first.at_ms >= 900, "{} ms", second.at_ms - first.at_ms);
    }

    #[rstest::rstest]
    #[case::refused(StatusCode::SERVICE_UNAVAILABLE, "r 1\n")]
    #[case::not_a_page(StatusCode::OK, "r one\n")]
    #[tokio::test]
    async fn given_a_page_that_cannot_be_read_then_the_pod_is_known_and_its_counts_are_not(
        #[case] status: StatusCode,
        #[case] text: &'static str,
    ) {
        let mut subscriptions = started(pod(move || (status, text.to_owned())).await);
        let trouble = next(&mut subscriptions[0]).await.result.clone().unwrap_err();
        assert!(trouble.to_string().contains("shop-a-22222"), "{trouble}");
    }

    fn page(started: Option<f64>, requests: u64, failures: u64, series: usize) -> Read {
        let sample = PodSample {
            requests: Some(requests),
            failures: Some(failures),
            failures_exist: true,
            up: Some(true),
            ..unread("shop", "shop-a-22222")
        };
        Ok(counted::Page { started, signals: vec![Ok(Found { sample, series })] })
    }

    #[test]
    fn given_one_pod_that_cannot_be_read_then_the_others_are_and_it_is_known() {
        let reads = BTreeMap::from([("a".to_owned(), page(None, 5, 1, 2)), ("b".to_owned(), Err("refused".to_owned()))]);
        let samples = answer("shop", "http://POD", &reads, 0).unwrap();
        assert_eq!(samples.iter().map(|sample| sample.requests).collect::<Vec<_>>(), [Some(5), None]);
        let none = BTreeMap::from([("b".to_owned(), Err("refused".to_owned()))]);
        assert!(answer("shop", "http://POD", &none, 0).unwrap_err().to_string().contains("pod b: refused"));
    }

    #[rstest::rstest]
    #[case::began_anew(Some(1.0), Some(2.0), (100, 5, 3), (10, 0, 1), true)]
    #[case::series_vanished(Some(1.0), Some(1.0), (100, 5, 3), (10, 5, 2), false)]
    #[case::no_start_time_and_all_series(None, None, (100, 5, 3), (10, 0, 3), true)]
    #[case::no_start_time_and_fewer_series(None, None, (100, 5, 3), (10, 5, 2), false)]
    #[tokio::test]
    async fn given_counters_that_fell_then_they_began_anew_or_the_pod_is_not_read(
        #[case] before: Option<f64>,
        #[case] now: Option<f64>,
        #[case] first: (u64, u64, usize),
        #[case] second: (u64, u64, usize),
        #[case] read: bool,
    ) {
        let mut reader = Reader {
            http: client().unwrap(),
            signals: Arc::new([]),
            memories: vec![Memory::default()],
            last: BTreeMap::new(),
            target: Target::of("shop", &[]),
            page: Page { port: 1, path: "/".to_owned() },
            addresses: Arc::new(Vec::new),
            answers: Vec::new(),
            _place: Place::take().unwrap(),
        };
        reader.compare("shop-a-22222", &mut page(before, first.0, first.1, first.2));
        let mut again = page(now, second.0, second.1, second.2);
        reader.compare("shop-a-22222", &mut again);
        assert_eq!(again.is_ok(), read);
    }

    #[tokio::test]
    async fn given_a_gauge_when_read_then_the_signal_says_so() {
        let mut subscriptions = started(pod(|| (StatusCode::OK, "r 0.5\n".to_owned())).await);
        assert!(matches!(next(&mut subscriptions[0]).await.result, Err(Trouble::NotACount { .. })));
    }

    #[tokio::test]
    async fn given_the_last_subscription_when_it_is_dropped_then_nobody_reads_any_more() {
        let reads = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&reads);
        let port = pod(move || {
            counter.fetch_add(1, Ordering::Relaxed);
            (StatusCode::OK, "r 1\n".to_owned())
        })
        .await;
        let mut subscriptions = started(port);
        next(&mut subscriptions[0]).await;
        drop(subscriptions);
        let before = reads.load(Ordering::Relaxed);
        tokio::time::sleep(EVERY * 2).await;
        assert!(reads.load(Ordering::Relaxed) <= before + 2, "a round that was under way at most");
    }
}
