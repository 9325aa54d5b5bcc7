//! Phi: how bursty failures are, variance over mean, from how they fall on stable's pods.
//!
//! Swings that all pods share are no dispersion: both arms see them. So each block's failures X_t are compared with
//! the pods' shares s_it of its requests, given X_t:
//! `phi_b = sum_t sum_i (x_it - X_t s_it)^2 / sum_t X_t (1 - sum_i s_it^2)`, whose terms have mean equal to the
//! denominator under independent failures. phi is the largest over blocks of 10, 60 and 300 s, since bursts show at
//! their own time scale. Twenty pseudo-failures at phi 2 steady small samples; below 50 failures phi is 2. With one
//! pod the pods' differences become those of successive blocks: `sum (x_t - x_{t-1})^2 / sum (x_t + x_{t-1})`.
//!
//! A pod that fails several times as often as the others all the time is not how failures come, but that pod: it is left out, else
//! one on a bad node would hide any harm (twenty times as often, one of ten pods: phi 109). It stays in what stable is counted by.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// Block lengths in seconds.
const BLOCKS: [f64; 3] = [10.0, 60.0, 300.0];

/// Weight of the prior guess, in failures.
const PSEUDO_FAILURES: f64 = 20.0;

/// The prior guess.
const PRIOR_PHI: f64 = 2.0;

/// Fewer failures than this say nothing about bursts.
pub const ENOUGH_FAILURES: u64 = 50;

/// A pod is left out with at least so many failures, and so many times the failures per request of the pods that are left in.
const ANOTHER_POD: (u64, f64) = (20, 3.0);

/// Of so many pods with traffic at most one is left out.
const PODS_TO_ONE: usize = 4;

/// Variance over mean of failure counts, in `1..=1e6`; 1 is independent failures, 2 is what is assumed without data.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(from = "f64", into = "f64")]
pub struct Phi(f64);

impl Phi {
    /// Failures come independently.
    pub const INDEPENDENT: Self = Self(1.0);
    /// Without enough failures of history.
    pub const UNKNOWN: Self = Self(PRIOR_PHI);

    const LARGEST: f64 = 1e6;

    /// The dispersion; values outside the range become the nearest end, and what is no number [`Self::UNKNOWN`].
    #[must_use]
    pub fn new(phi: f64) -> Self {
        Self(if phi.is_nan() { PRIOR_PHI } else { phi.clamp(1.0, Self::LARGEST) })
    }

    /// Variance over mean.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }

    /// The larger of both: during a Change phi is never lowered.
    #[must_use]
    pub const fn raised_to(self, other: Self) -> Self {
        Self(self.0.max(other.0))
    }
}

impl Default for Phi {
    fn default() -> Self {
        Self::UNKNOWN
    }
}

impl From<f64> for Phi {
    fn from(phi: f64) -> Self {
        Self::new(phi)
    }
}

impl From<Phi> for f64 {
    fn from(phi: Phi) -> Self {
        phi.0
    }
}

/// One pod in one step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodCounts {
    /// Requests the pod answered.
    pub requests: u64,
    /// Failed requests of the pod.
    pub failures: u64,
}

/// All of stable's pods in one step of the history.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PodStep {
    /// Length of the step.
    pub seconds: f64,
    /// The pods, always in the same order; a pod that is not there has zeros.
    pub pods: Vec<PodCounts>,
}

impl Phi {
    /// Measures phi from stable's last steps in order of time. [`Phi::UNKNOWN`] below 50 failures.
    #[must_use]
    pub fn between_pods(history: &[PodStep]) -> Self {
        let history = &alike(history);
        let failures: u64 = history.iter().flat_map(|s| &s.pods).map(|p| p.failures).sum();
        if failures < ENOUGH_FAILURES {
            return Self::UNKNOWN;
        }
        let of_length = |seconds: &f64| {
            let blocks = blocks(history, *seconds);
            if blocks.is_empty() {
                return None;
            }
            let one_pod = pods_with_traffic(history) <= 1;
            let (variance, mean) = if one_pod { successive(&blocks) } else { given_total(&blocks) };
            Some((variance + PSEUDO_FAILURES * PRIOR_PHI) / (mean + PSEUDO_FAILURES))
        };
        BLOCKS.iter().filter_map(of_length).reduce(f64::max).map_or(Self::UNKNOWN, Self::new)
    }
}

/// The history without the pods that are always worse.
fn alike(history: &[PodStep]) -> Cow<'_, [PodStep]> {
    let pods = history.iter().map(|step| step.pods.len()).max().unwrap_or(0);
    let sum = |place: usize| {
        let of_pod = history.iter().filter_map(|step| step.pods.get(place));
        of_pod.fold(PodCounts::default(), |sum, pod| PodCounts {
            requests: sum.requests.saturating_add(pod.requests),
            failures: sum.failures.saturating_add(pod.failures),
        })
    };
    let left_out = always_worse(&(0..pods).map(sum).collect::<Vec<_>>());
    if left_out.is_empty() {
        return Cow::Borrowed(history);
    }
    let without = |step: &PodStep| {
        let kept = step.pods.iter().enumerate().filter(|(place, _)| !left_out.contains(place)).map(|(_, pod)| *pod);
        PodStep { seconds: step.seconds, pods: kept.collect() }
    };
    history.iter().map(without).collect()
}

/// The places of the pods that fail several times as often as the others: at most one of four.
pub(crate) fn always_worse(pods: &[PodCounts]) -> Vec<usize> {
    let (failures, times) = ANOTHER_POD;
    let rate = |pod: &PodCounts| pod.failures as f64 / pod.requests as f64;
    let mut left_in: Vec<(usize, &PodCounts)> = pods.iter().enumerate().filter(|(_, pod)| pod.requests > 0).collect();
    left_in.sort_by(|(_, left), (_, right)| rate(left).total_cmp(&rate(right)));
    let mut worse = Vec::new();
    for _ in 0..left_in.len() / PODS_TO_ONE {
        let Some(((place, worst), others)) = left_in.split_last() else { break };
        let requests: f64 = others.iter().map(|(_, pod)| pod.requests as f64).sum();
        // One failure more than was seen: others that never failed are not infinitely better.
        let rate_of_others = (others.iter().map(|(_, pod)| pod.failures as f64).sum::<f64>() + 1.0) / requests;
        if worst.failures < failures || rate(worst) <= times * rate_of_others {
            break;
        }
        worse.push(*place);
        left_in.pop();
    }
    worse
}

fn pods_with_traffic(history: &[PodStep]) -> usize {
    let pods = history.iter().map(|s| s.pods.len()).max().unwrap_or(0);
    (0..pods).filter(|i| history.iter().filter_map(|s| s.pods.get(*i)).any(|p| p.requests > 0)).count()
}

/// Steps joined to blocks of at least `seconds`; an unfinished last block is left out.
fn blocks(history: &[PodStep], seconds: f64) -> Vec<Vec<PodCounts>> {
    let mut finished = Vec::new();
    let (mut block, mut length): (Vec<PodCounts>, f64) = (Vec::new(), 0.0);
    for step in history {
        if block.len() < step.pods.len() {
            block.resize(step.pods.len(), PodCounts::default());
        }
        for (sum, pod) in block.iter_mut().zip(&step.pods) {
            sum.requests = sum.requests.saturating_add(pod.requests);
            sum.failures = sum.failures.saturating_add(pod.failures);
        }
        length += step.seconds.max(0.0);
        if length >= seconds {
            finished.push(std::mem::take(&mut block));
            length = 0.0;
        }
    }
    finished
}

/// Squared deviations of the pods' failures from their shares, and what independent failures would give.
fn given_total(blocks: &[Vec<PodCounts>]) -> (f64, f64) {
    let of_block = |pods: &Vec<PodCounts>| {
        let requests: f64 = pods.iter().map(|p| p.requests as f64).sum();
        if requests <= 0.0 {
            return (0.0, 0.0);
        }
        let total: f64 = pods.iter().map(|p| p.failures as f64).sum();
        let share = |p: &PodCounts| p.requests as f64 / requests;
        let variance = pods.iter().map(|p| (p.failures as f64 - total * share(p)).powi(2)).sum();
        let concentration: f64 = pods.iter().map(|p| share(p).powi(2)).sum();
        (variance, total * (1.0 - concentration).max(0.0))
    };
    sums(blocks.iter().map(of_block))
}

/// Squared differences of successive blocks, and what independent failures would give.
fn successive(blocks: &[Vec<PodCounts>]) -> (f64, f64) {
    let failures = |pods: &Vec<PodCounts>| pods.iter().map(|p| p.failures as f64).sum::<f64>();
    let of_pair = |(before, after): (&Vec<PodCounts>, &Vec<PodCounts>)| {
        let (before, after) = (failures(before), failures(after));
        ((after - before).powi(2), after + before)
    };
    sums(blocks.iter().zip(blocks.iter().skip(1)).map(of_pair))
}

fn sums(terms: impl Iterator<Item = (f64, f64)>) -> (f64, f64) {
    terms.fold((0.0, 0.0), |sum, term| (sum.0 + term.0, sum.1 + term.1))
}
