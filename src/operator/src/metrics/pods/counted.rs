//! What a signal counts on a pod's page.

use regex::Regex;

use super::page::{self, Sample};
use crate::metrics::{
    reading::{PodSample, count},
    selector::{Operator, Selector},
    shape::Selectors,
    trouble::Trouble,
};

/// Labels that Prometheus adds when it reads a pod: the pod itself does not know them.
const ADDED: [&str; 2] = ["job", "instance"];
/// Bytes of a compiled regular expression.
const MOST_REGEX_BYTES: usize = 1 << 16;
/// When a process began, as most client libraries say it.
const STARTED: &str = "process_start_time_seconds";

/// Whose page it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Owner<'p> {
    pub(crate) namespace: &'p str,
    pub(crate) pod: &'p str,
}

/// A selector that is asked of samples.
#[derive(Debug, Clone)]
struct Series {
    name: String,
    tests: Vec<Test>,
}

#[derive(Debug, Clone)]
struct Test {
    label: String,
    negated: bool,
    against: Against,
}

#[derive(Debug, Clone)]
enum Against {
    Text(String),
    Pattern(Regex),
}

/// A signal that is counted on pages.
#[derive(Debug, Clone)]
pub(crate) struct Counted {
    requests: Series,
    second: Series,
    /// What is none of the second and could be.
    relaxed: Series,
    /// Where the second counts what is within this bound, in milliseconds.
    edge_ms: Option<u64>,
}

impl Series {
    fn of(field: &'static str, selector: &Selector) -> Result<Self, Trouble> {
        let bad = |detail: String| Trouble::BadSelector { field, detail };
        let tests = selector.matchers().map(|(label, operator, value)| {
            if ADDED.contains(&label) {
                return Err(bad(format!(
                    "the label {label} is added by Prometheus; metrics.pods reads the pods themselves, so leave it out"
                )));
            }
            let value = value.ok_or_else(|| bad(format!("the value of {label} has an escape that is not supported here")))?;
            let pattern = || {
                let anchored = format!("^(?s:{value})$");
                let built = regex::RegexBuilder::new(&anchored).size_limit(MOST_REGEX_BYTES).build();
                built.map(Against::Pattern).map_err(|error| bad(format!("the pattern of {label}: {error}")))
            };
            let against = match operator {
                Operator::Equal | Operator::Unequal => Against::Text(value.to_owned()),
                Operator::Like | Operator::Unlike => pattern()?,
            };
            Ok(Test { label: label.to_owned(), negated: matches!(operator, Operator::Unequal | Operator::Unlike), against })
        });
        Ok(Self { name: selector.name().to_owned(), tests: tests.collect::<Result<_, Trouble>>()? })
    }

    fn fits(&self, sample: &Sample<'_>, owner: Owner<'_>) -> bool {
        self.name == sample.name
            && self.tests.iter().all(|test| {
                let value = match test.label.as_str() {
                    "namespace" => owner.namespace,
                    "pod" => owner.pod,
                    label => sample.label(label),
                };
                let fits = match &test.against {
                    Against::Text(text) => text == value,
                    Against::Pattern(pattern) => pattern.is_match(value),
                };
                fits != test.negated
            })
    }
}

impl Counted {
    /// How to count a signal on pages.
    ///
    /// # Errors
    /// [`Trouble::BadSelector`], where a selector asks for what pages do not have.
    pub(crate) fn of(selectors: &Selectors) -> Result<Self, Trouble> {
        Ok(match selectors {
            Selectors::Requests { requests, failures, relaxed } => Self {
                requests: Series::of("requests", requests)?,
                second: Series::of("failures", failures)?,
                relaxed: Series::of("failures", relaxed)?,
                edge_ms: None,
            },
            Selectors::Histogram { histogram, edge_ms } => {
                let buckets = Series::of("histogram", &histogram.suffixed("_bucket"))?;
                Self {
                    requests: Series::of("histogram", &histogram.suffixed("_count"))?,
                    second: buckets.clone(),
                    relaxed: buckets,
                    edge_ms: Some(*edge_ms),
                }
            }
        })
    }

    fn wants(&self, name: &str) -> bool {
        self.requests.name == name || self.second.name == name
    }
}

/// One signal of one pod, and what it was summed from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Found {
    pub(crate) sample: PodSample,
    /// How many series it was summed from: where a sum falls and there are fewer, some have vanished.
    pub(crate) series: usize,
}

/// What a page says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Page {
    /// When the process began, in seconds; none where the page does not say.
    pub(crate) started: Option<f64>,
    /// One a signal.
    pub(crate) signals: Vec<Result<Found, Trouble>>,
}

/// Sums of one signal on one page.
#[derive(Default)]
struct Sums {
    series: usize,
    requests: Option<f64>,
    second: Option<f64>,
    siblings: bool,
    /// Bounds of the histogram's buckets, as they are written.
    bounds: Vec<String>,
}

/// What each signal counts on a page; `whole` as in [`page::read`].
///
/// # Errors
/// Where the page cannot be read.
pub(crate) fn count_all(text: &str, whole: bool, signals: &[Counted], owner: Owner<'_>, read_at_ms: i64) -> Result<Page, String> {
    let mut started = None;
    let mut sums: Vec<Sums> = signals.iter().map(|_| Sums::default()).collect();
    let wanted = |name: &str| name == STARTED || signals.iter().any(|signal| signal.wants(name));
    page::read(text, whole, wanted, |sample| {
        if sample.name == STARTED {
            started = Some(sample.value);
        }
        for (signal, sums) in signals.iter().zip(&mut sums) {
            sums.series += usize::from(signal.requests.fits(&sample, owner)) + usize::from(signal.second.fits(&sample, owner));
            sums.siblings |= signal.relaxed.fits(&sample, owner) && !signal.second.fits(&sample, owner);
            if signal.requests.fits(&sample, owner) {
                *sums.requests.get_or_insert(0.0) += sample.value;
            }
            if signal.second.fits(&sample, owner) {
                match signal.edge_ms {
                    None => *sums.second.get_or_insert(0.0) += sample.value,
                    Some(edge_ms) if is_bound(sample.label("le"), edge_ms) => *sums.second.get_or_insert(0.0) += sample.value,
                    Some(_) => sums.bounds.push(sample.label("le").to_owned()),
                }
            }
        }
    })?;
    let found = |(signal, sums): (&Counted, Sums)| {
        let series = sums.series;
        signal.sample(sums, owner, read_at_ms).map(|sample| Found { sample, series })
    };
    Ok(Page { started, signals: signals.iter().zip(sums).map(found).collect() })
}

/// Bounds are written in seconds, with or without a fraction.
fn is_bound(le: &str, edge_ms: u64) -> bool {
    le.parse::<f64>().is_ok_and(|bound| (bound * 1000.0 - edge_ms as f64).abs() < 1e-6)
}

impl Counted {
    fn sample(&self, sums: Sums, owner: Owner<'_>, read_at_ms: i64) -> Result<PodSample, Trouble> {
        let pod = owner.pod;
        let requests = sums.requests.map(|sum| count(pod, "requests", sum)).transpose()?;
        let second =
            sums.second.map(|sum| count(pod, if self.edge_ms.is_some() { "quick" } else { "failures" }, sum)).transpose()?;
        let failures = match (self.edge_ms, requests, second) {
            (_, None, _) => None,
            (None, Some(_), failures) => Some(failures.unwrap_or(0)),
            (Some(edge_ms), Some(_), None) => {
                let edge = edge_ms as f64 / 1000.0;
                return Err(Trouble::NoSuchEdge { pod: pod.to_owned(), edge_seconds: edge, nearest: nearest(sums.bounds, edge) });
            }
            (Some(edge_ms), Some(requests), Some(quick)) => Some(requests.checked_sub(quick).ok_or_else(|| {
                let detail = format!("{quick} requests within {edge_ms} ms, but {requests} in all");
                Trouble::Incoherent { pod: pod.to_owned(), detail }
            })?),
        };
        Ok(PodSample {
            namespace: owner.namespace.to_owned(),
            pod: pod.to_owned(),
            requests,
            failures,
            failures_exist: second.is_some(),
            siblings: sums.siblings,
            scraped_at_ms: requests.map(|_| read_at_ms),
            up: Some(true),
        })
    }
}

/// The bounds nearest to the one that is missing, nearest first.
fn nearest(mut bounds: Vec<String>, edge: f64) -> Vec<String> {
    const OFFERED: usize = 5;
    let distance = |bound: &String| bound.parse::<f64>().map_or(f64::INFINITY, |bound| (bound - edge).abs());
    bounds.retain(|bound| distance(bound).is_finite());
    bounds.sort_by(|a, b| distance(a).total_cmp(&distance(b)));
    bounds.dedup();
    bounds.truncate(OFFERED);
    bounds
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use crate::metrics::SignalShape;

    const PAGE: &str = r#"# TYPE http_requests_total counter
http_requests_total{code="200",path="/a"} 90
http_requests_total{code="404",path="/b,{c}"} 5
http_requests_total{code="503",path="/a"} 3
http_requests_total{code="500",path="/b"} 2
other_total 7
http_seconds_bucket{le="0.1"} 80
http_seconds_bucket{le="0.3"} 95
http_seconds_bucket{le="+Inf"} 100
http_seconds_sum 12.5
http_seconds_count 100
"#;

    fn requests(requests: &str, failures: &str) -> SignalShape {
        SignalShape::Requests { requests: requests.to_owned(), failures: failures.to_owned() }
    }

    fn counted(shape: &SignalShape) -> Result<PodSample, Trouble> {
        let signal = Counted::of(&Selectors::parse(shape)?)?;
        count_all(PAGE, false, &[signal], Owner { namespace: "shop", pod: "shop-x-abcde" }, 7)
            .unwrap()
            .signals
            .remove(0)
            .map(|found| found.sample)
    }

    #[rstest::rstest]
    #[case::all("http_requests_total", "http_requests_total{code=~\"5..\"}", (Some(100), Some(5)), true)]
    #[case::anchored("http_requests_total", "http_requests_total{code=~\"5\"}", (Some(100), Some(0)), true)]
    #[case::negated("http_requests_total{code!=\"404\"}", "http_requests_total{code!~\"2..|404\"}", (Some(95), Some(5)), true)]
    #[case::by_pod("http_requests_total{pod=\"shop-x-abcde\",namespace=\"shop\"}", "http_requests_total{pod!=\"shop-x-abcde\"}", (Some(100), Some(0)), true)]
    #[case::a_label_that_is_not_there("http_requests_total{zone=\"\"}", "http_requests_total{zone=\"x\"}", (Some(100), Some(0)), false)]
    #[case::failures_that_are_not_there("http_requests_total", "http_errors_total", (Some(100), Some(0)), false)]
    #[case::no_such_counter("nothing_total", "http_requests_total{code=~\"5..\"}", (None, None), true)]
    fn given_selectors_when_counted_then_as_prometheus_would(
        #[case] all: &str,
        #[case] failures: &str,
        #[case] expected: (Option<u64>, Option<u64>),
        #[case] shows: bool,
    ) {
        let sample = counted(&requests(all, failures)).unwrap();
        assert_eq!(sample.siblings || sample.failures_exist, shows);
        assert_eq!((sample.requests, sample.failures), expected);
        assert_eq!(sample.scraped_at_ms, expected.0.map(|_| 7));
    }

    #[test]
    fn given_a_histogram_when_counted_then_slow_is_what_is_beyond_the_bound() {
        let shape = |edge_ms| SignalShape::Histogram { histogram: "http_seconds".to_owned(), edge_ms };
        let sample = counted(&shape(300)).unwrap();
        assert_eq!((sample.requests, sample.failures), (Some(100), Some(5)));
        let Err(Trouble::NoSuchEdge { nearest, .. }) = counted(&shape(250)) else { panic!("no bound is 0.25") };
        assert_eq!(nearest[..2], ["0.3".to_owned(), "0.1".to_owned()]);
    }

    #[test]
    fn given_an_open_metrics_page_when_counted_then_by_its_totals_alone() {
        let page = "# TYPE http_requests counter\n# UNIT http_requests requests\n\
            http_requests_total{code=\"200\",path=\"/a \\\"b\\\" \\\\ {c}\"} 9.0 1700000000.5 # {trace_id=\"x } 7\"} 1.0 1700000000.1\n\
            http_requests_created{code=\"200\"} 1700000000.0\n\
            http_requests_total{code=\"503\"} 1 # {} 1\nother NaN\n# EOF\n";
        let signal = |failures| Counted::of(&Selectors::parse(&requests("http_requests_total", failures)).unwrap()).unwrap();
        let signals = [signal("http_requests_total{code=~\"5..\"}"), signal("other")];
        let read = count_all(page, true, &signals, Owner { namespace: "shop", pod: "shop-x-abcde" }, 7).unwrap();
        let [found, not_a_count] = &read.signals[..] else { panic!("two signals") };
        let sample = &found.as_ref().unwrap().sample;
        assert_eq!((sample.requests, sample.failures), (Some(10), Some(1)));
        assert!(matches!(not_a_count, Err(Trouble::NotACount { .. })), "{not_a_count:?}");
    }

    #[test]
    fn given_a_label_that_prometheus_adds_then_it_says_to_leave_it_out() {
        let error = counted(&requests("http_requests_total{job=\"shop\"}", "x")).unwrap_err().to_string();
        assert!(error.contains("leave it out"), "{error}");
    }
}
