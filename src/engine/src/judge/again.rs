//! The same requests under another plan: what was counted, weighed again. For people who ask "what if"; no Change is judged
//! by it.
//!
//! Harm is kept at every margin of the ladder, so another margin of it only has to be pointed at; its evidence is at most what a
//! Change judged by that margin would have, since intervals may have been judged together. Safety is of one budget,
//! so it is proved again from the stage's intervals; those no longer kept are taken as one, before the others.

use super::{Judgement, SignalMemory};
use crate::{
    plan::Setup,
    stats::{Counts, Margin, portable::ln},
    units::{Millis, Weight},
};

impl Judgement {
    /// The judgement under another plan with the same signals; `None` where its margin is neither on the ladder nor the one that
    /// was judged by. Safety is proved again for the share of `next`, if there is one.
    ///
    /// `highest` is the largest ln E of harm so far at the margin judged by. Of several signals it is not known at another
    /// margin; harm that was proved there and passed is then not seen. When the bets are placed stays as it was.
    #[must_use]
    pub fn under(&self, before: &Setup, setup: &Setup, next: Option<Weight>, highest: f64) -> Option<Self> {
        let (old, new) = (&before.plan, &setup.plan);
        let mut again = self.clone();
        for (named, signal) in setup.signals.iter().zip(&mut again.signals) {
            signal.harm = signal.harm.at_margin(Margin::new(new.margin))?;
            if old.alpha != new.alpha {
                signal.upper = None;
            }
            if old.beta != new.beta
                && let Some(past) = signal.past
            {
                let upper = signal.upper;
                signal.learn(setup, past);
                signal.upper = upper;
            }
            if let Some(next) = next.filter(|_| named.is_opening() && !self.frozen_by_stable) {
                let proved = signal.proved_again(setup, next);
                (signal.promotion, signal.rates) = (proved.promotion, proved.rates);
            }
        }
        if old.alpha != new.alpha || old.margin != new.margin {
            again.proved_under(self, before, setup, highest);
        }
        Some(again)
    }

    /// Whether, and by how much, harm counts as proved.
    fn proved_under(&mut self, recorded: &Self, before: &Setup, setup: &Setup, highest: f64) {
        let (old, new) = (&before.plan, &setup.plan);
        let needed = -ln(new.alpha);
        let (ever, ratio) = match self.signals.as_slice() {
            [only] if only.beside_past.is_none() => (only.harm.max_ln_e(), only.harm.th_lo(new.alpha)),
            _ => (
                if old.margin == new.margin { highest } else { f64::NEG_INFINITY },
                if new.alpha >= old.alpha { recorded.proved_ratio } else { 0.0 },
            ),
        };
        self.harm_proved = self.harm_ln_e(setup).max(ever) >= needed;
        self.proved_ratio = self.crossed_margin(setup, needed).max(ratio);
    }

    /// When the evidence first sufficed at this stage for `next`, as far back as intervals are kept; `None` while it never did.
    #[must_use]
    pub fn first_open(&self, setup: &Setup, next: Weight) -> Option<Millis> {
        let needed = Self::safety_needed(setup);
        let named = setup.signals.iter().zip(&self.signals);
        let opening = named.filter(|(signal, _)| signal.is_opening());
        let courses: Vec<Vec<(Millis, f64)>> = opening.map(|(_, memory)| memory.safety_so_far(setup, next)).collect();
        let mut times: Vec<Millis> = courses.iter().flatten().map(|(at, _)| *at).collect();
        times.sort_unstable();
        let enough = |course: &Vec<(Millis, f64)>, now: Millis| {
            course.iter().take_while(|(at, _)| *at <= now).last().is_some_and(|(_, ln_e)| *ln_e >= needed)
        };
        times.into_iter().find(|now| courses.iter().all(|course| enough(course, *now)))
    }
}

impl SignalMemory {
    /// This stage's intervals judged from its beginning.
    fn proved_again(&self, setup: &Setup, next: Weight) -> Self {
        let mut again = self.clone();
        again.begin_stage();
        self.of_stage().into_iter().for_each(|(_, counts)| again.prove_one(setup, counts, next));
        again
    }

    /// Safety at the end of each interval of this stage.
    fn safety_so_far(&self, setup: &Setup, next: Weight) -> Vec<(Millis, f64)> {
        let mut again = self.clone();
        again.begin_stage();
        let proved = |(at, counts)| {
            again.prove_one(setup, counts, next);
            (at, again.promotion.ln_e())
        };
        self.of_stage().into_iter().map(proved).collect()
    }

    fn prove_one(&mut self, setup: &Setup, counts: Counts, next: Weight) {
        self.prove(setup, counts, next);
        self.stage = self.stage.plus(counts);
    }

    /// The intervals of this stage, the oldest first.
    fn of_stage(&self) -> Vec<(Millis, Counts)> {
        let (mut left, mut intervals) = (self.stage, Vec::new());
        for (at, counts) in self.recent.iter().rev() {
            let Some(rest) = less(left, *counts) else { break };
            left = rest;
            intervals.push((*at, *counts));
        }
        if !left.is_silent() {
            let first = intervals.last().map_or_else(Millis::default, |(at, _)| *at);
            intervals.push((first, left));
        }
        intervals.reverse();
        intervals
    }
}

/// What is left of counts without a part of them.
fn less(whole: Counts, part: Counts) -> Option<Counts> {
    Some(Counts::new(
        whole.n_c.checked_sub(part.n_c)?,
        whole.n_s.checked_sub(part.n_s)?,
        whole.x_c.checked_sub(part.x_c)?,
        whole.x_s.checked_sub(part.x_s)?,
    ))
}
