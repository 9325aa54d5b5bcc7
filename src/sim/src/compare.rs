//! Firebreak beside rules that others use, on the same requests: what each costs when a release is bad, and when it is not.
//!
//! Every rule sees the same seeds, steps through the same stages, and has the same delays. Failed requests are counted for
//! the whole time, after a promotion too: a bad release that was let through goes on failing.

use firebreak_engine::{plan::Plan, risk::Level};

use crate::{
    Fails, Load, Rollout,
    rollout::{End, Measured, Quantiles, Run},
    rules::RuleKind,
};

/// Seconds until a look holds what happened, and until the gateway follows a weight.
const DELAYS: (f64, f64) = (1.0, 1.0);
/// Seconds until the pods of a larger stage are ready and seen.
const READY_AFTER: f64 = 10.0;
/// Part by which a median has to be smaller to be called so.
const CLEARLY: f64 = 0.95;
/// Trouble that both arms share: from, to, times.
const OUTAGE: (f64, f64, f64) = (120.0, 720.0, 10.0);
/// When a late fault begins.
const LATE: f64 = 1800.0;

/// One world in which rules are compared.
#[derive(Debug, Clone)]
pub struct Match {
    /// What is true of it, in words.
    pub name: String,
    /// What is true of it.
    pub rollout: Rollout,
    /// When a release that is to be taken back begins to be bad, seconds; `None` where it is harmless.
    pub bad_from: Option<f64>,
}

/// All worlds, under the built-in plan of a level.
#[must_use]
pub fn matches(level: Level) -> Vec<Match> {
    let (plan, _) = Plan::built_in(level);
    let of = |name: String, bad_from: Option<f64>, load: Load| {
        let mut rollout = Rollout::new(plan.clone(), load);
        (rollout.seen_after, rollout.follows_after) = DELAYS;
        rollout.ready_after = READY_AFTER;
        Match { name, rollout, bad_from }
    };
    let mut all = Vec::new();
    for rate in [200.0, 2000.0] {
        for p in [0.001, 0.01] {
            let even = Load::even(rate, p);
            let what = |what: &str| format!("{what}: {rate} rps, p {} %", p * 100.0);
            let (from, to, times) = OUTAGE;
            let shared = vec![(0.0, 1.0), (from, times), (to, 1.0)];
            all.push(of(what("harmless"), None, even.clone()));
            all.push(of(what("harmless, v/m 4"), None, Load { bursts: 4.0, ..even.clone() }));
            all.push(of(what("harmless, both fail 10x for 10 min"), None, Load { shared, ..even.clone() }));
            let bad = [
                ("2x", Fails::Times(2.0)),
                ("5x", Fails::Times(5.0)),
                ("20x", Fails::Times(20.0)),
                ("every request fails", Fails::All),
            ];
            for (name, fails) in bad {
                all.push(of(what(name), Some(0.0), Load { candidate: vec![(0.0, fails)], ..even.clone() }));
            }
            let late = vec![(0.0, Fails::Times(1.0)), (LATE, Fails::Times(5.0))];
            all.push(of(what("5x after 30 min"), Some(LATE), Load { candidate: late, ..even }));
        }
    }
    for p in [0.001, 0.01] {
        all.push(of(format!("harmless: 5 rps, p {} %", p * 100.0), None, Load::even(5.0, p)));
        let load = Load { candidate: vec![(0.0, Fails::Times(20.0))], ..Load::even(5.0, p) };
        all.push(of(format!("20x: 5 rps, p {} %", p * 100.0), Some(0.0), load));
    }
    all
}

/// What came of one rule in one world.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// The rule.
    pub rule: String,
    /// Share that was taken back although nothing was wrong with it, or nothing yet.
    pub falsely: Measured,
    /// Share of the bad that was taken back once it was bad.
    pub found: Measured,
    /// Share that was promoted.
    pub promoted: Measured,
    /// Seconds until the bad was taken back since it was bad, or until the harmless was promoted.
    pub seconds: Option<Quantiles>,
    /// Failed requests beyond stable's, to the end of the world, the promoted too.
    pub excess: Measured,
}

impl Match {
    /// Runs one rule.
    #[must_use]
    pub fn score(&self, rule: &RuleKind, runs: u64, seed: u64) -> Score {
        let came = self.rollout.runs_under(rule, runs, seed);
        let bad_from = self.bad_from.unwrap_or(f64::INFINITY);
        let back = |run: &Run| matches!(run.end, End::TakenBack | End::GivenUp);
        let share = |of: &dyn Fn(&Run) -> bool| Measured::share(came.iter().filter(|run| of(run)).count(), came.len());
        let found = |run: &Run| back(run) && run.seconds > bad_from;
        let promoted = |run: &Run| run.end == End::Promoted;
        let seconds = came.iter().filter_map(|run| match self.bad_from {
            Some(since) => found(run).then_some(run.seconds - since),
            None => promoted(run).then_some(run.seconds),
        });
        let excess: Vec<f64> = came.iter().map(|run| run.excess + self.rollout.excess_after(run)).collect();
        Score {
            rule: rule.name(),
            falsely: share(&|run| back(run) && run.seconds <= bad_from),
            found: share(&found),
            promoted: share(&promoted),
            seconds: Quantiles::of(seconds.collect()),
            excess: Measured::mean(&excess),
        }
    }

    /// The same service with a harmless release.
    fn harmless(&self) -> Self {
        let mut harmless = self.clone();
        harmless.rollout.load.candidate.clear();
        harmless.bad_from = None;
        harmless
    }

    /// Where another rule does better than Firebreak, beyond chance.
    #[must_use]
    pub fn beats(&self, other: &Score, firebreak: &Score) -> Beats {
        let sooner = other.seconds.zip(firebreak.seconds).is_some_and(|(a, b)| a.median < CLEARLY * b.median);
        // Half of them have to be found, or promoted, before it counts that they are so soon.
        let bad = self.bad_from.is_some();
        let often = if bad { other.found.value >= 0.5 } else { other.promoted.value >= 0.5 };
        let never = firebreak.seconds.is_none() && other.seconds.is_some();
        Beats {
            share: if bad { firebreak.found.is_less(other.found) } else { other.falsely.is_less(firebreak.falsely) },
            seconds: often && (sooner || never),
            excess: bad && other.excess.is_less(firebreak.excess),
        }
    }
}

/// Where a rule does better than Firebreak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beats {
    /// It finds more of the bad, or takes back fewer of the harmless.
    pub share: bool,
    /// It does so sooner, or promotes sooner.
    pub seconds: bool,
    /// Fewer requests fail.
    pub excess: bool,
}

/// Runs every rule in every world whose name has `only` in it, and tells each line as it is there.
pub fn compare(runs: u64, seed: u64, level: Level, only: &str, mut tell: impl FnMut(&str)) {
    let (rules, all) = (RuleKind::common(), matches(level));
    if let Some(first) = all.first() {
        tell(&format!("The built-in plan {level}: stages {}; {runs} runs, seed {seed}.", stages(&first.rollout.setup.plan)));
        let hours = first.rollout.longest_seconds / 3600.0;
        tell(&format!(
            "Each world lasts {hours:.1} h. Metrics are seen after {} s, weights followed after {} s, pods ready after {READY_AFTER} s.",
            DELAYS.0, DELAYS.1
        ));
        rules.iter().for_each(|rule| tell(&format!("{}: {}.", rule.name(), rule.settings(&first.rollout))));
    }
    tell(
        "* marks where a rule does better than Firebreak, beyond chance; o where it does, but takes back more of the same service's harmless releases.",
    );
    let mut harmless: Option<(Match, Vec<Score>)> = None;
    for of in all.iter().filter(|of| of.name.contains(only)) {
        let same = of.harmless();
        let known = harmless.take().filter(|(of, _)| of.rollout.load == same.rollout.load);
        let (same, of_harmless) = known.unwrap_or_else(|| {
            let scores = rules.iter().map(|rule| same.score(rule, runs, seed)).collect();
            (same, scores)
        });
        tell("");
        tell(&format!("{}{}", of.name, if of.bad_from.is_some() { "" } else { " (to be promoted)" }));
        let when = if of.bad_from.is_some() { "found after s" } else { "promoted in s" };
        tell(&format!(
            "  {:<20} {:>8} {:>8} {:>9} {when:>15} {:>22}",
            "rule", "falsely", "found", "promoted", "failed beyond stable's"
        ));
        let mut firebreak: Option<Score> = None;
        for (rule, on_harmless) in rules.iter().zip(&of_harmless) {
            let score = of.score(rule, runs, seed);
            let hasty = of_harmless.first().is_some_and(|ours| ours.falsely.is_less(on_harmless.falsely));
            let beats = firebreak.as_ref().map(|ours| of.beats(&score, ours));
            tell(&line(&score, of, beats, if hasty { "o" } else { "*" }));
            firebreak.get_or_insert(score);
        }
        harmless = Some((same, of_harmless));
    }
}

fn line(score: &Score, of: &Match, beats: Option<Beats>, mark: &str) -> String {
    let marked = |of: fn(Beats) -> bool| if beats.is_some_and(of) { mark } else { " " };
    let percent = |share: Measured| format!("{:.1} %", share.value * 100.0);
    let (falsely, found) = match of.bad_from {
        None => (percent(score.falsely), String::new()),
        Some(since) => (if since > 0.0 { percent(score.falsely) } else { String::new() }, percent(score.found)),
    };
    let (of_falsely, of_found) = if of.bad_from.is_none() { (marked(|b| b.share), " ") } else { (" ", marked(|b| b.share)) };
    let seconds = score.seconds.map_or("-".to_owned(), |seconds| format!("{:.0}", seconds.median));
    let line = format!(
        "  {:<20} {falsely:>8}{of_falsely}{found:>8}{of_found}{:>9} {seconds:>14}{} {:>13.1} +- {:<.1}{}",
        score.rule,
        percent(score.promoted),
        marked(|b| b.seconds),
        score.excess.value,
        score.excess.error,
        marked(|b| b.excess),
    );
    line.trim_end().to_owned()
}

fn stages(plan: &Plan) -> String {
    plan.stages.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
