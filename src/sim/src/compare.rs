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
/// Standard errors of a difference from which it is not put down to chance.
const BEYOND_CHANCE: f64 = 3.0;
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
    /// Whether the release is to be taken back.
    pub bad: bool,
}

/// All worlds, under the built-in plan of a level.
#[must_use]
pub fn matches(level: Level) -> Vec<Match> {
    let (plan, _) = Plan::built_in(level);
    let of = |name: String, bad: bool, load: Load| {
        let mut rollout = Rollout::new(plan.clone(), load);
        (rollout.seen_after, rollout.follows_after) = DELAYS;
        rollout.ready_after = READY_AFTER;
        Match { name, rollout, bad }
    };
    let mut all = Vec::new();
    for rate in [200.0, 2000.0] {
        for p in [0.001, 0.01] {
            let even = Load::even(rate, p);
            let what = |what: &str| format!("{what}: {rate} rps, p {} %", p * 100.0);
            let (from, to, times) = OUTAGE;
            let shared = vec![(0.0, 1.0), (from, times), (to, 1.0)];
            all.push(of(what("harmless"), false, even.clone()));
            all.push(of(what("harmless, v/m 4"), false, Load { bursts: 4.0, ..even.clone() }));
            all.push(of(what("harmless, both fail 10x for 10 min"), false, Load { shared, ..even.clone() }));
            let bad = [
                ("2x", Fails::Times(2.0)),
                ("5x", Fails::Times(5.0)),
                ("20x", Fails::Times(20.0)),
                ("every request fails", Fails::All),
            ];
            for (name, fails) in bad {
                all.push(of(what(name), true, Load { candidate: vec![(0.0, fails)], ..even.clone() }));
            }
            let late = vec![(0.0, Fails::Times(1.0)), (LATE, Fails::Times(5.0))];
            all.push(of(what("5x after 30 min"), true, Load { candidate: late, ..even }));
        }
    }
    for p in [0.001, 0.01] {
        all.push(of(format!("harmless: 5 rps, p {} %", p * 100.0), false, Load::even(5.0, p)));
        let load = Load { candidate: vec![(0.0, Fails::Times(20.0))], ..Load::even(5.0, p) };
        all.push(of(format!("20x: 5 rps, p {} %", p * 100.0), true, load));
    }
    all
}

/// What came of one rule in one world.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// The rule.
    pub rule: String,
    /// Share that was taken back.
    pub taken_back: Measured,
    /// Share that was promoted.
    pub promoted: Measured,
    /// Seconds until it was taken back where it is bad, until it was promoted where it is not.
    pub seconds: Option<Quantiles>,
    /// Failed requests beyond stable's, to the end of the world, the promoted too.
    pub excess: Measured,
}

impl Match {
    /// Runs one rule.
    #[must_use]
    pub fn score(&self, rule: &RuleKind, runs: u64, seed: u64) -> Score {
        let came = self.rollout.runs_under(rule, runs, seed);
        let back = |run: &&Run| matches!(run.end, End::TakenBack | End::GivenUp);
        let promoted = |run: &&Run| run.end == End::Promoted;
        let seconds = came.iter().filter(|run| if self.bad { back(run) } else { promoted(run) }).map(|run| run.seconds);
        let excess: Vec<f64> = came.iter().map(|run| run.excess + self.rollout.excess_after(run)).collect();
        Score {
            rule: rule.name(),
            taken_back: Measured::share(came.iter().filter(back).count(), came.len()),
            promoted: Measured::share(came.iter().filter(promoted).count(), came.len()),
            seconds: Quantiles::of(seconds.collect()),
            excess: Measured::mean(&excess),
        }
    }

    /// Where another rule does better than Firebreak, beyond chance.
    #[must_use]
    pub fn beats(&self, other: &Score, firebreak: &Score) -> Beats {
        let less = |a: Measured, b: Measured| b.value - a.value > BEYOND_CHANCE * a.error.hypot(b.error);
        let (back, ours) = (other.taken_back, firebreak.taken_back);
        let sooner = other.seconds.zip(firebreak.seconds).is_some_and(|(a, b)| a.median < CLEARLY * b.median);
        // Half of the bad ones have to be found before it counts that they are found soon.
        let often = if self.bad { back.value >= 0.5 } else { other.promoted.value >= 0.5 };
        let never = firebreak.seconds.is_none() && other.seconds.is_some();
        Beats {
            taken_back: if self.bad { less(ours, back) } else { less(back, ours) },
            seconds: often && (sooner || never),
            excess: self.bad && less(other.excess, firebreak.excess),
        }
    }
}

/// Where a rule does better than Firebreak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beats {
    /// It finds more of the bad, or takes back fewer of the harmless.
    pub taken_back: bool,
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
    tell("A * marks where a rule does better than Firebreak, beyond chance.");
    for of in all.iter().filter(|of| of.name.contains(only)) {
        tell("");
        tell(&format!("{}{}", of.name, if of.bad { "" } else { " (to be promoted)" }));
        let (share, when) = if of.bad { ("found", "median s") } else { ("taken back", "promoted in s") };
        tell(&format!("  {:<20} {share:>10} {:>9} {when:>14} {:>22}", "rule", "promoted", "failed beyond stable's"));
        let mut firebreak: Option<Score> = None;
        for rule in &rules {
            let score = of.score(rule, runs, seed);
            let beats = firebreak.as_ref().map(|ours| of.beats(&score, ours));
            tell(&line(&score, beats));
            firebreak.get_or_insert(score);
        }
    }
}

fn line(score: &Score, beats: Option<Beats>) -> String {
    let mark = |of: fn(Beats) -> bool| if beats.is_some_and(of) { "*" } else { " " };
    let percent = |share: Measured| share.value * 100.0;
    let seconds = score.seconds.map_or("-".to_owned(), |seconds| format!("{:.0}", seconds.median));
    format!(
        "  {:<20} {:>7.1} %{} {:>7.1} % {seconds:>13}{} {:>14.1} +- {:<5.1}{}",
        score.rule,
        percent(score.taken_back),
        mark(|beats| beats.taken_back),
        percent(score.promoted),
        mark(|beats| beats.seconds),
        score.excess.value,
        score.excess.error,
        mark(|beats| beats.excess),
    )
}

fn stages(plan: &Plan) -> String {
    plan.stages.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
