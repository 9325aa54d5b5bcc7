//! Counters about the queries themselves, for the operator's own metrics.

use std::sync::atomic::{AtomicU64, Ordering};

/// What the metrics source has done since it was made.
#[derive(Debug, Default)]
pub struct Stats {
    queries: AtomicU64,
    errors: AtomicU64,
    bytes: AtomicU64,
    micros: AtomicU64,
}

impl Stats {
    /// Queries sent.
    #[must_use]
    pub fn queries(&self) -> u64 {
        self.queries.load(Ordering::Relaxed)
    }

    /// Queries without an answer that could be read.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }

    /// Bytes of answers read.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Seconds spent waiting for answers, all queries together.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.micros.load(Ordering::Relaxed) as f64 / 1e6
    }

    /// All of them, each with its name and what it is.
    #[must_use]
    pub fn named(&self) -> [(&'static str, &'static str, u64); 4] {
        [
            ("metrics_queries", "Queries sent to metrics backends", self.queries()),
            ("metrics_query_errors", "Queries to metrics backends without an answer that could be read", self.errors()),
            ("metrics_answer_bytes", "Bytes of answers read from metrics backends", self.bytes()),
            (
                "metrics_query_microseconds",
                "Microseconds spent waiting for metrics backends",
                self.micros.load(Ordering::Relaxed),
            ),
        ]
    }

    pub(crate) fn sent(&self) {
        self.queries.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn failed(&self) {
        self.errors.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn read(&self, bytes: usize) {
        self.bytes.fetch_add(u64::try_from(bytes).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(crate) fn waited(&self, time: std::time::Duration) {
        self.micros.fetch_add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}
