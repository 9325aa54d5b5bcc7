//! One second of requests: who asks, which pod answers, what comes of it. Numbers are drawn per pod, not per request.

use super::{
    Behaviour, Scenario,
    pods::{Counters, Fleet, Pod},
    scenario::Traffic,
};
use crate::random::Random;

/// What came of the requests to one arm.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Served {
    /// Requests that were sent to it.
    pub requests: u64,
    /// Of these, how many failed, counted by its pods or not.
    pub failures: u64,
    /// Of these, how many came to nobody, since no pod was ready.
    pub lost: u64,
}

impl Served {
    /// Both together.
    #[must_use]
    pub fn plus(self, more: Self) -> Self {
        Self { requests: self.requests + more.requests, failures: self.failures + more.failures, lost: self.lost + more.lost }
    }
}

/// What is sent again in the next second.
#[derive(Default)]
struct Again {
    divided: u64,
    candidate: u64,
    stable: u64,
}

/// All who ask.
pub(super) struct Clients {
    chance: Random,
    answers: (Random, Random),
    surge_until: f64,
    again: Again,
}

/// One arm in one second: what answers depend on.
struct Answering<'a> {
    scenario: &'a Scenario,
    behaviour: &'a Behaviour,
    second: f64,
}

impl Clients {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            chance: Random::new(seed, 1),
            answers: (Random::new(seed, 8), Random::new(seed, 9)),
            surge_until: f64::NEG_INFINITY,
            again: Again::default(),
        }
    }

    fn sent_again(&mut self, failures: u64, retries: f64) -> u64 {
        failures * retries.trunc() as u64 + self.chance.binomial(failures, retries.fract())
    }

    /// Requests a second, now.
    fn rate(&mut self, traffic: &Traffic, second: f64) -> f64 {
        let rate = traffic.rate.at(second);
        let Some(surges) = traffic.surges else { return rate };
        if second >= self.surge_until && self.chance.chance(1.0 / surges.every) {
            self.surge_until = second + surges.lasting;
        }
        if second < self.surge_until { rate * surges.times } else { rate }
    }

    /// One second, in which this share comes to the candidate: what each arm made of it.
    pub(super) fn ask(
        &mut self,
        scenario: &Scenario,
        second: f64,
        share: f64,
        candidate: &mut Fleet,
        stable: &mut Fleet,
    ) -> (Served, Served) {
        let traffic = &scenario.traffic;
        let rate = self.rate(traffic, second);
        let again = std::mem::take(&mut self.again);
        let divided = self.chance.binomial(again.divided, share);
        let of = |behaviour| Answering { scenario, behaviour, second };
        let to_candidate = (rate * share, again.candidate + divided);
        let to_stable = (rate * (1.0 - share), again.stable + again.divided - divided);
        let by_candidate = of(&scenario.candidate).answer(candidate, to_candidate, &mut self.chance, &mut self.answers.0);
        let by_stable = of(&scenario.stable).answer(stable, to_stable, &mut self.chance, &mut self.answers.1);
        let [candidate, stable] = [by_candidate, by_stable].map(|served| self.sent_again(served.failures, traffic.retries));
        let (candidate, stable) = within((traffic.retry_budget * rate) as u64, candidate, stable);
        self.again = match traffic.sticky {
            true => Again { candidate, stable, divided: 0 },
            false => Again { divided: candidate + stable, ..Again::default() },
        };
        (by_candidate, by_stable)
    }
}

/// What a budget lets of both arms' retries, each its part.
fn within(budget: u64, candidate: u64, stable: u64) -> (u64, u64) {
    let wanted = candidate + stable;
    if wanted <= budget {
        return (candidate, stable);
    }
    let candidate = (candidate as f64 / wanted as f64 * budget as f64) as u64;
    (candidate, budget - candidate)
}

impl Answering<'_> {
    /// The arm's ready pods share what comes, new requests at a rate and those that are sent again.
    fn answer(&self, fleet: &mut Fleet, (rate, again): (f64, u64), arrivals: &mut Random, answers: &mut Random) -> Served {
        let ready = fleet.ready(self.second);
        if ready == 0 {
            let lost = arrivals.poisson(rate) + again;
            return Served { requests: lost, failures: lost, lost };
        }
        let mut served = Served::default();
        let (mean, mut again, mut pods) = (rate / ready as f64, again, ready);
        for pod in fleet.pods.iter_mut().filter(|pod| pod.is_ready(self.second)) {
            let mine = arrivals.binomial(again, 1.0 / pods as f64);
            (again, pods) = (again - mine, pods - 1);
            let requests = arrivals.poisson(mean) + mine;
            if requests == 0 {
                continue;
            }
            let behaviour = self.behaviour;
            let dropped = answers.binomial(requests, behaviour.dropped.at(self.second));
            let load = requests as f64 / self.scenario.capacity;
            let counted = self.counted(pod, requests - dropped, load, answers);
            pod.counters.add(counted);
            served = served.plus(Served { requests, failures: counted.failures + dropped, lost: 0 });
        }
        served
    }

    /// What a pod makes of so many requests, at this part of its capacity.
    fn counted(&self, pod: &Pod, requests: u64, load: f64, chance: &mut Random) -> Counters {
        let behaviour = self.behaviour;
        let worse = pod.worse(behaviour.noisy.as_ref(), &behaviour.life, self.second);
        let failures = self.failures(requests, worse.failing, load, chance);
        let slow = chance.binomial(requests, self.slow(worse.latency * self.scenario.crowding.mul_add(load, 1.0)));
        let orders = chance.binomial(requests - failures, behaviour.orders.at(self.second));
        Counters { requests, failures, slow, orders }
    }

    fn failures(&self, requests: u64, times: f64, load: f64, chance: &mut Random) -> u64 {
        let own = (self.behaviour.failing.at(self.second) * times).min(1.0);
        let fit = load.recip().min(1.0);
        let failing = 1.0 - (1.0 - own) * fit;
        let bursts = self.behaviour.bursts.at(self.second);
        if bursts > 1.0 {
            return chance.bursty(requests as f64 * failing, bursts).min(requests);
        }
        chance.binomial(requests, failing)
    }

    /// Probability that a request is slow: latency is log-normal.
    fn slow(&self, times: f64) -> f64 {
        let median = self.behaviour.latency.at(self.second) * times;
        let deviations = (self.scenario.slow_after / median).ln() / self.behaviour.spread;
        0.5 * libm::erfc(deviations * std::f64::consts::FRAC_1_SQRT_2)
    }
}

/// What stable's pods counted in so many seconds long ago, when nothing was wrong but what is true of it still.
pub(super) fn imagine(scenario: &Scenario, stable: &Fleet, second: f64, seconds: f64, chance: &mut Random) -> Vec<Counters> {
    let stable_then = Answering { scenario, behaviour: &scenario.stable, second };
    let mean = scenario.traffic.rate.at(second) * seconds / stable.pods.len().max(1) as f64;
    let one = |pod: &Pod| {
        let requests = chance.poisson(mean);
        stable_then.counted(pod, requests, mean / seconds / scenario.capacity, chance)
    };
    stable.pods.iter().map(one).collect()
}
