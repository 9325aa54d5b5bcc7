//! Firebreak: the engine's [`Judgement`], and its rules for stages without the cluster around them.
//!
//! What [`firebreak_engine::decide`] does with pods, routes and humans is left out; approvals count as given at once. A test
//! holds both side by side.

use firebreak_engine::{
    counters::Present,
    judge::{Judgement, Standing, Verdict},
    observation::{Arm, Look, Past, Pasts, Reading, SignalLook},
    plan::{Inconclusive, Setup},
    stats::Phi,
    units::{Millis, Weight},
};

use super::{Rule, Ruling, Seen};
use crate::opening::{Guards, Opening};

const BEGIN: Millis = Millis(1_800_000_000_000);
/// The operator reads stable's past again after so many seconds.
const LEARN_EVERY: f64 = 300.0;

pub(crate) struct Firebreak<'a> {
    setup: &'a Setup,
    judgement: Judgement,
    look: Look,
    names: [[String; 1]; 2],
    /// Seconds until the pods of a larger stage are ready and seen.
    ready_after: f64,
    stage: usize,
    entered: f64,
    granted: Weight,
    /// What the routes say: what was granted, one look later.
    routes: Weight,
    in_effect: Option<f64>,
    learns_at: f64,
    /// The next stage's proof with other guards than the engine's.
    opening: Option<Opening>,
}

fn instant(second: f64) -> Millis {
    BEGIN.plus_seconds(second)
}

impl<'a> Firebreak<'a> {
    /// At the moment of the first exposure.
    pub(crate) fn new(setup: &'a Setup, past: Past, look_seconds: f64, ready_after: f64) -> Self {
        let mut judgement = Judgement::new(setup);
        judgement.learn(setup, &pasts(setup, past));
        let names = [["c".to_owned()], ["s".to_owned()]];
        let reading = |arm, pod: &[String; 1]| Reading { pod: pod.concat(), arm, requests: 0, failures: 0, read_at: BEGIN };
        let [candidate, stable] = &names;
        let readings = vec![reading(Arm::Candidate, candidate), reading(Arm::Stable, stable)];
        let look = Look { at: BEGIN, scrape_seconds: look_seconds, signals: vec![SignalLook::Read(readings)] };
        let mut rule = Self {
            setup,
            judgement,
            look,
            names,
            ready_after,
            stage: 0,
            entered: 0.0,
            granted: setup.share(0),
            routes: setup.share(0),
            in_effect: None,
            learns_at: LEARN_EVERY,
            opening: None,
        };
        rule.judge();
        rule.judgement.begin_exposure(BEGIN);
        rule.judgement.settle_split(BEGIN, look_seconds);
        rule
    }

    /// The same with other guards around stable's rate than the engine's.
    pub(crate) fn with_guards(mut self, guards: Guards, past: Past) -> Self {
        self.opening = Some(Opening::new(guards, past));
        self
    }

    /// What follows, the next stage's proof by other guards where there are some.
    fn verdict(&mut self, seen: Seen) -> Verdict {
        let mut verdict = self.judgement.verdict(self.setup, instant(seen.now));
        let next = self.setup.plan.weight(self.stage + 1);
        if let Some(opening) = &mut self.opening {
            let phi = self.judgement.signals.first().map_or(Phi::UNKNOWN, |signal| signal.phi());
            let frozen = verdict.stable_unhealthy.is_some();
            opening.look(seen.until, seen.counts, &self.setup.plan, next.share(), phi, frozen);
            verdict.open = opening.is_open(self.setup.plan.beta);
        }
        verdict
    }

    fn judge(&mut self) {
        let [candidate, stable] = &self.names;
        let standing = Standing {
            present: Present { candidate, stable, unready: &[] },
            in_effect: self.in_effect.map(|_| self.granted),
            next: self.setup.plan.weight(self.stage + 1),
        };
        self.judgement.enter(self.setup, &self.look, &standing);
    }

    /// Named holds: nothing goes on.
    fn holds(verdict: &Verdict) -> bool {
        verdict.trouble.is_some()
            || verdict.split_broken.is_some()
            || verdict.stable_unhealthy.is_some()
            || verdict.immaterial.is_some()
    }

    /// Brings the share to the stage's, once its pods are there and nothing bars it. True while it is in effect.
    fn place(&mut self, now: f64, verdict: &Verdict) -> bool {
        if self.in_effect.is_some() {
            return true;
        }
        let share = self.setup.share(self.stage);
        let entering = self.granted != share;
        let barred = entering && (Self::holds(verdict) || verdict.suspicion);
        let ready = now - self.entered >= self.ready_after;
        if ready && !barred {
            self.granted = share;
        }
        let followed = self.routes == self.granted;
        if !followed {
            self.judgement.settle_split(instant(now), self.look.scrape_seconds);
        }
        self.routes = self.granted;
        if ready && !barred && followed {
            self.in_effect = Some(now);
            self.judgement.begin_stage(instant(now), self.look.scrape_seconds);
            self.opening.iter_mut().for_each(Opening::begin_stage);
        }
        self.in_effect.is_some()
    }

    fn progress(&mut self, now: f64, verdict: &Verdict) -> Ruling {
        let stay = Ruling::Give(self.granted);
        let (true, Some(since)) = (self.place(now, verdict), self.in_effect) else { return Ruling::Give(self.granted) };
        if Self::holds(verdict) || verdict.suspicion {
            return stay;
        }
        let (plan, baked) = (&self.setup.plan, now - since);
        if plan.weight(self.stage) >= Weight::FULL {
            return if baked < plan.final_bake_seconds { stay } else { Ruling::Promote };
        }
        if baked < plan.min_bake_seconds || !verdict.open && baked < plan.max_bake_seconds {
            return stay;
        }
        match plan.inconclusive {
            Inconclusive::Hold if !verdict.open => return stay,
            Inconclusive::RollBack if !verdict.open => return Ruling::GiveUp,
            _ => {}
        }
        self.stage += 1;
        self.entered = now;
        self.in_effect = None;
        self.place(now, verdict);
        Ruling::Give(self.granted)
    }
}

fn pasts(setup: &Setup, past: Past) -> Pasts {
    setup.signals.iter().map(|signal| (signal.name.clone(), past)).collect()
}

impl Rule for Firebreak<'_> {
    fn look(&mut self, seen: Seen) -> Ruling {
        self.look.at = instant(seen.until);
        let counts = seen.counts;
        if let Some(SignalLook::Read(readings)) = self.look.signals.first_mut() {
            for (reading, (requests, failures)) in readings.iter_mut().zip([(counts.n_c, counts.x_c), (counts.n_s, counts.x_s)]) {
                (reading.requests, reading.failures) = (reading.requests + requests, reading.failures + failures);
                reading.read_at = self.look.at;
            }
        }
        self.judge();
        let verdict = self.verdict(seen);
        if verdict.harm.is_some() {
            return Ruling::Back;
        }
        self.progress(seen.now, &verdict)
    }

    fn stage(&self) -> usize {
        self.stage
    }

    fn learns_at(&self) -> f64 {
        self.learns_at
    }

    fn learn(&mut self, past: Past) {
        self.learns_at += LEARN_EVERY;
        self.judgement.learn_again(self.setup, &pasts(self.setup, past));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use firebreak_engine::{
        memory::Phase,
        risk::Level,
        stats::{Counts, Phi},
    };

    use super::*;
    use crate::{Cluster, setup};

    /// Counters of a cluster: candidate, stable.
    fn counters(cluster: &Cluster) -> Counts {
        let mut sum = Counts::default();
        for signal in cluster.look().signals {
            let SignalLook::Read(readings) = signal else { continue };
            for Reading { arm, requests, failures, .. } in readings {
                sum = sum.plus(match arm {
                    Arm::Candidate => Counts::new(requests, 0, failures, 0),
                    Arm::Stable => Counts::new(0, requests, 0, failures),
                });
            }
        }
        sum
    }

    /// Each new share and its second, from the first exposure on, and the end.
    #[derive(Debug, Default, PartialEq)]
    struct Way {
        shares: Vec<(f64, Weight)>,
        end: Option<Ruling>,
    }

    impl Way {
        fn note(&mut self, now: f64, weight: Weight) {
            if self.shares.last().is_none_or(|(_, last)| *last != weight) {
                self.shares.push((now, weight));
            }
        }
    }

    /// The way under the engine's `decide`, and under this rule, with the same requests.
    fn side_by_side(failing: (u64, u64), level: Level) -> [Way; 2] {
        let mut setup = setup(level, 1);
        // Nobody is asked, and two pods carry any share: nothing waits for humans or pods.
        setup.plan.approval_at.clear();
        setup.plan.max_bake_seconds = 300.0;
        let mut cluster = Cluster { replicas: 2, failing, ..Cluster::new(setup.clone()) };
        while cluster.memory.exposed_at.is_none() {
            cluster.turn();
        }
        let begun = cluster.now;
        let past = Past { requests: 0, failures: 0, phi: Phi::UNKNOWN };
        let mut rule = Firebreak::new(&setup, past, 1.0, 0.0);
        let mut ways = [Way::default(), Way::default()];
        let [engine, own] = &mut ways;
        engine.note(0.0, cluster.memory.granted);
        own.note(0.0, rule.granted);
        for _ in 0..3000 {
            let before = counters(&cluster);
            cluster.turn();
            let after = counters(&cluster);
            let counts =
                Counts::new(after.n_c - before.n_c, after.n_s - before.n_s, after.x_c - before.x_c, after.x_s - before.x_s);
            let now = cluster.now.seconds_since(begun);
            if engine.end.is_none() {
                engine.end = match (cluster.memory.phase, &cluster.memory.retreat) {
                    (Phase::Promoting | Phase::Ended(_), None) => Some(Ruling::Promote),
                    (_, Some(retreat)) if retreat.reason == "Inconclusive" => Some(Ruling::GiveUp),
                    (_, Some(_)) => Some(Ruling::Back),
                    _ => None,
                };
                if engine.end.is_none() {
                    engine.note(now, cluster.memory.granted);
                }
            }
            if own.end.is_none() {
                match rule.look(Seen { now, until: now, counts }) {
                    Ruling::Give(weight) => own.note(now, weight),
                    end => own.end = Some(end),
                }
            }
            if engine.end.is_some() && own.end.is_some() {
                break;
            }
        }
        ways
    }

    #[test]
    fn given_the_same_requests_when_the_engine_and_this_rule_walk_then_every_stage_begins_in_the_same_second() {
        for (failing, level) in [((1, 1), Level::Medium), ((4, 4), Level::Low), ((3, 3), Level::High)] {
            let [engine, own] = side_by_side(failing, level);
            assert_eq!(engine, own, "{level}");
            assert_eq!(own.end, Some(Ruling::Promote), "{own:?}");
            assert!(own.shares.len() >= 3 && own.shares.last().unwrap().1 > Weight::percent(50), "{own:?}");
        }
    }

    #[test]
    fn given_a_candidate_that_does_harm_then_both_take_it_back_in_the_same_second() {
        for failing in [(1000, 0), (300, 1), (20, 4)] {
            let [engine, own] = side_by_side(failing, Level::Medium);
            assert_eq!(engine, own, "{failing:?}");
            assert_eq!(own.end, Some(Ruling::Back), "{own:?}");
        }
    }

    #[test]
    fn given_a_stage_that_stays_inconclusive_then_both_do_what_the_policy_says_in_the_same_second() {
        for (level, end) in [(Level::Critical, Some(Ruling::GiveUp)), (Level::Low, Some(Ruling::Promote)), (Level::High, None)] {
            let [engine, own] = side_by_side((120, 100), level);
            assert_eq!(engine, own, "{level}");
            assert_eq!(own.end, end, "{own:?}");
        }
    }
}
