//! From the rows of an answer to samples of pods.

use std::collections::BTreeMap;

use super::{
    promql::Part,
    reply::{Row, Value, millis},
    shape::{Selectors, Target},
    trouble::Trouble,
};

/// One pod's counters at one instant. What is not known is `None`, never a zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodSample {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub pod: String,
    /// Requests since its process began.
    pub requests: Option<u64>,
    /// Failed or slow requests since its process began. Zero where requests are known and no failure was ever counted:
    /// labelled counters appear with their first failure.
    pub failures: Option<u64>,
    /// Whether a series of failures exists.
    pub failures_exist: bool,
    /// Whether there are series beside them that are no failures, of that name and with the labels that the selector of failures asks
    /// for. Where no pod has any of both the selector is wrong, or nothing ever failed and what it asks for comes with the first failure.
    pub siblings: bool,
    /// When Prometheus read the older of the two, in milliseconds of its own clock.
    pub scraped_at_ms: Option<i64>,
    /// Whether Prometheus can scrape the pod; `None` where it does not try.
    pub up: Option<bool>,
}

/// What an answer says of each pod.
pub(crate) type Pods = BTreeMap<(String, String), PodRows>;

/// The parts of one pod.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct PodRows(BTreeMap<Part, Value>);

/// Sorts the rows of a look by pod.
pub(crate) fn by_pod(rows: Vec<Row>) -> Result<Pods, Trouble> {
    let mut pods = Pods::new();
    for Row { labels, value } in rows {
        let Some(part) = labels.part() else {
            return Err(Trouble::Undecodable { detail: "a series that was not asked for".to_owned() });
        };
        // Series of no pod cannot be asked for either, but VictoriaMetrics and others differ in what an empty label matches.
        let pod = pods.entry((labels.namespace, labels.pod)).or_default();
        if pod.0.insert(part, value).is_some() {
            return Err(Trouble::Undecodable { detail: format!("two values for the {} of one pod", part.label()) });
        }
    }
    Ok(pods)
}

impl PodRows {
    fn number(&self, part: Part) -> Option<f64> {
        match self.0.get(&part) {
            Some(Value::Number(number)) => Some(*number),
            _ => None,
        }
    }

    fn count(&self, pod: &str, part: Part) -> Result<Option<u64>, Trouble> {
        match self.0.get(&part) {
            None => Ok(None),
            Some(Value::Histogram) => Err(Trouble::NativeHistogram { pod: pod.to_owned(), what: part.label() }),
            Some(Value::Number(number)) => count(pod, part.label(), *number).map(Some),
        }
    }

    /// When Prometheus read the requests.
    pub(crate) fn read_at_ms(&self) -> Option<i64> {
        self.number(Part::ReadAt).map(millis)
    }

    /// Whether a counter of requests began anew.
    pub(crate) fn began_anew(&self) -> bool {
        self.number(Part::Resets).is_some_and(|resets| resets > 0.0)
    }

    fn sample(&self, selectors: &Selectors, namespace: &str, pod: &str) -> Result<PodSample, Trouble> {
        self.read_once(pod)?;
        let requests = self.count(pod, Part::Requests)?;
        let (failures, failures_exist) = match (selectors, requests) {
            (Selectors::Requests { .. }, _) => {
                let failures = self.count(pod, Part::Failures)?;
                (requests.map(|_| failures.unwrap_or(0)), failures.is_some())
            }
            (Selectors::Histogram { edge_ms, .. }, Some(requests)) => (Some(self.slow(pod, requests, *edge_ms)?), true),
            (Selectors::Histogram { .. }, None) if self.0.contains_key(&Part::Native) => {
                return Err(Trouble::NativeHistogram { pod: pod.to_owned(), what: Part::Requests.label() });
            }
            (Selectors::Histogram { .. }, None) => (None, false),
        };
        let read = [self.number(Part::ReadAt), self.number(Part::FailuresReadAt)];
        Ok(PodSample {
            namespace: namespace.to_owned(),
            pod: pod.to_owned(),
            requests,
            failures,
            failures_exist,
            siblings: self.0.contains_key(&Part::Siblings),
            scraped_at_ms: requests.and_then(|_| read.into_iter().flatten().map(millis).min()),
            up: self.number(Part::Up).map(|up| up > 0.0),
        })
    }

    fn slow(&self, pod: &str, requests: u64, edge_ms: u64) -> Result<u64, Trouble> {
        let quick = self.count(pod, Part::Quick)?;
        let quick = quick.ok_or_else(|| Trouble::NoSuchEdge {
            pod: pod.to_owned(),
            edge_seconds: edge_ms as f64 / 1000.0,
            nearest: Vec::new(),
        })?;
        requests.checked_sub(quick).ok_or_else(|| Trouble::Incoherent {
            pod: pod.to_owned(),
            detail: format!("{quick} requests within {edge_ms} ms, but {requests} in all"),
        })
    }

    fn read_once(&self, pod: &str) -> Result<(), Trouble> {
        for (part, what) in [(Part::Targets, "requests"), (Part::FailureTargets, "failures"), (Part::Copies, "requests")] {
            if let Some(times) = self.number(part).filter(|times| *times > 1.0) {
                return Err(Trouble::ScrapedTwice { pod: pod.to_owned(), what, times: times as u64 });
            }
        }
        Ok(())
    }
}

/// The pods of one target.
pub(crate) fn of_target<'p>(target: &Target, pods: &'p Pods) -> impl Iterator<Item = (&'p str, &'p PodRows)> {
    pods.iter().filter(|((namespace, pod), _)| target.owns(namespace, pod)).map(|((_, pod), rows)| (pod.as_str(), rows))
}

/// The samples of one target; its first trouble, if there is one.
pub(crate) fn samples(selectors: &Selectors, target: &Target, pods: &Pods) -> Result<Vec<PodSample>, Trouble> {
    let samples = of_target(target, pods).map(|(pod, rows)| rows.sample(selectors, &target.namespace, pod));
    if target.whole_namespace {
        // What is wrong with one workload's pod is no other's trouble: it is left out, and missed by whoever needs it.
        return Ok(samples.filter_map(Result::ok).collect());
    }
    samples.collect()
}

/// Largest whole number up to which a float holds every one.
const MAX_COUNT: f64 = 9_007_199_254_740_992.0;

/// A counter's value.
pub(crate) fn count(pod: &str, what: &'static str, number: f64) -> Result<u64, Trouble> {
    if number.fract() == 0.0 && (0.0..=MAX_COUNT).contains(&number) {
        Ok(number as u64)
    } else {
        Err(Trouble::NotACount { pod: pod.to_owned(), what, value: number.to_string() })
    }
}

/// The bounds nearest to `edge_seconds`, nearest first, as the histogram writes them.
pub(crate) fn nearest_edges(rows: &[Row], pod: &str, edge_seconds: f64) -> Vec<String> {
    let bounds =
        rows.iter().filter(|r| r.labels.pod == pod).filter_map(|r| Some((r.labels.le.parse::<f64>().ok()?, &r.labels.le)));
    let mut bounds: Vec<_> = bounds.filter(|(bound, _)| bound.is_finite()).collect();
    bounds.sort_by(|a, b| (a.0 - edge_seconds).abs().total_cmp(&(b.0 - edge_seconds).abs()));
    bounds.into_iter().take(MAX_NEAREST).map(|(_, text)| text.clone()).collect()
}

/// How many bounds are offered.
const MAX_NEAREST: usize = 5;
