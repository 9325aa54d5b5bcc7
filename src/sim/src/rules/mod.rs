//! Rules that decide over a candidate: Firebreak's own, and those that others use, each stepping through the same stages.
//!
//! A rule is told what came since it was last asked, and says which share the candidate may have or that it is over. It
//! knows nothing of the truth. [`crate::rollout`] asks it, carries out what it says, and keeps the accounts.

mod firebreak;

use firebreak_engine::{observation::Past, stats::Counts, units::Weight};

pub(crate) use firebreak::Firebreak;

/// One look of a rule.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    /// Seconds since the first exposure, now.
    pub(crate) now: f64,
    /// The second up to which requests are counted: metrics come late.
    pub(crate) until: f64,
    /// What came since the last look.
    pub(crate) counts: Counts,
}

/// What a rule says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Ruling {
    /// It goes on, with this share.
    Give(Weight),
    /// It is handed over.
    Promote,
    /// It is taken back.
    Back,
    /// It is taken back although nothing is proved: the stage's longest time is over and the policy asks for that.
    GiveUp,
}

/// Something that decides over one candidate.
pub(crate) trait Rule {
    /// The next look.
    fn look(&mut self, seen: Seen) -> Ruling;

    /// The stage it is at, from 0.
    fn stage(&self) -> usize;

    /// When stable's past is to be read again, seconds; never, for most.
    fn learns_at(&self) -> f64 {
        f64::INFINITY
    }

    /// Stable's past, read again.
    fn learn(&mut self, _past: Past) {}
}
