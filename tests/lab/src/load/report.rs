//! What a load found, and the questions tests ask of it.
//!
//! Requests are accounted in the bucket in which they were *sent*; a request enters the account when its fate is known.
//! All times are since the start of the load.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::counts::{Cell, Counts};
use super::slippage::Slippage;

/// The length of a bucket: what the answers of a report are exact to.
pub const BUCKET: Duration = Duration::from_millis(100);
/// The version of requests that no pod answered: errors of the gateway, of connecting, timeouts.
pub const NO_VERSION: &str = "none";

const BUCKET_MS: usize = 100;

/// The fate of every request of one load, so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// When the load started, in milliseconds since 1970.
    pub started_unix_ms: u64,
    /// How long it has run, or ran.
    pub elapsed_ms: u64,
    /// Requests per second asked for.
    pub rate: u32,
    /// Requests that were due.
    pub due: u64,
    /// Requests that were due but not sent, because too many were waiting for their answers.
    pub unsent: u64,
    /// Requests sent whose fate is open. In a final report none.
    pub in_flight: u64,
    /// How late requests were sent.
    pub slippage: Slippage,
    /// The account of each version that answered, by the header x-version.
    pub versions: BTreeMap<String, VersionSeries>,
}

/// The account of one version.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionSeries {
    /// Of the whole run.
    pub total: Counts,
    /// When the first request that it answered was sent.
    pub first_sent_ms: u64,
    /// When the last request that it answered was sent.
    pub last_sent_ms: u64,
    /// When its first answer came.
    pub first_response_ms: u64,
    /// When its last answer came.
    pub last_response_ms: u64,
    /// By the time of sending, in order; buckets without requests are absent.
    pub cells: Vec<Cell>,
}

/// A version's share of the requests sent in one window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exposure {
    /// The share, in `[0, 1]`.
    pub share: f64,
    /// The start of the window.
    pub at: Duration,
    /// All requests in it, whoever answered.
    pub requests: u64,
}

impl VersionSeries {
    /// Requests it answered, well or badly.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.total.sent()
    }

    /// Requests of those that failed.
    #[must_use]
    pub const fn failed(&self) -> u64 {
        self.total.failed()
    }

    /// When its first answer came, since the start of the load.
    #[must_use]
    pub const fn first_response(&self) -> Duration {
        Duration::from_millis(self.first_response_ms)
    }

    /// When its last answer came, since the start of the load.
    #[must_use]
    pub const fn last_response(&self) -> Duration {
        Duration::from_millis(self.last_response_ms)
    }

    /// What became of the requests sent in the buckets that begin in `[from, to)`.
    #[must_use]
    pub fn between(&self, from: Duration, to: Duration) -> Counts {
        let begins_in = |cell: &&Cell| (from..to).contains(&Duration::from_millis(cell.at_ms));
        self.cells.iter().filter(begins_in).fold(Counts::default(), |mut sum, cell| {
            sum.add(&cell.counts);
            sum
        })
    }
}

impl Report {
    /// What became of all requests.
    #[must_use]
    pub fn total(&self) -> Counts {
        self.versions.values().fold(Counts::default(), |mut sum, series| {
            sum.add(&series.total);
            sum
        })
    }

    /// Requests whose fate is known.
    #[must_use]
    pub fn total_sent(&self) -> u64 {
        self.total().sent()
    }

    /// Requests that failed.
    #[must_use]
    pub fn total_failed(&self) -> u64 {
        self.total().failed()
    }

    /// The account of one version, if it ever answered.
    #[must_use]
    pub fn by_version(&self, version: &str) -> Option<&VersionSeries> {
        self.versions.get(version)
    }

    /// How long the load has run, or ran.
    #[must_use]
    pub const fn elapsed(&self) -> Duration {
        Duration::from_millis(self.elapsed_ms)
    }

    /// A moment of the clock as a time since the start; zero before it.
    #[must_use]
    pub fn offset_of(&self, moment: SystemTime) -> Duration {
        let since_1970 = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
        since_1970.saturating_sub(Duration::from_millis(self.started_unix_ms))
    }

    /// What became of the requests sent in the buckets that begin in `[from, to)`.
    #[must_use]
    pub fn between(&self, from: Duration, to: Duration) -> Counts {
        self.versions.values().fold(Counts::default(), |mut sum, series| {
            sum.add(&series.between(from, to));
            sum
        })
    }

    /// Requests sent in the buckets that begin in `[from, to)` and failed.
    #[must_use]
    pub fn failed_between(&self, from: Duration, to: Duration) -> u64 {
        self.between(from, to).failed()
    }

    /// The highest exposure to `version`: its share of all requests, over every window of that length (rounded up to
    /// buckets) that lies between the first and the last request; over everything where there is no such window.
    ///
    /// `None` when nothing was sent. Ties go to the earliest window.
    #[must_use]
    pub fn highest_share(&self, version: &str, window: Duration) -> Option<Exposure> {
        let (first, buckets) = self.dense(version)?;
        let width = window.as_millis().div_ceil(BUCKET_MS as u128).max(1);
        let width = usize::try_from(width).unwrap_or(usize::MAX).min(buckets.len());
        let mut best: Option<Exposure> = None;
        for (at, window) in (first..).step_by(BUCKET_MS).zip(buckets.windows(width)) {
            let (own, all) = window.iter().fold((0, 0), |sum, bucket| (sum.0 + bucket.0, sum.1 + bucket.1));
            let exposure = Exposure { share: share(own, all), at: Duration::from_millis(at), requests: all };
            if best.is_none_or(|best| exposure.share > best.share) {
                best = Some(exposure);
            }
        }
        best
    }

    /// The first bucket's start, and for each bucket up to the last the requests of `version` and of all.
    fn dense(&self, version: &str) -> Option<(u64, Vec<(u64, u64)>)> {
        let mut sums: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
        for (name, series) in &self.versions {
            for cell in &series.cells {
                let sum = sums.entry(cell.at_ms).or_default();
                sum.0 += if name == version { cell.counts.sent() } else { 0 };
                sum.1 += cell.counts.sent();
            }
        }
        let (first, last) = (*sums.first_key_value()?.0, *sums.last_key_value()?.0);
        let bucket = |at| sums.get(&at).copied().unwrap_or_default();
        Some((first, (first..=last).step_by(BUCKET_MS).map(bucket).collect()))
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of requests are far below 2^53")]
pub(super) fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The start of a bucket, requests that went well, and that failed.
    type Bucket = (u64, u64, u64);

    fn report(versions: &[(&str, &[Bucket])]) -> Report {
        let series = |cells: &[Bucket]| {
            let cells: Vec<Cell> = cells
                .iter()
                .map(|&(at_ms, ok, status_5xx)| Cell { at_ms, counts: Counts { ok, status_5xx, ..Counts::default() } })
                .collect();
            let mut series = VersionSeries { cells, ..VersionSeries::default() };
            series.total = series.between(Duration::ZERO, Duration::MAX);
            series
        };
        let versions = versions.iter().map(|(name, cells)| ((*name).to_owned(), series(cells))).collect();
        Report { versions, ..Report::default() }
    }

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn given_two_versions_then_the_highest_window_is_found() {
        let report = report(&[
            ("v1", &[(0, 20, 0), (100, 15, 0), (200, 10, 0), (300, 20, 0), (400, 20, 0)]),
            ("v2", &[(100, 4, 1), (200, 10, 0)]),
        ]);
        let highest = |window| report.highest_share("v2", window);
        assert_eq!(highest(ms(100)), Some(Exposure { share: 0.5, at: ms(200), requests: 20 }));
        assert_eq!(highest(ms(200)), Some(Exposure { share: 0.375, at: ms(100), requests: 40 }));
        assert_eq!(highest(ms(150)), highest(ms(200)));
        assert_eq!(highest(ms(60_000)), Some(Exposure { share: 0.15, at: ms(0), requests: 100 }));
        assert_eq!(report.highest_share("v3", ms(100)).map(|exposure| exposure.share), Some(0.0));
    }

    #[test]
    fn given_a_gap_then_windows_span_it_and_empty_ones_have_no_share() {
        let report = report(&[("v1", &[(0, 10, 0)]), ("v2", &[(500, 10, 0)])]);
        assert_eq!(report.highest_share("v2", ms(100)), Some(Exposure { share: 1.0, at: ms(500), requests: 10 }));
        assert_eq!(report.highest_share("v2", ms(600)).map(|exposure| exposure.share), Some(0.5));
    }

    #[test]
    fn given_nothing_sent_then_there_is_no_share() {
        assert_eq!(Report::default().highest_share("v1", ms(100)), None);
    }

    #[test]
    fn given_requests_nobody_answered_then_they_dilute_the_share() {
        let report = report(&[(NO_VERSION, &[(0, 0, 10)]), ("v2", &[(0, 10, 0)])]);
        assert_eq!(report.highest_share("v2", ms(100)).map(|exposure| exposure.share), Some(0.5));
    }

    #[test]
    fn given_two_instants_then_failures_of_the_buckets_between_them_count() {
        let report = report(&[("v1", &[(0, 1, 1), (100, 1, 2)]), (NO_VERSION, &[(100, 0, 4), (200, 0, 8)])]);
        assert_eq!(report.failed_between(ms(0), ms(100)), 1);
        assert_eq!(report.failed_between(ms(100), ms(200)), 6);
        assert_eq!(report.failed_between(ms(50), ms(201)), 14);
        assert_eq!((report.total_failed(), report.total_sent()), (15, 17));
    }

    #[test]
    fn given_a_moment_of_the_clock_then_it_becomes_a_time_since_the_start() {
        let report = Report { started_unix_ms: 5_000, ..Report::default() };
        assert_eq!(report.offset_of(UNIX_EPOCH + ms(6_250)), ms(1_250));
        assert_eq!(report.offset_of(UNIX_EPOCH), Duration::ZERO);
    }

    #[test]
    fn given_a_report_then_json_gives_it_back() {
        let report = report(&[("v1", &[(0, 1, 1)]), ("v2", &[(100, 4, 0)])]);
        let json = serde_json::to_string(&report).unwrap_or_default();
        assert_eq!(serde_json::from_str::<Report>(&json).ok(), Some(report), "{json}");
        assert!(json.contains(r#"{"at_ms":100,"ok":4,"#), "{json}");
    }
}
