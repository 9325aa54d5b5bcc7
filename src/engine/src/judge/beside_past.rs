//! Slow requests where the candidate's pods have more to do than stable's.
//!
//! Stable keeps all its pods and loses requests, so its pods have less to do with every stage, and a pod with less to do is
//! faster. The candidate's pods have about as much to do as stable's had before the Change: slower than stable is then harm only
//! where it is slower than stable was, too. So from the first such interval on a second test stands beside the comparison. It
//! judges such intervals by the candidate alone against an upper bound of stable's past rate, and all others as the comparison
//! does. The smaller of both counts: it is an e-process wherever one of them is, and trouble that both arms share shows in it no
//! more than in the comparison. Without a past, or with one of few requests, the comparison stands alone. Safety is proved as
//! always: an arm that is slower for having more to do may then take more requests than there are, and a human is asked.

use serde::{Deserialize, Serialize};

use super::SignalMemory;
use crate::stats::{Counts, Factor, HarmProcess};

/// Evidence of harm at the plan's margin, beside stable's past.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct BesidePast(HarmProcess);

impl BesidePast {
    pub(super) const fn ln_e(&self) -> f64 {
        self.0.ln_e()
    }
}

impl SignalMemory {
    /// Judges an interval beside stable's past, before the comparison does.
    pub(super) fn judge_beside_past(&mut self, counts: Counts, factor: Factor, elapsed: f64) {
        let Some(upper) = self.past_upper.filter(|_| self.by_past || self.beside_past.is_some()) else { return };
        let BesidePast(test) = self.beside_past.get_or_insert_with(|| BesidePast(self.harm.own()));
        if self.by_past {
            test.update_alone(counts, factor, elapsed, upper);
        } else {
            test.update(counts, factor, elapsed);
        }
    }
}
