//! What keeps an answer from being judged.

use std::time::Duration;

/// What to expect of a [`Trouble`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The backend's side: it is asked again and again, and may answer the next time.
    Retry,
    /// The data are not in order at the moment; they may be at a later look.
    Wait,
    /// Someone has to write something else.
    Invalid,
}

/// Why there is no answer that can be judged. Each message says what happened and what to do.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Trouble {
    /// No connection, or it broke.
    #[error(
        "Prometheus at {url} cannot be reached ({detail}): check the URL, that it runs, and that network policies let the operator in"
    )]
    Unreachable {
        /// Its address, without credentials.
        url: String,
        /// What the connection said.
        detail: String,
    },
    /// No pod of a workload, or of one of its arms, can be asked for its metrics page.
    #[error("the metrics pages at {url} cannot be read: {detail}")]
    PagesUnread {
        /// Where they are.
        url: String,
        /// A pod, what it said, and what to do.
        detail: String,
    },
    /// What pods ask for, or are known by, cannot be had.
    #[error("spec.metrics.pods: {key} cannot be used: {detail}")]
    KeyUnread {
        /// Where it is kept; never what it is.
        key: String,
        /// What happened, and what to do.
        detail: String,
    },
    /// No whole answer in time.
    #[error(
        "Prometheus at {url} gave no whole answer within {after:?}: it is overloaded or far away; look at its query load, or make the selectors narrower"
    )]
    TimedOut {
        /// Its address, without credentials.
        url: String,
        /// The limit that ran out.
        after: Duration,
    },
    /// It answered that it cannot answer now.
    #[error("Prometheus at {url} cannot answer now (status {status}: {detail}): look at its log; the operator goes on asking")]
    Failing {
        /// Its address, without credentials.
        url: String,
        /// HTTP status.
        status: u16,
        /// Its own words.
        detail: String,
    },
    /// It does not accept the query.
    #[error("Prometheus at {url} refused the query (status {status}: {detail}): {}", advice(*.status))]
    Refused {
        /// Its address, without credentials.
        url: String,
        /// HTTP status.
        status: u16,
        /// Its own words.
        detail: String,
    },
    /// The answer is longer than what is read.
    #[error("the answer is longer than {limit} bytes: make the selectors narrower, so that fewer series match")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The backend says that its answer is not whole.
    #[error("Prometheus warns that its answer may be incomplete or wrong ({}): such an answer is not judged; mend what it warns of", .texts.join("; "))]
    Warnings {
        /// Its own words.
        texts: Vec<String>,
    },
    /// Not the whole, finite, non-negative number that a counter holds.
    #[error(
        "{what} of pod {pod} is {value}, which is no count: give a raw counter of requests, neither a rate, a sum of seconds nor a gauge"
    )]
    NotACount {
        /// The pod.
        pod: String,
        /// Which of the counters.
        what: &'static str,
        /// What was read.
        value: String,
    },
    /// A native histogram where a counter or a classic histogram is needed.
    #[error(
        "pod {pod} has a native histogram for {what}: for a histogram signal, have Prometheus keep the classic buckets too (always_scrape_classic_histograms: true); elsewhere name a counter"
    )]
    NativeHistogram {
        /// The pod.
        pod: String,
        /// Which of the counters.
        what: &'static str,
    },
    /// The histogram has no bucket that ends where requests begin to count as slow.
    #[error("the histogram of pod {pod} has no bucket with the upper bound {edge_seconds}: set slowerThan to one of its bounds ({})", edges(.nearest))]
    NoSuchEdge {
        /// The pod.
        pod: String,
        /// The bound asked for, in seconds.
        edge_seconds: f64,
        /// Bounds it has, as it writes them in seconds, the nearest first; empty if it has none or they are not known.
        nearest: Vec<String>,
    },
    /// Counters that contradict each other.
    #[error("the counters of pod {pod} contradict each other ({detail}): they are not judged until they agree")]
    Incoherent {
        /// The pod.
        pod: String,
        /// How.
        detail: String,
    },
    /// One pod's requests were read more than once, so they would be counted more than once.
    #[error(
        "pod {pod} is scraped {times} times for {what}, so each request would count {times} times: scrape it once, or add a matcher such as job=\"...\" or container=\"...\" that picks one"
    )]
    ScrapedTwice {
        /// The pod.
        pod: String,
        /// Which of the counters.
        what: &'static str,
        /// How often.
        times: u64,
    },
    /// Not the answer of a Prometheus query API.
    #[error(
        "the answer is none of a Prometheus query API ({detail}): check that the URL is that of Prometheus itself, with its path prefix if it has one"
    )]
    Undecodable {
        /// What is wrong with it.
        detail: String,
    },
    /// A selector that cannot be used.
    #[error("{field}: {detail}")]
    BadSelector {
        /// The field of the signal.
        field: &'static str,
        /// What is wrong and what to write.
        detail: String,
    },
    /// An address that cannot be used.
    #[error("{url:?} is no URL of a Prometheus ({detail}): write something like http://prometheus.monitoring:9090")]
    BadUrl {
        /// What was written, without credentials where that can be told.
        url: String,
        /// What is wrong.
        detail: String,
    },
    /// Nobody said where Prometheus is.
    #[error("no Prometheus is known: set spec.metrics.prometheus.url, or start the operator with --prometheus-url")]
    NoUrl,
    /// A bound of the operator is reached.
    #[error("more than {limit} {what} at once: wait for Changes to end, or use the same selectors in more Guards")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there may be.
        limit: usize,
    },
}

impl Trouble {
    /// One CamelCase word, as conditions carry it.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "BackendUnreachable",
            Self::PagesUnread { .. } => "PagesUnreadable",
            Self::KeyUnread { .. } => "KeyUnreadable",
            Self::TimedOut { .. } => "BackendTimeout",
            Self::Failing { .. } => "BackendFailing",
            Self::Refused { .. } => "QueryRefused",
            Self::TooLarge { .. } => "AnswerTooLarge",
            Self::Warnings { .. } => "AnswerIncomplete",
            Self::NotACount { .. } => "NotACount",
            Self::NativeHistogram { .. } => "NativeHistogram",
            Self::NoSuchEdge { .. } => "NoSuchEdge",
            Self::Incoherent { .. } => "CountersContradict",
            Self::ScrapedTwice { .. } => "ScrapedTwice",
            Self::Undecodable { .. } => "AnswerUndecodable",
            Self::BadSelector { .. } => "BadSelector",
            Self::BadUrl { .. } => "BadUrl",
            Self::NoUrl => "NoBackend",
            Self::TooMany { .. } => "TooManyWatches",
        }
    }

    /// Whether it may pass by itself.
    #[must_use]
    pub const fn class(&self) -> Class {
        match self {
            Self::Unreachable { .. }
            | Self::PagesUnread { .. }
            | Self::KeyUnread { .. }
            | Self::TimedOut { .. }
            | Self::Failing { .. } => Class::Retry,
            Self::Warnings { .. } | Self::Incoherent { .. } | Self::ScrapedTwice { .. } | Self::TooMany { .. } => Class::Wait,
            _ => Class::Invalid,
        }
    }

    /// Whether one target's data can spoil the answer for all targets of a query, so that asking for fewer helps the others.
    pub(crate) const fn may_be_anothers(&self) -> bool {
        match self {
            Self::TooLarge { .. } | Self::Warnings { .. } => true,
            Self::Refused { status, .. } => matches!(*status, 400 | 422),
            _ => false,
        }
    }
}

const fn advice(status: u16) -> &'static str {
    match status {
        300..=399 => "it redirects elsewhere; write that address",
        401 | 403 => "let the operator in, or name a Prometheus that does",
        404 | 405 => "there is no Prometheus query API at this URL; check its path prefix",
        _ => "correct the selectors of the signal",
    }
}

fn edges(nearest: &[String]) -> String {
    if nearest.is_empty() { "none found".to_owned() } else { format!("the nearest are {}", nearest.join(", ")) }
}
