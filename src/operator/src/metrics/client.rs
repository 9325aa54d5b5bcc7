//! One HTTP request with limits of time and size.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use prometheus_http_query as api;
use reqwest::{Response, StatusCode, Url};

use super::{reply, stats::Stats, trouble::Trouble};

/// How long and how large answers may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// To connect. Default 1 s: a backend in the same cluster answers within milliseconds.
    pub connect: Duration,
    /// For a look. Default 2 s: a look is worth nothing when the next is due.
    pub look: Duration,
    /// For a history. Default 10 s: it is read once a Change.
    pub history: Duration,
    /// Bytes of an answer. Default 8 MiB: about 9,000 pods in a look.
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(1),
            look: Duration::from_secs(2),
            history: Duration::from_secs(10),
            bytes: 8 * 1024 * 1024,
        }
    }
}

/// Bytes of a refusal that are read: Prometheus' own errors are far shorter.
const MAX_ERROR_BYTES: usize = 64 * 1024;
/// Longest address.
const MAX_URL_BYTES: usize = 2048;

/// Characters of a cause that are shown.
const MAX_DETAIL_CHARS: usize = 300;

/// A Prometheus query API.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Backend {
    url: Url,
}

impl Backend {
    /// Reads its address.
    pub(crate) fn parse(text: &str) -> Result<Self, Trouble> {
        let bad = |url: String, detail: &str| Trouble::BadUrl { url, detail: detail.to_owned() };
        if text.len() > MAX_URL_BYTES {
            return Err(bad(text.chars().take(40).collect(), "too long"));
        }
        let mut url = Url::parse(text.trim())
            .map_err(|e| bad(text.split('@').next_back().unwrap_or_default().to_owned(), &e.to_string()))?;
        url.set_fragment(None);
        let backend = Self { url };
        if !matches!(backend.url.scheme(), "http" | "https") || backend.url.host_str().is_none_or(str::is_empty) {
            return Err(bad(backend.shown(), "it must begin with http:// or https:// and name a host"));
        }
        if backend.url.query().is_some() {
            return Err(bad(backend.shown(), "a query part (?...) is not supported"));
        }
        Ok(backend)
    }

    /// The address that the paths of the API are put behind.
    fn base(&self) -> Url {
        let mut url = self.url.clone();
        url.set_path(self.url.path().trim_end_matches('/'));
        url
    }

    /// The address without credentials.
    pub(crate) fn shown(&self) -> String {
        let mut url = self.url.clone();
        // Only addresses without a host refuse this, and those have no credentials.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.to_string().trim_end_matches('/').to_owned()
    }
}

/// An answer that came whole and with status 200.
#[derive(Debug)]
pub(crate) struct Body {
    /// Its bytes.
    pub(crate) bytes: Vec<u8>,
    /// The `Date` header.
    pub(crate) date: Option<String>,
}

/// Sends queries.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    /// Or why there is none.
    http: Result<reqwest::Client, String>,
    limits: Limits,
    stats: Arc<Stats>,
}

impl Client {
    pub(crate) fn new(limits: Limits, stats: Arc<Stats>) -> Self {
        // Without a provider reqwest panics. Installed already in the binary; tests and other programs get the same one.
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let builder = || {
            reqwest::Client::builder()
                .connect_timeout(limits.connect)
                .redirect(reqwest::redirect::Policy::none())
                .user_agent(concat!("firebreak/", env!("CARGO_PKG_VERSION")))
        };
        // An image without certificate authorities can still speak http; https then fails with "unknown issuer".
        let http = builder().build().or_else(|_| builder().tls_certs_only([]).build()).map_err(|e| innermost(&e));
        Self { http, limits, stats }
    }

    /// Asks `query` at the instant `at_ms`.
    pub(crate) async fn query(&self, backend: &Backend, query: &str, at_ms: i64) -> Result<Body, Trouble> {
        let limit = self.limits.look;
        // Not `at`, which knows whole seconds only.
        let request = self.api(backend)?.query(query).query("time", seconds(at_ms)).timeout(millis(limit));
        self.send(backend, request.post_raw(), limit).await
    }

    /// Asks `query` from `start_seconds` to `end_seconds` every `step_seconds`.
    pub(crate) async fn query_range(
        &self,
        backend: &Backend,
        query: &str,
        start_seconds: i64,
        end_seconds: i64,
        step_seconds: u64,
    ) -> Result<Body, Trouble> {
        let limit = self.limits.history;
        let request =
            self.api(backend)?.query_range(query, start_seconds, end_seconds, step_seconds as f64).timeout(millis(limit));
        self.send(backend, request.post_raw(), limit).await
    }

    fn api(&self, backend: &Backend) -> Result<api::Client, Trouble> {
        let unreachable = |detail| Trouble::Unreachable { url: backend.shown(), detail };
        let http = self.http.clone().map_err(unreachable)?;
        api::Client::from(http, backend.base().as_str()).map_err(|e| unreachable(innermost(&e)))
    }

    /// The answer is read here and not by the library: it would drop warnings, and read without a limit of size.
    async fn send(
        &self,
        backend: &Backend,
        request: impl Future<Output = Result<Response, api::Error>>,
        limit: Duration,
    ) -> Result<Body, Trouble> {
        self.stats.sent();
        let begun = Instant::now();
        let answer = tokio::time::timeout(limit, async {
            let response = request.await.map_err(|e| self.unsent(backend, &e))?;
            self.read(backend, response).await
        })
        .await
        .unwrap_or_else(|_| Err(Trouble::TimedOut { url: backend.shown(), after: limit }));
        self.stats.waited(begun.elapsed());
        if answer.is_err() {
            self.stats.failed();
        }
        answer
    }

    async fn read(&self, backend: &Backend, mut response: Response) -> Result<Body, Trouble> {
        let status = response.status();
        let limit = if status == StatusCode::OK { self.limits.bytes } else { MAX_ERROR_BYTES };
        let date = response.headers().get("date").and_then(|d| d.to_str().ok()).map(str::to_owned);
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| self.broken(backend, &e))? {
            self.stats.read(chunk.len());
            if bytes.len() + chunk.len() > limit {
                if status == StatusCode::OK {
                    return Err(Trouble::TooLarge { limit });
                }
                break;
            }
            bytes.extend_from_slice(&chunk);
        }
        if status == StatusCode::OK {
            return Ok(Body { bytes, date });
        }
        // Only Prometheus' own words are shown: what another server says may be no business of whoever wrote the URL.
        let detail = reply::error_of(&bytes).unwrap_or_else(|| status.canonical_reason().unwrap_or("no reason given").to_owned());
        let (url, status) = (backend.shown(), status.as_u16());
        Err(if status >= 500 || status == 429 {
            Trouble::Failing { url, status, detail }
        } else {
            Trouble::Refused { url, status, detail }
        })
    }

    fn unsent(&self, backend: &Backend, error: &api::Error) -> Trouble {
        match error {
            api::Error::Client(client) if let Some(error) = client.inner() => self.broken(backend, error),
            other => Trouble::Unreachable { url: backend.shown(), detail: innermost(other) },
        }
    }

    fn broken(&self, backend: &Backend, error: &reqwest::Error) -> Trouble {
        let url = backend.shown();
        if error.is_timeout() {
            return Trouble::TimedOut { url, after: if error.is_connect() { self.limits.connect } else { self.limits.look } };
        }
        // An error without a cause names the address itself.
        let address = error.url().map(|url| format!(" for url ({url})")).unwrap_or_default();
        let detail = innermost(error).replace(&address, "").chars().take(MAX_DETAIL_CHARS).collect();
        Trouble::Unreachable { url, detail }
    }
}

/// The cause that names the matter: what is wrapped around it only says that a request failed.
pub(super) fn innermost(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |e| e.source()).last().map_or_else(String::new, ToString::to_string)
}

/// An instant as Prometheus reads it, to the millisecond.
fn seconds(ms: i64) -> String {
    format!("{}.{:03}", ms.div_euclid(1000), ms.rem_euclid(1000))
}

fn millis(limit: Duration) -> i64 {
    i64::try_from(limit.as_millis()).unwrap_or(i64::MAX)
}
