//! A recorded decision under another plan: what would have been decided then, of the same Change in the same situation.
//!
//! Only the plan changes; where the Change stood, what it had seen, what humans had asked for stays. What follows from
//! another decision is not known: no request was served under it.

use crate::{
    decide::Basis,
    memory::{Memory, Phase},
    people::Approved,
    plan::{Plan, Setup},
    units::{Millis, Weight},
};

impl Basis {
    /// The same situation under another plan. `None` where the plan's margin is neither on the ladder of margins nor the one
    /// that was judged by: what was seen is not kept for others.
    #[must_use]
    pub fn under(&self, plan: Plan) -> Option<Self> {
        let setup = Setup { plan, ..self.setup.clone() };
        let memory = self.memory.under(&self.setup, &setup)?;
        Some(Self { setup, memory, observation: self.observation.clone() })
    }

    /// When this stage's evidence and its shortest time first sufficed to go on, as far as was known before this decision;
    /// `None` while they did not, and where no stage follows.
    #[must_use]
    pub fn could_go_on_since(&self) -> Option<Millis> {
        let (memory, plan) = (&self.memory, &self.setup.plan);
        let in_effect = memory.in_effect.filter(|_| memory.phase == Phase::Progressing)?;
        let open = memory.judgement.first_open(&self.setup, plan.weight(memory.stage + 1))?;
        Some(open.max(in_effect.plus_seconds(plan.min_bake_seconds))).filter(|since| *since <= self.observation.now)
    }
}

impl Memory {
    fn under(&self, before: &Setup, setup: &Setup) -> Option<Self> {
        let weight = before.plan.weight(self.stage);
        let stage = stage_at(&setup.plan, weight);
        let phase = match self.phase {
            Phase::Progressing | Phase::Baking if setup.plan.weight(stage) >= Weight::FULL => Phase::Baking,
            Phase::Progressing | Phase::Baking => Phase::Progressing,
            other => other,
        };
        let through = |through: usize| stage + through.saturating_sub(self.stage);
        let (was, next) = (before.plan.weight(self.stage + 1), setup.plan.weight(stage + 1));
        let differs = before.plan.beta != setup.plan.beta || before.plan.budget != setup.plan.budget || was != next;
        // While a share is coming into effect, what is proved is of the stage before and is of no use any more.
        let next = self.in_effect.filter(|_| differs).map(|_| next);
        let highest = self.curve.points().iter().map(|point| point.harm()).fold(0.0, f64::max);
        let judgement = self.judgement.under(before, setup, next, highest)?;
        let approvals =
            self.approvals.iter().map(|approved| Approved { stage: through(approved.stage), ..approved.clone() }).collect();
        Some(Self { phase, stage, let_through: self.let_through.map(through), approvals, judgement, ..self.clone() })
    }
}

/// The last stage of a plan that gives no more than a weight; the first where each gives more.
fn stage_at(plan: &Plan, weight: Weight) -> usize {
    plan.stages.iter().filter(|stage| **stage <= weight).count().saturating_sub(1)
}
