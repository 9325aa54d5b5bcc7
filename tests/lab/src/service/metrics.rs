//! The request metrics, in Prometheus' text format 0.0.4.
//!
//! Every series exists from the first scrape on, at zero: a counter that appears with its first increment loses that
//! increment, because Prometheus has nothing to subtract from.

use std::fmt::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::Method;

use super::values::VersionName;

/// The media type of [`Metrics::render`].
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

const CODES: [u16; 2] = [200, 500];
const METHODS: [&str; 3] = ["GET", "POST", "other"];
const PATHS: [&str; 3] = ["/", "/api", "other"];
/// Upper bounds of the histogram, in seconds; `+Inf` follows.
const BOUNDS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.3, 0.5, 1.0, 2.5, 5.0, 10.0];

/// The counters of one process. One lock, so that a scrape sees counter and histogram of the same requests.
#[derive(Debug)]
pub(super) struct Metrics {
    version: VersionName,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    requests: Vec<Series>,
    within: [u64; BOUNDS.len()],
    count: u64,
    sum: Duration,
}

#[derive(Debug)]
struct Series {
    code: u16,
    method: &'static str,
    path: &'static str,
    count: u64,
}

impl Metrics {
    pub(super) fn new(version: VersionName) -> Self {
        let requests = CODES
            .into_iter()
            .flat_map(|code| METHODS.map(|method| (code, method)))
            .flat_map(|(code, method)| PATHS.map(|path| Series { code, method, path, count: 0 }))
            .collect();
        let state = State { requests, within: [0; BOUNDS.len()], count: 0, sum: Duration::ZERO };
        Self { version, state: Mutex::new(state) }
    }

    /// Counts one request. Call it before the answer is written: whoever has seen an answer must find it counted.
    pub(super) fn count(&self, code: u16, method: &Method, path: &str, took: Duration) {
        let (method, path) = (method_class(method), path_class(path));
        let mut state = self.state();
        let series = state.requests.iter_mut().find(|s| s.code == code && s.method == method && s.path == path);
        if let Some(series) = series {
            series.count += 1;
        }
        let seconds = took.as_secs_f64();
        for (bound, within) in BOUNDS.iter().zip(&mut state.within) {
            if seconds <= *bound {
                *within += 1;
            }
        }
        state.count += 1;
        state.sum += took;
    }

    /// The whole page of a scrape.
    pub(super) fn render(&self) -> String {
        let mut page = String::with_capacity(2600);
        // Writing to a String cannot fail.
        let _ = self.write(&mut page);
        page
    }

    fn write(&self, page: &mut String) -> std::fmt::Result {
        let state = self.state();
        writeln!(page, "# HELP http_requests_total Requests answered.\n# TYPE http_requests_total counter")?;
        for Series { code, method, path, count } in &state.requests {
            writeln!(page, "http_requests_total{{code=\"{code}\",method=\"{method}\",path=\"{path}\"}} {count}")?;
        }
        writeln!(page, "# HELP http_request_duration_seconds Time from the request to its answer.")?;
        writeln!(page, "# TYPE http_request_duration_seconds histogram")?;
        for (bound, within) in BOUNDS.iter().zip(&state.within) {
            writeln!(page, "http_request_duration_seconds_bucket{{le=\"{bound}\"}} {within}")?;
        }
        writeln!(page, "http_request_duration_seconds_bucket{{le=\"+Inf\"}} {}", state.count)?;
        writeln!(page, "http_request_duration_seconds_sum {}", state.sum.as_secs_f64())?;
        writeln!(page, "http_request_duration_seconds_count {}", state.count)?;
        writeln!(page, "# HELP demo_info The version this pod runs.\n# TYPE demo_info gauge")?;
        writeln!(page, "demo_info{{version=\"{}\"}} 1", self.version)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn method_class(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        _ => "other",
    }
}

fn path_class(path: &str) -> &'static str {
    match path {
        "/" => "/",
        "/api" => "/api",
        _ if path.starts_with("/api/") => "/api",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(requests: &[(u16, &Method, &str, u64)]) -> String {
        let metrics = Metrics::new("v2".parse().unwrap_or_default());
        for (code, method, path, millis) in requests {
            metrics.count(*code, method, path, Duration::from_millis(*millis));
        }
        metrics.render()
    }

    #[track_caller]
    fn assert_line(page: &str, line: &str) {
        assert!(page.lines().any(|l| l == line), "no line `{line}` in\n{page}");
    }

    #[test]
    fn given_no_request_then_every_series_is_there_at_zero() {
        let page = page(&[]);
        for code in [200, 500] {
            assert_line(&page, &format!("http_requests_total{{code=\"{code}\",method=\"GET\",path=\"/\"}} 0"));
        }
        assert_line(&page, "http_request_duration_seconds_bucket{le=\"+Inf\"} 0");
        assert_line(&page, "http_request_duration_seconds_sum 0");
        assert_line(&page, "demo_info{version=\"v2\"} 1");
        assert_eq!(page.lines().filter(|line| line.starts_with("http_requests_total")).count(), 18);
        assert!(page.ends_with('\n'));
    }

    #[test]
    fn given_requests_then_each_is_in_one_series_and_in_every_bucket_above_it() {
        let page =
            page(&[(200, &Method::GET, "/", 5), (500, &Method::GET, "/api/carts/7", 260), (200, &Method::DELETE, "/x", 20_000)]);
        assert_line(&page, "http_requests_total{code=\"200\",method=\"GET\",path=\"/\"} 1");
        assert_line(&page, "http_requests_total{code=\"500\",method=\"GET\",path=\"/api\"} 1");
        assert_line(&page, "http_requests_total{code=\"200\",method=\"other\",path=\"other\"} 1");
        assert_line(&page, "http_request_duration_seconds_bucket{le=\"0.005\"} 1");
        assert_line(&page, "http_request_duration_seconds_bucket{le=\"0.25\"} 1");
        assert_line(&page, "http_request_duration_seconds_bucket{le=\"0.3\"} 2");
        assert_line(&page, "http_request_duration_seconds_bucket{le=\"10\"} 2");
        assert_line(&page, "http_request_duration_seconds_bucket{le=\"+Inf\"} 3");
        assert_line(&page, "http_request_duration_seconds_sum 20.265");
        assert_line(&page, "http_request_duration_seconds_count 3");
    }
}
