//! The harm e-process: evidence that the candidate fails more than r0 times as often as stable.
//!
//! `W_t(j) = L_t(g_j) (W_{t-1}(j) + a_t pi_j)`, `E_t = sum_j W_t(j) + R_t` with the factor L of [`super::factor`], the
//! prior pi of the grid of bets and the start masses a, reserve R of [`super::start`]. If p_c <= r0 p_s in every interval and
//! requests fail independently given the past, the probability that ln E ever reaches ln(1/alpha) is at most alpha
//! (Ville's inequality), whenever and however often one looks. 1/max E is an always-valid p-value.
//!
//! An interval without failures, or with traffic in one arm only, has factor 1 for every bet: ln E then stays as it
//! is, bit for bit, and its start mass waits to be placed with the next failure.

use serde::{Deserialize, Serialize};

use super::factor::{Comparison, Factor, Margin};
use super::interval::{Counts, Mark, Waiting};
use super::mixture::{Mixture, Placed};
use super::one_arm::Alone;
use super::portable::ln;
use super::start::{StartMass, Starts};

/// Evidence of harm at one margin. Serializes to about 900 bytes and back without losing a bit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HarmProcess {
    margin: Margin,
    starts: Starts,
    waiting: Waiting,
    mixture: Mixture,
    #[serde(default)]
    max_ln_e: f64,
}

impl HarmProcess {
    /// No evidence yet: E = 1.
    #[must_use]
    pub const fn new(margin: Margin, start: StartMass) -> Self {
        Self { margin, starts: Starts::new(start), waiting: Waiting::new(), mixture: Mixture::new(), max_ln_e: 0.0 }
    }

    /// A test that began elsewhere and goes on here.
    pub(super) const fn resume(margin: Margin, starts: Starts, waiting: Waiting, mixture: Mixture, max_ln_e: f64) -> Self {
        Self { margin, starts, waiting, mixture, max_ln_e }
    }

    /// Judges one interval that ended `elapsed` seconds after judging began. `factor` must have been fixed before the
    /// interval; it may change from one to the next.
    pub fn update(&mut self, interval: Counts, factor: Factor, elapsed: f64) -> Mark {
        let (mark, counts) = self.waiting.admit(interval);
        let Some(counts) = counts else { return mark };
        self.starts.advance(elapsed);
        if let Some(comparison) = Comparison::of(counts, self.margin) {
            self.mixture.judge(Placed::take(&mut self.starts), &comparison, factor);
            self.max_ln_e = self.max_ln_e.max(self.ln_e());
        }
        mark
    }

    /// Judges the candidate's part of an interval by `upper_rate` alone, an upper bound of stable's failure probability fixed
    /// before the interval; what stable counted in it is not asked.
    pub fn update_alone(&mut self, interval: Counts, factor: Factor, elapsed: f64, upper_rate: f64) -> Mark {
        let (mark, counts) = self.waiting.admit(interval);
        let Some(counts) = counts.filter(|counts| counts.n_c > 0) else { return mark };
        self.starts.advance(elapsed);
        let placed = Placed::take(&mut self.starts);
        self.mixture.multiply_ln(placed.mass, &Alone::of(counts, upper_rate, factor).ln_factors(self.margin));
        self.mixture.sum_up(placed.reserve);
        self.max_ln_e = self.max_ln_e.max(self.ln_e());
        mark
    }

    /// ln E: 0 says nothing, ln(1/alpha) is proof at alpha. It may fall again; see [`Self::max_ln_e`].
    #[must_use]
    pub const fn ln_e(&self) -> f64 {
        self.mixture.ln_e()
    }

    /// The largest ln E so far, at least 0. Harm is proved at alpha once it reaches ln(1/alpha).
    #[must_use]
    pub const fn max_ln_e(&self) -> f64 {
        self.max_ln_e
    }

    /// Whether harm beyond the margin was proved at `alpha` at any look so far.
    #[must_use]
    pub fn has_crossed(&self, alpha: f64) -> bool {
        self.max_ln_e() >= -ln(alpha)
    }

    /// The margin r0.
    #[must_use]
    pub const fn margin(&self) -> Margin {
        self.margin
    }

    /// How many intervals were judged.
    #[must_use]
    pub const fn evaluations(&self) -> u64 {
        self.starts.evaluations()
    }

    /// Counts that wait for their requests.
    #[must_use]
    pub const fn pending(&self) -> Counts {
        self.waiting.counts()
    }
}

/// ln E of one comparison with all start mass placed at once, for tests that look a single time.
#[must_use]
pub(crate) fn ln_e_once(comparison: &Comparison, factor: Factor) -> f64 {
    let mut starts = Starts::new(StartMass::AllAtOnce);
    starts.advance(0.0);
    let mut mixture = Mixture::new();
    mixture.judge(Placed::take(&mut starts), comparison, factor);
    mixture.ln_e()
}
