//! The same test where there is nothing to find: one half of stable's pods against the other.
//!
//! The harm test is as good as its noise is known. Stable's halves run the same version, so a proof that one fails more than the
//! tolerated ratio times as often as the other says that the noise is larger than stable's past said: failures come in larger
//! bursts, or pods are more unlike. Then twice the dispersion is assumed from there on; what was shown before stays, so that nothing
//! here stands in front of a way back. A single pod that was always worse is not noise; it is taken out of the halves.

use serde::{Deserialize, Serialize};

use super::signal::{CLOSE_REQUESTS, SignalMemory};
use crate::{
    observation::Past,
    plan::Setup,
    stats::{Counts, Factor, HarmProcess, Margin, Phi, StartMass},
};

/// Probability of doubting the noise without reason, at most: at the border of what the margin tolerates, while stable's halves
/// are alike, where it is a tenth of that. Larger than any alpha, so that doubt comes before a proof that rests on the noise.
const DOUBT: f64 = 0.1;

/// So often the dispersion is doubled at most: with 64 times what the past said, failures say next to nothing.
const MOST_DOUBLED: u32 = 6;

/// What was seen of stable's halves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Placebo {
    open: Counts,
    /// Either half against the other.
    sides: [HarmProcess; 2],
    doubled: u32,
}

impl Placebo {
    pub(super) fn new(setup: &Setup) -> Self {
        let start = StartMass::Hazard { tau_seconds: setup.plan.planned_seconds() };
        let side = || HarmProcess::new(Margin::new(setup.plan.margin), start);
        Self { open: Counts::default(), sides: [side(), side()], doubled: 0 }
    }

    /// Takes in what both halves counted in a look.
    pub(super) fn enter(&mut self, halves: Counts) {
        self.open = self.open.plus(halves);
    }

    /// What was counted before the candidate's exposure is not judged.
    pub(super) fn begin(&mut self) {
        self.open = Counts::default();
    }

    /// Judges what is open, if there is enough; whether the halves are now shown to differ.
    fn differs(&mut self, factor: Factor, elapsed: f64) -> bool {
        if self.open.n_c < CLOSE_REQUESTS || self.open.n_s < CLOSE_REQUESTS || self.doubled >= MOST_DOUBLED {
            return false;
        }
        let counts = std::mem::take(&mut self.open);
        let [one, other] = &mut self.sides;
        one.update(counts, factor, elapsed);
        other.update(counts.swapped(), factor, elapsed);
        self.sides.iter().any(|side| side.has_crossed(DOUBT / 2.0))
    }

    /// How often the dispersion was doubled.
    pub(super) const fn doubled(&self) -> u32 {
        self.doubled
    }
}

impl SignalMemory {
    /// Asks whether stable's halves show that the noise is larger than was believed, once an interval was judged. Then the
    /// dispersion is doubled for those that follow.
    pub(super) fn doubt_noise(&mut self, setup: &Setup, elapsed: f64) {
        let Some(past) = self.past else { return };
        if !self.placebo.differs(Factor::BurstExact(past.phi), elapsed) {
            return;
        }
        let doubled = self.placebo.doubled;
        self.placebo = Placebo::new(setup);
        if self.book.set_worse_apart() {
            self.placebo.doubled = doubled;
            return;
        }
        self.placebo.doubled = doubled + 1;
        self.learn(setup, Past { phi: Phi::new(2.0 * past.phi.get()), ..past });
    }
}
