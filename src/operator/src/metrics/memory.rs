//! What must be remembered from look to look: failures that no one counts any more.
//!
//! A pod's requests and failures begin anew together, when its process does. Where only its failures vanish, what held them is gone (an exporter that
//! forgets old series, a second port that cannot be scraped), not the failures: they keep their last value, so that
//! their return is not counted as failures from zero. Where they fall without vanishing, some series are gone and some are not: a contradiction.
//! So it is where requests fall although none of their counters began anew: taken for a new beginning, all that was counted would count again.

use std::collections::BTreeMap;

use super::{reading::PodSample, trouble::Trouble};

/// Longest time a pod is remembered without being read: long after any rollout has noticed it.
const KEEP_MS: i64 = 10 * 60 * 1000;
/// Longest time over which a new beginning can be told from a loss: the query looks back five minutes, and must see the scrape before.
const TELLABLE_MS: i64 = 4 * 60 * 1000;
/// Most pods that are remembered for a target.
const MAX_PODS: usize = 4096;

/// What one target's pods counted last.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pods: BTreeMap<String, Seen>,
}

#[derive(Debug)]
struct Seen {
    requests: u64,
    failures: u64,
    gone: bool,
    at_ms: i64,
}

impl Memory {
    /// The pods whose requests fell: either their processes began anew, or some of their series vanished.
    pub(crate) fn fallen<'s>(&self, samples: &'s [PodSample], at_ms: i64) -> Vec<&'s str> {
        let fell = |sample: &PodSample| {
            let seen = self.pods.get(&sample.pod).filter(|seen| at_ms.saturating_sub(seen.at_ms) < TELLABLE_MS);
            seen.is_some_and(|seen| sample.requests.is_some_and(|requests| requests < seen.requests))
        };
        samples.iter().filter(|s| fell(s)).map(|s| s.pod.as_str()).collect()
    }

    /// Forgets a pod whose process began anew: nothing of what it had counted holds for it.
    pub(crate) fn forget(&mut self, pod: &str) {
        self.pods.remove(pod);
    }

    /// Mends `samples` by what was seen before, and remembers them.
    pub(crate) fn apply(&mut self, samples: &mut [PodSample], at_ms: i64) -> Result<(), Trouble> {
        self.pods.retain(|_, seen| at_ms.saturating_sub(seen.at_ms) < KEEP_MS);
        samples.iter_mut().try_for_each(|sample| self.one(sample, at_ms))
    }

    fn one(&mut self, sample: &mut PodSample, at_ms: i64) -> Result<(), Trouble> {
        let (Some(requests), Some(failures)) = (sample.requests, sample.failures) else { return Ok(()) };
        let mut now = Seen { requests, failures, gone: false, at_ms };
        if let Some(seen) = self.pods.get(&sample.pod).filter(|seen| requests >= seen.requests) {
            if !sample.failures_exist {
                (now.failures, now.gone) = (seen.failures, true);
                sample.failures = Some(seen.failures);
            } else if failures < seen.failures && !seen.gone {
                return Err(Trouble::Incoherent {
                    pod: sample.pod.clone(),
                    detail: format!(
                        "failures fell from {} to {failures} while requests did not: some of their series have vanished",
                        seen.failures
                    ),
                });
            }
        }
        if self.pods.len() < MAX_PODS || self.pods.contains_key(&sample.pod) {
            self.pods.insert(sample.pod.clone(), now);
        }
        Ok(())
    }
}
