//! One signal: its counters become looks, looks become intervals, and each closed interval is judged for harm, for safety and
//! for its noise.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::{beside_past::BesidePast, placebo::Placebo};
use crate::{
    counters::{CounterBook, Present},
    observation::{Arm, Look, Past, Reading},
    plan::{Setup, SignalCounts, SignalSetup},
    stats::{
        Counts, Factor, Growth, Margin, MarginGrid, Phi, PromotionInput, PromotionProcess, StableRates, StartMass, rate_bounds,
    },
    units::{Millis, Weight},
};

/// An interval closes with this many requests of each arm.
pub(super) const CLOSE_REQUESTS: u64 = 5;
/// Or after this long, if there was any.
const CLOSE_AFTER_SECONDS: f64 = 30.0;
/// Requests of stable's past from which it can stand beside the comparison: with fewer its bound says nothing and would excuse all.
const ENOUGH_PAST: u64 = 1000;
/// Windows of the growth rule: seconds, or this many intervals if longer.
const GROWTH_WINDOW: (f64, usize) = (30.0, 6);
/// Closed intervals that are kept for the growth rule.
const MOST_RECENT: usize = 256;
/// Raw looks that are kept, for what is judged over the last seconds.
const MOST_LOOKS: usize = 128;
/// Stable's rates are computed anew when its count has grown by this factor.
const RATES_RENEW: f64 = 1.1;

/// What was seen of one signal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SignalMemory {
    pub(super) book: CounterBook,
    pub(super) open: Counts,
    pub(super) open_since: Option<Millis>,
    pub(super) harm: MarginGrid,
    pub(super) promotion: PromotionProcess,
    pub(super) placebo: Placebo,
    /// Counts since the candidate was first exposed.
    pub total: Counts,
    pub(super) stage: Counts,
    /// What was not judged, since pods were cold.
    #[serde(default)]
    pub(super) left_out: LeftOut,
    /// Harm beside stable's past, from where the candidate's pods first had more to do than stable's; of slow requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) beside_past: Option<BesidePast>,
    /// Whether stable's past is what its last interval was held against.
    #[serde(default)]
    pub(super) by_past: bool,
    pub(super) past: Option<Past>,
    pub(super) past_upper: Option<f64>,
    pub(super) rates: Option<(u64, StableRates)>,
    #[serde(default)]
    pub(super) upper: Option<f64>,
    pub(super) recent: VecDeque<(Millis, Counts)>,
    pub(super) looks: VecDeque<(Millis, Counts)>,
    /// Of these, what was left out.
    #[serde(default, skip_serializing_if = "VecDeque::is_empty")]
    pub(super) cold_looks: VecDeque<(Millis, Counts)>,
}

/// Counts that were not judged, since pods were cold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LeftOut {
    /// Of the looks since an interval could last be closed.
    pub(super) open: Counts,
    /// Since the candidate was first exposed.
    pub(super) total: Counts,
    /// Of this stage.
    pub(super) stage: Counts,
}

/// What one closed interval is judged with.
pub(super) struct Judged {
    pub(super) at: Millis,
    /// Seconds since exposure began.
    pub(super) elapsed: f64,
    pub(super) next: Weight,
    /// Whether promotion waits for stable to be healthy.
    pub(super) frozen: bool,
    /// Whether stable has no requests to compare with.
    pub(super) alone: bool,
    /// Whether a pod of the candidate has more to do than one of stable's.
    pub(super) busier: bool,
}

impl SignalMemory {
    pub(super) fn new(setup: &Setup) -> Self {
        let start = StartMass::Hazard { tau_seconds: setup.plan.planned_seconds() };
        Self {
            book: CounterBook::default(),
            open: Counts::default(),
            open_since: None,
            harm: MarginGrid::new(Margin::new(setup.plan.margin), start),
            promotion: PromotionProcess::new(),
            placebo: Placebo::new(setup),
            total: Counts::default(),
            stage: Counts::default(),
            left_out: LeftOut::default(),
            beside_past: None,
            by_past: false,
            past: None,
            past_upper: None,
            rates: None,
            upper: None,
            recent: VecDeque::new(),
            looks: VecDeque::new(),
            cold_looks: VecDeque::new(),
        }
    }

    pub(super) fn learn(&mut self, setup: &Setup, past: Past) {
        self.past = Some(past);
        self.past_upper = (past.requests > 0)
            .then(|| rate_bounds(past.failures.min(past.requests), past.requests, setup.plan.beta, past.phi).hi);
        self.rates = None;
        self.upper = None;
    }

    /// Dispersion in use.
    #[must_use]
    pub fn phi(&self) -> Phi {
        self.past.map_or(Phi::UNKNOWN, |past| past.phi)
    }

    /// Counts since the candidate was first exposed that were not judged, since pods were cold.
    #[must_use]
    pub fn left_out(&self) -> Counts {
        self.left_out.total
    }

    /// ln E of harm at the plan's margin.
    #[must_use]
    pub fn harm_ln_e(&self) -> f64 {
        self.harm.ln_e().min(self.most_ln_e())
    }

    /// ln E of harm is no more than this at any margin.
    pub(super) fn most_ln_e(&self) -> f64 {
        self.beside_past.as_ref().map_or(f64::INFINITY, BesidePast::ln_e)
    }

    /// ln E against "the next stage harms more than the budget".
    #[must_use]
    pub fn safety_ln_e(&self) -> f64 {
        self.promotion.ln_e()
    }

    pub(super) fn within(&self, now: Millis, seconds: f64) -> Counts {
        last_of(&self.looks, now, seconds)
    }

    /// The same of cold pods alone.
    pub(super) fn cold_within(&self, now: Millis, seconds: f64) -> Counts {
        last_of(&self.cold_looks, now, seconds)
    }

    /// Enters a look's readings; the increments, or why they are incomplete.
    pub(super) fn enter(&mut self, readings: &[Reading], present: Present<'_>, look: &Look) -> Result<(), (Arm, String)> {
        let first = !self.book.is_open();
        if let Some(sampled) = &look.sampled {
            let late = readings.iter().filter(|reading| sampled.late.contains(&reading.pod));
            late.for_each(|reading| self.book.meet(reading, present.unready));
        }
        let step = self.book.enter(readings, present, look.at, look.scrape_seconds);
        if !first {
            self.open = self.open.plus(step.counts);
            self.left_out.open = self.left_out.open.plus(step.left_out);
            self.placebo.enter(step.halves);
            if !step.counts.is_silent() || step.left_out.is_silent() {
                self.open_since.get_or_insert(look.at);
            }
            push(&mut self.looks, (look.at, step.counts.plus(step.left_out)), MOST_LOOKS);
            if !step.left_out.is_silent() {
                push(&mut self.cold_looks, (look.at, step.left_out), MOST_LOOKS);
            }
        }
        step.incomplete.map_or(Ok(()), Err)
    }

    /// The open interval, if it is to be closed at `at`. With few requests of either arm the measured share is coarse, and
    /// with none of one the other's failures say nothing, so it waits for both; for the candidate's alone where stable has none.
    pub(super) fn close(&mut self, at: Millis, alone: bool) -> Option<Counts> {
        let age = self.open_since.map_or(0.0, |since| at.seconds_since(since));
        let enough = self.open.n_c >= CLOSE_REQUESTS && (alone || self.open.n_s >= CLOSE_REQUESTS);
        let due = enough || (age >= CLOSE_AFTER_SECONDS && self.open.n_c >= 1);
        due.then(|| {
            self.open_since = None;
            std::mem::take(&mut self.open)
        })
    }

    pub(super) fn judge(&mut self, setup: &Setup, named: &SignalSetup, counts: Counts, judged: &Judged) {
        let Judged { at, elapsed, next, frozen, alone, busier } = *judged;
        let factor = Factor::BurstExact(self.phi());
        if named.counts == SignalCounts::Slow {
            let enough = self.past.is_some_and(|past| past.requests >= ENOUGH_PAST);
            self.by_past = (busier || alone) && enough && self.past_upper.is_some();
            self.judge_beside_past(counts, factor, elapsed);
        }
        if named.counts == SignalCounts::Successes {
            self.harm.update(counts.swapped(), factor, elapsed);
        } else if alone {
            let upper = self.stable_upper(setup.plan.alpha);
            self.harm.update_alone(counts, factor, elapsed, upper);
        } else {
            self.harm.update(counts, factor, elapsed);
        }
        if !frozen && named.is_opening() {
            self.prove(setup, counts, next);
        }
        self.doubt_noise(setup, elapsed);
        self.total = self.total.plus(counts);
        self.stage = self.stage.plus(counts);
        push(&mut self.recent, (at, counts), MOST_RECENT);
    }

    /// What an interval proves of the next share; the stage's counts are those before it.
    pub(super) fn prove(&mut self, setup: &Setup, counts: Counts, next: Weight) {
        let rates = self.stable_rates(setup.plan.beta);
        let input = PromotionInput {
            budget: setup.plan.budget,
            w_next: next.share().max(0.001),
            upper: rates.upper,
            lower: rates.lower,
            stable_rate: rates.rate,
            phi: self.phi(),
        };
        self.promotion.update(counts, &input);
    }

    /// Stable's rates from its past and this stage, computed anew only when there is a tenth more to compute from.
    fn stable_rates(&mut self, beta: f64) -> StableRates {
        let past = self.past.map_or((0, 0), |past| (past.failures, past.requests));
        let (x, n) = (past.0.saturating_add(self.stage.x_s), past.1.saturating_add(self.stage.n_s));
        match self.rates {
            Some((at, rates)) if n as f64 <= at as f64 * RATES_RENEW => rates,
            _ => {
                let rates = StableRates::from_history(x.min(n), n, beta, self.phi());
                self.rates = Some((n, rates));
                rates
            }
        }
    }

    /// Upper bound of stable's rate from its past and all of this Change, guarded like that of the promotion test; 1 where
    /// it had no requests. Wrong with a twentieth of `alpha`, which it adds to. Computed once a stage: while it is asked for,
    /// stable has none.
    fn stable_upper(&mut self, alpha: f64) -> f64 {
        let (total, past, phi) = (self.total, self.past, self.phi());
        *self.upper.get_or_insert_with(|| {
            let past = past.map_or((0, 0), |past| (past.failures, past.requests));
            let (x, n) = (past.0.saturating_add(total.x_s), past.1.saturating_add(total.n_s));
            StableRates::from_history(x.min(n), n, alpha, phi).upper
        })
    }

    pub(super) fn begin_stage(&mut self) {
        self.upper = None;
        self.promotion = PromotionProcess::new();
        self.stage = Counts::default();
        self.left_out.stage = Counts::default();
        self.rates = None;
    }

    /// The candidate gets its first share, or again after it had none: what was counted before is no evidence about it.
    pub(super) fn begin_exposure(&mut self, now: Millis) {
        self.book.begin_exposure(now);
        self.open = Counts::default();
        self.left_out.open = Counts::default();
        self.placebo.begin();
        self.open_since = None;
        self.looks.clear();
        self.cold_looks.clear();
    }

    /// Notes what was not judged of the looks so far.
    pub(super) fn leave_out(&mut self) {
        let open = std::mem::take(&mut self.left_out.open);
        self.left_out.total = self.left_out.total.plus(open);
        self.left_out.stage = self.left_out.stage.plus(open);
    }

    pub(super) fn growth(&self, now: Millis, th_lo: f64) -> Growth {
        let (shortest, intervals) = GROWTH_WINDOW;
        let sixth = self.recent.iter().rev().nth(intervals.saturating_sub(1));
        let window = sixth.map_or(shortest, |(at, _)| now.seconds_since(*at)).max(shortest);
        let of = |from: f64, to: f64| -> Vec<Counts> {
            let inside = |(at, _): &&(Millis, Counts)| {
                let age = now.seconds_since(*at);
                age >= to && age < from
            };
            self.recent.iter().filter(inside).map(|(_, counts)| *counts).collect()
        };
        Growth::between(&of(2.0 * window, window), &of(window, 0.0), th_lo, Factor::BurstExact(self.phi()))
    }
}

/// What was counted in the last seconds.
fn last_of(looks: &VecDeque<(Millis, Counts)>, now: Millis, seconds: f64) -> Counts {
    let before = now.plus_seconds(-seconds);
    let since = |(at, _): &&(Millis, Counts)| at.0 > before.0;
    looks.iter().rev().take_while(since).fold(Counts::default(), |sum, (_, counts)| sum.plus(*counts))
}

fn push<T>(queue: &mut VecDeque<T>, item: T, most: usize) {
    if queue.len() >= most {
        queue.pop_front();
    }
    queue.push_back(item);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a past of a few requests an upper bound says nothing, and would excuse whatever is slow.
    #[rstest::rstest]
    #[case::too_little(ENOUGH_PAST - 1, false)]
    #[case::enough(ENOUGH_PAST, true)]
    fn given_busier_pods_when_slow_requests_are_judged_then_a_past_stands_beside_only_where_there_is_enough(
        #[case] requests: u64,
        #[case] beside: bool,
    ) {
        let setup = crate::dependents::tests::setup(&[]);
        let slow = SignalSetup { name: "slow".to_owned(), counts: SignalCounts::Slow, share: 1.0, opens: true };
        let mut signal = SignalMemory::new(&setup);
        signal.learn(&setup, Past { requests, failures: 5, phi: Phi::INDEPENDENT });
        for second in 1..=60_u32 {
            let judged = Judged {
                at: Millis(i64::from(second) * 1000),
                elapsed: f64::from(second),
                next: Weight::FULL,
                frozen: false,
                alone: false,
                busier: true,
            };
            // A tenth of the candidate's is slow, and one in two hundred of stable's.
            signal.judge(&setup, &slow, Counts::new(50, 200, 5, 1), &judged);
        }
        assert_eq!(signal.beside_past.is_some(), beside);
        assert!(signal.harm_ln_e() > 10.0, "found in both: {}", signal.harm_ln_e());
    }
}
