//! The promotion e-value: evidence against "the next stage would harm more than the budget".
//!
//! The budget B is a share of all requests; at the next weight w the candidate may add at most delta = B/w to
//! stable's failure probability. The null is p_c >= p_s + delta. Two ways to refute it, half a bet each (derived
//! here, in the manner of Turner, Ly & Grunwald, JSPI 2024):
//! - **ratio** `lr`: under the null p_c/p_s >= th0 = 1 + delta/U wherever p_s <= U; bet on "equal rates" against
//!   th0 by the two arms' shares;
//! - **absolute** `la`: under the null p_c >= m = L + delta wherever p_s >= L; bet on q (stable's rate, kept in
//!   `1e-6..=0.9 m`) against m.
//!
//! Restart it at every stage. U and L each miss with at most beta/20, so the whole error is 1.1 beta at ln(1/beta):
//! open at ln(1/(0.9 beta)), which [`PromotionProcess::is_open`] does.

use std::f64::consts::LN_2;

use serde::{Deserialize, Serialize};

use super::dispersion::Phi;
use super::interval::{Counts, Mark, Waiting};
use super::portable::{ln, ln_1p};
use super::special::log_add_exp;

/// The bet on the candidate's rate is never below this: at 0 a single failure would end all evidence for ever.
const SMALLEST_BET_RATE: f64 = 1e-6;

/// The bet on the candidate's rate stays this far below the refuted rate m.
const LARGEST_BET_PART: f64 = 0.9;

/// Part of beta left for the e-value when U and L take a twentieth each.
const BETA_LEFT: f64 = 0.9;

/// What is fixed before an interval: probabilities per request unless said otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PromotionInput {
    /// B: share of all requests the next stage may harm, in `0..=1`.
    pub budget: f64,
    /// w: traffic share of the candidate at the next stage, in `(0, 1]`.
    pub w_next: f64,
    /// U: upper bound of stable's failure probability.
    pub upper: f64,
    /// L: lower bound of stable's failure probability.
    pub lower: f64,
    /// Stable's failure probability as best known; only the power depends on it.
    pub stable_rate: f64,
    /// Dispersion of the failures; U and L must have been tempered by the same.
    pub phi: Phi,
}

/// The numbers an interval is judged by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PromotionTerms {
    /// th0 = 1 + delta/U: the ratio that is refuted.
    pub th0: f64,
    /// m = L + delta: the rate that is refuted.
    pub m: f64,
    /// q: the rate that is bet on.
    pub q: f64,
}

impl PromotionInput {
    /// th0, m and q. Input outside its range is clamped to it, what is no number to the end that proves nothing.
    #[must_use]
    pub fn terms(&self) -> PromotionTerms {
        let probability = |v: f64, otherwise: f64| {
            if v.is_nan() { otherwise } else { v.clamp(0.0, 1.0) }
        };
        let delta = probability(self.budget, 0.0) / probability(self.w_next, 1.0).max(f64::EPSILON);
        let th0 = 1.0 + delta / probability(self.upper, 1.0).max(f64::MIN_POSITIVE.sqrt());
        let m = probability(self.lower, 0.0) + delta;
        let q = probability(self.stable_rate, 1.0).max(SMALLEST_BET_RATE).min(LARGEST_BET_PART * m);
        PromotionTerms { th0, m, q }
    }
}

/// Evidence that the next stage is within its budget; one per signal and stage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct PromotionProcess {
    lr: f64,
    la: f64,
    waiting: Waiting,
}

impl PromotionProcess {
    /// No evidence yet: E = 1.
    #[must_use]
    pub const fn new() -> Self {
        Self { lr: 0.0, la: 0.0, waiting: Waiting::new() }
    }

    /// Judges one interval.
    pub fn update(&mut self, interval: Counts, input: &PromotionInput) -> Mark {
        let (mark, counts) = self.waiting.admit(interval);
        let Some(counts) = counts else { return mark };
        let PromotionTerms { th0, m, q } = input.terms();
        let phi = input.phi.get();
        let (n_c, x_c, x) = (counts.n_c as f64, counts.x_c as f64, counts.failures() as f64);
        if counts.compares() && counts.failures() > 0 {
            let rho = counts.rho().unwrap_or(0.0);
            self.lr += (x * ln_1p(rho * (th0 - 1.0)) - x_c * ln(th0)) / phi;
        }
        // A rate of 1 or more cannot be exceeded and 0 cannot be undercut: the absolute bet says nothing there.
        if counts.n_c > 0 && m > 0.0 && m < 1.0 {
            self.la += (x_c * ln(q / m) + (n_c - x_c) * (ln_1p(-q) - ln_1p(-m))) / phi;
        }
        mark
    }

    /// ln of the ratio bet.
    #[must_use]
    pub const fn lr(&self) -> f64 {
        self.lr
    }

    /// ln of the absolute bet.
    #[must_use]
    pub const fn la(&self) -> f64 {
        self.la
    }

    /// ln E = ln(exp(lr)/2 + exp(la)/2).
    #[must_use]
    pub fn ln_e(&self) -> f64 {
        log_add_exp(self.lr, self.la) - LN_2
    }

    /// Whether the gate is open now: ln E >= ln(1/(0.9 beta)). Not latched.
    #[must_use]
    pub fn is_open(&self, beta: f64) -> bool {
        self.ln_e() >= opening_ln_e(beta)
    }

    /// Counts that wait for their requests.
    #[must_use]
    pub const fn pending(&self) -> Counts {
        self.waiting.counts()
    }
}

/// ln(1/(0.9 beta)): where the gate opens for a total error beta in `(0, 1]`, bounds U and L included.
#[must_use]
pub fn opening_ln_e(beta: f64) -> f64 {
    -ln(BETA_LEFT * beta)
}
