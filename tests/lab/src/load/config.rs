//! What a load is asked to do, and the check that it may.

use std::fmt;
use std::time::Duration;

use hyper::Method;
use hyper::header::{HOST, HeaderMap, HeaderName, HeaderValue};
use hyper::http::Uri;

use super::target::{Endpoint, TargetError};

/// Requests per second; more than one thread could keep on the beat.
const RATE_MAX: u32 = 2000;
/// Every load has an end, also one that is forgotten; it also bounds what a report holds.
const RUN_MAX: Duration = Duration::from_secs(3600);
/// Longer than any answer a test waits for.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// What a load is asked to do.
#[derive(Debug, Clone)]
pub struct Config {
    /// The gateway: `http://127.0.0.1:PORT`; a path in it counts where [`path`](Self::path) is `/`.
    pub url: String,
    /// The Host header, where it differs from the URL's.
    pub host: Option<String>,
    /// Path and query of every request.
    pub path: String,
    /// Further headers, name and value.
    pub headers: Vec<(String, String)>,
    /// Requests per second, 1 to 2000.
    pub rate: u32,
    /// When to end; without it, the load runs until it is stopped, an hour at most.
    pub duration: Option<Duration>,
    /// The limit of one request, connecting included.
    pub timeout: Duration,
}

impl Config {
    /// `rate` GET requests per second for `url`, until stopped.
    #[must_use]
    pub fn new(url: impl Into<String>, rate: u32) -> Self {
        Self {
            url: url.into(),
            host: None,
            path: "/".to_owned(),
            headers: Vec::new(),
            rate,
            duration: None,
            timeout: REQUEST_TIMEOUT,
        }
    }

    pub(super) fn plan(&self) -> Result<Plan, ConfigError> {
        if !(1..=RATE_MAX).contains(&self.rate) {
            return Err(ConfigError::Rate(self.rate));
        }
        let endpoint: Endpoint = self.url.parse().map_err(ConfigError::Target)?;
        endpoint.require_local().map_err(ConfigError::Target)?;
        let path = match self.path.as_str() {
            "/" => endpoint.path().clone(),
            path if path.starts_with('/') => path.parse().map_err(|_| ConfigError::Path(self.path.clone()))?,
            _ => return Err(ConfigError::Path(self.path.clone())),
        };
        let mut headers = HeaderMap::new();
        headers.insert(HOST, header_value("host", self.host.as_deref().unwrap_or(endpoint.authority()))?);
        for (name, value) in &self.headers {
            let key: HeaderName = name.parse().map_err(|_| ConfigError::Header(name.clone()))?;
            headers.append(key, header_value(name, value)?);
        }
        Ok(Plan {
            endpoint,
            path,
            headers,
            rate: self.rate,
            duration: self.duration.map_or(RUN_MAX, |duration| duration.min(RUN_MAX)),
            timeout: self.timeout,
        })
    }
}

fn header_value(name: &str, value: &str) -> Result<HeaderValue, ConfigError> {
    HeaderValue::from_str(value).map_err(|_| ConfigError::Header(name.to_owned()))
}

/// A [`Config`] that was found to be in order.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) endpoint: Endpoint,
    pub(super) path: Uri,
    pub(super) headers: HeaderMap,
    pub(super) rate: u32,
    pub(super) duration: Duration,
    pub(super) timeout: Duration,
}

impl Plan {
    pub(super) const METHOD: Method = Method::GET;

    /// When request `n` is due, after the start.
    pub(super) fn due(&self, n: u64) -> Duration {
        let rate = u64::from(self.rate);
        let rest = u128::from(n % rate) * 1_000_000_000 / u128::from(rate);
        // Less than a second's nanoseconds by construction.
        Duration::new(n / rate, u32::try_from(rest).unwrap_or_default())
    }
}

/// Why a load does not start.
#[derive(Debug)]
pub enum ConfigError {
    /// The URL is refused.
    Target(TargetError),
    /// The rate is out of range.
    Rate(u32),
    /// The path is not one.
    Path(String),
    /// The header of this name cannot be sent.
    Header(String),
    /// The system gives no thread or no runtime.
    Thread(std::io::Error),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Target(error) => error.fmt(out),
            Self::Rate(rate) => write!(out, "{rate} requests/s is refused: write a rate between 1 and {RATE_MAX}"),
            Self::Path(path) => write!(out, "`{path}` is no path: write one that begins with /"),
            Self::Header(name) => write!(out, "header `{name}` cannot be sent: name and value must be plain text"),
            Self::Thread(error) => write!(out, "the load's thread cannot be started: {error}"),
        }
    }
}

impl std::error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_rate_then_requests_are_due_on_an_exact_grid() {
        let plan = |rate| Config::new("http://127.0.0.1:1", rate).plan();
        for (rate, n, due) in [
            (200, 0, Duration::ZERO),
            (200, 1, Duration::from_millis(5)),
            (200, 2001, Duration::from_millis(10_005)),
            (3, 1, Duration::from_nanos(333_333_333)),
            (3, 3_000_000, Duration::from_secs(1_000_000)),
        ] {
            assert_eq!(plan(rate).ok().map(|plan| plan.due(n)), Some(due), "{rate} {n}");
        }
    }

    #[test]
    fn given_a_wrong_config_then_it_is_refused() {
        let good = Config::new("http://127.0.0.1:1/a", 10);
        assert!(good.plan().is_ok_and(|plan| plan.path == "/a"));
        let path = Config { path: "b".to_owned(), ..good.clone() };
        assert!(matches!(path.plan(), Err(ConfigError::Path(_))));
        let header = Config { headers: vec![("x y".to_owned(), String::new())], ..good.clone() };
        assert!(matches!(header.plan(), Err(ConfigError::Header(_))));
        for rate in [0, RATE_MAX + 1] {
            assert!(matches!(Config { rate, ..good.clone() }.plan(), Err(ConfigError::Rate(_))));
        }
        let far = Config { url: "http://192.0.2.1/".to_owned(), ..good };
        assert!(matches!(far.plan(), Err(ConfigError::Target(_))));
    }
}
