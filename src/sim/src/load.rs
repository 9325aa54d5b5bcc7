//! Requests of a service and how many of them fail, by chance: what [`crate::Arms`] and [`crate::Rollout`] look at.
//!
//! Each step's chance comes from the seed, the step's number and the arm alone. So rules that give the candidate the same
//! share see the very same requests, and one rule's stages do not change another's luck. Only a burst that is longer than a
//! step goes on in the next one, for as many requests as it has left.

use std::collections::VecDeque;

use firebreak_engine::{
    observation::Past,
    stats::{
        Counts,
        dispersion::{Phi, PodCounts, PodStep},
    },
};

use crate::random::Random;

/// Stable's past as the operator reads it: so many steps of so many seconds.
const PAST: (u32, f64) = (180, 15.0);

/// How a candidate fails.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fails {
    /// So many times as often as stable.
    Times(f64),
    /// With stable's probability and this much more.
    Beyond(f64),
    /// Every request.
    All,
}

/// A slow wandering of each pod's own failure probability: log-normal, and forgotten in `seconds`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Wander {
    /// Standard deviation of the logarithm: 0.3 is 30 %.
    pub deviation: f64,
    /// Seconds after which it is e times less alike.
    pub seconds: f64,
}

/// What is true of a service's requests. Curves say what holds from each second on, and before their first what it says;
/// seconds count from the first exposure, and stable's past is before 0.
#[derive(Debug, Clone, PartialEq)]
pub struct Load {
    /// Requests a second, both arms together.
    pub rate: f64,
    /// Swing of the requests around that: a part of it, and the seconds of a period.
    pub swing: (f64, f64),
    /// Stable's failure probability.
    pub stable: Vec<(f64, f64)>,
    /// How the candidate fails.
    pub candidate: Vec<(f64, Fails)>,
    /// Trouble that both arms share: their failure probabilities times this.
    pub shared: Vec<(f64, f64)>,
    /// variance/mean of failures, of each pod by itself: 1 one by one, more in bursts.
    pub bursts: f64,
    /// The same before the first exposure, where it was another.
    pub past_bursts: Option<f64>,
    /// Whether a burst is no pod's but everyone's: each of its requests goes to an arm by chance.
    pub routed: bool,
    /// Whether stable's pods are read in two halves, which tell whether their noise is as large as their past says.
    pub halves: bool,
    /// Pods of stable and of the candidate, each with the same part of its arm's requests.
    pub pods: (usize, usize),
    /// How each pod's failure probability wanders by itself.
    pub wander: Option<Wander>,
}

/// What holds at a second.
pub(crate) fn at<T: Copy + Default>(curve: &[(f64, T)], second: f64) -> T {
    let holds = curve.iter().rev().find(|(since, _)| *since <= second).or(curve.first());
    holds.map(|(_, value)| *value).unwrap_or_default()
}

impl Default for Fails {
    fn default() -> Self {
        Self::Times(1.0)
    }
}

impl Fails {
    /// The candidate's failure probability where stable has `stable`.
    #[must_use]
    pub fn probability(self, stable: f64) -> f64 {
        match self {
            Self::Times(ratio) => (stable * ratio).min(1.0),
            Self::Beyond(more) => (stable + more).min(1.0),
            Self::All => 1.0,
        }
    }
}

impl Load {
    /// So many requests a second, of which this part fails in both arms, one by one.
    #[must_use]
    pub fn even(rate: f64, failing: f64) -> Self {
        Self {
            rate,
            swing: (0.0, 86_400.0),
            stable: vec![(0.0, failing)],
            candidate: Vec::new(),
            shared: vec![(0.0, 1.0)],
            bursts: 1.0,
            past_bursts: None,
            routed: false,
            halves: false,
            pods: (10, 2),
            wander: None,
        }
    }

    /// Failure probabilities of candidate and stable at a second.
    #[must_use]
    pub fn failing(&self, second: f64) -> (f64, f64) {
        let stable = (at(&self.stable, second) * at(&self.shared, second)).min(1.0);
        (at(&self.candidate, second).probability(stable), stable)
    }

    /// Failed requests beyond stable's to be expected around a second, where all requests are the candidate's.
    pub(crate) fn expected_excess(&self, second: f64, seconds: f64) -> f64 {
        let (candidate, stable) = self.failing(second);
        self.rate(second) * seconds * (candidate - stable)
    }

    fn rate(&self, second: f64) -> f64 {
        let (part, period) = self.swing;
        if part == 0.0 {
            return self.rate;
        }
        self.rate * (1.0 + part * (std::f64::consts::TAU * second / period).sin())
    }
}

/// What came in one step.
#[derive(Debug, Clone, Default)]
pub(crate) struct Drawn {
    /// Of both arms.
    pub(crate) counts: Counts,
    /// Of stable's second half, where it is read in two: requests and failures.
    pub(crate) second_half: (u64, u64),
    /// The candidate's failures beyond those that stable's probability would have given.
    pub(crate) excess: f64,
}

/// The requests of one run, step by step.
pub(crate) struct Stream<'a> {
    load: &'a Load,
    seed: u64,
    step: u64,
    second: f64,
    /// Logarithm of each pod's own factor, stable's first, in standard deviations; none where pods are alike.
    factors: Vec<f64>,
    wandering: Random,
    /// variance/mean of failures in this step.
    bursts: f64,
    /// Failures of bursts that have not met their requests yet: of each pod, stable's first; where pods are alike of stable as a whole, and of
    /// each of the candidate's, then of stable's second half.
    owed: Vec<u64>,
    /// Stable's last steps, as the operator would read them, and the one that is being filled.
    history: VecDeque<PodStep>,
    filling: PodStep,
    /// Of the step that is being filled, what is not divided among the pods yet, and how many failures were to be expected.
    undivided: (PodCounts, f64),
}

impl<'a> Stream<'a> {
    /// Before the first exposure, stable's past already lived.
    pub(crate) fn new(load: &'a Load, seed: u64) -> Self {
        let (steps, seconds) = PAST;
        let mut wandering = Random::new(seed, u64::MAX);
        let pods = load.pods.0.max(1) + load.pods.1.max(1);
        let mut stream = Self {
            load,
            seed,
            step: 0,
            second: -f64::from(steps) * seconds,
            factors: load.wander.map_or(Vec::new(), |_| (0..pods).map(|_| wandering.normal()).collect()),
            wandering,
            bursts: load.bursts,
            owed: vec![0; pods + 1],
            history: VecDeque::new(),
            filling: PodStep { seconds: 0.0, pods: vec![PodCounts::default(); load.pods.0.max(1)] },
            undivided: (PodCounts::default(), 0.0),
        };
        for _ in 0..steps {
            stream.draw(seconds, 0.0);
        }
        stream
    }

    /// What the operator would learn of stable's last 45 minutes.
    pub(crate) fn past(&mut self) -> Past {
        let history = self.history.make_contiguous();
        let sum = |of: fn(&PodCounts) -> u64| history.iter().flat_map(|step| &step.pods).map(of).sum();
        Past { requests: sum(|pod| pod.requests), failures: sum(|pod| pod.failures), phi: Phi::between_pods(history) }
    }

    /// The next seconds, of which the candidate gets a share.
    pub(crate) fn draw(&mut self, seconds: f64, share: f64) -> Drawn {
        // What holds is that of the step's middle, so that a curve's corner inside a step is off by half a step at most.
        let middle = self.second + seconds / 2.0;
        let (p_c, p_s) = self.load.failing(middle);
        let requests = self.load.rate(middle) * seconds;
        self.wander(seconds);
        self.bursts = self.load.past_bursts.filter(|_| middle < 0.0).unwrap_or(self.load.bursts);
        let mut of_candidate = Random::new(self.seed, 2 * self.step);
        let mut of_stable = Random::new(self.seed, 2 * self.step + 1);
        self.step += 1;
        self.second += seconds;
        let (of_stable, of_candidate) =
            ((&mut of_stable, (1.0 - share) * requests, p_s), (&mut of_candidate, share * requests, p_c));
        let (counts, second_half) = match (self.load.routed, self.factors.is_empty()) {
            (true, _) => (self.routed(of_stable, of_candidate), (0, 0)),
            (false, true) => self.alike(of_stable, of_candidate),
            (false, false) => self.by_pod(of_stable, of_candidate),
        };
        self.remember(seconds);
        Drawn { counts, second_half, excess: counts.x_c as f64 - counts.n_c as f64 * p_s }
    }

    /// Bursts of which each failure comes to either arm by chance, as often as its requests fail.
    fn routed(&mut self, of_stable: (&mut Random, f64, f64), of_candidate: (&mut Random, f64, f64)) -> Counts {
        let ((random, n_s, p_s), (other, n_c, p_c)) = (of_stable, of_candidate);
        let (requests_s, requests_c) = (random.poisson(n_s), other.poisson(n_c));
        let failures = random.bursty(n_s * p_s + n_c * p_c, self.bursts);
        let x_c = random.binomial(failures, n_c * p_c / (n_s * p_s + n_c * p_c).max(f64::MIN_POSITIVE));
        let (x_s, x_c) = ((failures - x_c).min(requests_s), x_c.min(requests_c));
        let (sum, expected) = &mut self.undivided;
        (sum.requests, sum.failures, *expected) = (sum.requests + requests_s, sum.failures + x_s, *expected + n_s * p_s);
        Counts::new(requests_c, requests_s, x_c, x_s)
    }

    /// Both arms, each with its generator, mean requests and failure probability, pod by pod; and stable's second half.
    fn by_pod(&mut self, of_stable: (&mut Random, f64, f64), of_candidate: (&mut Random, f64, f64)) -> (Counts, (u64, u64)) {
        let (stable_pods, candidate_pods) = (self.load.pods.0.max(1), self.load.pods.1.max(1));
        let (mut counts, mut second_half) = (Counts::default(), (0, 0));
        let (random, requests, failing) = of_stable;
        for pod in 0..stable_pods {
            let (n, x) = self.draw_from(random, pod, requests / stable_pods as f64, failing * self.factor(pod));
            if self.load.halves && 2 * pod >= stable_pods {
                second_half = (second_half.0 + n, second_half.1 + x);
            }
            counts = counts.plus(Counts::new(0, n, 0, x));
            if let Some(sum) = self.filling.pods.get_mut(pod) {
                *sum = PodCounts { requests: sum.requests + n, failures: sum.failures + x };
            }
        }
        let (random, requests, failing) = of_candidate;
        for pod in (stable_pods..stable_pods + candidate_pods).filter(|_| requests > 0.0) {
            let (n, x) = self.draw_from(random, pod, requests / candidate_pods as f64, failing * self.factor(pod));
            counts = counts.plus(Counts::new(n, 0, x, 0));
        }
        (counts, second_half)
    }

    /// The same where the pods of an arm are alike: stable's at once, since a sum of such draws is one, and divided among its pods
    /// when the operator would read them. And stable's second half.
    fn alike(&mut self, of_stable: (&mut Random, f64, f64), of_candidate: (&mut Random, f64, f64)) -> (Counts, (u64, u64)) {
        let (random, mean, failing) = of_stable;
        let parts = if self.load.halves { 2.0 } else { 1.0 };
        let (mut n_s, mut x_s) = self.draw_from(random, 0, mean / parts, failing);
        let mut second_half = (0, 0);
        if self.load.halves {
            second_half = self.draw_from(random, self.load.pods.1.max(1) + 1, mean / parts, failing);
            (n_s, x_s) = (n_s + second_half.0, x_s + second_half.1);
        }
        let (sum, expected) = &mut self.undivided;
        (sum.requests, sum.failures, *expected) = (sum.requests + n_s, sum.failures + x_s, *expected + mean * failing);
        let (random, mean, failing) = of_candidate;
        // A burst is one pod's: of few pods it fails no more than that pod's part of the requests.
        let pods = if self.bursts > 1.0 { self.load.pods.1.max(1) } else { 1 };
        let mut counts = Counts::new(0, n_s, 0, x_s);
        for pod in (1..=pods).filter(|_| mean > 0.0) {
            let (n_c, x_c) = self.draw_from(random, pod, mean / pods as f64, failing);
            counts = counts.plus(Counts::new(n_c, 0, x_c, 0));
        }
        (counts, second_half)
    }

    fn factor(&self, pod: usize) -> f64 {
        let deviation = self.load.wander.map_or(0.0, |wander| wander.deviation);
        // The mean of the factor is 1.
        self.factors.get(pod).map_or(1.0, |normal| (deviation * normal - deviation * deviation / 2.0).exp())
    }

    fn wander(&mut self, seconds: f64) {
        let Some(wander) = self.load.wander else { return };
        let kept = (-seconds / wander.seconds).exp();
        for factor in &mut self.factors {
            *factor = *factor * kept + (1.0 - kept * kept).sqrt() * self.wandering.normal();
        }
    }

    /// Requests and failures of one pod, or of an arm of pods that are alike. One by one, failures are a part of the requests.
    /// In bursts they have their own chance: a burst fails one request after another, and goes on in the next step where it
    /// meets too few.
    fn draw_from(&mut self, random: &mut Random, whose: usize, mean: f64, failing: f64) -> (u64, u64) {
        if failing >= 1.0 {
            let requests = random.poisson(mean);
            return (requests, requests);
        }
        if self.bursts <= 1.0 {
            let failures = random.poisson(mean * failing);
            return (failures + random.poisson(mean * (1.0 - failing)), failures);
        }
        let requests = random.poisson(mean);
        let failures = random.bursty(mean * failing, self.bursts);
        let Some(owed) = self.owed.get_mut(whose) else { return (requests, failures.min(requests)) };
        *owed += failures;
        let met = (*owed).min(requests);
        *owed -= met;
        (requests, met)
    }

    fn remember(&mut self, seconds: f64) {
        self.filling.seconds += seconds;
        if self.filling.seconds >= PAST.1 {
            self.divide();
            let empty = PodStep { seconds: 0.0, pods: vec![PodCounts::default(); self.filling.pods.len()] };
            self.history.push_back(std::mem::replace(&mut self.filling, empty));
            if self.history.len() > PAST.0 as usize {
                self.history.pop_front();
            }
        }
    }

    /// Gives each pod its part of what pods that are alike had together, as likely as if each had been drawn by itself: requests
    /// one by one; failures in bursts follow the ones before (negative binomial counts, given their sum, are those of a Pólya
    /// urn).
    fn divide(&mut self) {
        let (sum, expected) = std::mem::take(&mut self.undivided);
        let mut random = Random::new(!self.seed, self.step);
        let count = self.filling.pods.len();
        let mut left = sum.requests;
        for (place, pod) in self.filling.pods.iter_mut().enumerate() {
            let part = if place + 1 == count { left } else { random.binomial(left, 1.0 / (count - place) as f64) };
            pod.requests += part;
            left -= part;
        }
        // The urn begins with so much of pods that no failure has chosen yet; where none comes in bursts none follows another.
        let fresh = if self.bursts > 1.0 && !self.load.routed { expected / (self.bursts - 1.0) } else { f64::INFINITY };
        let mut places: Vec<usize> = Vec::new();
        for _ in 0..sum.failures {
            let before = places.len() as f64;
            let follows = random.unit() * (fresh + before) < before;
            let among = if follows { places.len() } else { count };
            let chosen = (random.unit() * among as f64) as usize;
            let place = if follows { places.get(chosen).copied().unwrap_or_default() } else { chosen };
            places.push(place);
            if let Some(pod) = self.filling.pods.get_mut(place) {
                pod.failures += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn total(load: &Load, seed: u64, steps: u32, share: f64) -> Counts {
        let mut stream = Stream::new(load, seed);
        (0..steps).fold(Counts::default(), |sum, _| sum.plus(stream.draw(1.0, share).counts))
    }

    #[test]
    fn given_a_share_and_rates_then_so_many_come_and_so_many_of_them_fail() {
        let candidate = vec![(0.0, Fails::Times(3.0))];
        for load in [Load::even(200.0, 0.02), Load { bursts: 4.0, ..Load::even(200.0, 0.02) }] {
            let Counts { n_c, n_s, x_c, x_s } = total(&Load { candidate: candidate.clone(), ..load }, 1, 5000, 0.2);
            // Six standard errors of what comes in bursts of four.
            for (got, mean) in [(n_c, 200e3), (n_s, 800e3), (x_c, 12e3), (x_s, 16e3)] {
                assert!((got as f64 - mean).abs() < 6.0 * f64::sqrt(4.0 * mean), "{got}, not {mean}");
            }
        }
    }

    #[test]
    fn given_the_same_seed_then_an_arm_whose_share_is_the_same_sees_the_same_whatever_came_before() {
        let load = Load { wander: Some(Wander { deviation: 0.3, seconds: 300.0 }), ..Load::even(300.0, 0.05) };
        let (mut one, mut other) = (Stream::new(&load, 9), Stream::new(&load, 9));
        one.draw(1.0, 0.5);
        other.draw(1.0, 0.05);
        assert_eq!(one.draw(1.0, 0.2).counts, other.draw(1.0, 0.2).counts);
        assert_ne!(one.draw(1.0, 0.2).counts, Stream::new(&load, 10).draw(1.0, 0.2).counts);
    }

    #[test]
    fn given_bursts_longer_than_a_step_then_they_go_on_and_the_dispersion_is_that_of_longer_steps() {
        // Two requests a second: few bursts of four fit into one.
        let load = Load { bursts: 4.0, pods: (1, 1), ..Load::even(2.0, 0.05) };
        let mut stream = Stream::new(&load, 1);
        let mut of_a_minute = || (0..60).map(|_| stream.draw(1.0, 0.0).counts.x_s).sum::<u64>() as f64;
        let minutes: Vec<f64> = (0..4000).map(|_| of_a_minute()).collect();
        let mean = minutes.iter().sum::<f64>() / 4000.0;
        let variance = minutes.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 4000.0;
        assert!((mean - 6.0).abs() < 0.5, "{mean}");
        assert!((variance / mean - 4.0).abs() < 0.6, "{}", variance / mean);
    }

    #[test]
    fn given_pods_that_are_alike_then_their_dispersion_is_that_of_pods_drawn_one_by_one() {
        // A wander of nothing draws each pod by itself.
        let one_by_one = Some(Wander { deviation: 0.0, seconds: 1.0 });
        for bursts in [1.0, 4.0] {
            // How the candidate fails says nothing of stable's past.
            let alike = Load { bursts, candidate: vec![(0.0, Fails::Times(20.0))], ..Load::even(400.0, 0.02) };
            let mean = |load: &Load| (0..60).map(|seed| Stream::new(load, seed).past().phi.get()).sum::<f64>() / 60.0;
            let (alike, each) = (mean(&alike), mean(&Load { wander: one_by_one, ..alike.clone() }));
            assert!((alike / each - 1.0).abs() < 0.03, "v/m {bursts}: {alike} and {each}");
            assert!((alike / bursts.max(1.05) - 1.0).abs() < 0.25, "v/m {bursts}: {alike}");
        }
    }

    #[test]
    fn given_pods_that_wander_then_their_rate_is_the_same_in_the_mean_and_their_failures_are_dispersed() {
        let even = Load { pods: (4, 1), ..Load::even(4000.0, 0.02) };
        let wandering = Load { wander: Some(Wander { deviation: 0.5, seconds: 100.0 }), ..even.clone() };
        let rate = total(&wandering, 1, 20_000, 0.0).stable_rate().unwrap_or(0.0);
        assert!((rate / 0.02 - 1.0).abs() < 0.1, "{rate}");
        let phi = |load: &Load| Stream::new(load, 1).past().phi.get();
        assert!(phi(&wandering) > 2.0 * phi(&even), "{} and {}", phi(&wandering), phi(&even));
    }

    #[test]
    fn given_trouble_in_the_past_then_it_is_in_what_is_learnt_of_it_and_is_no_dispersion() {
        let shared = vec![(f64::NEG_INFINITY, 1.0), (-1800.0, 10.0), (-1200.0, 1.0)];
        let even = Load::even(400.0, 0.01);
        let past = |load: &Load| Stream::new(load, 3).past();
        let (calm, troubled) = (past(&even), past(&Load { shared, ..even.clone() }));
        // Ten of 45 minutes have ten times as many.
        let ratio = troubled.failures as f64 / calm.failures as f64;
        assert!((ratio - 3.0).abs() < 0.2, "{ratio}");
        assert!(troubled.phi.get() < 1.3, "{:?}", troubled.phi);
    }

    #[test]
    fn given_bursts_that_go_to_either_arm_by_chance_then_both_arms_share_them_and_pods_do_not_differ() {
        let load = Load { bursts: 4.0, routed: true, candidate: vec![(0.0, Fails::Times(2.0))], ..Load::even(400.0, 0.02) };
        assert!(Stream::new(&load, 3).past().phi.get() < 1.3);
        let Counts { n_c, n_s, x_c, x_s } = total(&load, 1, 5000, 0.2);
        for (got, mean) in [(n_c, 400e3), (n_s, 1600e3), (x_c, 16e3), (x_s, 32e3)] {
            assert!((got as f64 - mean).abs() < 6.0 * f64::sqrt(4.0 * mean), "{got}, not {mean}");
        }
    }
}
