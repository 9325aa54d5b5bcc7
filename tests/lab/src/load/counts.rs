//! What became of requests, in numbers.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The account of one version in one bucket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// The start of the bucket.
    pub at_ms: u64,
    /// What became of the requests sent in it.
    #[serde(flatten)]
    pub counts: Counts,
}

/// What became of requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Answered with a status below 400.
    pub ok: u64,
    /// Answered with 5xx.
    pub status_5xx: u64,
    /// Answered with 4xx; a gateway that has no route answers 404.
    pub status_4xx: u64,
    /// No connection could be made.
    pub connect: u64,
    /// The connection broke before the answer was complete.
    pub broken: u64,
    /// No complete answer within the limit.
    pub timeout: u64,
    /// The sum of all latencies, from sending to the end of the answer, in microseconds.
    pub latency_sum_us: u64,
    /// The worst latency, in microseconds.
    pub latency_max_us: u64,
}

impl Counts {
    /// Requests that failed, in whatever way.
    #[must_use]
    pub const fn failed(&self) -> u64 {
        self.status_5xx + self.status_4xx + self.connect + self.broken + self.timeout
    }

    /// All requests.
    #[must_use]
    pub const fn sent(&self) -> u64 {
        self.ok + self.failed()
    }

    /// The mean latency; zero without requests.
    #[must_use]
    pub fn latency_mean(&self) -> Duration {
        Duration::from_micros(self.latency_sum_us.checked_div(self.sent()).unwrap_or_default())
    }

    /// The worst latency.
    #[must_use]
    pub const fn latency_max(&self) -> Duration {
        Duration::from_micros(self.latency_max_us)
    }

    pub(super) const fn add(&mut self, other: &Self) {
        self.ok += other.ok;
        self.status_5xx += other.status_5xx;
        self.status_4xx += other.status_4xx;
        self.connect += other.connect;
        self.broken += other.broken;
        self.timeout += other.timeout;
        self.latency_sum_us += other.latency_sum_us;
        if other.latency_max_us > self.latency_max_us {
            self.latency_max_us = other.latency_max_us;
        }
    }
}
