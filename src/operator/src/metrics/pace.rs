//! How often to look: twice a scrape, as learned from when pods were read.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

/// Until the scrape interval is known.
pub(crate) const UNLEARNED: Duration = Duration::from_secs(1);
/// Shortest time between two looks.
pub(crate) const SHORTEST: Duration = Duration::from_millis(500);
/// Longest time between two looks.
pub(crate) const LONGEST: Duration = Duration::from_secs(15);
/// Longest time between two looks while there is trouble: after the backend's return, a rollback must come within 5 s.
pub(crate) const LONGEST_IN_TROUBLE: Duration = Duration::from_secs(2);
/// How many differences the interval is learned from: enough that a restarted target does not matter.
const DIFFERENCES: usize = 15;
/// How many differences make it known.
const ENOUGH: usize = 2;

/// Learns the scrape interval of one target.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    last: BTreeMap<String, i64>,
    differences: VecDeque<i64>,
}

impl Pace {
    /// Learns from when each pod was read.
    pub(crate) fn learn<'p>(&mut self, read: impl Iterator<Item = (&'p str, i64)>) {
        let now: BTreeMap<String, i64> = read.map(|(pod, at)| (pod.to_owned(), at)).collect();
        for (pod, at) in &now {
            let difference = self.last.get(pod).map_or(0, |before| at - before);
            if difference > 0 {
                self.differences.push_back(difference);
            }
        }
        let surplus = self.differences.len().saturating_sub(DIFFERENCES);
        self.differences.drain(..surplus);
        // A look without readings (trouble, all pods gone) forgets nothing worth keeping: the next difference would span a gap.
        self.last = now;
    }

    /// The interval, once it is known: the median, so that neither a missed scrape nor a moved target counts.
    pub(crate) fn scrape_interval(&self) -> Option<Duration> {
        let mut sorted: Vec<i64> = self.differences.iter().copied().collect();
        sorted.sort_unstable();
        let median = sorted.get((sorted.len().saturating_sub(1)) / 2).filter(|_| sorted.len() >= ENOUGH)?;
        Some(Duration::from_millis(u64::try_from(*median).ok()?))
    }
}

/// The time from the start of one look to the start of the next.
pub(crate) fn period(shortest_scrape: Option<Duration>, trouble: bool) -> Duration {
    let period = shortest_scrape.map_or(UNLEARNED, |scrape| (scrape / 2).clamp(SHORTEST, LONGEST));
    if trouble { period.min(LONGEST_IN_TROUBLE) } else { period }
}
