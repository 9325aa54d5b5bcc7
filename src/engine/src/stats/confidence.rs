//! Confidence sequences: sets that contain the truth at every look together, with probability 1 - alpha.
//!
//! Both invert a mixture likelihood ratio (Robbins; Howard, Ramdas, McAuliffe & Sekhon, Annals of Statistics 2021):
//! with l the log likelihood and Z its log mean over a fixed prior grid, the set is `{ l > Z - ln(1/alpha) }`.
//! Tempering divides l by phi.

use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use super::dispersion::Phi;
use super::elementary::{exp, exp_m1, ln_1p};
use super::interval::{Counts, Mark, Waiting};
use super::portable::{ln, pow};
use super::solve::{border, concave_root};
use super::special::{ln_tilted, log_sum_exp};

/// Points of either prior grid.
const GRID: u32 = 97;

/// Distinct candidate shares kept; more are merged. 1 s looks over a ten-stage Change stay useful and a query under 1
/// ms.
const MAX_SHARES: usize = 256;

/// No bound of a log ratio or a log odds is looked for beyond this: exp(700) is the last finite one.
const FARTHEST: f64 = 700.0;

/// A lower and an upper bound, of a probability or of a ratio.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bounds {
    /// Lower bound, at least 0.
    pub lo: f64,
    /// Upper bound; may be +inf for a ratio.
    pub hi: f64,
}

impl Bounds {
    /// Nothing is known of a probability.
    pub const ANY_RATE: Self = Self { lo: 0.0, hi: 1.0 };
    /// Nothing is known of a ratio.
    pub const ANY_RATIO: Self = Self { lo: 0.0, hi: f64::INFINITY };

    /// The running intersection: what both say. Show this, not the last interval.
    ///
    /// Where they contradict each other, which happens with probability at most alpha, lo may exceed hi.
    #[must_use]
    pub const fn intersect(self, other: Self) -> Self {
        Self { lo: self.lo.max(other.lo), hi: self.hi.min(other.hi) }
    }
}

/// Sums for the ratio th = p_c/p_s: failures per distinct candidate share.
///
/// Exact up to 256 distinct shares; beyond, the two nearest are merged at their mean weighted by failures, which
/// moves l by less than the square of their distance. Only intervals with traffic in both arms and a failure count.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RatioSequence {
    waiting: Waiting,
    x_c: u64,
    x_s: u64,
    shares: Vec<ShareSum>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct ShareSum {
    rho: f64,
    x: f64,
}

impl RatioSequence {
    /// No failures yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { waiting: Waiting::new(), x_c: 0, x_s: 0, shares: Vec::new() }
    }

    /// Adds one interval.
    pub fn update(&mut self, interval: Counts) -> Mark {
        let (mark, counts) = self.waiting.admit(interval);
        let Some(counts) = counts else { return mark };
        let (true, Some(rho)) = (counts.compares() && counts.failures() > 0, counts.rho()) else {
            return mark;
        };
        self.x_c = self.x_c.saturating_add(counts.x_c);
        self.x_s = self.x_s.saturating_add(counts.x_s);
        self.add(ShareSum { rho, x: counts.failures() as f64 });
        mark
    }

    /// Failures of both arms that were judged.
    #[must_use]
    pub const fn failures(&self) -> (u64, u64) {
        (self.x_c, self.x_s)
    }

    /// The ratio that fits best; `None` without failures, +inf where only the candidate failed.
    #[must_use]
    pub fn estimate(&self) -> Option<f64> {
        match (self.x_c, self.x_s) {
            (0, 0) => None,
            (0, _) => Some(0.0),
            (_, 0) => Some(f64::INFINITY),
            _ => Some(exp(self.ln_estimate())),
        }
    }

    /// The two-sided set of th at level `alpha` in `(0, 1)`, from what was seen up to now.
    ///
    /// Mixture over 97 points of ln th, even from ln(1/200) to ln 200. Lower 0 where the candidate never failed,
    /// upper +inf where stable never did.
    #[must_use]
    pub fn bounds(&self, alpha: f64, phi: Phi) -> Bounds {
        if self.x_c == 0 && self.x_s == 0 {
            return Bounds::ANY_RATIO;
        }
        let grid: Vec<f64> =
            (0..GRID).map(|j| self.ln_likelihood(ln(200_f64) * (2.0 * f64::from(j) / f64::from(GRID - 1) - 1.0), phi)).collect();
        let limit = log_sum_exp(&grid) - ln(f64::from(GRID)) + ln(alpha);
        let outside = |e: f64| self.ln_likelihood(e, phi) <= limit;
        let best = self.ln_estimate();
        let lo = if self.x_c == 0 { 0.0 } else { exp(border(-FARTHEST, best, outside)) };
        let hi = if self.x_s == 0 { f64::INFINITY } else { exp(border(best, FARTHEST, |e| !outside(e))) };
        Bounds { lo, hi }
    }

    /// l(e) = (X_c e - sum x ln(1 - rho + rho exp(e)))/phi at e = ln th.
    fn ln_likelihood(&self, e: f64, phi: Phi) -> f64 {
        let normaliser: f64 = self.shares.iter().map(|s| s.x * ln_tilted(s.rho, e)).sum();
        (self.x_c as f64 * e - normaliser) / phi.get()
    }

    /// Where l is largest: the root of X_c - sum x rho exp(e)/(1 - rho + rho exp(e)), at an end where one arm never
    /// failed.
    fn ln_estimate(&self) -> f64 {
        let expected = |e: f64| -> f64 { self.shares.iter().map(|s| s.x * s.rho / (s.rho + (1.0 - s.rho) * exp(-e))).sum() };
        border(-FARTHEST, FARTHEST, |e| expected(e) < self.x_c as f64)
    }

    fn add(&mut self, new: ShareSum) {
        let at = self.shares.partition_point(|s| s.rho < new.rho);
        match self.shares.get_mut(at) {
            Some(same) if same.rho == new.rho => same.x += new.x,
            _ => self.shares.insert(at, new),
        }
        if self.shares.len() > MAX_SHARES {
            self.merge_nearest();
        }
    }

    fn merge_nearest(&mut self) {
        let gaps = self.shares.windows(2).map(|pair| match pair {
            [a, b] => b.rho - a.rho,
            _ => f64::INFINITY,
        });
        let Some((at, _)) = gaps.enumerate().min_by(|a, b| a.1.total_cmp(&b.1)) else {
            return;
        };
        let upper = self.shares.remove(at + 1);
        if let Some(lower) = self.shares.get_mut(at) {
            let x = lower.x + upper.x;
            lower.rho += (upper.rho - lower.rho) * upper.x / x;
            lower.x = x;
        }
    }
}

/// The two-sided set of a failure probability at level `alpha` in `(0, 1)` after `x` failures of `n` requests.
///
/// Mixture over q = 0 (weight 1/2) and 0.999 * 10^(-7 + 7j/96), j = 0..96 (weight 1/194 each). For a one-sided bound
/// at level a call it with alpha = a. More failures than requests count as all of them.
#[must_use]
pub fn rate_bounds(x: u64, n: u64, alpha: f64, phi: Phi) -> Bounds {
    if n == 0 {
        return Bounds::ANY_RATE;
    }
    let (failed, fine) = (x.min(n) as f64, n.saturating_sub(x) as f64);
    let ln_likelihood = |ln_p: f64, ln_not_p: f64| (failed * ln_p + fine * ln_not_p) / phi.get();
    let ln_prior = ln(f64::from(2 * GRID));
    let mut terms: Vec<f64> = rate_grid().iter().map(|(ln_q, ln_not_q)| ln_likelihood(*ln_q, *ln_not_q) - ln_prior).collect();
    if x == 0 {
        terms.push(-std::f64::consts::LN_2);
    }
    let limit = phi.get() * (log_sum_exp(&terms) + ln(alpha));
    if failed == 0.0 {
        return Bounds { lo: 0.0, hi: -exp_m1(limit / fine) };
    }
    if fine == 0.0 {
        return Bounds { lo: exp(limit / failed), hi: 1.0 };
    }
    // In log odds both logarithms stay exact near 0 and near 1, and the likelihood is concave.
    let beyond = |odds: f64| {
        let (ln_p, ln_not_p) = ln_probabilities(odds);
        (failed * ln_p + fine * ln_not_p - limit, failed - (failed + fine) * logistic(odds))
    };
    let best = ln(failed) - ln(fine);
    let (height, _) = beyond(best);
    let distance = (2.0 * height.max(0.0) * (failed + fine) / (failed * fine)).sqrt();
    let bound = |start: f64| logistic(concave_root(start.clamp(-FARTHEST, FARTHEST), beyond));
    Bounds { lo: bound(best - distance), hi: bound(best + distance) }
}

/// ln q and ln(1 - q) of the positive rates of the prior.
fn rate_grid() -> &'static [(f64, f64)] {
    static RATES: OnceLock<Vec<(f64, f64)>> = OnceLock::new();
    RATES.get_or_init(|| {
        let rate = |j: u32| 0.999 * pow(10_f64, -7.0 + 7.0 * f64::from(j) / f64::from(GRID - 1));
        (0..GRID).map(rate).map(|q| (ln(q), ln_1p(-q))).collect()
    })
}

/// ln p and ln(1 - p) at log odds: -ln(1 + exp(-odds)) and -ln(1 + exp(odds)), which share their small part.
fn ln_probabilities(odds: f64) -> (f64, f64) {
    let small = ln_1p(exp(-odds.abs()));
    (-((-odds).max(0.0) + small), -(odds.max(0.0) + small))
}

fn logistic(odds: f64) -> f64 {
    1.0 / (1.0 + exp(-odds))
}
