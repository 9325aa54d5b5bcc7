//! A failure rate that may be so many times stable's: what people write who compare the arms in a query of their own.
//!
//! It is no tool's default. Choices of this model: 1.5 or 2 times, over the last minute, every minute, three in a row to take
//! back, 5 min a stage. A check without a candidate request is none; where stable does not fail, one failure is too many.

use super::{Due, Rule, Ruling, Seen, Steps, Window};

/// Settings; see the module.
#[derive(Debug, Clone, PartialEq)]
pub struct Ratio {
    /// The candidate may fail so many times as often as stable.
    pub ratio: f64,
    /// Seconds between two checks, and that a check looks back.
    pub every: f64,
    /// Failed checks in a row that take back.
    pub in_a_row: u32,
    /// Seconds at a stage.
    pub stage_seconds: f64,
}

impl Ratio {
    /// So many times, with the module's other settings.
    #[must_use]
    pub fn times(ratio: f64) -> Self {
        Self { ratio, every: 60.0, in_a_row: 3, stage_seconds: 300.0 }
    }

    pub(super) fn settings(&self) -> String {
        let Self { ratio, every, in_a_row, stage_seconds } = self;
        format!(
            "the candidate's failure rate of the last {every} s is at most {ratio} times stable's, checked every {every} s; \
             {in_a_row} failed checks in a row take back, {stage_seconds} s at a stage"
        )
    }
}

pub(super) struct Comparing {
    rule: Ratio,
    steps: Steps,
    window: Window,
    due: Due,
    in_a_row: u32,
}

impl Comparing {
    pub(super) fn new(rule: Ratio, steps: Steps) -> Self {
        Self { due: Due::every(rule.every), rule, steps, window: Window::default(), in_a_row: 0 }
    }
}

impl Rule for Comparing {
    fn look(&mut self, seen: Seen) -> Ruling {
        let sum = self.window.add(seen, self.rule.every);
        let checked = self.due.is_now(seen.now).then(|| sum.candidate_rate().zip(sum.stable_rate())).flatten();
        if let Some((candidate, stable)) = checked {
            self.in_a_row = if candidate > self.rule.ratio * stable { self.in_a_row + 1 } else { 0 };
            if self.in_a_row >= self.rule.in_a_row {
                return Ruling::Back;
            }
        }
        if self.in_a_row == 0 && self.steps.since().is_some_and(|since| seen.now - since >= self.rule.stage_seconds) {
            self.steps.step(seen.now);
        }
        self.steps.say(seen.now)
    }

    fn stage(&self) -> usize {
        self.steps.stage
    }
}

#[cfg(test)]
mod tests {
    use firebreak_engine::{plan::Plan, risk::Level, stats::Counts};

    use super::*;
    use crate::{Load, Rollout};

    fn end(failing: impl Fn(f64) -> u64) -> (f64, Ruling) {
        let rollout = Rollout::new(Plan::built_in(Level::Medium).0, Load::even(100.0, 0.01));
        let mut rule = Comparing::new(Ratio::times(2.0), Steps::new(&rollout));
        for second in 1..10_000 {
            let now = f64::from(second);
            let ruling = rule.look(Seen { now, until: now, counts: Counts::new(100, 1000, failing(now), 10) });
            if !matches!(ruling, Ruling::Give(_)) {
                return (now, ruling);
            }
        }
        (f64::INFINITY, Ruling::GiveUp)
    }

    #[test]
    fn given_three_bad_minutes_in_a_row_then_it_goes_back_and_two_are_forgotten() {
        assert_eq!(end(|_| 3), (180.0, Ruling::Back));
        assert_eq!(end(|now| if now <= 120.0 { 3 } else { 2 }), (900.0, Ruling::Promote));
        assert_eq!(end(|now| if now > 600.0 { 3 } else { 2 }), (780.0, Ruling::Back));
    }
}
