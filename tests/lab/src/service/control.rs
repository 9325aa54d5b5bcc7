//! Steering running pods: what a test may ask for, and the small server that tells it to them.
//!
//! Pods poll ([`Knobs::control_url`](super::Knobs::control_url)) and name themselves while they do, so that a test can
//! pick exactly one of them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::HeaderName;
use hyper::{Method, Request, Response, StatusCode};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::sleep;

use super::http;

/// The header in which a pod names itself.
pub(super) const POD_HEADER: HeaderName = HeaderName::from_static("x-pod");
/// The header in which a pod names its version.
pub(super) const VERSION_HEADER: HeaderName = HeaderName::from_static("x-version");

/// Pods remembered; beyond it the one that was silent longest is forgotten. Far above what one machine can run.
const PODS_MAX: usize = 4096;
/// How often a wait looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// A pod that has not polled for this long (five polls) is gone.
const ALIVE: Duration = Duration::from_secs(1);

/// What overrides the knobs of every pod that polls. What is absent leaves the pods' own knobs in force.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Control {
    /// For every version: share of requests answered with 500; no onset and no burst applies to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_rate: Option<f64>,
    /// For every version: fixed latency in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u64>,
    /// Pods that exit with 1 as soon as they read this, at every start again.
    pub crash_pods: BTreeSet<String>,
    /// For one version; wins over the fields above, field by field.
    pub by_version: BTreeMap<String, Override>,
}

/// What overrides the knobs of one version's pods.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Override {
    /// Share of requests answered with 500.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_rate: Option<f64>,
    /// Fixed latency in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u64>,
}

impl Control {
    /// What holds for pods of `version`.
    #[must_use]
    pub fn for_version(&self, version: &str) -> Override {
        let own = self.by_version.get(version).copied().unwrap_or_default();
        Override { error_rate: own.error_rate.or(self.error_rate), latency_ms: own.latency_ms.or(self.latency_ms) }
    }
}

/// A pod that has polled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenPod {
    /// Its name.
    pub name: String,
    /// The version it says it runs.
    pub version: String,
    /// When it first polled.
    pub first: Instant,
    /// When it last polled.
    pub last: Instant,
}

/// Serves a [`Control`] to pods and remembers which have asked. Ends when dropped.
#[derive(Debug)]
pub struct ControlServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    _closing: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Shared {
    control: Mutex<Control>,
    /// By name.
    pods: Mutex<BTreeMap<String, SeenPod>>,
}

impl ControlServer {
    /// Starts serving on `address` (port 0: any free one), on the current tokio runtime.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn start(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let (closing, closed) = watch::channel(false);
        let handler = {
            let shared = Arc::clone(&shared);
            move |request| std::future::ready(shared.answer(&request))
        };
        tokio::spawn(http::serve(listener, handler, closed));
        Ok(Self { address, shared, _closing: closing })
    }

    /// What to put into the pods' CONTROL_URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/control", self.address)
    }

    /// What is served now.
    #[must_use]
    pub fn control(&self) -> Control {
        lock(&self.shared.control).clone()
    }

    /// Serves `control` from now on; pods read it within 200 ms.
    pub fn set(&self, control: Control) {
        *lock(&self.shared.control) = control;
    }

    /// Changes what is served.
    pub fn update(&self, change: impl FnOnce(&mut Control)) {
        change(&mut lock(&self.shared.control));
    }

    /// Every pod that has ever polled, by name.
    #[must_use]
    pub fn seen(&self) -> Vec<SeenPod> {
        lock(&self.shared.pods).values().cloned().collect()
    }

    /// Names of the pods of `version` that polled within the last second, in order.
    #[must_use]
    pub fn pods(&self, version: &str) -> Vec<String> {
        let alive = |pod: &&SeenPod| pod.version == version && pod.last.elapsed() < ALIVE;
        lock(&self.shared.pods).values().filter(alive).map(|pod| pod.name.clone()).collect()
    }

    /// Waits until at least `count` pods of `version` poll; their names, or `None` when the time is up.
    pub async fn wait_for_pods(&self, version: &str, count: usize, limit: Duration) -> Option<Vec<String>> {
        let deadline = Instant::now() + limit;
        loop {
            let pods = self.pods(version);
            if pods.len() >= count {
                return Some(pods);
            }
            if Instant::now() >= deadline {
                return None;
            }
            sleep(LOOK_AGAIN).await;
        }
    }
}

impl Shared {
    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if request.method() != Method::GET {
            return http::text(StatusCode::METHOD_NOT_ALLOWED, "text/plain", "only GET\n");
        }
        let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
        if let (Some(name), Some(version)) = (header(POD_HEADER), header(VERSION_HEADER)) {
            self.saw(name, version, Instant::now());
        }
        match serde_json::to_vec(&*lock(&self.control)) {
            Ok(body) => http::text(StatusCode::OK, "application/json", body),
            Err(error) => http::text(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", format!("{error}\n")),
        }
    }

    fn saw(&self, name: &str, version: &str, now: Instant) {
        let mut pods = lock(&self.pods);
        if let Some(pod) = pods.get_mut(name) {
            pod.last = now;
            version.clone_into(&mut pod.version);
            return;
        }
        if pods.len() >= PODS_MAX {
            let oldest = pods.values().min_by_key(|pod| pod.last).map(|pod| pod.name.clone());
            oldest.and_then(|name| pods.remove(&name));
        }
        let pod = SeenPod { name: name.to_owned(), version: version.to_owned(), first: now, last: now };
        pods.insert(name.to_owned(), pod);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_an_override_for_a_version_then_it_wins_field_by_field() {
        let control: Control =
            serde_json::from_str(r#"{"error_rate": 0.3, "latency_ms": 5, "by_version": {"v2": {"error_rate": 0.9}}}"#)
                .unwrap_or_default();
        assert_eq!(control.for_version("v1"), Override { error_rate: Some(0.3), latency_ms: Some(5) });
        assert_eq!(control.for_version("v2"), Override { error_rate: Some(0.9), latency_ms: Some(5) });
    }

    #[test]
    fn given_nothing_then_nothing_is_overridden() {
        assert_eq!(Control::default().for_version("v1"), Override::default());
        assert_eq!(serde_json::to_string(&Control::default()).ok().as_deref(), Some(r#"{"crash_pods":[],"by_version":{}}"#));
    }

    #[test]
    fn given_a_misspelt_field_then_the_control_is_refused() {
        assert!(serde_json::from_str::<Control>(r#"{"errorrate": 1}"#).is_err());
    }

    #[test]
    fn given_more_pods_than_are_remembered_then_the_longest_silent_is_forgotten() {
        let shared = Shared::default();
        let start = Instant::now();
        for n in 0..=PODS_MAX {
            shared.saw(&format!("pod-{n}"), "v1", start + Duration::from_millis(n as u64));
        }
        let pods = lock(&shared.pods);
        assert_eq!(pods.len(), PODS_MAX);
        assert!(!pods.contains_key("pod-0") && pods.contains_key("pod-1"));
    }
}
