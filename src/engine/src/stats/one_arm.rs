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
    /// What the failures are worth for each bet, whatever the margin.
    failures: PerBet,
    /// What is to be expected at margin 1, and for each bet taken off per part of it.
    expected: f64,
}

impl Alone {
    /// `upper_rate` is U, fixed before the interval; outside `0..=1` it is clamped, NaN counts as 1.
    pub(crate) fn of(counts: Counts, upper_rate: f64, factor: Factor) -> Self {
        let upper_rate = if upper_rate.is_nan() { 1.0 } else { upper_rate.clamp(0.0, 1.0) };
        let (failures, expected) = (counts.x_c as f64, counts.n_c as f64 * upper_rate);
        let phi = match factor {
            Factor::BurstExact(phi) if bursts(phi) > 1.0 => {
                let weight = BurstWeight::new(phi.get());
                // Without a failure nothing is weighed.
                let of = |g_minus_1: f64, _: f64| if failures > 0.0 { failures * weight.of(g_minus_1) } else { 0.0 };
                return Self { failures: Bets::grid().map(of), expected: expected / phi.get() };
            }
            Factor::BurstExact(_) => 1.0,
            Factor::Tempered(phi) => phi.get(),
        };
        Self { failures: Bets::grid().map(|_, ln_g| failures * ln_g / phi), expected: expected / phi }
    }

    /// ln of the factor of every bet.
    pub(crate) fn ln_factors(&self, margin: Margin) -> PerBet {
        let expected = self.expected * margin.get();
        let mut factors = self.failures;
        for (factor, g_minus_1) in factors.iter_mut().zip(&Bets::grid().g_minus_1) {
            *factor -= expected * g_minus_1;
        }
        factors
    }
}
