//! Evidence of harm when nothing of stable is left to compare with.
//!
//! With all requests on the candidate every comparison has factor 1. Then half of the bet goes on the candidate alone
//! against a bound U of stable's rate from before: `g^x_c exp(-n_c r0 U (g-1))` has mean at most 1 while
//! p_c <= r0 p_s and p_s <= U (Poisson bound of the binomial). Under bursts the weight per failure is that of the
//! negative binomial, as in [`super::factor`].
//!
//! It rests on the past: trouble that both arms would share looks like the candidate's. So it is asked only where no
//! request of stable's can tell.

use super::bets::{Bets, PerBet};
use super::factor::{BurstWeight, Factor, Margin, bursts};
use super::interval::Counts;

/// The candidate alone, against the rate that stable had.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Alone {
    failures: f64,
    requests: f64,
    upper_rate: f64,
}

impl Alone {
    /// `upper_rate` is U, fixed before the interval; outside `0..=1` it is clamped, NaN counts as 1.
    pub(crate) fn of(counts: Counts, upper_rate: f64) -> Self {
        let upper_rate = if upper_rate.is_nan() { 1.0 } else { upper_rate.clamp(0.0, 1.0) };
        Self { failures: counts.x_c as f64, requests: counts.n_c as f64, upper_rate }
    }

    /// ln of the factor of every bet.
    pub(crate) fn ln_factors(&self, margin: Margin, factor: Factor) -> PerBet {
        let expected = self.requests * margin.get() * self.upper_rate;
        let independent = |phi: f64| Bets::grid().map(|g_minus_1, ln_g| (self.failures * ln_g - expected * g_minus_1) / phi);
        match factor {
            Factor::BurstExact(phi) if bursts(phi) > 1.0 => {
                let (weight, expected) = (BurstWeight::new(phi.get()), expected / phi.get());
                Bets::grid().map(|g_minus_1, _| self.failures * weight.of(g_minus_1) - expected * g_minus_1)
            }
            Factor::BurstExact(_) => independent(1.0),
            Factor::Tempered(phi) => independent(phi.get()),
        }
    }
}
