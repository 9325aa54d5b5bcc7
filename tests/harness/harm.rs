//! What a candidate did to users, as the load saw it; and that one that was taken back does nothing more.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use firebreak_lab::{
    cluster::until,
    load::{BUCKET, Load, NO_VERSION, Report},
};

use crate::MINUTE;

/// Requests that must have been answered by others before a candidate counts as gone.
const REQUESTS_MORE: u64 = 200;

/// What one candidate did to users.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Harm {
    /// From its first answer to its last, seconds.
    pub seconds: f64,
    /// Requests that it failed.
    pub answered: u64,
    /// Requests that nobody answered meanwhile: what the gateway says for a pod that is gone.
    pub unanswered: u64,
}

impl Harm {
    /// Of a version, between the moment it was shipped and the moment its Change ended. Requests that nobody answered count
    /// as its own: without a release there are none.
    ///
    /// # Errors
    /// When it never answered: then nothing can be said of it.
    pub fn of(report: &Report, version: &str, from: Duration, to: Duration) -> Result<Self> {
        let series = report.by_version(version).filter(|series| series.count() > 0);
        let series = series.with_context(|| format!("{version} never served"))?;
        let lasted = series.last_response().saturating_sub(series.first_response());
        let answered = series.between(from, to).failed();
        let unanswered = report.by_version(NO_VERSION).map_or(0, |series| series.between(from, to).failed());
        Ok(Self { seconds: lasted.as_secs_f64(), answered, unanswered })
    }

    /// Requests that failed because of it.
    #[must_use]
    pub const fn failed(&self) -> u64 {
        self.answered + self.unanswered
    }
}

/// I3: the version answers none of the next 200 requests.
///
/// # Errors
/// When it does, or when so many are not answered in time.
pub async fn serves_no_more(load: &Load, version: &str) -> Result<()> {
    // A bucket that has begun may hold requests from before.
    let from = load.elapsed() + BUCKET;
    requests_more(load).await?;
    serves_not_after(&load.snapshot(), version, from)
}

/// Waits until 200 requests more were answered.
///
/// # Errors
/// When they are not in time.
pub async fn requests_more(load: &Load) -> Result<()> {
    let enough = load.snapshot().total_sent() + REQUESTS_MORE;
    until("200 requests more", 2 * MINUTE, async || Ok((load.snapshot().total_sent() >= enough).then_some(()))).await
}

/// I3: none of the requests sent after this moment was answered by the version.
///
/// # Errors
/// When one was.
pub fn serves_not_after(report: &Report, version: &str, from: Duration) -> Result<()> {
    let served = report.by_version(version).map_or(0, |series| series.between(from, Duration::MAX).sent());
    ensure!(served == 0, "I3: {version} answered {served} requests after it was taken back at {from:?}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use firebreak_lab::load::{Cell, Counts, VersionSeries};

    use super::*;

    /// The start of a bucket, requests that went well, and that failed.
    type Bucket = (u64, u64, u64);

    fn series(cells: &[Bucket]) -> VersionSeries {
        let cell = |&(at_ms, ok, status_5xx): &Bucket| Cell { at_ms, counts: Counts { ok, status_5xx, ..Counts::default() } };
        let mut series = VersionSeries { cells: cells.iter().map(cell).collect(), ..VersionSeries::default() };
        series.total = series.between(Duration::ZERO, Duration::MAX);
        series
    }

    fn report(versions: &[(&str, &[Bucket])]) -> Report {
        let versions = versions.iter().map(|(name, cells)| ((*name).to_owned(), series(cells))).collect();
        Report { versions, ..Report::default() }
    }

    #[test]
    fn given_a_candidate_and_a_gateway_that_failed_when_asked_for_its_harm_then_both_count_within_its_time() {
        let report = report(&[("v2", &[(1_000, 5, 3), (2_000, 0, 1)]), (NO_VERSION, &[(500, 0, 7), (1_500, 0, 2)])]);
        let harm = Harm::of(&report, "v2", Duration::from_secs(1), Duration::from_secs(3)).ok();
        assert_eq!(harm.map(|harm| (harm.answered, harm.unanswered, harm.failed())), Some((4, 2, 6)));
        assert!(Harm::of(&report, "v3", Duration::ZERO, Duration::MAX).is_err(), "it never served");
    }

    #[test]
    fn given_a_candidate_that_answers_after_its_end_when_checked_then_it_is_said() {
        let report = report(&[("v2", &[(1_000, 5, 0)])]);
        assert!(serves_not_after(&report, "v2", Duration::from_millis(900)).is_err());
        assert!(serves_not_after(&report, "v2", Duration::from_millis(1_100)).is_ok());
        assert!(serves_not_after(&report, "v3", Duration::ZERO).is_ok());
    }
}
