//! What ran of the candidate before its workload was held: how much, since when, for how long, and what it served.

use super::Turn;
use crate::{
    memory::LateWindow,
    observation::{Arm, SignalLook},
    plan::Late,
    units::Millis,
};

/// What pods served before the hold is counted within this, seconds: discovery by the metrics source and a scrape.
const LATE_COUNTED_WITHIN_SECONDS: f64 = 30.0;

impl Turn<'_> {
    /// Says what ran of the candidate before the workload was held: at once how much and since when, and when that is
    /// over for how long and what it served.
    pub(super) fn report_late(&mut self) {
        let Some(late) = self.setup.late else { return };
        let now = self.seen.now;
        match self.memory.late {
            LateWindow::None => {}
            LateWindow::Untold => {
                self.memory.late = LateWindow::Open;
                let seconds = now.seconds_since(late.since).max(0.0);
                let pods = u64::from(late.pods);
                let share = percent(pods, pods + u64::from(self.seen.stable.ready));
                let message = format!(
                    "held late: {pods} pods of the candidate had been started before, up to {seconds:.1} s ago, and get up to \
                     {share:.0} % of the requests until they are cut down; Kubernetes 1.36 and the chart's admission policy \
                     hold a template before anything runs from it"
                );
                self.note("HeldLate", message, true);
            }
            LateWindow::Open => {
                if self.late_pods_cut() {
                    self.memory.late = LateWindow::Closed(now);
                }
            }
            LateWindow::Closed(at) => self.report_late_exposure(late, at),
        }
    }

    /// Whether no pod has traffic any more that was started before the hold.
    fn late_pods_cut(&self) -> bool {
        let candidate = &self.seen.candidate;
        let cut = candidate.owned_by_change && candidate.names.len() <= usize::try_from(candidate.wanted).unwrap_or(usize::MAX);
        cut && self.seen.traffic.as_ref().is_none_or(|traffic| traffic.pinned)
    }

    /// Whether the first share waits for the count of what those pods served: after it, old requests and new ones are one
    /// sum. Bounded as the count itself is.
    pub(super) fn counts_late(&self) -> bool {
        let since = match self.memory.late {
            LateWindow::None => return false,
            LateWindow::Untold | LateWindow::Open => self.memory.ready_since,
            LateWindow::Closed(at) => Some(at),
        };
        since.is_none_or(|since| self.seen.now.seconds_since(since) < LATE_COUNTED_WITHIN_SECONDS)
    }

    /// Counters are cumulative, and since the window closed nothing was added: the first look is what those pods served.
    fn report_late_exposure(&mut self, late: Late, closed: Millis) {
        let counted = self.seen.look.as_ref().and_then(|look| match look.signals.first() {
            Some(SignalLook::Read(readings)) if look.at >= closed => {
                let of_candidate = readings.iter().filter(|reading| reading.arm == Arm::Candidate);
                let sum =
                    of_candidate.fold((0, 0, 0), |sum, reading| (sum.0 + 1, sum.1 + reading.requests, sum.2 + reading.failures));
                (sum.0 >= self.seen.candidate.names.len() && sum.0 > 0).then_some(sum)
            }
            _ => None,
        });
        let began = self.memory.exposed_at.is_some() || self.memory.retreat.is_some();
        let waited = self.seen.now.seconds_since(closed) >= LATE_COUNTED_WITHIN_SECONDS;
        let served = match counted {
            Some((pods, requests, failures)) => {
                format!("the {pods} that stay had answered {requests} requests, {failures} of them failed")
            }
            None if began || waited => "what they answered could not be counted".to_owned(),
            None => return,
        };
        self.memory.late = LateWindow::None;
        let seconds = closed.seconds_since(late.since).max(0.0);
        let message = format!("{} pods of the candidate ran unheld for up to {seconds:.1} s; {served}", late.pods);
        self.note("LateExposure", message, true);
    }
}

fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 * 100.0 }
}
