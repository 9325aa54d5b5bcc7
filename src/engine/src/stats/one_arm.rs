//! Evidence of harm when little of stable is left to compare with.
//!
//! Above 80 % exposure the comparison says little: 5x needs 189 candidate failures at 95 % and no number is enough at
//! 100 %. Then half of the bet goes on the candidate alone against a bound U of stable's rate from before:
//! `g^x_c exp(-n_c r0 U (g-1))` has mean at most 1 while p_c <= r0 p_s and p_s <= U (Poisson bound of the binomial).
//! Under bursts the weight per failure is that of the negative binomial, as in [`super::mixture`].

use serde::{Deserialize, Serialize};

use super::harm::HarmProcess;
use super::interval::{Counts, Mark, Waiting};
use super::mixture::{Bets, BurstWeight, Factor, Margin, Mixture, PerBet, Placed, bursts};
use super::portable::ln;
use super::special::log_add_exp;
use super::start::{StartMass, Starts};

/// From this exposure on the one-arm test is worth its half of the bet.
pub const ONE_ARM_FROM_SHARE: f64 = 0.8;

/// Half the two-arm harm test, half the one-arm test: E = E_two/2 + E_one/2.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OneArmProcess {
    two_arm: HarmProcess,
    starts: Starts,
    waiting: Waiting,
    one_arm: Mixture,
    max_ln_e: f64,
}

impl OneArmProcess {
    /// No evidence yet: E = 1.
    #[must_use]
    pub const fn new(margin: Margin, start: StartMass) -> Self {
        Self {
            two_arm: HarmProcess::new(margin, start),
            starts: Starts::new(start),
            waiting: Waiting::new(),
            one_arm: Mixture::new(),
            max_ln_e: 0.0,
        }
    }

    /// Judges one interval, as [`HarmProcess::update`] does. `upper_rate` is U, an upper bound of stable's failure
    /// probability per request fixed before the interval; outside `0..=1` it is clamped, NaN counts as 1.
    pub fn update(&mut self, interval: Counts, factor: Factor, elapsed: f64, upper_rate: f64) -> Mark {
        self.two_arm.update(interval, factor, elapsed);
        let (mark, counts) = self.waiting.admit(interval);
        let Some(counts) = counts else { return mark };
        self.starts.advance(elapsed);
        if counts.n_c > 0 {
            let upper = if upper_rate.is_nan() { 1.0 } else { upper_rate.clamp(0.0, 1.0) };
            let expected = counts.n_c as f64 * self.two_arm.margin().get() * upper;
            let failures = counts.x_c as f64;
            self.one_arm.multiply(Placed::take(&mut self.starts), &ln_factors(failures, expected, factor));
        }
        self.max_ln_e = self.max_ln_e.max(self.ln_e());
        mark
    }

    /// ln E; see [`HarmProcess::ln_e`].
    #[must_use]
    pub fn ln_e(&self) -> f64 {
        log_add_exp(self.two_arm.ln_e(), self.one_arm.ln_e()) - std::f64::consts::LN_2
    }

    /// The largest ln E so far, at least 0.
    #[must_use]
    pub const fn max_ln_e(&self) -> f64 {
        self.max_ln_e
    }

    /// Whether harm beyond the margin was proved at `alpha` at any look so far.
    #[must_use]
    pub fn has_crossed(&self, alpha: f64) -> bool {
        self.max_ln_e >= -ln(alpha)
    }

    /// The two-arm half on its own.
    #[must_use]
    pub const fn two_arm(&self) -> &HarmProcess {
        &self.two_arm
    }
}

fn ln_factors(failures: f64, expected: f64, factor: Factor) -> PerBet {
    let independent = |phi: f64| Bets::grid().map(|g_minus_1, ln_g| (failures * ln_g - expected * g_minus_1) / phi);
    match factor {
        Factor::BurstExact(phi) if bursts(phi) > 1.0 => {
            let (weight, expected) = (BurstWeight::new(phi.get()), expected / phi.get());
            Bets::grid().map(|g_minus_1, _| failures * weight.of(g_minus_1) - expected * g_minus_1)
        }
        Factor::BurstExact(_) => independent(1.0),
        Factor::Tempered(phi) => independent(phi.get()),
    }
}
