//! How much of the bet is placed when: the start masses of a restarted e-process.
//!
//! An e-process that bets everything at the first look is slow to see harm that begins later. So half of its mass
//! waits in a reserve and is placed bit by bit. Any predictable masses that sum to at most 1 keep the guarantee
//! (e-detectors: Shin, Ramdas & Rinaldo). The reserve is always computed in closed form or as a product, never as
//! 1 minus a running sum: that sum exceeds 1 in f64 for some plans, and the log of a negative reserve is NaN.

use serde::{Deserialize, Serialize};

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
        Self {
            plan,
            evaluations: 0,
            last_seconds: 0.0,
            reserve: 1.0,
            unplaced: 0.0,
        }
    }

    pub(crate) const fn evaluations(&self) -> u64 {
        self.evaluations
    }

    /// Mass not handed out yet, in `0..=1`.
    pub(crate) const fn reserve(&self) -> f64 {
        self.reserve
    }

    /// Begins the next evaluation, `seconds` after judging began; a clock that runs backwards stands still.
    ///
    /// Its mass joins what earlier evaluations left unplaced: as long as nobody failed every factor is 1, and masses
    /// placed in turn are the masses placed together.
    pub(crate) fn advance(&mut self, seconds: f64) {
        let now = if seconds.is_finite() {
            seconds.max(self.last_seconds)
        } else {
            self.last_seconds
        };
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
            StartMass::Planned {
                evaluations: planned,
            } => {
                let parts = 2.0 * (planned - 1) as f64;
                let left = planned.saturating_sub(self.evaluations) as f64;
                (
                    if self.evaluations <= planned {
                        1.0 / parts
                    } else {
                        0.0
                    },
                    left / parts,
                )
            }
            StartMass::Hazard { tau_seconds } if tau_seconds > 0.0 && tau_seconds.is_finite() => {
                let decay = -passed / tau_seconds;
                (-self.reserve * decay.exp_m1(), self.reserve * decay.exp())
            }
            StartMass::Hazard { .. } => (self.reserve, 0.0),
        }
    }
}
