//! Intervals that are judged together, later: for the margins that only size a harm.
//!
//! Of `k` intervals with failures, stable's are taken as if they had come at their mean share, the candidate's as if at the
//! largest. Every bet is then at most what it would have come to interval by interval:
//! - stable's weight per failure is convex in the share s (with D = 1 + s(g-1): ln(1/D) is, and so is that for bursts,
//!   `v = ln(1 - (exp(k(1-1/D)) - 1)/(phi-1))`: its second derivative has the sign of 2 - (phi-1)/(D (phi - exp(k(1-1/D)))), and
//!   `phi - exp(k(1-1/D)) >= (phi-1)/D`), so the mean of the weights is no less than the weight of the mean (Jensen);
//! - the candidate's falls as the share grows.
//!
//! Mass that is due meanwhile waits until all of them were judged. So E is at most that of a test that places its mass at
//! those moments, which are known when they come: the guarantee stays. What is lost is the mass of half a minute and,
//! where the share moved between the intervals, a part of each failure.

use serde::{Deserialize, Serialize};

use super::factor::{Comparison, Factor, Margin, Share};
use super::interval::Counts;

/// Most intervals that are judged together: half a minute of looks of a second.
const MOST: u32 = 32;

/// What waits to be judged.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Backlog {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gathered: Option<Gathered>,
    /// Mass that bets from the next interval on.
    due: f64,
}

/// Intervals taken together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Gathered {
    intervals: u32,
    pub(crate) factor: Factor,
    /// Mass that bets on all of them.
    pub(crate) placed: f64,
    x_c: u64,
    x_s: u64,
    /// Margin by margin.
    pub(crate) shares: Vec<Shares>,
}

/// The shares of the intervals at one margin.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Shares {
    /// The largest at which the candidate failed.
    largest: Share,
    /// Summed over stable's failures.
    sum: f64,
}

impl Shares {
    const NONE: Self = Self { largest: Share { share: 0.0, other: 1.0 }, sum: 0.0 };

    #[inline]
    fn add(&mut self, share: Share, counts: Counts) {
        if counts.x_c > 0 && share.share > self.largest.share {
            self.largest = share;
        }
        self.sum += counts.x_s as f64 * share.share;
    }
}

impl Backlog {
    /// Whether one more interval with this factor can be judged together with what waits.
    pub(crate) fn takes(&self, factor: Factor) -> bool {
        self.gathered.as_ref().is_none_or(|gathered| gathered.factor == factor && gathered.intervals < MOST)
    }

    /// Gathers an interval with requests in both arms and failures, and the mass that was due before it.
    pub(crate) fn add(&mut self, counts: Counts, factor: Factor, mass: f64, margins: impl Iterator<Item = Margin>) {
        match &mut self.gathered {
            Some(gathered) => {
                gathered.intervals += 1;
                gathered.x_c = gathered.x_c.saturating_add(counts.x_c);
                gathered.x_s = gathered.x_s.saturating_add(counts.x_s);
                self.due += mass;
                for (shares, margin) in gathered.shares.iter_mut().zip(margins) {
                    shares.add(Share::of(counts, margin), counts);
                }
            }
            None => {
                let shares = margins.map(|margin| {
                    let mut shares = Shares::NONE;
                    shares.add(Share::of(counts, margin), counts);
                    shares
                });
                let (x_c, x_s, placed) = (counts.x_c, counts.x_s, mass + self.take_due());
                self.gathered = Some(Gathered { intervals: 1, factor, placed, x_c, x_s, shares: shares.collect() });
            }
        }
    }

    /// What waits, to be judged now.
    pub(crate) const fn take(&mut self) -> Option<Gathered> {
        self.gathered.take()
    }

    /// Mass that bets on nothing yet.
    pub(crate) const fn due(&self) -> f64 {
        self.due
    }

    /// The same, to be placed now.
    pub(crate) const fn take_due(&mut self) -> f64 {
        std::mem::replace(&mut self.due, 0.0)
    }
}

impl Gathered {
    /// All of it as one comparison at the margin of these shares.
    pub(crate) fn comparison(&self, shares: &Shares) -> Comparison {
        let (x_c, x_s) = (self.x_c as f64, self.x_s as f64);
        Comparison { x_c, x_s, of_candidate: shares.largest, of_stable: shares.sum / x_s.max(1.0) }
    }
}
