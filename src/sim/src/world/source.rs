//! What reads the pods and answers for them: at intervals, late, with gaps, and not at all.

use std::collections::VecDeque;

use firebreak_engine::{
    observation::{Arm, Look, Past, Pasts, Reading, SignalLook},
    plan::{SignalCounts, SignalSetup},
    stats::dispersion::{Phi, PodCounts, PodStep},
    units::Millis,
};

use super::{
    Scenario, Source,
    pods::{Counters, Fleet, Pod, Scrape},
};
use crate::random::Random;

/// Seconds from one look to the next, at most; and while it gives no answer.
const LONGEST_PERIOD: f64 = 15.0;
const PERIOD_IN_TROUBLE: f64 = 2.0;
/// Steps in which stable's past is known, seconds.
const PAST_STEP: f64 = 15.0;
/// How many of them.
const PAST_STEPS: usize = 180;
/// The past is read again after so many.
const AGAIN_AFTER_STEPS: u64 = 20;

/// The metrics source.
pub(super) struct Eyes {
    chance: Random,
    /// What stable's pods counted, step by step.
    past: VecDeque<Vec<Counters>>,
    /// What they had counted at the last step's end.
    before: Vec<(String, Counters)>,
    steps: u64,
    told: bool,
    next_look: f64,
    /// Whether the newest look was an answer.
    pub(super) answered: bool,
}

impl Eyes {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            chance: Random::new(seed, 5),
            past: VecDeque::new(),
            before: Vec::new(),
            steps: 0,
            told: false,
            next_look: 0.0,
            answered: false,
        }
    }

    pub(super) fn answers(source: &Source, second: f64) -> bool {
        !source.outages.iter().any(|(from, to)| second >= *from && second < *to)
    }

    /// Reads what is due.
    pub(super) fn scrape(&mut self, source: &Source, fleet: &mut Fleet, second: f64, clock: Millis) {
        for pod in &mut fleet.pods {
            let due = second >= pod.next_scrape && pod.is_ready(second) && second - pod.born >= source.finds_after;
            if due {
                pod.next_scrape = pod.next_reading(source.scrape_seconds, second);
                if !self.chance.chance(source.lost) {
                    pod.scrapes.push_back(Scrape { at: second, stamp: clock, counters: pod.counters });
                }
            }
            let can_be_asked = |scrape: &Scrape| scrape.at + source.lag <= second;
            while pod.scrapes.get(1).is_some_and(can_be_asked) {
                pod.scrapes.pop_front();
            }
        }
    }

    fn newest<'p>(source: &Source, pod: &'p Pod, second: f64) -> Option<&'p Scrape> {
        pod.scrapes.front().filter(|scrape| scrape.at + source.lag <= second)
    }

    /// Another process looks at once.
    pub(super) fn wake(&mut self) {
        self.next_look = 0.0;
    }

    /// A look, twice a scrape.
    pub(super) fn look(
        &mut self,
        scenario: &Scenario,
        (candidate, stable): (&Fleet, &Fleet),
        second: f64,
        now: Millis,
    ) -> Option<Look> {
        if second < self.next_look {
            return None;
        }
        let source = &scenario.source;
        let answers = Self::answers(source, second);
        let period = (source.scrape_seconds / 2.0).min(LONGEST_PERIOD);
        self.next_look = (self.next_look + period).max(second + period - 1.0);
        if !answers {
            self.next_look = self.next_look.min(second + PERIOD_IN_TROUBLE);
        }
        self.answered = answers;
        let reading = |arm: Arm, kind: SignalCounts, pod: &Pod| {
            let scrape = Self::newest(source, pod, second)?;
            let (requests, failures) = (scrape.counters.requests, scrape.counters.of(kind));
            Some(Reading { pod: pod.name.clone(), arm, requests, failures, read_at: scrape.stamp })
        };
        let signal = |signal: &SignalSetup| {
            if !answers {
                return SignalLook::Trouble { reason: "BackendUnreachable".into(), message: "nobody answers".into() };
            }
            let of = |arm, fleet: &Fleet| -> Vec<Reading> {
                fleet.pods.iter().filter_map(|pod| reading(arm, signal.counts, pod)).collect()
            };
            let mut all = of(Arm::Candidate, candidate);
            all.append(&mut of(Arm::Stable, stable));
            SignalLook::Read(all)
        };
        let signals = scenario.setup.signals.iter().map(signal).collect();
        Some(Look { at: now, scrape_seconds: source.scrape_seconds, signals, sampled: None })
    }

    /// The pods that were read at all.
    pub(super) fn seen(source: &Source, candidate: &Fleet, second: f64) -> Vec<String> {
        let read = candidate.pods.iter().filter(|pod| Self::newest(source, pod, second).is_some());
        if Self::answers(source, second) { read.map(|pod| pod.name.clone()).collect() } else { Vec::new() }
    }

    /// How many ready pods were not.
    pub(super) fn unseen(source: &Source, candidate: &Fleet, second: f64) -> usize {
        let read = |pod: &&Pod| pod.is_ready(second) && Self::newest(source, pod, second).is_none();
        candidate.pods.iter().filter(read).count()
    }

    /// Keeps what stable counts, a step after the other.
    pub(super) fn remember(&mut self, stable: &Fleet, second: f64) {
        if second < (self.steps + 1) as f64 * PAST_STEP {
            return;
        }
        self.steps += 1;
        let now: Vec<(String, Counters)> = stable.pods.iter().map(|pod| (pod.name.clone(), pod.counters)).collect();
        let increments = now.iter().map(|(name, counters)| {
            let before = self.before.iter().find(|(other, _)| other == name).map(|(_, before)| *before);
            counters.since(before.filter(|before| before.requests <= counters.requests).unwrap_or_default())
        });
        let step = increments.collect();
        self.before = now;
        self.push(step);
    }

    fn push(&mut self, step: Vec<Counters>) {
        if self.past.len() >= PAST_STEPS {
            self.past.pop_front();
        }
        self.past.push_back(step);
    }

    /// What stable counted before the world began, as it would have by what is true of it.
    pub(super) fn imagine(&mut self, fleet: &mut Fleet, mut step: impl FnMut(&Fleet, f64, f64) -> Vec<Counters>) {
        for at in 0..PAST_STEPS {
            let counted = step(fleet, (at as f64 - PAST_STEPS as f64) * PAST_STEP, PAST_STEP);
            fleet.pods.iter_mut().zip(&counted).for_each(|(pod, counted)| pod.counters.add(*counted));
            self.push(counted);
        }
    }

    /// Stable's past, when it is told: at the beginning, and again from time to time.
    pub(super) fn past(&mut self, scenario: &Scenario, second: f64) -> Option<Pasts> {
        let again = self.steps > 0 && self.steps.is_multiple_of(AGAIN_AFTER_STEPS);
        let due = !self.told || again && second - self.steps as f64 * PAST_STEP < 1.0;
        if !scenario.source.past || !due || !Self::answers(&scenario.source, second) {
            return None;
        }
        self.told = true;
        let of = |signal: &SignalSetup| {
            let counts = |counters: &Counters| PodCounts { requests: counters.requests, failures: counters.of(signal.counts) };
            let step = |pods: &Vec<Counters>| PodStep { seconds: PAST_STEP, pods: pods.iter().map(counts).collect() };
            let history: Vec<PodStep> = self.past.iter().map(step).collect();
            let sum = |of: fn(&PodCounts) -> u64| history.iter().flat_map(|step| &step.pods).map(of).sum();
            let past =
                Past { requests: sum(|pod| pod.requests), failures: sum(|pod| pod.failures), phi: Phi::between_pods(&history) };
            (signal.name.clone(), past)
        };
        Some(scenario.setup.signals.iter().map(of).collect())
    }
}
