//! Keeps the account while a load runs.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hyper::StatusCode;
use tokio::time::Instant;

use super::counts::{Cell, Counts};
use super::report::{BUCKET, NO_VERSION, Report, VersionSeries};

/// Versions told apart; requests of further ones are accounted under [`FURTHER`]. With the hour a load may run and its
/// 36 000 buckets this bounds a report at about 80 MB; a usual one holds two or three versions for a minute: 100 kB.
const VERSIONS_MAX: usize = 32;
const FURTHER: &str = "further";
/// A version is a label value in Kubernetes; longer headers are cut.
const VERSION_LENGTH_MAX: usize = 63;

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Status(StatusCode),
    NotConnected,
    Broken,
    TimedOut,
}

/// A request whose fate is known.
#[derive(Debug)]
pub(super) struct Ended<'a> {
    /// When it was sent, since the start.
    pub(super) sent: Duration,
    pub(super) took: Duration,
    pub(super) version: Option<&'a str>,
    pub(super) fate: Fate,
}

/// The account, shared by the requests and whoever looks at it.
#[derive(Debug)]
pub(super) struct Recorder {
    started: Instant,
    report: Mutex<Report>,
}

impl Recorder {
    pub(super) fn start(rate: u32) -> Self {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let report = Report { started_unix_ms: millis(since_1970), rate, ..Report::default() };
        Self { started: Instant::now(), report: Mutex::new(report) }
    }

    pub(super) const fn started(&self) -> Instant {
        self.started
    }

    /// A request was due and there was no slot for it.
    pub(super) fn unsent(&self) {
        let mut report = self.report();
        report.due += 1;
        report.unsent += 1;
    }

    /// A request is being sent, this late.
    pub(super) fn sent(&self, slip: Duration) {
        let mut report = self.report();
        report.due += 1;
        report.in_flight += 1;
        report.slippage.add(slip);
    }

    /// The fate of a request that was sent.
    pub(super) fn ended(&self, ended: &Ended<'_>) {
        self.report().account(ended);
    }

    /// The run is over.
    pub(super) fn finish(&self) {
        self.report().elapsed_ms = millis(self.started.elapsed());
    }

    /// The account so far.
    pub(super) fn snapshot(&self) -> Report {
        let mut report = self.report().clone();
        if report.elapsed_ms == 0 {
            report.elapsed_ms = millis(self.started.elapsed());
        }
        report
    }

    fn report(&self) -> MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Report {
    fn account(&mut self, ended: &Ended<'_>) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.series(ended.version.unwrap_or(NO_VERSION)).account(ended);
    }

    fn series(&mut self, version: &str) -> &mut VersionSeries {
        let version = version.get(..VERSION_LENGTH_MAX).unwrap_or(version);
        let known = self.versions.contains_key(version);
        let version = if known || self.versions.len() < VERSIONS_MAX { version } else { FURTHER };
        self.versions.entry(version.to_owned()).or_default()
    }
}

impl VersionSeries {
    fn account(&mut self, ended: &Ended<'_>) {
        let counts = ended.counts();
        let (sent, answered) = (millis(ended.sent), millis(ended.sent + ended.took));
        if self.cells.is_empty() {
            (self.first_sent_ms, self.first_response_ms) = (sent, answered);
        }
        self.first_sent_ms = self.first_sent_ms.min(sent);
        self.last_sent_ms = self.last_sent_ms.max(sent);
        self.first_response_ms = self.first_response_ms.min(answered);
        self.last_response_ms = self.last_response_ms.max(answered);
        self.total.add(&counts);
        self.cell(sent - sent % millis(BUCKET)).add(&counts);
    }

    /// The cell of a bucket. Answers come nearly in order, so it is nearly always the last.
    fn cell(&mut self, at_ms: u64) -> &mut Counts {
        let at = self.cells.partition_point(|cell| cell.at_ms < at_ms);
        if self.cells.get(at).is_none_or(|cell| cell.at_ms != at_ms) {
            self.cells.insert(at, Cell { at_ms, counts: Counts::default() });
        }
        // It is there: found or just inserted.
        #[expect(clippy::indexing_slicing, reason = "the line above makes sure of it")]
        &mut self.cells[at].counts
    }
}

impl Ended<'_> {
    fn counts(&self) -> Counts {
        let latency = u64::try_from(self.took.as_micros()).unwrap_or(u64::MAX);
        let mut counts = Counts { latency_sum_us: latency, latency_max_us: latency, ..Counts::default() };
        let kind = match self.fate {
            Fate::Status(status) if status.is_server_error() => &mut counts.status_5xx,
            Fate::Status(status) if status.is_client_error() => &mut counts.status_4xx,
            Fate::Status(_) => &mut counts.ok,
            Fate::NotConnected => &mut counts.connect,
            Fate::Broken => &mut counts.broken,
            Fate::TimedOut => &mut counts.timeout,
        };
        *kind = 1;
        counts
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(sent_ms: u64, took_ms: u64, version: Option<&str>, fate: Fate) -> Ended<'_> {
        Ended { sent: Duration::from_millis(sent_ms), took: Duration::from_millis(took_ms), version, fate }
    }

    const OK: Fate = Fate::Status(StatusCode::OK);

    #[test]
    fn given_requests_then_each_is_in_the_bucket_it_was_sent_in() {
        let mut report = Report::default();
        for (sent, took) in [(0, 5), (99, 300), (100, 5), (350, 5), (120, 9_000)] {
            report.account(&ended(sent, took, Some("v1"), OK));
        }
        let series = report.by_version("v1").cloned().unwrap_or_default();
        let cells: Vec<(u64, u64)> = series.cells.iter().map(|cell| (cell.at_ms, cell.counts.sent())).collect();
        assert_eq!(cells, [(0, 2), (100, 2), (300, 1)]);
        assert_eq!((series.first_sent_ms, series.last_sent_ms), (0, 350));
        assert_eq!((series.first_response_ms, series.last_response_ms), (5, 9_120));
        assert_eq!(series.total.latency_max(), Duration::from_secs(9));
    }

    #[test]
    fn given_fates_then_each_kind_has_its_count() {
        let mut report = Report::default();
        for (version, fate) in [
            (Some("v1"), OK),
            (Some("v1"), Fate::Status(StatusCode::INTERNAL_SERVER_ERROR)),
            (None, Fate::Status(StatusCode::NOT_FOUND)),
            (None, Fate::Status(StatusCode::BAD_GATEWAY)),
            (None, Fate::NotConnected),
            (None, Fate::TimedOut),
            (Some("v1"), Fate::Broken),
        ] {
            report.account(&ended(0, 1, version, fate));
        }
        let v1 = report.by_version("v1").map(|series| series.total).unwrap_or_default();
        assert_eq!((v1.ok, v1.status_5xx, v1.broken, v1.failed()), (1, 1, 1, 2));
        let none = report.by_version(NO_VERSION).map(|series| series.total).unwrap_or_default();
        assert_eq!((none.status_4xx, none.status_5xx, none.connect, none.timeout), (1, 1, 1, 1));
        assert_eq!((report.total_sent(), report.total_failed()), (7, 6));
    }

    #[test]
    fn given_many_versions_then_the_account_stays_bounded_and_complete() {
        let mut report = Report::default();
        for n in 0..100 {
            report.account(&ended(0, 1, Some(&format!("v{n}")), OK));
        }
        assert_eq!(report.versions.len(), VERSIONS_MAX + 1);
        assert_eq!(report.total_sent(), 100);
    }

    #[test]
    fn given_requests_under_way_then_due_is_sent_and_unsent_and_in_flight_goes_down() {
        let recorder = Recorder::start(10);
        recorder.sent(Duration::from_millis(1));
        recorder.sent(Duration::from_millis(9));
        recorder.unsent();
        recorder.ended(&ended(0, 1, None, Fate::TimedOut));
        let report = recorder.snapshot();
        assert_eq!((report.due, report.unsent, report.in_flight, report.slippage.late), (3, 1, 1, 1));
    }
}
