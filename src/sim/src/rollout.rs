//! A Change's whole way through its plan, many times and fast: what `simulate` tells and what rules are compared by.
//!
//! Requests fail by chance ([`Load`]), a rule looks at them and moves the candidate's share, and the accounts are kept.
//! Of the cluster only delays are left: until metrics are seen, until pods are ready, until the gateway follows.

use std::collections::VecDeque;

use firebreak_engine::{
    plan::{Exposure, Plan, Setup, SignalCounts, SignalSetup},
    stats::Counts,
};

use crate::{
    load::{Load, Stream},
    parallel,
    rules::{Rule, RuleKind, Ruling, Seen},
};

/// Standard errors of a difference from which it is not put down to chance.
const BEYOND_CHANCE: f64 = 3.0;
/// Step in which expectations are summed, seconds.
const EXPECTED_STEP: f64 = 10.0;

/// What is true of a rollout.
#[derive(Debug, Clone)]
pub struct Rollout {
    /// What the Change has to prove. Its first signal is judged, and all its signals are that one.
    pub setup: Setup,
    /// The requests.
    pub load: Load,
    /// Seconds between two looks.
    pub look_seconds: f64,
    /// Seconds until a look holds what happened.
    pub seen_after: f64,
    /// Seconds until the gateway follows a weight.
    pub follows_after: f64,
    /// Seconds until the pods of a larger stage are ready and seen.
    pub ready_after: f64,
    /// Seconds after which nobody waits any longer.
    pub longest_seconds: f64,
}

/// How a rollout ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The candidate is the new stable.
    Promoted,
    /// It was taken back: harm was seen.
    TakenBack,
    /// It was taken back because a stage stayed inconclusive and the policy asks for that.
    GivenUp,
    /// It waits at a stage, for more requests or for a human.
    StillRunning,
}

/// What came of one run.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// How it ended.
    pub end: End,
    /// Seconds from the first exposure to the end.
    pub seconds: f64,
    /// Requests that the candidate answered.
    pub requests: u64,
    /// Requests that the candidate failed, until its share was 0 or it was promoted.
    pub failures: u64,
    /// Those beyond what stable would have failed of the same.
    pub excess: f64,
    /// Looks that were judged.
    pub looks: u64,
    /// The stage it reached, from 1.
    pub stage: usize,
    /// When each stage after the first was asked for.
    pub steps: Vec<f64>,
}

impl Rollout {
    /// One signal of errors, looked at every second, under this plan.
    #[must_use]
    pub fn new(plan: Plan, load: Load) -> Self {
        let longest_seconds = plan.planned_seconds();
        let setup = Setup {
            plan,
            signals: vec![SignalSetup { name: "errors".into(), counts: SignalCounts::Failures, share: 1.0, opens: true }],
            checks: Vec::new(),
            dependents: Vec::new(),
            both_sources: false,
            exposure: Exposure::Routes,
            ready_deadline_seconds: 600.0,
            availability: None,
            makers: firebreak_engine::people::Makers { changed_by: Some("ci".to_owned()), author: None },
            restore_template: false,
            refused: None,
            taken_over: false,
            late: None,
        };
        Self { setup, load, look_seconds: 1.0, seen_after: 0.0, follows_after: 0.0, ready_after: 0.0, longest_seconds }
    }

    /// One run under Firebreak. The same seed gives the same run.
    #[must_use]
    pub fn run(&self, seed: u64) -> Run {
        self.run_under(&RuleKind::Firebreak, seed)
    }

    /// One run under a rule. Rules that give the candidate the same share in a second see the same requests in it.
    #[must_use]
    pub fn run_under(&self, rule: &RuleKind, seed: u64) -> Run {
        let mut stream = Stream::new(&self.load, seed);
        let mut rule = rule.start(self, stream.past());
        self.walk(&mut stream, &mut *rule)
    }

    /// So many runs under Firebreak, on every core. The same seed gives the same runs on any number of cores.
    #[must_use]
    pub fn many(&self, runs: u64, seed: u64) -> Summary {
        self.many_under(&RuleKind::Firebreak, runs, seed)
    }

    /// The same under any rule, with the same requests.
    #[must_use]
    pub fn many_under(&self, rule: &RuleKind, runs: u64, seed: u64) -> Summary {
        Summary::of(&self.runs_under(rule, runs, seed))
    }

    /// Each of the runs of [`Self::many_under`].
    #[must_use]
    pub fn runs_under(&self, rule: &RuleKind, runs: u64, seed: u64) -> Vec<Run> {
        parallel::each(runs, |at| self.run_under(rule, nth_seed(seed, at)))
    }

    /// Failed requests beyond stable's that are to be expected of a promoted candidate after its end, until nobody waits any
    /// longer: all requests are its own then.
    #[must_use]
    pub fn excess_after(&self, run: &Run) -> f64 {
        if run.end != End::Promoted {
            return 0.0;
        }
        let left = (self.longest_seconds - run.seconds).max(0.0);
        let steps = (left / EXPECTED_STEP).ceil().max(1.0);
        let seconds = left / steps;
        let excess = |step: u32| self.load.expected_excess(run.seconds + (f64::from(step) + 0.5) * seconds, seconds);
        (0..steps as u32).map(excess).sum()
    }

    /// Asks a rule until it is over.
    pub(crate) fn walk(&self, stream: &mut Stream<'_>, rule: &mut dyn Rule) -> Run {
        let mut run = Run {
            end: End::StillRunning,
            seconds: 0.0,
            requests: 0,
            failures: 0,
            excess: 0.0,
            looks: 0,
            stage: 1,
            steps: Vec::new(),
        };
        let mut routes = Gateway::new(self.setup.share(0).share());
        let mut unseen: VecDeque<(f64, Counts)> = VecDeque::new();
        let (mut now, mut until) = (0.0, 0.0);
        while now < self.longest_seconds {
            let share = routes.share(now - self.follows_after);
            let counts = run.serve(stream, self.look_seconds, share);
            now += self.look_seconds;
            unseen.push_back((now, counts));
            let mut counts = Counts::default();
            while let Some((at, seen)) = unseen.pop_front_if(|(at, _)| *at + self.seen_after <= now) {
                (until, counts) = (at, counts.plus(seen));
            }
            if now >= rule.learns_at() {
                rule.learn(stream.past());
            }
            run.looks += 1;
            let ruling = rule.look(Seen { now, until, counts });
            if rule.stage() + 1 > run.stage {
                run.steps.push(now);
            }
            run.stage = rule.stage() + 1;
            run.seconds = now;
            run.end = match ruling {
                Ruling::Give(weight) => {
                    routes.say(now, weight.share());
                    continue;
                }
                Ruling::Promote => End::Promoted,
                Ruling::Back => End::TakenBack,
                Ruling::GiveUp => End::GivenUp,
            };
            if run.end != End::Promoted && self.follows_after > 0.0 {
                run.serve(stream, self.follows_after, routes.share(now));
            }
            break;
        }
        run
    }
}

/// The seed of one of many runs.
pub(crate) fn nth_seed(seed: u64, run: u64) -> u64 {
    seed.wrapping_mul(1_000_003).wrapping_add(run)
}

impl Run {
    fn serve(&mut self, stream: &mut Stream<'_>, seconds: f64, share: f64) -> Counts {
        let drawn = stream.draw(seconds, share);
        self.requests += drawn.counts.n_c;
        self.failures += drawn.counts.x_c;
        self.excess += drawn.excess;
        drawn.counts
    }
}

/// What the routes said and when, for a gateway that follows later.
struct Gateway(VecDeque<(f64, f64)>);

impl Gateway {
    fn new(share: f64) -> Self {
        Self(VecDeque::from([(0.0, share)]))
    }

    fn say(&mut self, now: f64, share: f64) {
        if self.0.back().is_none_or(|(_, said)| *said != share) {
            self.0.push_back((now, share));
        }
    }

    /// What they said at a second; before the first, nothing.
    fn share(&mut self, at: f64) -> f64 {
        while self.0.get(1).is_some_and(|(since, _)| *since <= at) {
            self.0.pop_front();
        }
        self.0.front().filter(|(since, _)| *since <= at).map_or(0.0, |(_, share)| *share)
    }
}

/// A mean or a share of many runs, with its standard error.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Measured {
    /// The value.
    pub value: f64,
    /// Its standard error.
    pub error: f64,
}

impl Measured {
    /// Mean of values.
    #[must_use]
    pub fn mean(values: &[f64]) -> Self {
        let count = values.len().max(1) as f64;
        let value = values.iter().sum::<f64>() / count;
        let variance = values.iter().map(|v| (v - value).powi(2)).sum::<f64>() / (count - 1.0).max(1.0);
        Self { value, error: (variance / count).sqrt() }
    }

    /// Share of `part` in `whole`; its error is that of half a run more on either side, so that none of many is not certain.
    #[must_use]
    pub fn share(part: usize, whole: usize) -> Self {
        let count = whole.max(1) as f64;
        let (value, eased) = (part as f64 / count, (part as f64 + 0.5) / (count + 1.0));
        Self { value, error: (eased * (1.0 - eased) / count).sqrt() }
    }
}

impl Measured {
    /// Whether it is less beyond chance: by more than three standard errors of the difference.
    #[must_use]
    pub fn is_less(self, than: Self) -> bool {
        than.value - self.value > BEYOND_CHANCE * self.error.hypot(than.error)
    }
}

/// What half and nine tenths of some runs stayed below.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Quantiles {
    /// Half of them.
    pub median: f64,
    /// Nine tenths of them.
    pub p90: f64,
}

impl Quantiles {
    /// Of these values; `None` of none.
    #[must_use]
    pub fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let last = values.len().checked_sub(1)?;
        let at = |part: f64| values.get((last as f64 * part).round() as usize).copied();
        Some(Self { median: at(0.5)?, p90: at(0.9)? })
    }
}

/// What came of many runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// How many.
    pub runs: usize,
    /// Share that was promoted.
    pub promoted: Measured,
    /// Share that was taken back because harm was seen.
    pub taken_back: Measured,
    /// Share that was taken back because a stage stayed inconclusive.
    pub given_up: Measured,
    /// Share that still waits at a stage.
    pub still_running: Measured,
    /// Seconds to promotion, of those that were promoted.
    pub until_promoted: Option<Quantiles>,
    /// Seconds until it was taken back, of those that were.
    pub until_taken_back: Option<Quantiles>,
    /// Requests that the candidate failed, of all runs: median and nine tenths.
    pub failures: Quantiles,
    /// The same: mean.
    pub mean_failures: Measured,
    /// Those beyond what stable would have failed of the same: median and nine tenths.
    pub excess: Quantiles,
    /// The same: mean.
    pub mean_excess: Measured,
    /// Runs that got to each stage and no further.
    pub stages: Vec<usize>,
    /// Looks that were judged.
    pub looks: u64,
}

impl Summary {
    /// Of these runs.
    #[must_use]
    pub fn of(runs: &[Run]) -> Self {
        let ended = |end: End| runs.iter().filter(move |run| run.end == end);
        let share = |end: End| Measured::share(ended(end).count(), runs.len());
        let until = |end: End| Quantiles::of(ended(end).map(|run| run.seconds).collect());
        let failures: Vec<f64> = runs.iter().map(|run| run.failures as f64).collect();
        let excess: Vec<f64> = runs.iter().map(|run| run.excess).collect();
        let last = runs.iter().map(|run| run.stage).max().unwrap_or(0);
        Self {
            runs: runs.len(),
            promoted: share(End::Promoted),
            taken_back: share(End::TakenBack),
            given_up: share(End::GivenUp),
            still_running: share(End::StillRunning),
            until_promoted: until(End::Promoted),
            until_taken_back: until(End::TakenBack),
            mean_failures: Measured::mean(&failures),
            failures: Quantiles::of(failures).unwrap_or_default(),
            mean_excess: Measured::mean(&excess),
            excess: Quantiles::of(excess).unwrap_or_default(),
            stages: (1..=last).map(|stage| runs.iter().filter(|run| run.stage == stage).count()).collect(),
            looks: runs.iter().map(|run| run.looks).sum(),
        }
    }
}
