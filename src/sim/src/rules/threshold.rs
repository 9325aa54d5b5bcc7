//! A success rate that has to be reached at every check, as Flagger and Argo Rollouts ask for it.
//!
//! Looked up in fluxcd/flagger (`pkg/controller/scheduler.go`, the documentation's examples): `analysis.interval` 60 s by
//! default; `request-success-rate` with `thresholdRange.min: 99` over 1 min; `threshold: 5`, with `interval: 10s` often 10;
//! failed checks are counted in total and never forgiven while the canary runs; the count is compared before a check, so
//! that the way back comes one interval after the last of them; a failed check does not step on, a passed one does.
//!
//! Looked up in argoproj/argo-rollouts (`analysis_types.go`, `docs/features/analysis.md`): `failureLimit` 0 by default, and
//! the run fails with the measurement that exceeds it; the documentation's example asks for 95 %, every 5 min, with
//! `failureLimit: 3`. The analysis runs in the background while steps with pauses go on.
//!
//! Choices of this model: a check without a candidate request is a failed one; Argo's first measurement is after one
//! interval, over one interval; its pauses are 5 min (the example: 10 min), and there is one step for each stage.

use super::{Due, Rule, Ruling, Seen, Steps, Window};

/// What a failed check does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Failing {
    /// It does not step on; a passed check does. With so many failed ones it goes back at the next check.
    Holds(u32),
    /// Steps go on, each after so many seconds; with more than so many failed ones it goes back at once.
    Counts(u32, f64),
}

/// Settings; see the module.
#[derive(Debug, Clone, PartialEq)]
pub struct Threshold {
    /// Its name.
    pub name: &'static str,
    /// Seconds between two checks.
    pub every: f64,
    /// Seconds that a check looks back.
    pub window: f64,
    /// Share of the candidate's requests that must not fail.
    pub least: f64,
    /// What a failed check does.
    pub failing: Failing,
}

impl Threshold {
    /// Flagger with the documentation's usual numbers.
    #[must_use]
    pub fn flagger() -> Self {
        Self { name: "Flagger-like 60 s", every: 60.0, window: 60.0, least: 0.99, failing: Failing::Holds(5) }
    }

    /// Flagger with a check every 10 s over the last minute, as other examples have it.
    #[must_use]
    pub fn flagger_fast() -> Self {
        Self { name: "Flagger-like 10 s", every: 10.0, failing: Failing::Holds(10), ..Self::flagger() }
    }

    /// Argo Rollouts with the default limit.
    #[must_use]
    pub fn argo() -> Self {
        Self { name: "Argo-like, limit 0", every: 60.0, window: 60.0, least: 0.99, failing: Failing::Counts(0, 300.0) }
    }

    /// Argo Rollouts with the documentation's example.
    #[must_use]
    pub fn argo_example() -> Self {
        Self { name: "Argo-like, example", every: 300.0, window: 300.0, least: 0.95, failing: Failing::Counts(3, 300.0) }
    }

    pub(super) fn settings(&self) -> String {
        let Self { every, window, .. } = self;
        let least = self.least * 100.0;
        let check =
            format!("at least {least} % of the candidate's requests of the last {window} s succeed, checked every {every} s");
        match self.failing {
            Failing::Holds(most) => format!("{check}; a passed check steps on, {most} failed ones in all take back"),
            Failing::Counts(most, pause) => format!("{check}; a step every {pause} s, more than {most} failed checks take back"),
        }
    }
}

pub(super) struct Thresholding {
    rule: Threshold,
    steps: Steps,
    window: Window,
    due: Due,
    failed: u32,
}

impl Thresholding {
    pub(super) fn new(rule: Threshold, steps: Steps) -> Self {
        Self { due: Due::every(rule.every), rule, steps, window: Window::default(), failed: 0 }
    }
}

impl Rule for Thresholding {
    fn look(&mut self, seen: Seen) -> Ruling {
        let sum = self.window.add(seen, self.rule.window);
        if self.due.is_now(seen.now) {
            let passed = sum.candidate_rate().is_some_and(|failing| 1.0 - failing >= self.rule.least);
            match self.rule.failing {
                Failing::Holds(most) if self.failed >= most => return Ruling::Back,
                Failing::Holds(_) if passed && self.steps.since().is_some() => self.steps.step(seen.now),
                Failing::Counts(most, _) if !passed && self.failed >= most => return Ruling::Back,
                _ => {}
            }
            self.failed += u32::from(!passed);
        }
        let paused = match self.rule.failing {
            Failing::Counts(_, pause) => self.steps.since().is_some_and(|since| seen.now - since >= pause),
            Failing::Holds(_) => false,
        };
        if paused {
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

    fn rollout() -> Rollout {
        Rollout::new(Plan::built_in(Level::Medium).0, Load::even(100.0, 0.01))
    }

    /// Seconds until a rule says something other than a share, while of 1,000 requests a second so many fail.
    fn end(rule: &Threshold, failing: impl Fn(f64) -> u64) -> (f64, Ruling) {
        let mut rule = Thresholding::new(rule.clone(), Steps::new(&rollout()));
        for second in 1..10_000 {
            let now = f64::from(second);
            let ruling = rule.look(Seen { now, until: now, counts: Counts::new(1000, 1000, failing(now), 0) });
            if !matches!(ruling, Ruling::Give(_)) {
                return (now, ruling);
            }
        }
        (f64::INFINITY, Ruling::GiveUp)
    }

    #[test]
    fn given_every_check_fails_when_flagger_counts_five_then_it_goes_back_one_check_later() {
        assert_eq!(end(&Threshold::flagger(), |_| 11), (360.0, Ruling::Back));
        assert_eq!(end(&Threshold::flagger_fast(), |_| 11), (110.0, Ruling::Back));
    }

    #[test]
    fn given_every_check_passes_then_flagger_steps_with_each_and_argo_with_each_pause() {
        assert_eq!(end(&Threshold::flagger(), |_| 10), (180.0, Ruling::Promote));
        assert_eq!(end(&Threshold::argo(), |_| 10), (900.0, Ruling::Promote));
    }

    #[test]
    fn given_failed_checks_now_and_then_when_flagger_counts_them_then_none_is_forgiven() {
        // Every second minute is bad: five bad ones before three good ones would be needed, so it is promoted first.
        assert_eq!(
            end(&Threshold::flagger(), |now| if (now / 60.0).ceil() % 2.0 > 0.0 { 50 } else { 0 }),
            (360.0, Ruling::Promote)
        );
        // Two good ones, then four bad ones, one more bad one is too many.
        let two_then_bad = |now: f64| if now > 120.0 { 50 } else { 0 };
        assert_eq!(end(&Threshold::flagger(), two_then_bad), (480.0, Ruling::Back));
    }

    #[test]
    fn given_one_failed_measurement_then_argo_with_limit_0_goes_back_at_once_and_the_example_needs_four() {
        assert_eq!(end(&Threshold::argo(), |now| if now > 120.0 { 11 } else { 0 }), (180.0, Ruling::Back));
        let steps = Threshold { failing: Failing::Counts(3, 3000.0), ..Threshold::argo_example() };
        assert_eq!(end(&steps, |_| 51), (1200.0, Ruling::Back));
    }
}
