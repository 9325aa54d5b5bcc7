//! What came of many simulated releases, as data.

use std::{
    io::{IsTerminal as _, Write as _},
    time::Instant,
};

use firebreak_engine::{Plan, units::Weight};
use firebreak_sim::{
    Fails, Load, Rollout,
    rollout::{Measured, Quantiles, Run, Summary},
    rules::{RuleKind, Threshold},
};
use jiff::SignedDuration;
use serde::Serialize;

use super::ask::Asked;
use crate::words;

/// Seconds until the gateway follows a weight, and until the pods of a larger stage are ready and seen.
const GATEWAY_DELAY: f64 = 1.0;
const PODS_DELAY: f64 = 10.0;
/// Runs between two signs of progress.
const AT_ONCE: u32 = 10;
/// The releases: what they are called, and how they fail.
const RELEASES: [(&str, Fails); 6] = [
    ("harmless", Fails::Times(1.0)),
    ("1.5x", Fails::Times(1.5)),
    ("2x", Fails::Times(2.0)),
    ("5x", Fails::Times(5.0)),
    ("20x", Fails::Times(20.0)),
    ("all fail", Fails::All),
];

/// What came of it.
#[derive(Serialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// The service in words.
    pub service: String,
    /// Its requests a second.
    pub requests_per_second: f64,
    /// Share of stable's requests that fails, in percent.
    pub failing_percent: f64,
    /// Where that was found.
    pub traffic_from: String,
    /// Variance over mean of the failures.
    pub bursts: f64,
    /// The policy in words.
    pub policy: String,
    /// The plan.
    pub plan: Settings,
    /// Seconds until metrics hold what happened.
    pub metrics_delay_seconds: f64,
    /// Seconds after which nobody waits any longer.
    pub longest_seconds: f64,
    /// Runs of each release under each rule.
    pub runs: u32,
    /// Which chance: the same seed gives the same numbers.
    pub seed: u64,
    /// The rules.
    pub rules: Vec<RuleWords>,
    /// What became of the releases.
    pub releases: Vec<Release>,
}

/// A plan in numbers.
#[derive(Serialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Settings {
    /// Probability, ever, of taking back a harmless release.
    pub alpha: f64,
    /// Probability, per stage, of going on although the next stage harms more than the budget.
    pub beta: f64,
    /// Ratio of failure rates that is tolerated.
    pub margin: f64,
    /// Share of all requests that the next stage may harm, in percent.
    pub budget_percent: f64,
    /// Stages in percent.
    pub stages: Vec<f64>,
    /// Shortest time at a stage.
    pub min_bake_seconds: f64,
    /// Longest time at a stage.
    pub max_bake_seconds: f64,
    /// Time at the last stage.
    pub final_bake_seconds: f64,
    /// Share that stays with stable at the last stage, in percent.
    pub holdback_percent: f64,
}

impl Settings {
    fn of(plan: &Plan) -> Self {
        let percent = |weight: Weight| f64::from(weight.as_permille()) / 10.0;
        Self {
            alpha: plan.alpha,
            beta: plan.beta,
            margin: plan.margin,
            budget_percent: words::clean(plan.budget * 100.0),
            stages: plan.stages.iter().copied().map(percent).collect(),
            min_bake_seconds: plan.min_bake_seconds,
            max_bake_seconds: plan.max_bake_seconds,
            final_bake_seconds: plan.final_bake_seconds,
            holdback_percent: percent(plan.holdback),
        }
    }
}

/// A rule.
#[derive(Serialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct RuleWords {
    /// Its name.
    pub name: String,
    /// Its settings in a sentence.
    pub settings: String,
}

/// One kind of release.
#[derive(Serialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Release {
    /// Its name.
    pub name: String,
    /// Share of its requests that fails, in percent.
    pub failing_percent: f64,
    /// Requests an hour that it goes on failing, beyond stable's, once it is promoted.
    pub failing_an_hour: f64,
    /// What became of it under each rule, in the rules' order.
    pub under: Vec<Under>,
}

/// What became of one kind of release under one rule.
#[derive(Serialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Under {
    /// The rule.
    pub rule: String,
    /// How often it was promoted.
    pub promoted: Chance,
    /// How often it was taken back because harm was seen.
    pub taken_back: Chance,
    /// How often it was taken back because a stage stayed inconclusive and the policy asks for that.
    pub given_up: Chance,
    /// How often it still waits at a stage when nobody waits any longer.
    pub still_waits: Chance,
    /// Seconds until it was promoted, of those that were.
    pub promoted_after: Option<Spread>,
    /// Seconds until it was taken back, of those that were.
    pub taken_back_after: Option<Spread>,
    /// Requests that failed because of it in the longest time; after a promotion too, since it goes on failing.
    pub failed_requests: Failed,
}

/// A share of the runs.
#[derive(Serialize, Clone, Copy, Debug, PartialEq)]
pub struct Chance {
    /// In percent.
    pub percent: f64,
    /// Standard error, in percent.
    pub error: f64,
}

/// What half and nine tenths of the runs stayed below.
#[derive(Serialize, Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// Half of them.
    pub median: f64,
    /// Nine tenths of them.
    pub p90: f64,
}

/// Failed requests.
#[derive(Serialize, Clone, Copy, Debug, PartialEq)]
pub struct Failed {
    /// Mean of all runs.
    pub mean: f64,
    /// Its standard error.
    pub error: f64,
    /// What nine tenths of the runs stayed below.
    pub p90: f64,
}

impl Outcome {
    /// Computes what is asked. The same question gives the same answer.
    #[must_use]
    pub fn compute(asked: &Asked, progress: &mut Progress) -> Self {
        let rules = [RuleKind::Firebreak, RuleKind::Threshold(Threshold::flagger()), RuleKind::Threshold(Threshold::argo())];
        let rollout = |fails: Fails| {
            let even = Load::even(asked.traffic.requests, asked.traffic.failing);
            let load = Load { candidate: vec![(0.0, fails)], bursts: asked.bursts, ..even };
            let mut rollout = Rollout::new(asked.plan.clone(), load);
            (rollout.seen_after, rollout.follows_after) = (asked.metrics_delay, GATEWAY_DELAY);
            rollout.ready_after = PODS_DELAY;
            rollout
        };
        let harmless = rollout(Fails::Times(1.0));
        progress.whole = u64::from(asked.runs) * RELEASES.len() as u64 * rules.len() as u64;
        let releases = RELEASES
            .iter()
            .map(|(name, fails)| {
                let rollout = rollout(*fails);
                let failing = fails.probability(asked.traffic.failing);
                let under = |rule: &RuleKind| under(&rollout, rule, &runs(&rollout, rule, asked, progress));
                Release {
                    name: (*name).to_owned(),
                    failing_percent: words::clean(failing * 100.0),
                    failing_an_hour: (failing - asked.traffic.failing) * asked.traffic.requests * 3600.0,
                    under: rules.iter().map(under).collect(),
                }
            })
            .collect();
        progress.done();
        Self {
            service: asked.service.clone(),
            requests_per_second: asked.traffic.requests,
            failing_percent: words::clean(asked.traffic.failing * 100.0),
            traffic_from: asked.traffic.from.clone(),
            bursts: asked.bursts,
            policy: asked.policy.clone(),
            plan: Settings::of(&asked.plan),
            metrics_delay_seconds: asked.metrics_delay,
            longest_seconds: harmless.longest_seconds,
            runs: asked.runs,
            seed: asked.seed,
            rules: rules.iter().map(|rule| RuleWords { name: rule.name(), settings: rule.settings(&harmless) }).collect(),
            releases,
        }
    }
}

/// The runs of one release under one rule; every rule sees the same requests.
fn runs(rollout: &Rollout, rule: &RuleKind, asked: &Asked, progress: &mut Progress) -> Vec<Run> {
    let mut all = Vec::new();
    for part in 0..asked.runs.div_ceil(AT_ONCE) {
        let count = AT_ONCE.min(asked.runs - part * AT_ONCE);
        // Each part has a seed of its own, far from those of another `--seed`.
        let seed = asked.seed.wrapping_mul(1 << 20).wrapping_add(u64::from(part));
        all.extend(rollout.runs_under(rule, u64::from(count), seed));
        progress.more(u64::from(count));
    }
    all
}

fn under(rollout: &Rollout, rule: &RuleKind, runs: &[Run]) -> Under {
    let summary = Summary::of(runs);
    let failed: Vec<f64> = runs.iter().map(|run| run.excess + rollout.excess_after(run)).collect();
    let mean = Measured::mean(&failed);
    let chance = |share: Measured| Chance { percent: words::clean(share.value * 100.0), error: share.error * 100.0 };
    let spread = |seconds: Quantiles| Spread { median: seconds.median, p90: seconds.p90 };
    Under {
        rule: rule.name(),
        promoted: chance(summary.promoted),
        taken_back: chance(summary.taken_back),
        given_up: chance(summary.given_up),
        still_waits: chance(summary.still_running),
        promoted_after: summary.until_promoted.map(spread),
        taken_back_after: summary.until_taken_back.map(spread),
        failed_requests: Failed {
            mean: mean.value,
            error: mean.error,
            p90: Quantiles::of(failed).map_or(0.0, |failed| failed.p90),
        },
    }
}

/// How far the computing is, on standard error where that is a terminal.
pub struct Progress {
    shown: bool,
    began: Instant,
    done: u64,
    whole: u64,
}

impl Progress {
    /// On standard error.
    #[must_use]
    pub fn of_stderr() -> Self {
        Self { shown: std::io::stderr().is_terminal(), began: Instant::now(), done: 0, whole: 1 }
    }

    /// Nobody is told.
    #[cfg(test)]
    pub(crate) fn silent() -> Self {
        Self { shown: false, began: Instant::now(), done: 0, whole: 1 }
    }

    fn more(&mut self, runs: u64) {
        self.done += runs;
        let (passed, share) = (self.began.elapsed().as_secs_f64(), self.done as f64 / self.whole as f64);
        let left = SignedDuration::try_from_secs_f64(passed / share * (1.0 - share)).unwrap_or_default();
        self.say(&format!("simulating: {} of {} runs, about {} left", self.done, self.whole, words::span(left)));
    }

    fn done(&self) {
        self.say("");
    }

    /// Over the line before. That nobody can be told is no reason to stop.
    fn say(&self, line: &str) {
        if self.shown {
            let mut stderr = std::io::stderr();
            let _ = write!(stderr, "\r\u{1b}[K{line}");
            let _ = stderr.flush();
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
