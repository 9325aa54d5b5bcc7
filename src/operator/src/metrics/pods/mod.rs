//! The second source: the pods' own metrics pages, read every second while a Change runs. No Prometheus is asked.
//!
//! [`start`] reads all pods of a target and gives every signal its [`Subscription`], as a [`super::Hub`] does for Prometheus.
//! `page` reads the format, `counted` finds a signal's counters in it. One page serves all signals of a Change.
//!
//! A counter that falls is a process that began anew: nothing between it and us could have lost a series.

mod counted;
mod page;

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures::{StreamExt as _, stream};
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use self::counted::{Counted, Owner};
use super::{
    hub::Subscription,
    memory::Memory,
    poller::{Answer, Latest},
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
/// For one page.
const READ: Duration = Duration::from_millis(900);
/// Bytes of one page.
const MOST_BYTES: usize = 4 * 1024 * 1024;
/// Pods read at once.
const AT_ONCE: usize = 32;
/// Most pods of a target: reading more every second would load them, and the operator, more than the evidence is worth.
const MOST_PODS: usize = 400;
/// Bytes of what a pod says when it refuses.
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
    let (senders, receivers): (Vec<_>, Vec<_>) = shapes.iter().map(|_| watch::channel::<Latest>(None)).unzip();
    let reader = Reader {
        http: client()?,
        memories: signals.iter().map(|_| Memory::default()).collect(),
        signals,
        target,
        page,
        addresses,
        answers: senders,
    };
    let task = Arc::new(AbortOnDrop(tokio::spawn(reader.run())));
    Ok(receivers.into_iter().map(|latest| Subscription::kept(latest, Arc::clone(&task))).collect())
}

/// Ends the task with the last subscription.
#[derive(Debug)]
pub(super) struct AbortOnDrop(tokio::task::JoinHandle<()>);

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
    signals: Vec<Counted>,
    memories: Vec<Memory>,
    target: Target,
    page: Page,
    addresses: Addresses,
    answers: Vec<watch::Sender<Latest>>,
}

/// What one pod's page says of each signal, or why it cannot be read.
type Read = Result<Vec<Result<PodSample, Trouble>>, String>;

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
            self.tell(begun, &|_| Err(trouble.clone()));
            return;
        }
        let reads: Vec<(String, Read)> = {
            let reader = &*self;
            let read = |address: Address| async move {
                let read = reader.read(&address).await;
                (address.pod, read)
            };
            stream::iter(pods.into_iter().map(read)).buffer_unordered(AT_ONCE).collect().await
        };
        let namespace = self.target.namespace.clone();
        self.tell(begun, &|signal| reads.iter().map(|(pod, read)| sample_of(&namespace, pod, read, signal)).collect());
    }

    /// Gives each signal what was read of it.
    fn tell(&mut self, begun: Instant, of: &dyn Fn(usize) -> Result<Vec<PodSample>, Trouble>) {
        let at_ms = now_ms();
        for (signal, (sender, memory)) in self.answers.iter().zip(&mut self.memories).enumerate() {
            let result = of(signal).and_then(|mut samples| memory.apply(&mut samples, at_ms).map(|()| samples));
            let answer = Answer { at_ms, took: begun.elapsed(), scrape_interval: Some(EVERY), backend_ahead_ms: None, result };
            sender.send_replace(Some(Arc::new(answer)));
        }
    }

    async fn read(&self, address: &Address) -> Read {
        let ip = match address.ip {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        };
        let url = format!("http://{ip}:{}{}", self.page.port, self.page.path);
        let answer = self.http.get(&url).header(ACCEPT, FORMATS).send().await.map_err(|error| innermost(&error))?;
        if !answer.status().is_success() {
            return Err(format!("status {}", answer.status().as_u16()));
        }
        let kind = answer.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let whole = kind.contains("openmetrics");
        let bytes = body(answer).await?;
        let text = String::from_utf8(bytes).map_err(|_| "the page is not UTF-8".to_owned())?;
        let owner = Owner { namespace: &self.target.namespace, pod: &address.pod };
        counted::count_all(&text, whole, &self.signals, owner, now_ms())
    }
}

/// A pod that cannot be read is known, and so is that it could not be read.
fn sample_of(namespace: &str, pod: &str, read: &Read, signal: usize) -> Result<PodSample, Trouble> {
    match read {
        Ok(samples) => samples.get(signal).cloned().unwrap_or_else(|| Ok(unread(namespace, pod))),
        Err(why) => {
            tracing::debug!(pod, why, "metrics page not read");
            Ok(unread(namespace, pod))
        }
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
    while let Some(chunk) = answer.chunk().await.map_err(|error| innermost(&error))? {
        if bytes.len() + chunk.len() > MOST_BYTES {
            return Err(format!("the page is longer than {MOST_BYTES} bytes"));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn innermost(error: &dyn std::error::Error) -> String {
    let cause = std::iter::successors(Some(error), |error| error.source()).last();
    cause.map_or_else(String::new, ToString::to_string).chars().take(MAX_DETAIL_CHARS).collect()
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
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
        let target = Target { namespace: "shop".to_owned(), replica_sets: vec!["shop-a".to_owned(), "shop-b".to_owned()] };
        let pods = ["shop-a-22222", "shop-b-33333", "cart-c-44444"];
        let address = |pod: &&str| Address { pod: (*pod).to_owned(), ip: "127.0.0.1".parse().unwrap() };
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
        let samples = next(&mut subscriptions[0]).await.result.clone().unwrap();
        assert_eq!((samples.len(), samples[0].requests, samples[0].up), (2, None, Some(false)));
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
