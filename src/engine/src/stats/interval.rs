//! What both arms did between two looks, and which of it may be judged.

use serde::{Deserialize, Serialize};

/// Whole requests and whole failed requests of both arms in one interval, cut at the same instants.
///
/// Up to 10^7 per interval nothing is lost in double precision; sums saturate instead of wrapping.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Requests the candidate answered.
    pub n_c: u64,
    /// Requests stable answered.
    pub n_s: u64,
    /// Failed requests of the candidate.
    pub x_c: u64,
    /// Failed requests of stable.
    pub x_s: u64,
}

impl Counts {
    /// Counts in the order candidate requests, stable requests, candidate failures, stable failures.
    #[must_use]
    pub const fn new(n_c: u64, n_s: u64, x_c: u64, x_s: u64) -> Self {
        Self { n_c, n_s, x_c, x_s }
    }

    /// Both intervals taken as one.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            n_c: self.n_c.saturating_add(other.n_c),
            n_s: self.n_s.saturating_add(other.n_s),
            x_c: self.x_c.saturating_add(other.x_c),
            x_s: self.x_s.saturating_add(other.x_s),
        }
    }

    /// All intervals taken as one.
    #[must_use]
    pub fn total(intervals: &[Self]) -> Self {
        intervals.iter().fold(Self::default(), |sum, c| sum.plus(*c))
    }

    /// No arm has more failures than requests.
    #[must_use]
    pub const fn is_consistent(&self) -> bool {
        self.x_c <= self.n_c && self.x_s <= self.n_s
    }

    /// Neither requests nor failures in either arm.
    #[must_use]
    pub const fn is_silent(&self) -> bool {
        self.n_c == 0 && self.n_s == 0 && self.x_c == 0 && self.x_s == 0
    }

    /// Both arms answered at least one request, so the arms can be compared.
    #[must_use]
    pub const fn compares(&self) -> bool {
        self.n_c > 0 && self.n_s > 0
    }

    /// Requests of both arms.
    #[must_use]
    pub const fn requests(&self) -> u64 {
        self.n_c.saturating_add(self.n_s)
    }

    /// Failed requests of both arms.
    #[must_use]
    pub const fn failures(&self) -> u64 {
        self.x_c.saturating_add(self.x_s)
    }

    /// The candidate's share of all requests, in `0..=1`; `None` without requests.
    #[must_use]
    pub fn rho(&self) -> Option<f64> {
        share(self.n_c, self.requests())
    }

    /// The candidate's failure probability per request, `None` without requests of it.
    #[must_use]
    pub fn candidate_rate(&self) -> Option<f64> {
        share(self.x_c, self.n_c)
    }

    /// Stable's failure probability per request, `None` without requests of it.
    #[must_use]
    pub fn stable_rate(&self) -> Option<f64> {
        share(self.x_s, self.n_s)
    }

    /// The arms with their roles swapped: with successes counted instead of failures, the view in which fewer is worse.
    #[must_use]
    pub const fn swapped(self) -> Self {
        Self { n_c: self.n_s, n_s: self.n_c, x_c: self.x_s, x_s: self.x_c }
    }
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// What became of an interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mark {
    /// Judged: it is an evaluation, start mass was spent on it.
    Used,
    /// No traffic in either arm: not an evaluation, nothing changed.
    Silent,
    /// Failures were counted before their requests: kept, and added to the next interval.
    Pending,
}

/// Counts that could not be judged yet because failures outran their requests.
///
/// Judging them would give the candidate's first failure the factor g, whose mean is above 1; dropping
/// them would hide failures. So they wait until the requests they belong to have been counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting(Counts);

impl Waiting {
    /// Nothing waits.
    #[must_use]
    pub const fn new() -> Self {
        Self(Counts::new(0, 0, 0, 0))
    }

    /// Adds an interval; returns what may be judged now, and what became of the interval.
    pub fn admit(&mut self, interval: Counts) -> (Mark, Option<Counts>) {
        let counts = self.0.plus(interval);
        if counts.is_silent() {
            return (Mark::Silent, None);
        }
        if !counts.is_consistent() {
            self.0 = counts;
            return (Mark::Pending, None);
        }
        self.0 = Counts::default();
        (Mark::Used, Some(counts))
    }

    /// What is waiting.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.0
    }
}
