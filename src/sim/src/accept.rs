//! Statistical acceptance: what the judging promises, measured in many seeded runs of [`Arms`], each row with its bar.

use std::{
    fmt::{self, Display, Formatter},
    time::Instant,
};

use crate::{Arms, Run, parallel};

/// How many standard errors a measured share may lie above its bar by chance.
const ERRORS: f64 = 3.0;

/// What a row measures.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Measure {
    /// Share of runs that are taken back: at most this probability.
    FalseTakeBack(f64),
    /// Share of runs in which the next stage opens although it would harm exactly the budget: at most this probability.
    WrongStep(f64),
    /// Mean failed requests beyond stable's rate until it is taken back: at most this many.
    Excess(f64),
    /// Looks from a fault that begins late, at this second, until half of the runs are taken back: at most so many.
    LateLooks(f64, f64),
}

/// One property in one world.
#[derive(Debug, Clone)]
pub struct Row {
    name: String,
    arms: Arms,
    measure: Measure,
    /// Part of the runs that this row gets, since its runs are long.
    part: f64,
}

/// What was measured of a row.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// What it is about.
    pub name: String,
    /// The measured value and its standard error, in the bar's unit.
    pub value: f64,
    /// Its standard error.
    pub error: f64,
    /// The bar.
    pub bar: f64,
    /// Runs.
    pub runs: u64,
    /// Share of runs that were taken back.
    pub found: f64,
    /// Whether it is kept.
    pub kept: bool,
    share: bool,
}

impl Display for Outcome {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { name, value, error, bar, runs, found, kept, share } = self;
        let verdict = if *kept { "kept" } else { "MISSED" };
        if *share {
            let [value, error, bar] = [value, error, bar].map(|v| v * 100.0);
            write!(f, "{name:<68} {value:>7.2} % +- {error:<5.2} bar {bar:>6.2} %  {runs:>6} runs  {verdict}")
        } else {
            let found = found * 100.0;
            write!(
                f,
                "{name:<68} {value:>7.1}   +- {error:<5.1} bar {bar:>6.1}    {runs:>6} runs  {verdict} ({found:.0} % taken back)"
            )
        }
    }
}

/// Excess failures at which the best test of one known ratio would have its proof in the mean, ln(1/alpha) over the
/// information of one failure (Wald's first-order line), at margin r0 and the candidate's share.
fn theory_line(arms: &Arms, ratio: f64, share: f64) -> f64 {
    let per_stable = share * ratio + 1.0 - share;
    let (q, null) = (share * ratio / per_stable, share * arms.margin / (share * arms.margin + 1.0 - share));
    let information = q * (q / null).ln() + (1.0 - q) * ((1.0 - q) / (1.0 - null)).ln();
    -arms.alpha.ln() / information * share * (ratio - 1.0) / per_stable
}

/// All rows.
#[must_use]
pub fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    let ramp: Vec<(f64, u16)> = [10, 50, 200, 500].iter().zip(0..).map(|(share, at)| (f64::from(at) * 1800.0, *share)).collect();
    let weights = [("5 %", vec![(0.0, 50)]), ("ramp 1/5/20/50 %", ramp)];
    for (ratio, kind) in [(1.0, "harmless"), (1.25, "at the border")] {
        for bursts in [1.0, 2.0, 4.0] {
            for (weight, shares) in &weights {
                for p in [0.01, 0.001] {
                    for look in [1.0, 2.0, 10.0] {
                        let arms = Arms {
                            shares: shares.clone(),
                            stable: vec![(0.0, p)],
                            candidate: vec![(0.0, p * ratio)],
                            bursts,
                            look_seconds: look,
                            ..Arms::even()
                        };
                        let name = format!("taken back {kind}: v/m {bursts}, {weight}, p {} %, {look} s looks", p * 100.0);
                        let part = if look > 5.0 { 1.0 } else { 0.5 };
                        rows.push(Row { name, measure: Measure::FalseTakeBack(arms.alpha), arms, part });
                    }
                }
            }
        }
    }
    for (from, next) in [(10_u16, 50_u16), (50, 200), (200, 500), (500, 1000)] {
        for (shift, what) in [(1.0, "constant"), (1.5, "+50 %"), (0.5, "-50 %")] {
            for bursts in [1.0, 4.0] {
                let p = 0.001;
                let delta = 0.001 / (f64::from(next) / 1000.0);
                let arms = Arms {
                    rate: 1000.0,
                    shares: vec![(0.0, from)],
                    // The past has the first rate; what follows comes at once.
                    stable: vec![(0.0, p), (1e-9, p * shift)],
                    candidate: vec![(0.0, p * shift + delta)],
                    bursts,
                    seconds: 1000.0,
                    alpha: 1e-12,
                    next,
                    ..Arms::even()
                };
                let name = format!(
                    "opens wrongly {}->{} %: base rate {what}, v/m {bursts}",
                    f64::from(from) / 10.0,
                    f64::from(next) / 10.0
                );
                rows.push(Row { name, measure: Measure::WrongStep(arms.beta), arms, part: 0.2 });
            }
        }
    }
    for ratio in [2.0, 3.0, 5.0, 10.0] {
        let arms = Arms { candidate: vec![(0.0, 0.01 * ratio)], ..Arms::even() };
        let bar = 2.0 * theory_line(&arms, ratio, 0.05);
        rows.push(Row {
            name: format!("excess failures, {ratio}x, 5 %, twice the theory line"),
            arms,
            measure: Measure::Excess(bar),
            part: 0.1,
        });
    }
    let all = Arms { rate: 2000.0, shares: vec![(0.0, 10)], candidate: vec![(0.0, 1.0)], seconds: 60.0, ..Arms::even() };
    rows.push(Row {
        name: "excess failures, all fail, 1 % of 2,000 rps".to_owned(),
        arms: all,
        measure: Measure::Excess(60.0),
        part: 0.1,
    });
    let late = Arms { rate: 2000.0, candidate: vec![(0.0, 0.01), (5400.0, 0.05)], ..Arms::even() };
    rows.push(Row {
        name: "looks until taken back, 5x after 90 min, 5 % of 2,000 rps".to_owned(),
        arms: late,
        measure: Measure::LateLooks(5400.0, 10.0),
        part: 0.02,
    });
    rows
}

impl Row {
    /// Runs it: `runs` seeds or the row's part of them, on every core.
    #[must_use]
    pub fn measure(&self, runs: u64, seed: u64) -> (Outcome, u64) {
        let runs = ((runs as f64 * self.part) as u64).max(20);
        let results = all(&self.arms, runs, seed);
        let looks = results.iter().map(|run| run.looks).sum();
        let count = runs as f64;
        let share = |of: fn(&Run) -> bool| results.iter().filter(|run| of(run)).count() as f64 / count;
        let found = share(|run| run.taken_back.is_some());
        let (value, bar, is_share) = match self.measure {
            Measure::FalseTakeBack(bar) => (found, bar, true),
            Measure::WrongStep(bar) => (share(|run| run.opened.is_some()), bar, true),
            Measure::Excess(bar) => (results.iter().map(|run| run.excess).sum::<f64>() / count, bar, false),
            Measure::LateLooks(since, bar) => {
                let mut waited: Vec<f64> =
                    results.iter().map(|run| run.taken_back.map_or(f64::INFINITY, |at| at - since)).collect();
                waited.sort_by(f64::total_cmp);
                (waited.get(waited.len() / 2).copied().unwrap_or(f64::INFINITY) / self.arms.look_seconds, bar, false)
            }
        };
        let error = match self.measure {
            Measure::FalseTakeBack(bar) | Measure::WrongStep(bar) => (bar * (1.0 - bar) / count).sqrt(),
            Measure::Excess(_) => {
                let variance = results.iter().map(|run| (run.excess - value).powi(2)).sum::<f64>() / count;
                (variance / count).sqrt()
            }
            Measure::LateLooks(..) => 0.0,
        };
        // What is to be fast must be found at all.
        let enough = is_share || found > 0.5;
        let kept = value <= bar + ERRORS * error && enough;
        (Outcome { name: self.name.clone(), value, error, bar, runs, found, kept, share: is_share }, looks)
    }
}

fn all(arms: &Arms, runs: u64, seed: u64) -> Vec<Run> {
    parallel::each(runs, |at| arms.run(seed.wrapping_mul(1_000_003).wrapping_add(at)))
}

/// Measures every row whose name has `only` in it and tells each as it is there; whether all are kept.
pub fn accept(runs: u64, seed: u64, only: &str, mut tell: impl FnMut(&str)) -> bool {
    let (began, mut looks, mut missed) = (Instant::now(), 0, 0);
    for (place, row) in rows().iter().enumerate().filter(|(_, row)| row.name.contains(only)) {
        let (outcome, judged) = row.measure(runs, seed.wrapping_add(place as u64));
        looks += judged;
        missed += u32::from(!outcome.kept);
        tell(&outcome.to_string());
    }
    let seconds = began.elapsed().as_secs_f64();
    tell(&format!("{missed} missed; {looks} looks judged in {seconds:.0} s, {:.0} a second", looks as f64 / seconds));
    missed == 0
}
