//! Statistical acceptance: what the judging promises, measured in many seeded runs, each row with its bar.
//!
//! [`rows`] is the list. A bar is missed where the measured value lies above it by more than three standard errors.

mod rows;

use std::{
    fmt::{self, Display, Formatter},
    time::Instant,
};

use crate::{
    Arms, Dependents, Rollout, Run, parallel,
    rollout::{self, End, Measured, nth_seed},
    rules::RuleKind,
};

pub use rows::rows;

/// How many standard errors a measured value may lie above its bar by chance.
const ERRORS: f64 = 3.0;
/// Fewest runs of a row.
const FEWEST: u64 = 20;

/// What a row measures.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Measure {
    /// Share of runs that are taken back: at most this.
    TakenBack(f64),
    /// Mean part of the dependents said to be harmed that are not: at most this.
    WronglyHarmed(f64),
    /// Share of runs in which the next stage opens although it would harm exactly the budget: at most this.
    OpensWrongly(f64),
    /// Mean of the failed requests beyond stable's rate until it is taken back: at most this many.
    Excess(f64),
    /// Median of the candidate's failed requests until it is taken back: at most this many.
    Failures(f64),
    /// Median of the looks from a fault that begins late, at this second, until it is taken back: at most so many.
    LateLooks(f64, f64),
    /// Median of the minutes until it is promoted: at most this many.
    MinutesToPromotion(f64),
    /// Share of runs that go wrong in trouble that both arms share, between these seconds: it is taken back, or a stage
    /// begins, or it is not promoted afterwards. At most this.
    SharedTrouble(f64, (f64, f64)),
}

impl Measure {
    const fn is_share(self) -> bool {
        matches!(self, Self::TakenBack(_) | Self::WronglyHarmed(_) | Self::OpensWrongly(_) | Self::SharedTrouble(..))
    }
}

/// What a row runs.
#[derive(Debug, Clone)]
enum World {
    Arms(Box<Arms>),
    Dependents(Box<Dependents>),
    Rollout(Box<Rollout>, RuleKind),
}

/// One property in one world.
#[derive(Debug, Clone)]
pub struct Row {
    name: String,
    world: World,
    measure: Measure,
    /// Part of the runs that this row gets, since its runs are long.
    part: f64,
    /// Whether nothing is promised: it is there for comparison.
    informs: bool,
}

/// What was measured of a row.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// What it is about.
    pub name: String,
    /// The measured value and its standard error, in the bar's unit.
    pub measured: Measured,
    /// The bar.
    pub bar: f64,
    /// Runs.
    pub runs: u64,
    /// Share of runs that were taken back, or promoted where that is what is measured, or in which all harmed dependents were found.
    pub found: f64,
    /// Runs that the fast path took back, without statistics.
    pub fast: usize,
    /// Looks that were judged.
    pub looks: u64,
    /// Whether it is kept; `None` where nothing is promised.
    pub kept: Option<bool>,
    measure: Measure,
}

impl Display for Outcome {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { name, measured, bar, runs, found, fast, kept, measure, .. } = self;
        let verdict = match kept {
            Some(true) => "kept",
            Some(false) => "MISSED",
            None => "no promise",
        };
        let (value, error) = (measured.value, measured.error);
        if measure.is_share() {
            let [value, error, bar] = [value, error, *bar].map(|v| v * 100.0);
            let more = match measure {
                Measure::WronglyHarmed(_) => format!(" (all that are hurt found in {:.0} %)", found * 100.0),
                _ if *fast > 0 => format!(" ({fast} by the fast path)"),
                _ => String::new(),
            };
            return write!(f, "{name:<78} {value:>7.2} % +- {error:<5.2} bar {bar:>6.2} %  {runs:>6} runs  {verdict}{more}");
        }
        let (found, what) = (found * 100.0, if self.promotes() { "promoted" } else { "taken back" });
        write!(f, "{name:<78} {value:>7.1}   +- {error:<5.1} bar {bar:>6.1}    {runs:>6} runs  {verdict} ({found:.0} % {what})")
    }
}

impl Outcome {
    fn promotes(&self) -> bool {
        matches!(self.measure, Measure::MinutesToPromotion(_))
    }
}

/// What came of one run, whatever the world.
struct Came {
    /// Whether it is counted, for shares, and whether it ended as it should, for what is counted in numbers.
    counts: bool,
    /// What is counted in numbers.
    number: f64,
    looks: u64,
    fast: bool,
}

impl Row {
    /// Runs it: `runs` seeds or the row's part of them, on every core.
    #[must_use]
    pub fn measure(&self, runs: u64, seed: u64) -> Outcome {
        let runs = ((runs as f64 * self.part) as u64).max(FEWEST);
        let came = parallel::each(runs, |at| self.one(nth_seed(seed, at)));
        let counted = came.iter().filter(|came| came.counts).count();
        let share = Measured::share(counted, came.len());
        let numbers: Vec<f64> = came.iter().map(|came| came.number).collect();
        let (measured, bar) = match self.measure {
            Measure::TakenBack(bar) | Measure::OpensWrongly(bar) | Measure::SharedTrouble(bar, _) => (share, bar),
            Measure::Excess(bar) | Measure::WronglyHarmed(bar) => (Measured::mean(&numbers), bar),
            Measure::Failures(bar) | Measure::LateLooks(_, bar) | Measure::MinutesToPromotion(bar) => (median(numbers), bar),
        };
        let is_share = self.measure.is_share();
        // Whether a share is above its bar by chance is asked of the bar's own error; none of many is not certain.
        let error = if is_share { (bar * (1.0 - bar) / runs as f64).sqrt() } else { measured.error };
        // What is to be fast must happen at all.
        let often = is_share || share.value > 0.5;
        let kept = (!self.informs).then_some(measured.value <= bar + ERRORS * error && often);
        let looks = came.iter().map(|came| came.looks).sum();
        let fast = came.iter().filter(|came| came.fast).count();
        let name = self.name.clone();
        Outcome { name, measured, bar, runs, found: share.value, fast, looks, kept, measure: self.measure }
    }

    fn one(&self, seed: u64) -> Came {
        match &self.world {
            World::Arms(arms) => self.of_arms(arms, arms.run(seed)),
            World::Dependents(dependents) => {
                let found = dependents.run(seed);
                let all = found.right == dependents.hurt.0;
                Came { counts: all, number: found.wrong_part(), looks: found.looks, fast: false }
            }
            World::Rollout(rollout, rule) => self.of_rollout(&rollout.run_under(rule, seed)),
        }
    }

    fn of_arms(&self, arms: &Arms, run: Run) -> Came {
        let number = match self.measure {
            Measure::Excess(_) => run.excess,
            Measure::Failures(_) => run.failures as f64,
            Measure::LateLooks(since, _) => run.taken_back.map_or(f64::INFINITY, |at| (at - since) / arms.look_seconds),
            _ => 0.0,
        };
        let opens = matches!(self.measure, Measure::OpensWrongly(_));
        let counts = if opens { run.opened.is_some() } else { run.taken_back.is_some() };
        Came { counts, number, looks: run.looks, fast: run.fast }
    }

    fn of_rollout(&self, run: &rollout::Run) -> Came {
        let promoted = run.end == End::Promoted;
        let counts = match self.measure {
            Measure::SharedTrouble(_, (from, to)) => !promoted || run.steps.iter().any(|at| *at > from && *at < to),
            Measure::MinutesToPromotion(_) => promoted,
            _ => matches!(run.end, End::TakenBack | End::GivenUp),
        };
        let number = match self.measure {
            Measure::Failures(_) => run.failures as f64,
            _ if promoted => run.seconds / 60.0,
            _ => f64::INFINITY,
        };
        Came { counts, number, looks: run.looks, fast: false }
    }
}

/// The median; its standard error is half the width of the ranks within one of theirs.
fn median(mut values: Vec<f64>) -> Measured {
    values.sort_by(f64::total_cmp);
    let middle = (values.len() as f64 - 1.0) / 2.0;
    let spread = (values.len() as f64).sqrt() / 2.0;
    let at = |place: f64| values.get(place.clamp(0.0, middle * 2.0).round() as usize).copied().unwrap_or(f64::INFINITY);
    let (value, low, high) = (at(middle), at(middle - spread), at(middle + spread));
    Measured { value, error: if high.is_finite() { (high - low) / 2.0 } else { 0.0 } }
}

/// Measures every row whose name has `only` in it and tells each as it is there; whether all are kept.
pub fn accept(runs: u64, seed: u64, only: &str, tell: impl FnMut(&str)) -> bool {
    accept_rows(&rows(), runs, seed, |name| name.contains(only), tell)
}

/// The same of some rows. A row's runs do not depend on which others are measured.
pub fn accept_rows(rows: &[Row], runs: u64, seed: u64, wanted: impl Fn(&str) -> bool, mut tell: impl FnMut(&str)) -> bool {
    let (began, mut looks, mut missed) = (Instant::now(), 0, 0);
    for (place, row) in rows.iter().enumerate().filter(|(_, row)| wanted(&row.name)) {
        let outcome = row.measure(runs, seed.wrapping_add(place as u64));
        looks += outcome.looks;
        missed += u32::from(outcome.kept == Some(false));
        tell(&outcome.to_string());
    }
    let seconds = began.elapsed().as_secs_f64();
    tell(&format!("{missed} missed; {looks} looks judged in {seconds:.0} s, {:.0} a second", looks as f64 / seconds));
    missed == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Fails;

    fn row(measure: Measure, fails: Fails) -> Row {
        let arms = Arms { seconds: 300.0, ..Arms::even() }.with_candidate(fails);
        Row { name: "a row".into(), world: World::Arms(Box::new(arms)), measure, part: 1.0, informs: false }
    }

    #[test]
    fn given_a_bar_that_cannot_be_kept_then_it_is_missed_and_said() {
        let rows = [row(Measure::TakenBack(0.01), Fails::All), row(Measure::Excess(1000.0), Fails::Times(20.0))];
        let mut told = Vec::new();
        assert!(!accept_rows(&rows, 20, 1, |_| true, |line| told.push(line.to_owned())));
        assert!(told.iter().any(|line| line.contains("100.00 %") && line.contains("MISSED")), "{told:#?}");
        assert!(told.last().is_some_and(|line| line.starts_with("1 missed")), "{told:#?}");
    }

    #[test]
    fn given_what_is_to_be_found_soon_but_is_not_found_then_it_is_missed() {
        let outcome = row(Measure::Excess(1000.0), Fails::Times(1.0)).measure(20, 1);
        assert_eq!((outcome.kept, outcome.found), (Some(false), 0.0));
    }

    #[test]
    fn given_a_row_without_a_promise_then_it_misses_nothing() {
        let row = Row { informs: true, ..row(Measure::TakenBack(0.01), Fails::All) };
        assert!(accept_rows(&[row], 20, 1, |_| true, |_| {}));
    }

    #[test]
    fn given_values_then_the_median_is_in_their_middle_and_what_never_came_is_last() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]).value, 2.0);
        assert_eq!(median(vec![1.0, f64::INFINITY, f64::INFINITY]).value, f64::INFINITY);
        assert!((median((0..101).map(f64::from).collect()).error - 5.0).abs() < 0.6);
    }
}
