//! Absolute checks: values with limits, as people bring them from other tools.
//!
//! A check knows no arms: what it says is true of whatever its query asks. So it can hold a Change and take it back, and
//! never opens a stage. One that failed before the candidate had a share only holds until it has passed once: what was
//! wrong before is not the candidate's doing. No answer is a value of its own ([`Missing`] says what it means), never a
//! pass and never a failure.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::units::{Millis, significant};

/// An answer this much older than the last, seconds, comes from a clock that was set back, not from a late reply.
const CLOCK_WENT_BACK_SECONDS: f64 = 5.0;
/// A check whose newest answer is older than this many seconds, or than so many of its own periods, gives none.
const SILENT_AFTER: (f64, f64) = (15.0, 3.0);

/// Significant digits of a value at most: as many as tell two numbers apart.
const MOST_DIGITS: usize = 17;

/// One check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckSetup {
    /// Its name.
    pub name: String,
    /// Smallest value that passes.
    pub min: Option<f64>,
    /// Largest value that passes.
    pub max: Option<f64>,
    /// Seconds between two questions.
    pub every_seconds: f64,
    /// It has failed when so many answers did ...
    pub failed_answers: u32,
    /// ... of the last so many: as many as `failed_answers` means one after another.
    pub of_answers: u32,
    /// What happens then.
    pub on_failure: OnFailure,
    /// What happens while there is no answer.
    pub on_missing: Missing,
    /// What it is about.
    #[serde(default)]
    pub about: About,
}

/// What a check is about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum About {
    /// What its Guard asks.
    #[default]
    Asked,
    /// How fast stable burns the error budget of the objective, in multiples of the rate that spends it evenly.
    ErrorBudget,
}

/// What a failed check does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnFailure {
    /// The Change stays where it is.
    Hold,
    /// It is taken back.
    RollBack,
}

/// What a check without an answer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Missing {
    /// The Change stays where it is.
    Hold,
    /// Nothing: the check is left out.
    Ignore,
    /// It is taken back, after the plan's time without data.
    RollBack,
}

/// The newest answer to one check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckLook {
    /// Place of the check in the setup.
    pub check: usize,
    /// The instant that was asked for.
    pub at: Millis,
    /// What was found.
    pub found: Found,
}

/// What a check's query gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Found {
    /// Numbers: the smallest and the largest of all series.
    Values {
        /// The smallest.
        least: f64,
        /// The largest.
        most: f64,
    },
    /// None: what happened and what to do.
    Nothing(String),
}

/// What became of one check so far.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CheckMemory {
    last_at: Option<Millis>,
    /// Whether each of the last answers failed.
    failed: VecDeque<bool>,
    /// The newest value that is out of its limits, or the newest at all.
    pub value: Option<f64>,
    missing: Option<(Millis, String)>,
    /// It failed before the candidate had a share, and has not passed since.
    failed_before: bool,
    /// Whether people were told that there is no answer and that nothing is held for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    told_missing: bool,
}

/// What a check says now.
#[derive(Debug, Clone, PartialEq)]
pub enum Says {
    /// It passes, or its lack of an answer is ignored.
    Passes,
    /// Too many answers failed: the words for it.
    Failed(String),
    /// It fails, but not often enough, or it failed before the candidate had a share.
    Failing(String),
    /// There is no answer, since then: the words for it.
    Missing(Millis, String),
}

/// How a check stands, for people.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckStanding {
    /// The newest value, if there ever was one.
    pub value: Option<f64>,
    /// Why there is no answer now, if there is none.
    pub missing: Option<String>,
    /// How many of the last answers failed.
    pub failed: usize,
    /// How many answers that is of.
    pub answers: usize,
}

impl CheckSetup {
    /// The value nearest to, or furthest beyond, the limits.
    fn worst(&self, least: f64, most: f64) -> (f64, bool) {
        let below = self.min.filter(|min| least < *min).map(|_| least);
        let above = self.max.filter(|max| most > *max).map(|_| most);
        match (above, below) {
            (Some(value), _) | (None, Some(value)) => (value, true),
            (None, None) => (if self.max.is_some() { most } else { least }, false),
        }
    }

    fn limits(&self) -> String {
        limits(self.min, self.max)
    }
}

/// What passes, in words.
#[must_use]
pub fn limits(min: Option<f64>, max: Option<f64>) -> String {
    match (min, max) {
        (Some(min), Some(max)) => format!("between {min} and {max} is allowed"),
        (Some(min), None) => format!("at least {min} is asked for"),
        (None, Some(max)) => format!("at most {max} is allowed"),
        (None, None) => "nothing is asked for".to_owned(),
    }
}

/// A value with three significant digits, and with more where those would put it on the other side of a limit.
#[must_use]
pub fn written(value: f64, min: Option<f64>, max: Option<f64>) -> String {
    let passes = |value: f64| min.is_none_or(|min| value >= min) && max.is_none_or(|max| value <= max);
    let mut texts = (3..=MOST_DIGITS).map(|digits| significant(value, digits));
    let same_side = |text: &String| text.parse().is_ok_and(|read| passes(read) == passes(value));
    texts.find(same_side).unwrap_or_else(|| value.to_string())
}

impl CheckMemory {
    /// Takes in an answer. One no newer than the last is ignored, unless the clock went back.
    pub fn enter(&mut self, setup: &CheckSetup, look: &CheckLook) {
        if self.last_at.is_some_and(|last| look.at <= last && last.seconds_since(look.at) < CLOCK_WENT_BACK_SECONDS) {
            return;
        }
        match &look.found {
            Found::Nothing(why) => {
                let since = self.missing.as_ref().map_or(look.at, |(since, _)| *since);
                self.missing = Some((since, why.clone()));
            }
            Found::Values { least, most } => {
                let (value, failed) = setup.worst(*least, *most);
                self.missing = None;
                self.value = Some(value);
                self.failed_before &= failed;
                let most_kept = usize::try_from(setup.of_answers.max(1)).unwrap_or(usize::MAX);
                while self.failed.len() >= most_kept {
                    self.failed.pop_front();
                }
                self.failed.push_back(failed);
            }
        }
        self.last_at = Some(look.at);
    }

    /// The candidate gets its first share: what failed until now is not its doing.
    pub fn begin_exposure(&mut self) {
        self.failed_before = self.failed.back() == Some(&true);
        self.failed.clear();
    }

    /// What it says now; `watched_since` is since when it has been asked without a break.
    #[must_use]
    pub fn says(&self, setup: &CheckSetup, now: Millis, watched_since: Millis) -> Says {
        if let Some((since, why)) = self.without_answer(setup, now, watched_since) {
            return match setup.on_missing {
                Missing::Ignore => Says::Passes,
                Missing::Hold | Missing::RollBack => Says::Missing(since, why),
            };
        }
        let failed = self.failed.iter().filter(|failed| **failed).count();
        let value = self.value.map_or_else(|| "no number".to_owned(), |value| written(value, setup.min, setup.max));
        let enough = failed >= usize::try_from(setup.failed_answers.max(1)).unwrap_or(usize::MAX);
        let (name, limits, of) = (&setup.name, setup.limits(), self.failed.len());
        if setup.about == About::ErrorBudget && self.failed.back() == Some(&true) {
            let (value, limit) = (self.value.unwrap_or_default(), setup.max.unwrap_or_default());
            return Says::Failed(format!(
                "stable burns its error budget {value:.1} times as fast as the objective allows over {name}, and from {limit} times on \
                 nothing new is exposed; Firebreak goes on by itself once it is below. Mend what burns it, or decide: kubectl \
                 firebreak promote GUARD --reason '...', or kubectl firebreak abort GUARD"
            ));
        }
        if self.failed_before {
            return Says::Failing(format!(
                "check {name}: the value is {value}, {limits}; it was so before the candidate had any traffic, so it is not taken back for it"
            ));
        }
        if enough {
            return Says::Failed(format!(
                "check {name}: the value is {value}, {limits}; {failed} of the last {of} answers failed"
            ));
        }
        if self.failed.back() == Some(&true) {
            let (needed, within) = (setup.failed_answers, setup.of_answers);
            return Says::Failing(format!(
                "check {name}: the value is {value}, {limits}; it fails with {needed} of {within} answers, so far {failed} failed"
            ));
        }
        Says::Passes
    }

    /// How it stands now, whether it passes or not; `watched_since` is since when it has been asked without a break.
    #[must_use]
    pub fn standing(&self, setup: &CheckSetup, now: Millis, watched_since: Millis) -> CheckStanding {
        let named = format!("check {}: ", setup.name);
        let missing = self.without_answer(setup, now, watched_since);
        let missing = missing.map(|(_, why)| why.strip_prefix(&named).map_or_else(|| why.clone(), str::to_owned));
        let failed = self.failed.iter().filter(|failed| **failed).count();
        CheckStanding { value: self.value, missing, failed, answers: self.failed.len() }
    }

    /// Why the error budget is not known, the first time that it has not been for so many seconds: nothing is held for it then.
    pub(crate) fn unknown_budget(
        &mut self,
        setup: &CheckSetup,
        now: Millis,
        watched_since: Millis,
        seconds: f64,
    ) -> Option<String> {
        let (since, why) = self.without_answer(setup, now, watched_since)?;
        if setup.about != About::ErrorBudget || self.told_missing || now.seconds_since(since) < seconds {
            return None;
        }
        self.told_missing = true;
        Some(why)
    }

    /// Since when there is no answer, and why.
    fn without_answer(&self, setup: &CheckSetup, now: Millis, watched_since: Millis) -> Option<(Millis, String)> {
        let name = &setup.name;
        if let Some((since, why)) = &self.missing {
            return Some(((*since).max(watched_since), format!("check {name}: {why}")));
        }
        let limit = SILENT_AFTER.0.max(SILENT_AFTER.1 * setup.every_seconds);
        match self.last_at {
            None => Some((watched_since, format!("check {name}: no answer yet"))),
            Some(last) => {
                let since = last.max(watched_since);
                (now.seconds_since(since) >= limit)
                    .then(|| (since, format!("check {name}: no answer for more than {limit:.0} s; look at the metrics backend")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setup() -> CheckSetup {
        CheckSetup {
            name: "p99".into(),
            min: None,
            max: Some(0.5),
            every_seconds: 10.0,
            failed_answers: 2,
            of_answers: 3,
            on_failure: OnFailure::RollBack,
            on_missing: Missing::Hold,
            about: About::Asked,
        }
    }

    const START: Millis = Millis(1_800_000_000_000);

    /// A memory after answers every ten seconds: `None` is no answer, the bar is where exposure begins.
    fn after(setup: &CheckSetup, before: &[Option<f64>], since: &[Option<f64>]) -> (CheckMemory, Millis) {
        let (mut memory, mut at) = (CheckMemory::default(), START);
        let mut enter = |memory: &mut CheckMemory, answers: &[Option<f64>]| {
            for answer in answers {
                at = at.plus_seconds(10.0);
                let found = answer.map_or(Found::Nothing("no series".into()), |v| Found::Values { least: v, most: v });
                memory.enter(setup, &CheckLook { check: 0, at, found });
            }
        };
        enter(&mut memory, before);
        memory.begin_exposure();
        enter(&mut memory, since);
        (memory, at)
    }

    fn says(setup: &CheckSetup, before: &[Option<f64>], since: &[Option<f64>]) -> Says {
        let (memory, at) = after(setup, before, since);
        memory.says(setup, at, START)
    }

    #[test]
    fn given_enough_failed_answers_then_it_has_failed_and_says_the_value_and_the_limit() {
        let Says::Failed(words) = says(&setup(), &[Some(0.1)], &[Some(0.9), Some(0.2), Some(0.8)]) else {
            panic!("2 of 3 failed")
        };
        assert_eq!(words, "check p99: the value is 0.8, at most 0.5 is allowed; 2 of the last 3 answers failed");
    }

    #[test]
    fn given_too_few_failed_answers_then_it_is_failing_while_the_newest_does() {
        assert!(matches!(says(&setup(), &[], &[Some(0.1), Some(0.2), Some(0.9)]), Says::Failing(_)));
        assert_eq!(says(&setup(), &[], &[Some(0.9), Some(0.1), Some(0.2)]), Says::Passes);
    }

    #[test]
    fn given_a_check_that_failed_before_when_it_goes_on_failing_then_it_never_has_failed_until_it_passed_once() {
        let bad = Some(0.9);
        assert!(matches!(says(&setup(), &[bad], &[bad, bad, bad]), Says::Failing(_)));
        assert!(matches!(says(&setup(), &[bad], &[bad, Some(0.1), bad, bad]), Says::Failed(_)));
    }

    #[test]
    fn given_no_answer_then_it_is_missing_since_then_or_left_out() {
        let (memory, at) = after(&setup(), &[Some(0.1)], &[Some(0.9), None, None]);
        assert!(matches!(memory.says(&setup(), at, START), Says::Missing(since, _) if at.seconds_since(since) == 10.0));
        let ignoring = CheckSetup { on_missing: Missing::Ignore, ..setup() };
        assert_eq!(memory.says(&ignoring, at, START), Says::Passes);
        let (memory, at) = after(&setup(), &[], &[Some(0.1)]);
        assert_eq!(memory.says(&setup(), at.plus_seconds(29.0), START), Says::Passes);
        assert!(matches!(memory.says(&setup(), at.plus_seconds(30.0), START), Says::Missing(..)));
        assert!(matches!(CheckMemory::default().says(&setup(), at, START), Says::Missing(START, _)));
    }

    #[test]
    fn given_answers_when_asked_how_it_stands_then_value_and_failures_though_it_passes() {
        let (memory, at) = after(&setup(), &[], &[Some(0.1), Some(0.1)]);
        let stands = memory.standing(&setup(), at, START);
        assert_eq!((stands.value, stands.missing, stands.failed, stands.answers), (Some(0.1), None, 0, 2));
        let never = CheckMemory::default().standing(&setup(), START, START);
        assert_eq!((never.value, never.missing.as_deref(), never.answers), (None, Some("no answer yet"), 0));
    }

    #[test]
    fn given_a_value_when_written_then_three_digits_unless_they_deny_the_failure() {
        assert_eq!(written(0.545_360_000_000_000_1, None, Some(0.1)), "0.545");
        assert_eq!(written(0.800_4, None, Some(0.8)), "0.8004");
        assert_eq!(written(0.8, None, Some(0.8)), "0.8");
        assert_eq!(written(f64::INFINITY, None, Some(0.8)), "inf");
    }

    #[test]
    fn given_both_limits_then_either_side_fails() {
        let both = CheckSetup { min: Some(0.2), failed_answers: 1, of_answers: 1, ..setup() };
        assert!(matches!(says(&both, &[], &[Some(0.1)]), Says::Failed(_)));
        assert!(matches!(says(&both, &[], &[Some(0.6)]), Says::Failed(_)));
        assert_eq!(says(&both, &[], &[Some(0.3)]), Says::Passes);
    }
}
