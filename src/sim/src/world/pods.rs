//! The pods of one arm: they start, warm up, restart, vanish; each has its counters, and what was read of them.

use std::collections::VecDeque;

use firebreak_engine::{observation::Pods, plan::SignalCounts, units::Millis};

use super::{Life, Noisy, scenario::Worse};
use crate::random::Random;

/// From so many restarts on, a pod that is not ready counts as crashing again and again.
const CRASHES: u32 = 2;

/// Multiples of this, less their whole part, lie as evenly as can be.
const GOLDEN: f64 = 0.618_033_988_749_895;

/// What a process has counted since it began.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Counters {
    pub(super) requests: u64,
    pub(super) failures: u64,
    pub(super) slow: u64,
    pub(super) orders: u64,
}

impl Counters {
    pub(super) fn of(&self, kind: SignalCounts) -> u64 {
        match kind {
            SignalCounts::Failures => self.failures,
            SignalCounts::Slow => self.slow,
            SignalCounts::Successes => self.orders,
        }
    }

    /// What was counted since then.
    pub(super) fn since(&self, before: Self) -> Self {
        Self {
            requests: self.requests.saturating_sub(before.requests),
            failures: self.failures.saturating_sub(before.failures),
            slow: self.slow.saturating_sub(before.slow),
            orders: self.orders.saturating_sub(before.orders),
        }
    }

    pub(super) fn add(&mut self, more: Self) {
        self.requests += more.requests;
        self.failures += more.failures;
        self.slow += more.slow;
        self.orders += more.orders;
    }
}

/// One reading of a pod.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scrape {
    /// When, in seconds of the world.
    pub(super) at: f64,
    /// When, by the clock of who read it.
    pub(super) stamp: Millis,
    pub(super) counters: Counters,
}

pub(super) struct Pod {
    pub(super) name: String,
    serial: u64,
    pub(super) born: f64,
    ready_at: f64,
    restarts: u32,
    pub(super) counters: Counters,
    /// The newest that can be asked for, and those that cannot yet.
    pub(super) scrapes: VecDeque<Scrape>,
    pub(super) next_scrape: f64,
}

impl Pod {
    pub(super) fn is_ready(&self, second: f64) -> bool {
        second >= self.ready_at
    }

    /// When it is read again after this reading: pods are read at an interval, one earlier and another later in it.
    pub(super) fn next_reading(&self, interval: f64, second: f64) -> f64 {
        let next = self.next_scrape + interval;
        let phase = (self.serial as f64 * GOLDEN).fract();
        if next > second { next } else { phase.mul_add(interval, second) }
    }

    /// How it is worse now than its arm.
    pub(super) fn worse(&self, noisy: Option<&Noisy>, life: &Life, second: f64) -> Worse {
        let noisy = noisy.filter(|noisy| self.serial.is_multiple_of(noisy.one_in.max(1))).map(|noisy| noisy.worse);
        let cold = life.warm_up.filter(|(seconds, _)| second - self.ready_at < *seconds).map(|(_, worse)| worse);
        noisy
            .into_iter()
            .chain(cold)
            .fold(Worse::NOT, |sum, worse| Worse { failing: sum.failing * worse.failing, latency: sum.latency * worse.latency })
    }
}

impl Worse {
    /// Not at all.
    pub(super) const NOT: Self = Self { failing: 1.0, latency: 1.0 };
}

/// The pods of one arm.
pub(super) struct Fleet {
    prefix: char,
    pub(super) pods: Vec<Pod>,
    wanted: usize,
    born: u64,
    chance: Random,
}

impl Fleet {
    pub(super) fn new(prefix: char, chance: Random) -> Self {
        Self { prefix, pods: Vec::new(), wanted: 0, born: 0, chance }
    }

    /// Brings it to a size: the newest pods go first.
    pub(super) fn scale(&mut self, wanted: u32, life: &Life, second: f64) {
        self.wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
        self.pods.truncate(self.wanted);
        while self.pods.len() < self.wanted {
            let ready_at = if self.chance.chance(life.stuck) { f64::INFINITY } else { second + life.ready_after };
            self.pods.push(Pod {
                name: format!("{}-{}", self.prefix, self.born),
                serial: self.born,
                born: second,
                ready_at,
                restarts: 0,
                counters: Counters::default(),
                scrapes: VecDeque::new(),
                next_scrape: f64::NEG_INFINITY,
            });
            self.born += 1;
        }
    }

    /// What happens to pods in one second.
    pub(super) fn live(&mut self, life: &Life, second: f64) {
        if let Some(mean) = life.vanishes_every {
            let chance = &mut self.chance;
            self.pods.retain(|_| !chance.chance(1.0 / mean));
            let wanted = u32::try_from(self.wanted).unwrap_or(u32::MAX);
            self.scale(wanted, life, second);
        }
        if let Some(mean) = life.restarts_every {
            for pod in self.pods.iter_mut().filter(|pod| pod.is_ready(second)) {
                if self.chance.chance(1.0 / mean) {
                    pod.counters = Counters::default();
                    pod.ready_at = second + life.restart_takes;
                    pod.restarts += 1;
                }
            }
        }
    }

    pub(super) fn ready(&self, second: f64) -> usize {
        self.pods.iter().filter(|pod| pod.is_ready(second)).count()
    }

    /// What the API server says of it.
    pub(super) fn seen(&self, second: f64, exists: bool, owned_by_change: bool) -> Pods {
        let count = |which: fn(&Pod, f64) -> bool| {
            let pods = self.pods.iter().filter(|pod| which(pod, second)).count();
            u32::try_from(pods).unwrap_or(u32::MAX)
        };
        let names = |ready: bool| self.pods.iter().filter(move |pod| ready || !pod.is_ready(second)).map(|pod| pod.name.clone());
        let ready = count(Pod::is_ready);
        Pods {
            exists,
            owned_by_change,
            wanted: u32::try_from(self.wanted).unwrap_or(u32::MAX),
            names: names(true).collect(),
            ready,
            unready: names(false).collect(),
            endpoints: ready,
            lingering: ready,
            crash_looping: count(|pod, second| pod.restarts >= CRASHES && !pod.is_ready(second)),
            broken: None,
        }
    }
}
