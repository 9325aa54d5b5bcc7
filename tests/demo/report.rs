//! The figures of a demo, as a table and as JSON.

use std::fmt;

use serde::Serialize;

/// What became of all releases.
#[derive(Serialize)]
pub(crate) struct Report {
    /// Requests per second.
    pub(crate) rate: u32,
    /// Requests sent.
    pub(crate) requests: u64,
    /// Requests that failed, whoever answered.
    pub(crate) failed: u64,
    /// The releases.
    pub(crate) releases: Vec<Release>,
}

/// What became of one release.
#[derive(Serialize)]
pub(crate) struct Release {
    pub(crate) version: String,
    pub(crate) what: String,
    /// Phase in which its Change ended.
    pub(crate) outcome: String,
    /// What led to it.
    pub(crate) reason: Option<String>,
    /// From `kubectl apply` to the end of the Change.
    pub(crate) seconds_until_decided: f64,
    /// From the candidate's first response to its last; none where it was promoted.
    pub(crate) seconds_exposed: Option<f64>,
    /// Requests that failed because of it, as the load saw them, those included that the gateway could not deliver.
    pub(crate) failed_requests: u64,
    /// Requests it failed or made slow beyond stable's share, as Firebreak estimates.
    pub(crate) harmed_requests: Option<f64>,
    /// Highest share of requests it answered in any second, percent.
    pub(crate) highest_exposure_percent: Option<f64>,
    /// Of the pods that served when it began (taken back) or at its full size (promoted): replaced since, and restarts.
    pub(crate) pods_restarted: i32,
}

impl Report {
    /// One promoted, two taken back.
    pub(crate) fn as_expected(&self) -> bool {
        self.releases.iter().map(|release| release.outcome.as_str()).eq(["Promoted", "RolledBack", "RolledBack"])
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<34} {:<11} {:>9} {:>13} {:>8} {:>8} {:>9} {:>9}",
            "release", "outcome", "decided", "first-to-last", "failed", "harmed", "exposure", "restarts"
        )?;
        for release in &self.releases {
            let seconds = |seconds: Option<f64>| seconds.map_or("-".to_owned(), |seconds| format!("{seconds:.1} s"));
            writeln!(
                f,
                "{:<34} {:<11} {:>9} {:>13} {:>8} {:>8} {:>9} {:>9}",
                format!("{} {}", release.version, release.what),
                release.outcome,
                seconds(Some(release.seconds_until_decided)),
                seconds(release.seconds_exposed),
                release.failed_requests,
                release.harmed_requests.map_or("-".to_owned(), |harmed| format!("{harmed:.0}")),
                release.highest_exposure_percent.map_or("-".to_owned(), |percent| format!("{percent:.1} %")),
                release.pods_restarted,
            )?;
        }
        write!(
            f,
            "\n{} requests at {} per second, {} of them failed.\n\
             decided: from kubectl apply to the Change's end. first-to-last: responses of the candidate. failed: requests that\n\
             failed because of it, as the client saw them. harmed: failed or slow because of it, as Firebreak estimates. exposure: its\n\
             highest share of requests in any second. restarts: pods in service that were restarted or replaced.",
            self.requests, self.rate, self.failed
        )
    }
}
