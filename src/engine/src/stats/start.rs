//! How much of the bet is placed when: the start masses of a restarted e-process.
//!
//! An e-process that bets everything at the first look is slow to see harm that begins later. So half of its mass
//! waits in a reserve and is placed bit by bit. Any predictable masses that sum to at most 1 keep the guarantee
//! (e-detectors: Shin, Ramdas & Rinaldo). The reserve is always computed in closed form or as a product, never as
//! 1 minus a running sum: that sum exceeds 1 in f64 for some plans, and the log of a negative reserve is NaN.

use serde::{Deserialize, Serialize};

use super::portable::{exp, exp_m1};

/// When the start mass is placed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum StartMass {
    /// All of it at the first evaluation.
    AllAtOnce,
    /// Half at the first evaluation, the rest in equal parts at evaluations `2..=evaluations`, none after.
    Planned {
        /// Planned number of evaluations; 0 and 1 mean all at once.
        evaluations: u64,
    },
    /// Half at the first evaluation; the other half decays as exp(-elapsed/tau) and what decays is placed.
    /// It never ends and does not depend on how often one looks.
    Hazard {
        /// Planned duration in seconds; what is not positive and finite places all that is left at the next evaluation.
        tau_seconds: f64,
    },
}

/// Counts evaluations and hands out the start mass due at each.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Starts {
    plan: StartMass,
    evaluations: u64,
    last_seconds: f64,
    reserve: f64,
    unplaced: f64,
}

impl Starts {
    pub(crate) const fn new(plan: StartMass) -> Self {
        Self { plan, evaluations: 0, last_seconds: 0.0, reserve: 1.0, unplaced: 0.0 }
    }

    pub(crate) const fn evaluations(&self) -> u64 {
        self.evaluations
    }

    /// Mass not handed out yet, in `0..=1`.
    pub(crate) const fn reserve(&self) -> f64 {
        self.reserve
    }

    /// Mass that no bet has been placed with yet: the reserve, and what waits for the next failure.
    pub(crate) const fn unspent(&self) -> f64 {
        self.reserve + self.unplaced
    }

    /// Begins the next evaluation, `seconds` after judging began; a clock that runs backwards stands still.
    ///
    /// Its mass joins what earlier evaluations left unplaced: as long as nobody failed every factor is 1, and masses
    /// placed in turn are the masses placed together.
    pub(crate) fn advance(&mut self, seconds: f64) {
        let now = if seconds.is_finite() { seconds.max(self.last_seconds) } else { self.last_seconds };
        let passed = now - self.last_seconds;
        self.last_seconds = now;
        self.evaluations = self.evaluations.saturating_add(1);
        let (mass, reserve) = self.due(passed);
        self.unplaced += mass;
        self.reserve = reserve;
    }

    /// The mass to add to the weights before this evaluation's factor.
    pub(crate) const fn take(&mut self) -> f64 {
        let mass = self.unplaced;
        self.unplaced = 0.0;
        mass
    }

    /// Start mass of this evaluation and the reserve after it.
    fn due(&self, passed: f64) -> (f64, f64) {
        let first = self.evaluations == 1;
        match self.plan {
            StartMass::AllAtOnce | StartMass::Planned { evaluations: 0 | 1 } => (self.reserve, 0.0),
            StartMass::Planned { .. } | StartMass::Hazard { .. } if first => (0.5, 0.5),
            StartMass::Planned { evaluations: planned } => {
                let parts = 2.0 * (planned - 1) as f64;
                let left = planned.saturating_sub(self.evaluations) as f64;
                (if self.evaluations <= planned { 1.0 / parts } else { 0.0 }, left / parts)
            }
            StartMass::Hazard { tau_seconds } if tau_seconds > 0.0 && tau_seconds.is_finite() => {
                let decay = -passed / tau_seconds;
                (-self.reserve * exp_m1(decay), self.reserve * exp(decay))
            }
            StartMass::Hazard { .. } => (self.reserve, 0.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mass placed in each of the first evaluations, one a second, and the reserve after them.
    fn placed(plan: StartMass, evaluations: u64) -> (Vec<f64>, f64) {
        let mut starts = Starts::new(plan);
        let mut place = |second: u64| {
            starts.advance(second as f64);
            starts.take()
        };
        let masses = (0..evaluations).map(&mut place).collect();
        (masses, starts.reserve())
    }

    #[test]
    fn given_any_plan_then_mass_and_reserve_are_one() {
        let planned = (0..3000).chain([3600, 100_000]).map(|evaluations| StartMass::Planned { evaluations });
        let hazards = [-1.0, 0.0, 1e-3, 1.0, 7200.0, 1e300, f64::INFINITY, f64::NAN];
        let hazards = hazards.map(|tau_seconds| StartMass::Hazard { tau_seconds });
        for plan in planned.chain(hazards).chain([StartMass::AllAtOnce]) {
            let (masses, reserve) = placed(plan, 40);
            let total = masses.iter().sum::<f64>() + reserve;
            assert!((total - 1.0).abs() < 1e-12, "{plan:?}: {total}");
            assert!(reserve >= 0.0 && masses.iter().all(|m| *m >= 0.0), "{plan:?}");
        }
    }

    #[test]
    fn given_a_plan_that_is_over_then_nothing_is_left() {
        for evaluations in 0..200 {
            let (masses, reserve) = placed(StartMass::Planned { evaluations }, evaluations.max(1) + 2);
            assert_eq!(reserve, 0.0);
            assert!(masses.iter().rev().take(2).all(|m| *m == 0.0));
        }
    }

    #[test]
    fn given_a_hazard_then_it_decays_with_time_whatever_the_looks_and_the_clock() {
        let mut often = Starts::new(StartMass::Hazard { tau_seconds: 100.0 });
        let mut seldom = often;
        (0..=50).for_each(|second| often.advance(f64::from(second)));
        [0.0, f64::NAN, 30.0, 10.0, 50.0, f64::INFINITY].iter().for_each(|second| seldom.advance(*second));
        assert!((often.reserve() - 0.5 * exp(-0.5)).abs() < 1e-15);
        assert!((often.reserve() - seldom.reserve()).abs() < 1e-15);
        assert!((often.take() - seldom.take()).abs() < 1e-15);
    }
}
