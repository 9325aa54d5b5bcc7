//! Evidence that something fails more often than it did before, with nothing beside it to compare with.
//!
//! The harm test of [`super::harm`] with the factor of [`super::one_arm`]: `g^x exp(-n r0 U (g-1))` has mean at most 1
//! while p <= r0 U, U an upper bound of the rate before that was fixed beforehand. It cannot tell who is to blame: what
//! everybody suffers looks like one's own. That is asked of bystanders ([`crate::dependents`]).

use serde::{Deserialize, Serialize};

use super::factor::{Factor, Margin};
use super::interval::{Counts, Mark, Waiting};
use super::mixture::{Mixture, Placed};
use super::one_arm::Alone;
use super::start::{StartMass, Starts};

/// Evidence against "it fails at most r0 times as often as before".
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PastProcess {
    margin: Margin,
    starts: Starts,
    waiting: Waiting,
    mixture: Mixture,
}

impl PastProcess {
    /// No evidence yet: E = 1.
    #[must_use]
    pub const fn new(margin: Margin, start: StartMass) -> Self {
        Self { margin, starts: Starts::new(start), waiting: Waiting::new(), mixture: Mixture::new() }
    }

    /// Judges an interval of `requests` of which `failures` failed, `elapsed` seconds after judging began, against
    /// `upper_rate`, an upper bound of the former failure probability fixed before the interval.
    pub fn update(&mut self, requests: u64, failures: u64, upper_rate: f64, factor: Factor, elapsed: f64) -> Mark {
        let (mark, counts) = self.waiting.admit(Counts::new(requests, 0, failures, 0));
        let Some(counts) = counts else { return mark };
        self.starts.advance(elapsed);
        let Placed { mass, reserve } = Placed::take(&mut self.starts);
        self.mixture.multiply_ln(mass, &Alone::of(counts, upper_rate, factor).ln_factors(self.margin));
        self.mixture.sum_up(reserve);
        mark
    }

    /// ln E now.
    #[must_use]
    pub const fn ln_e(&self) -> f64 {
        self.mixture.ln_e()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Phi;

    const START: StartMass = StartMass::Hazard { tau_seconds: 600.0 };
    const PHI: Factor = Factor::BurstExact(Phi::UNKNOWN);

    fn after(per_second: (u64, u64), upper: f64) -> f64 {
        let mut process = PastProcess::new(Margin::default(), START);
        for second in 1..=30 {
            process.update(per_second.0, per_second.1, upper, PHI, f64::from(second));
        }
        process.ln_e()
    }

    #[test]
    fn given_the_former_rate_or_no_known_past_then_there_is_no_evidence() {
        assert!(after((100, 1), 0.01) < 0.0);
        assert!(after((100, 50), 1.0) < 0.0);
        assert!(after((100, 50), f64::NAN) < 0.0);
    }

    #[test]
    fn given_ten_times_the_former_rate_then_it_is_proved() {
        assert!(after((100, 10), 0.01) > 20.0, "{}", after((100, 10), 0.01));
    }
}
