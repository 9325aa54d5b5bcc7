#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
use super::*;
use crate::{
    people::Makers,
    plan::{Exposure, Plan, SignalCounts},
    risk::Level,
};

const START: Millis = Millis(1_800_000_000_000);

/// A setup of one signal, with so many dependents.
pub(crate) fn setup(measured: &[Measured]) -> Setup {
    let signal = || SignalSetup { name: "errors".into(), counts: SignalCounts::Failures, share: 1.0, opens: true };
    let dependent = |(place, measured): (usize, &Measured)| DependentSetup {
        name: format!("d{place}"),
        measured: *measured,
        signals: vec![signal()],
    };
    Setup {
        plan: Plan::built_in(Level::Medium).0,
        signals: vec![signal()],
        dependents: measured.iter().enumerate().map(dependent).collect(),
        checks: Vec::new(),
        both_sources: false,
        exposure: Exposure::Routes,
        ready_deadline_seconds: 60.0,
        availability: None,
        restore_template: false,
        refused: None,
        makers: Makers::default(),
        taken_over: false,
        late: None,
    }
}

/// A second of a dependent: requests and failures of the first arm (its own pods), then of the second (bystanders).
type Second = ((u64, u64), (u64, u64));

/// Dependents whose counters go on second by second.
struct World {
    setup: Setup,
    reach: Reach,
    now: Millis,
    counted: Vec<Second>,
}

impl World {
    fn new(measured: &[Measured]) -> Self {
        let setup = setup(measured);
        let counted = vec![((1000, 0), (1000, 0)); measured.len()];
        Self { reach: Reach::new(&setup), setup, now: START, counted }
    }

    /// Half a percent failed, of everyone, and lately so many of 3000.
    fn learn(&mut self, lately: u64) {
        let past = |requests, failures| Past { requests, failures, phi: Phi::new(1.0) };
        let known = DependentPast { before: past(100_000, 500), lately: past(3000, lately), bystanders: past(100_000, 500) };
        let pasts = vec![vec![Some(known)]; self.counted.len()];
        self.reach.learn(&self.setup, &pasts);
    }

    fn seconds(&mut self, count: u32, of: &[Second]) {
        for _ in 0..count {
            self.now = self.now.plus_seconds(1.0);
            for (sum, add) in self.counted.iter_mut().zip(of) {
                sum.0 = (sum.0.0 + add.0.0, sum.0.1 + add.0.1);
                sum.1 = (sum.1.0 + add.1.0, sum.1.1 + add.1.1);
            }
            let reading = |arm, pod: String, (requests, failures)| Reading { pod, arm, requests, failures, read_at: self.now };
            let looks = self.counted.iter().enumerate().map(|(place, (own, other))| {
                let own = reading(Arm::Candidate, format!("c{place}"), *own);
                vec![SignalLook::Read(vec![own, reading(Arm::Stable, format!("s{place}"), *other)])]
            });
            let look = DependentsLook { at: self.now, scrape_seconds: 1.0, dependents: looks.collect() };
            self.reach.enter(&self.setup, &look, Present { candidate: &[], stable: &[], unready: &[] });
        }
    }

    fn expose(&mut self) {
        self.reach.begin_exposure(&self.setup, self.now);
    }

    fn states(&self) -> Vec<State> {
        self.reach.standings(&self.setup).iter().map(|standing| standing.state).collect()
    }
}

const WELL: Second = ((100, 0), (300, 1));
const HURT: Second = ((100, 20), (300, 1));
const ALL_HURT: Second = ((100, 20), (300, 60));

#[test]
fn given_a_dependent_that_fails_since_the_share_when_its_bystanders_are_well_then_it_is_harmed() {
    let mut world = World::new(&[Measured::ByItself, Measured::ByItself]);
    world.learn(15);
    world.seconds(10, &[WELL, WELL]);
    world.expose();
    world.seconds(5, &[WELL, WELL]);
    assert_eq!(world.states(), [State::Unharmed; 2]);
    world.seconds(3, &[HURT, WELL]);
    assert_eq!(world.states(), [State::Harmed, State::Unharmed]);
    assert_eq!(world.reach.harmed().collect::<Vec<_>>(), [0]);
}

#[test]
fn given_the_same_trouble_everywhere_then_the_platform_is_to_blame_until_it_is_over() {
    let mut world = World::new(&[Measured::ByItself]);
    world.learn(15);
    world.expose();
    world.seconds(5, &[WELL]);
    world.seconds(60, &[ALL_HURT]);
    assert_eq!(world.states(), [State::PlatformTrouble]);
    world.seconds(60, &[WELL]);
    assert_eq!(world.states(), [State::Unharmed]);
    world.seconds(3, &[HURT]);
    assert_eq!(world.states(), [State::Harmed], "trouble of its own, after that of the platform");
}

#[test]
fn given_trouble_that_began_before_the_share_then_it_is_not_held_against_the_change() {
    for (lately, seconds) in [(600, 1), (15, 5)] {
        let mut world = World::new(&[Measured::ByItself]);
        world.learn(lately);
        world.seconds(seconds, &[HURT]);
        world.expose();
        world.seconds(60, &[HURT]);
        assert_eq!(world.states(), [State::SickBefore]);
        world.seconds(60, &[WELL]);
        assert_eq!(world.states(), [State::Unharmed]);
    }
}

#[test]
fn given_callers_counters_then_the_arms_are_compared_whatever_the_dependents_own_trouble() {
    let mut world = World::new(&[Measured::ByCallers]);
    world.expose();
    world.seconds(60, &[((20, 4), (380, 76))]);
    assert_eq!(world.states(), [State::Unharmed], "both arms' calls fail alike");
    world.seconds(20, &[((20, 16), (380, 76))]);
    assert_eq!(world.states(), [State::Harmed]);
}

#[test]
fn given_callers_whose_failures_come_in_bursts_then_the_same_failures_prove_less() {
    let after = |phi: Option<f64>| {
        let mut world = World::new(&[Measured::ByCallers]);
        assert!(!world.reach.knows_past());
        if let Some(phi) = phi {
            let past = |phi| Past { requests: 100_000, failures: 500, phi: Phi::new(phi) };
            let known = DependentPast { before: past(phi), lately: past(1.0), bystanders: past(1.0) };
            world.reach.learn(&world.setup.clone(), &[vec![Some(known)]]);
            assert!(world.reach.knows_past());
        }
        world.expose();
        world.seconds(30, &[((10, 1), (190, 1))]);
        assert_eq!(world.states(), [if phi == Some(8.0) { State::Unharmed } else { State::Harmed }], "phi {phi:?}");
        world.reach.standings(&world.setup).first().map_or(0.0, |standing| standing.ln_e)
    };
    let (one_by_one, unknown, bursts) = (after(Some(1.0)), after(None), after(Some(8.0)));
    assert_eq!(unknown, after(Some(Phi::UNKNOWN.get())));
    assert!(one_by_one > unknown && unknown > bursts, "{one_by_one} {unknown} {bursts}");
}

#[test]
fn given_no_past_then_nothing_is_judged_and_it_is_said() {
    let mut world = World::new(&[Measured::ByItself]);
    world.expose();
    world.seconds(60, &[HURT]);
    assert_eq!(world.states(), [State::PastUnknown]);
}

#[test]
fn given_trouble_of_the_source_then_it_is_told_since_its_beginning_and_goes() {
    let mut world = World::new(&[Measured::ByItself]);
    world.learn(15);
    world.seconds(2, &[WELL]);
    for second in 1..=2 {
        let dependents = vec![vec![SignalLook::Trouble { reason: "BackendUnreachable".into(), message: "away".into() }]];
        let look = DependentsLook { at: world.now.plus_seconds(f64::from(second)), scrape_seconds: 1.0, dependents };
        world.reach.enter(&world.setup, &look, Present { candidate: &[], stable: &[], unready: &[] });
    }
    let trouble = world.reach.trouble().unwrap();
    assert_eq!((trouble.message.as_str(), trouble.since), ("dependent d0, signal errors: away", world.now.plus_seconds(1.0)));
    world.now = world.now.plus_seconds(2.0);
    world.seconds(1, &[WELL]);
    assert_eq!(world.reach.trouble(), None);
}

/// The e-BH procedure on evidence given as multiples of 1/alpha.
#[test]
fn given_several_hypotheses_then_as_many_are_rejected_as_the_false_discovery_rate_allows() {
    let alpha = 0.01;
    let ln_e = |multiples: &[f64]| -> Vec<f64> { multiples.iter().map(|m| ln(m / alpha)).collect() };
    assert_eq!(rejected(&ln_e(&[]), alpha), [0_usize; 0]);
    assert_eq!(rejected(&ln_e(&[0.9, 4.1, 0.1, 0.2]), alpha), [1]);
    assert_eq!(rejected(&ln_e(&[3.9, 0.1, 0.2, 0.3]), alpha), [0_usize; 0]);
    assert_eq!(rejected(&ln_e(&[2.1, 2.2, 0.1, 0.2]), alpha), [1, 0]);
    assert_eq!(rejected(&ln_e(&[1.0, 1.1, 1.2, 1.3]), alpha).len(), 4);
}
