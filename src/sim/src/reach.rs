//! Dependents under chance alone: which of them a Change is said to harm, judged by exactly what judges there.

use firebreak_engine::{
    counters::Present,
    dependents::{DependentPast, DependentSetup, DependentsLook, Measured, Reach},
    observation::{Arm, Past, Reading, SignalLook},
    plan::{Setup, SignalCounts, SignalSetup},
    stats::{Counts, Phi},
    units::Millis,
};

use crate::{
    Arms,
    load::{Drawn, Fails, Load, Stream},
};

const BEGIN: Millis = Millis(1_800_000_000_000);

/// Workloads that a Change may hurt, all with the same load.
#[derive(Debug, Clone)]
pub struct Dependents {
    /// What is judged, and by which alpha and margin.
    pub arms: Arms,
    /// Where they are measured.
    pub measured: Measured,
    /// How many are hurt, and how often each then fails, in times.
    pub hurt: (usize, f64),
    /// How many are not, and how often each then fails all the same, in times.
    pub unhurt: (usize, f64),
}

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Found {
    /// Dependents that are said to be harmed and are.
    pub right: usize,
    /// Dependents that are said to be harmed and are not.
    pub wrong: usize,
    /// Looks that were judged, one a dependent and look.
    pub looks: u64,
}

impl Found {
    /// Part of those said to be harmed that are not; none of none.
    #[must_use]
    pub fn wrong_part(&self) -> f64 {
        self.wrong as f64 / (self.wrong + self.right).max(1) as f64
    }
}

impl Dependents {
    fn count(&self) -> usize {
        self.hurt.0 + self.unhurt.0
    }

    fn setup(&self) -> Setup {
        let signal = || SignalSetup { name: "errors".into(), counts: SignalCounts::Failures, share: 1.0, opens: true };
        let dependent = |place| DependentSetup { name: format!("d{place}"), measured: self.measured, signals: vec![signal()] };
        Setup { dependents: (0..self.count()).map(dependent).collect(), ..self.arms.setup() }
    }

    /// The load of one, which is hurt or not.
    fn load(&self, times: f64) -> Load {
        let load = self.arms.load.clone();
        match self.measured {
            Measured::ByCallers => Load { candidate: vec![(0.0, Fails::Times(times))], ..load },
            // Its own requests are all of one kind, and fail more often from the first exposure on.
            Measured::ByItself => {
                let before = load.failing(f64::NEG_INFINITY).1;
                Load { stable: vec![(f64::NEG_INFINITY, before), (0.0, before * times)], ..load }
            }
        }
    }

    /// Runs to the end. The same seed gives the same run.
    #[must_use]
    pub fn run(&self, seed: u64) -> Found {
        let setup = self.setup();
        let [hurt, unhurt] = [self.hurt.1, self.unhurt.1].map(|times| self.load(times));
        let of = |place: usize| if place < self.hurt.0 { &hurt } else { &unhurt };
        let mut world: Vec<Told> = (0..self.count()).map(|place| Told::new(of(place), seed, place)).collect();
        let mut reach = Reach::new(&setup);
        let pasts: Vec<_> = world.iter_mut().map(|one| vec![Some(one.past())]).collect();
        reach.learn(&setup, &pasts);
        let mut found = Found { right: 0, wrong: 0, looks: 0 };
        let share = if self.measured == Measured::ByItself { 0.0 } else { f64::from(self.arms.share(0.0)) / 1000.0 };
        let (pods, seconds) = ([["c".to_owned()], ["s".to_owned()]], self.arms.look_seconds);
        let [candidate, stable] = &pods;
        reach.enter(&setup, &self.look(&world, 0.0), Present { candidate, stable, unready: &[] });
        reach.begin_exposure(&setup, BEGIN);
        let mut second = 0.0;
        while second < self.arms.seconds && reach.harmed().count() < self.count() {
            second += seconds;
            world.iter_mut().for_each(|one| one.go_on(seconds, share));
            reach.enter(&setup, &self.look(&world, second), Present { candidate, stable, unready: &[] });
            found.looks += self.count() as u64;
        }
        found.right = reach.harmed().filter(|place| *place < self.hurt.0).count();
        found.wrong = reach.harmed().count() - found.right;
        found
    }

    fn look(&self, world: &[Told<'_>], second: f64) -> DependentsLook {
        let at = BEGIN.plus_seconds(second);
        let reading = |arm, pod: &str, requests, failures| Reading { arm, pod: pod.to_owned(), requests, failures, read_at: at };
        let looks = world.iter().map(|one| {
            let Counts { n_c, n_s, x_c, x_s } = one.counted;
            let readings = match self.measured {
                Measured::ByCallers => vec![reading(Arm::Candidate, "c", n_c, x_c), reading(Arm::Stable, "s", n_s, x_s)],
                // Its own pods stand as the candidate's; beside it is nobody.
                Measured::ByItself => vec![reading(Arm::Candidate, "own", n_s, x_s)],
            };
            vec![SignalLook::Read(readings)]
        });
        DependentsLook { at, scrape_seconds: self.arms.look_seconds, dependents: looks.collect() }
    }
}

/// One dependent's requests, and what its counters say.
struct Told<'a> {
    stream: Stream<'a>,
    counted: Counts,
}

impl<'a> Told<'a> {
    fn new(load: &'a Load, seed: u64, place: usize) -> Self {
        // Far from the seeds of other runs.
        let own = seed.wrapping_add((place as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        Self { stream: Stream::new(load, own), counted: Counts::default() }
    }

    fn past(&mut self) -> DependentPast {
        let nothing = Past { requests: 0, failures: 0, phi: Phi::UNKNOWN };
        DependentPast { before: self.stream.past(), lately: nothing, bystanders: nothing }
    }

    fn go_on(&mut self, seconds: f64, share: f64) {
        let Drawn { counts, .. } = self.stream.draw(seconds, share);
        self.counted = self.counted.plus(counts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dependents(measured: Measured, hurt: f64, unhurt: f64) -> Found {
        let arms = Arms { seconds: 300.0, ..Arms::even() };
        Dependents { arms, measured, hurt: (3, hurt), unhurt: (3, unhurt) }.run(7)
    }

    #[rstest::rstest]
    #[case(Measured::ByCallers)]
    #[case(Measured::ByItself)]
    fn given_some_that_are_hurt_then_they_and_no_others_are_found(#[case] measured: Measured) {
        let found = dependents(measured, 20.0, 1.0);
        assert_eq!((found.right, found.wrong, found.wrong_part()), (3, 0, 0.0));
    }

    #[test]
    fn given_those_that_fail_all_the_same_then_they_are_found_and_counted_as_wrong() {
        let found = dependents(Measured::ByItself, 20.0, 20.0);
        assert_eq!((found.right, found.wrong, found.wrong_part()), (3, 3, 0.5));
        assert!(found.looks > 0);
    }
}
