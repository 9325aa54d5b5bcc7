//! Requests and failures a second of a workload, asked of Prometheus, with limits of time and size.

use std::time::Duration;

use jiff::SignedDuration;
use reqwest::{Client, Url, redirect};
use serde::Deserialize;

use crate::{cluster::chain, words};

/// To connect, and for a whole answer: what takes longer is not found out by waiting.
const LIMITS: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(15));
/// Bytes of an answer: it holds one number.
const MOST_BYTES: usize = 64 * 1024;
/// What the traffic is the mean of, in the words of a query and in seconds.
const OVER: (&str, f64) = ("30m", 1800.0);
/// How often the age of the history is looked for in that time: it is known to this.
const AGE_STEP: &str = "10s";
/// History shorter than this part of the whole time is told of, and what it holds is divided by its own length.
const WHOLE: f64 = 0.95;
/// Seconds of history without which a mean says nothing.
const SHORTEST: f64 = 20.0;
/// Letters of an answer that are shown.
const SHOWN: usize = 200;

/// What comes to a service.
#[derive(Clone, Debug, PartialEq)]
pub struct Traffic {
    /// Requests a second.
    pub requests: f64,
    /// Share of them that fails, from 0 to 1.
    pub failing: f64,
    /// Where it was found.
    pub from: String,
}

#[derive(Deserialize)]
struct Answer {
    status: String,
    error: Option<String>,
    data: Option<Data>,
}

#[derive(Deserialize)]
struct Data {
    result: Vec<Sample>,
}

#[derive(Deserialize)]
struct Sample {
    value: (f64, String),
}

/// Reads the traffic of a Deployment.
///
/// # Errors
/// What came instead, in words.
pub async fn read(url: &str, requests: &str, failures: &str, namespace: &str, deployment: &str) -> Result<Traffic, String> {
    let pods = format!("namespace=\"{namespace}\",pod=~\"{}-[a-z0-9]+-[a-z0-9]+\"", deployment.replace('.', "\\\\."));
    let over = OVER.0;
    let query = |selector: &str| Ok::<_, String>(format!("sum(rate({}[{over}]))", with(selector, &pods)?));
    let (of_requests, of_failures) = (query(requests)?, query(failures)?);
    let of_age = format!("time() - min(min_over_time(timestamp({})[{over}:{AGE_STEP}]))", with(requests, &pods)?);
    let endpoint = endpoint(url)?;
    let client = Client::builder()
        .connect_timeout(LIMITS.0)
        .timeout(LIMITS.1)
        .redirect(redirect::Policy::none())
        .user_agent(concat!("kubectl-firebreak/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| chain(&error))?;
    // A source that cannot say how much it knows is taken to know all.
    let age = async { Ok(ask(&client, &endpoint, &of_age).await.unwrap_or_default()) };
    let (requests, failures, age) =
        futures::try_join!(ask(&client, &endpoint, &of_requests), ask(&client, &endpoint, &of_failures), age)?;
    let requests = requests.filter(|requests| *requests > 0.0).ok_or_else(|| {
        format!("no requests in the last {over} ({of_requests}); a workload without traffic cannot be simulated by it")
    })?;
    // No series of failures is none that failed; the rates of two counters may not be of the same moment.
    let failing = (failures.unwrap_or(0.0) / requests).clamp(0.0, 1.0);
    Ok(mean(requests, failing, age))
}

/// The traffic by what Prometheus divided by the whole time, although it may know less of it: `age` is of how many seconds.
fn mean(requests: f64, failing: f64, age: Option<f64>) -> Traffic {
    let (over, whole) = OVER;
    match age.filter(|age| *age < WHOLE * whole) {
        None => Traffic { requests, failing, from: format!("mean of the last {over} in Prometheus") },
        Some(age) => {
            let age = age.max(SHORTEST);
            let known = words::span(SignedDuration::try_from_secs_f64(age.round()).unwrap_or_default());
            let from = format!("mean of {known}: Prometheus has no more of the last {over}");
            Traffic { requests: requests * whole / age, failing, from }
        }
    }
}

/// A plain selector with more matchers.
fn with(selector: &str, more: &str) -> Result<String, String> {
    let selector = selector.trim();
    let (name, inside) = match selector.split_once('{') {
        None => (selector, ""),
        Some((name, rest)) => {
            let inside = rest.strip_suffix('}').ok_or_else(|| format!("`{selector}` is no plain selector"))?;
            (name.trim(), inside.trim().trim_end_matches(','))
        }
    };
    let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == ':';
    if name.is_empty() || !name.chars().all(plain) {
        return Err(format!("`{selector}` is no plain selector"));
    }
    let comma = if inside.is_empty() { "" } else { "," };
    Ok(format!("{name}{{{inside}{comma}{more}}}"))
}

fn endpoint(url: &str) -> Result<Url, String> {
    let wrong = |why: &str| format!("`{url}` is no address of a Prometheus ({why})");
    let mut endpoint = Url::parse(url.trim()).map_err(|error| wrong(&error.to_string()))?;
    if !matches!(endpoint.scheme(), "http" | "https") {
        return Err(wrong("it begins with http:// or https://"));
    }
    let path = format!("{}/api/v1/query", endpoint.path().trim_end_matches('/'));
    endpoint.set_path(&path);
    Ok(endpoint)
}

/// One number; none where no series answers.
async fn ask(client: &Client, endpoint: &Url, query: &str) -> Result<Option<f64>, String> {
    let mut url = endpoint.clone();
    url.query_pairs_mut().append_pair("query", query);
    let mut response = client.get(url).send().await.map_err(|error| chain(&error.without_url()))?;
    let status = response.status();
    let mut body = Vec::new();
    while let Some(part) = response.chunk().await.map_err(|error| chain(&error.without_url()))? {
        body.extend_from_slice(&part);
        if body.len() > MOST_BYTES {
            return Err(format!("an answer of more than {MOST_BYTES} bytes: is this Prometheus' query API?"));
        }
    }
    let shown = || String::from_utf8_lossy(&body).chars().take(SHOWN).collect::<String>();
    let answer: Answer =
        serde_json::from_slice(&body).map_err(|_| format!("it answers {status} and not as Prometheus does: {}", shown()))?;
    if answer.status != "success" {
        return Err(format!("it answers: {}", answer.error.unwrap_or_else(shown)));
    }
    let first = answer.data.and_then(|data| data.result.into_iter().next());
    let number = first.and_then(|sample| sample.value.1.parse::<f64>().ok());
    Ok(number.filter(|number| number.is_finite()))
}

#[cfg(test)]
mod tests;
