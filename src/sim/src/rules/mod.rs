//! Rules that decide over a candidate: Firebreak's own, and those that others use, each stepping through the same stages.
//!
//! A rule is told what came since it was last asked, and says which share the candidate may have or that it is over. It
//! knows nothing of the truth. [`crate::rollout`] asks it, carries out what it says, and keeps the accounts.
//!
//! The others are models: their decision over one success rate, no more. Each says in its own file what was looked up and
//! what is this model's choice. None of them watches the last stage: at 100 % they have promoted.

mod firebreak;
mod mann_whitney;
mod ratio;
mod threshold;

use std::collections::VecDeque;

use firebreak_engine::{
    observation::Past,
    stats::Counts,
    units::{Weight, significant},
};

pub(crate) use firebreak::Firebreak;
pub use mann_whitney::MannWhitney;
pub use ratio::Ratio;
pub use threshold::{Failing, Threshold};

use crate::{Rollout, opening::Guards};

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

/// A rule with its settings.
#[derive(Debug, Clone, PartialEq)]
pub enum RuleKind {
    /// Firebreak, under the rollout's own plan.
    Firebreak,
    /// Firebreak with other guards around stable's rate than the engine's, to see what they do.
    Guarded(Guards),
    /// A success rate that has to be reached: Flagger, Argo Rollouts.
    Threshold(Threshold),
    /// A failure rate that may be so many times stable's.
    Ratio(Ratio),
    /// Samples of both arms' failure rates by ranks: Kayenta.
    MannWhitney(MannWhitney),
}

impl RuleKind {
    /// Firebreak, and the others with settings that are common.
    #[must_use]
    pub fn common() -> Vec<Self> {
        let thresholds = [Threshold::flagger(), Threshold::flagger_fast(), Threshold::argo(), Threshold::argo_example()];
        let mut all = vec![Self::Firebreak];
        all.extend(thresholds.map(Self::Threshold));
        all.extend([Ratio::times(1.5), Ratio::times(2.0)].map(Self::Ratio));
        all.push(Self::MannWhitney(MannWhitney::kayenta()));
        all
    }

    /// A short name.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Firebreak => "Firebreak".to_owned(),
            Self::Guarded(guards) => format!("Firebreak, guards {}, {}", guards.upper, guards.lower),
            Self::Threshold(rule) => rule.name.to_owned(),
            Self::Ratio(rule) => format!("ratio {}x", rule.ratio),
            Self::MannWhitney(_) => "Kayenta-like".to_owned(),
        }
    }

    /// Its settings in a sentence.
    #[must_use]
    pub fn settings(&self, rollout: &Rollout) -> String {
        let plan = &rollout.setup.plan;
        match self {
            Self::Firebreak | Self::Guarded(_) => format!(
                "alpha {}, beta {}, margin {}x, budget {} %, a look every {} s, {} to {} s at a stage, {} s at the last with {} left to stable",
                plan.alpha,
                plan.beta,
                plan.margin,
                significant(plan.budget * 100.0, 3),
                rollout.look_seconds,
                plan.min_bake_seconds,
                plan.max_bake_seconds,
                plan.final_bake_seconds,
                plan.holdback,
            ),
            Self::Threshold(rule) => rule.settings(),
            Self::Ratio(rule) => rule.settings(),
            Self::MannWhitney(rule) => rule.settings(),
        }
    }

    pub(crate) fn start<'a>(&self, rollout: &'a Rollout, past: Past) -> Box<dyn Rule + 'a> {
        let steps = || Steps::new(rollout);
        let firebreak = || Firebreak::new(&rollout.setup, past, rollout.look_seconds, rollout.ready_after);
        match self {
            Self::Firebreak => Box::new(firebreak()),
            Self::Guarded(guards) => Box::new(firebreak().with_guards(*guards, past)),
            Self::Threshold(rule) => Box::new(threshold::Thresholding::new(rule.clone(), steps())),
            Self::Ratio(rule) => Box::new(ratio::Comparing::new(rule.clone(), steps())),
            Self::MannWhitney(rule) => Box::new(mann_whitney::Ranking::new(rule.clone(), steps())),
        }
    }
}

/// The way through the stages of a rule that only counts time or checks: at the share of the last, it is promoted.
struct Steps {
    shares: Vec<Weight>,
    stage: usize,
    granted: Weight,
    asked: f64,
    ready_after: f64,
}

impl Steps {
    fn new(rollout: &Rollout) -> Self {
        let shares = rollout.setup.plan.stages.clone();
        let granted = shares.first().copied().unwrap_or(Weight::FULL);
        Self { shares, stage: 0, granted, asked: 0.0, ready_after: rollout.ready_after }
    }

    fn share(&self, stage: usize) -> Weight {
        self.shares.get(stage).copied().unwrap_or(Weight::FULL)
    }

    /// Asks for the next stage; the share follows when its pods are ready.
    fn step(&mut self, now: f64) {
        self.stage += 1;
        self.asked = now;
    }

    /// Whether the stage's share is given, and since when.
    fn since(&self) -> Option<f64> {
        let ready = self.asked + if self.stage > 0 { self.ready_after } else { 0.0 };
        (self.granted == self.share(self.stage)).then_some(ready)
    }

    fn say(&mut self, now: f64) -> Ruling {
        if self.stage > 0 && now - self.asked >= self.ready_after {
            self.granted = self.share(self.stage);
        }
        if self.granted >= Weight::FULL { Ruling::Promote } else { Ruling::Give(self.granted) }
    }
}

/// Requests of the last seconds.
#[derive(Default)]
struct Window(VecDeque<(f64, Counts)>);

impl Window {
    /// Adds what came, and sums what came in the last `seconds`.
    fn add(&mut self, seen: Seen, seconds: f64) -> Counts {
        self.0.push_back((seen.until, seen.counts));
        while self.0.front().is_some_and(|(at, _)| *at <= seen.until - seconds) {
            self.0.pop_front();
        }
        self.0.iter().fold(Counts::default(), |sum, (_, counts)| sum.plus(*counts))
    }
}

/// Something that is due again and again.
struct Due {
    every: f64,
    next: f64,
}

impl Due {
    fn every(every: f64) -> Self {
        Self { every, next: every }
    }

    fn is_now(&mut self, now: f64) -> bool {
        let due = now >= self.next;
        if due {
            self.next += self.every;
        }
        due
    }
}
