//! The invariants of a Change where everything is late, fails, or goes away, by chance.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use firebreak_engine::{
    Effect, Setup,
    judge::Judgement,
    memory::{Outcome, Phase},
    observation::Action,
    plan::{Inconclusive, NoData, SignalCounts},
    risk::Level,
    units::Weight,
};
use firebreak_sim::{
    Behaviour, Curve, Gateway, Hands, Life, Noisy, Operator, Scenario, Source, Surges, Totals, Traffic, Turn, World, Worse, setup,
};
use proptest::prelude::*;
use rstest::rstest;

fn harmless() -> Scenario {
    Scenario::harmless(setup(Level::Medium, 2))
}

/// The candidate's requests fail with this probability from this second on.
fn failing(scenario: Scenario, from: f64, probability: f64) -> Scenario {
    let curve = Curve::steps([(0.0, 0.001), (from, probability)]);
    Scenario { candidate: scenario.candidate.clone().failing(curve), ..scenario }
}

/// I1 to I4, I6 and I9, turn by turn.
struct Invariants<'a> {
    setup: &'a Setup,
    back: bool,
    handed_over: bool,
    highest: Weight,
    stage: usize,
}

impl Invariants<'_> {
    fn check(&mut self, turn: &Turn) {
        let memory = &turn.decision.memory;
        assert!(turn.share <= f64::from(self.highest.as_permille()), "I1: {} at {}", turn.share, turn.second);
        self.back |= memory.retreat.is_some();
        for effect in &turn.decision.effects {
            match effect {
                Effect::SetWeight(weight) => {
                    assert!(!self.back, "I2: {weight} after the way back was decided");
                    assert!(*weight <= self.setup.share(memory.stage), "I1: {weight}");
                    assert!(*weight <= self.highest || turn.unseen == 0, "I9: {weight} to {} unseen pods", turn.unseen);
                    self.highest = self.highest.max(*weight);
                }
                Effect::MakeCandidate { replicas } => {
                    assert!(!self.back || *replicas == 0, "I2: {replicas} pods on the way back")
                }
                Effect::HandOver { .. } => self.handed_over = true,
                Effect::Resume => assert!(self.handed_over, "I4: stable would be scaled away for what nobody judged"),
                _ => {}
            }
        }
        assert!(memory.stage <= self.stage || self.may_go_on(turn), "I6: stage {} without evidence", memory.stage);
        self.stage = memory.stage;
    }

    fn may_go_on(&self, turn: &Turn) -> bool {
        let judgement = &turn.decision.memory.judgement;
        let named = self.setup.signals.iter().zip(&judgement.signals);
        let mut opening = named.filter(|(signal, _)| signal.counts != SignalCounts::Successes);
        let said = |reason: &str| turn.decision.notes.iter().any(|note| note.reason == reason);
        opening.all(|(_, signal)| signal.safety_ln_e() >= Judgement::safety_needed(self.setup))
            || said("InconclusivePromoted")
            || said("PromotedByHuman")
    }
}

/// Lives in a world, in which every turn keeps the invariants, and shows each.
fn live(seed: u64, scenario: &Scenario, until: f64, mut see: impl FnMut(&Turn)) -> Totals {
    let setup = &scenario.setup;
    let mut invariants = Invariants { setup, back: false, handed_over: false, highest: Weight::ZERO, stage: 0 };
    let totals = World::new(seed, scenario.clone()).watch(until, |turn| {
        invariants.check(turn);
        see(turn);
    });
    if totals.outcome == Some(Outcome::RolledBack) {
        assert_eq!((totals.last_share, totals.after_end), (0.0, 0), "I2, I3");
    }
    totals
}

/// What may be wrong beside the candidate itself; where pods die, requests are lost that nobody is to blame for.
fn rough(pods_die: bool) -> impl Strategy<Value = (u64, Scenario)> {
    let level = prop_oneof![3 => Just(Level::Medium), 1 => Just(Level::Low), 1 => Just(Level::Critical)];
    let traffic = (
        prop::option::of((20.0..200.0f64, 5.0..60.0f64, 1.0..5.0f64)),
        prop_oneof![Just(0.0), 0.0..0.8f64],
        any::<bool>(),
        1.0..3.0f64,
    );
    let sometimes = |seconds: std::ops::Range<f64>| prop::option::of(seconds);
    let pods = (0.0..8.0f64, sometimes(60.0..600.0), sometimes(60.0..600.0), prop::option::of((1.0..20.0f64, 1.0..2.0f64)));
    let gateway = (0.0..4.0f64, sometimes(20.0..200.0));
    let source = (
        prop_oneof![Just(1.0), Just(5.0), Just(15.0)],
        0.0..5.0f64,
        // What is older than 2.5 readings is stale: a source that is later than this is never to be judged by.
        0.0..1.4f64,
        0.0..0.2f64,
        prop::collection::vec((5.0..200.0f64, 1.0..60.0f64), 0..3),
    );
    let hands = (0u8..4, 0.0..0.3f64);
    let operator = (
        prop::collection::vec((5.0..200.0f64, 1.0..40.0f64), 0..3),
        prop::collection::vec((5.0..200.0f64, -120.0..120.0f64), 0..3),
    );
    (any::<u64>(), level, traffic, pods, gateway, source, hands, operator).prop_map(move |drawn| {
        let (seed, level, traffic, pods, gateway, source, hands, (down, clock_set)) = drawn;
        let spans = |spans: Vec<(f64, f64)>| spans.into_iter().map(|(from, length)| (from, from + length)).collect();
        let mut setup = setup(level, 2);
        // As Kubernetes has it where nobody says otherwise; more than any clock is set here.
        setup.ready_deadline_seconds = 600.0;
        let mut scenario = Scenario::harmless(setup);
        let (surges, retries, sticky, bursts) = traffic;
        let surges = surges.map(|(every, lasting, times)| Surges { every, lasting, times });
        scenario.traffic = Traffic { surges, retries, sticky, ..scenario.traffic };
        let (ready_after, restarts_every, vanishes_every, warm_up) = pods;
        let warm_up = warm_up.map(|(seconds, failing)| (seconds, Worse { failing, latency: 1.0 }));
        let life = Life { ready_after, warm_up, ..Behaviour::usual().life };
        let life = if pods_die { Life { restarts_every, vanishes_every, ..life } } else { life };
        scenario.stable = Behaviour { bursts: Curve::constant(bursts), life, ..Behaviour::usual() };
        scenario.candidate = scenario.stable.clone();
        let (lag, reverted_every) = gateway;
        scenario.gateway = Gateway { lag, reverted_every, ..scenario.gateway };
        let (scrape_seconds, finds_after, late, lost, outages) = source;
        scenario.source =
            Source { scrape_seconds, finds_after, lag: late * scrape_seconds, lost, outages: spans(outages), past: seed % 4 > 0 };
        scenario.hands = Hands { delay: f64::from(hands.0), failure: hands.1 };
        scenario.operator = Operator { down: spans(down), clock_set, restart: 0.0 };
        (seed, scenario)
    })
}

#[test]
fn given_the_same_seed_then_the_same_world_and_another_seed_another() {
    let run = |seed| World::new(seed, harmless()).run(120.0);
    assert_eq!(run(7), run(7));
    assert_ne!(run(7).totals, run(8).totals);
}

#[rstest]
fn given_a_harmless_candidate_then_it_is_promoted(#[values(1, 2, 3, 4)] seed: u64) {
    let totals = live(seed, &harmless(), 2000.0, |_| ());
    assert_eq!((totals.outcome, totals.candidate.lost + totals.stable.lost), (Some(Outcome::Promoted), 0));
}

#[rstest]
#[case(0.0)]
#[case(1.0)]
fn given_no_traffic_or_no_data_then_it_is_never_promoted_but_a_human_can(#[case] outage: f64) {
    let mut scenario = harmless();
    if outage > 0.0 {
        // Seen long enough to be exposed, then nothing.
        scenario.source.outages = vec![(10.0, 1e9)];
    } else {
        scenario.traffic.rate = Curve::constant(0.0);
    }
    let totals = live(1, &scenario, 900.0, |turn| assert_eq!(turn.decision.memory.stage, 0, "went on without evidence"));
    assert_eq!(totals.outcome, None);
    if outage == 0.0 {
        let stages = scenario.setup.plan.stages.len();
        scenario.acts = (1..=stages).map(|act| (60.0 * act as f64, Action::Promote)).collect();
        assert_eq!(live(1, &scenario, 900.0, |_| ()).outcome, Some(Outcome::Promoted), "a named human may (I6)");
    }
}

/// What may take a harmless candidate back: evidence, by chance and seldom (alpha), and what the plan says of missing data.
fn may_take_back(scenario: &Scenario, reason: &str) -> bool {
    match reason {
        "FailsMoreThanStable" | "SlowerThanStable" => true,
        "NoData" => scenario.setup.plan.no_data == NoData::RollBack,
        "Inconclusive" => scenario.setup.plan.inconclusive == Inconclusive::RollBack,
        // All of its few pods at once, again and again, though stable's die as often.
        "CandidateNotReady" | "CandidateCrashLoops" => scenario.candidate.life.restarts_every.is_some(),
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// I7: what is missing or contradicts itself takes nothing back; and nothing goes on in a turn without an answer.
    #[test]
    fn given_a_harmless_candidate_when_all_is_rough_then_it_is_not_taken_back((seed, scenario) in rough(true)) {
        let mut stage = 0;
        live(seed, &scenario, 400.0, |turn| {
            let memory = &turn.decision.memory;
            let retreat = memory.retreat.as_ref();
            assert!(retreat.is_none_or(|retreat| may_take_back(&scenario, &retreat.reason)), "{retreat:?}");
            assert!(turn.answered || memory.stage <= stage, "went on without an answer");
            stage = memory.stage;
        });
    }

    /// I2, I6: what harms more than its budget is never promoted; it is taken back, and its share reaches 0 and stays there.
    #[test]
    fn given_a_failing_candidate_when_all_is_rough_then_it_is_taken_back(
        (seed, scenario) in rough(true), probability in 0.1..1.0f64, onset in 0.0..30.0f64,
    ) {
        let scenario = failing(scenario, onset, probability);
        prop_assert_eq!(live(seed, &scenario, 1800.0, |_| ()).outcome, Some(Outcome::RolledBack));
    }

    /// I5, I10: with another process at any turn, which is told in writing what this one knows, everything is as without,
    /// decision by decision.
    #[test]
    fn given_restarts_when_all_is_rough_then_the_same_trace((seed, scenario) in rough(true), probability in 0.001..1.0f64) {
        let scenario = failing(scenario, 20.0, probability);
        let without = World::new(seed, scenario.clone()).run(200.0);
        let operator = Operator { restart: 0.5, ..scenario.operator.clone() };
        prop_assert_eq!(World::new(seed, Scenario { operator, ..scenario }).run(200.0), without);
    }

    /// An abort at any time before the hand-over ends it, with no share left; the candidate may be healthy, so its pods stay
    /// until the gateway has followed and no request is lost.
    #[test]
    fn given_an_abort_when_all_is_rough_then_it_ends_and_loses_nothing(
        (seed, scenario) in rough(false), at in 1.0..60.0f64, lag in 0.0..2.0f64,
    ) {
        let mut scenario = Scenario { acts: vec![(at, Action::Abort)], ..scenario };
        scenario.gateway.lag = lag;
        // Nobody hears who does not run, and three seconds of drain are none where the clock is set in them.
        (scenario.operator.down, scenario.operator.clock_set) = (Vec::new(), Vec::new());
        scenario.setup.plan.min_bake_seconds = 100.0;
        let totals = live(seed, &scenario, 400.0, |_| ());
        prop_assert_eq!((totals.outcome, totals.candidate.lost), (Some(Outcome::RolledBack), 0));
    }

    /// A gateway that gives more than was written freezes the Change: it is neither promoted nor taken back for it.
    #[test]
    fn given_a_split_that_does_not_follow_then_it_is_frozen(seed in any::<u64>(), gives in prop_oneof![0.0..0.4f64, 2.5..8.0f64]) {
        let mut scenario = harmless();
        scenario.setup.plan.min_bake_seconds = 60.0;
        scenario.gateway.gives = Curve::constant(gives);
        let mut last = None;
        World::new(seed, scenario).watch(900.0, |turn| {
            let memory = &turn.decision.memory;
            last = Some((memory.phase, memory.stage, memory.waiting.as_ref().map(|waiting| waiting.reason.clone())));
        });
        prop_assert_eq!(last, Some((Phase::Progressing, 0, Some("SplitNotFollowed".to_owned()))));
    }
}

/// Pods that never become ready are no candidate: it is taken back at the deadline, and nobody was sent to them.
#[test]
fn given_pods_that_are_never_ready_then_it_is_taken_back_at_the_deadline_and_nobody_was_sent_there() {
    let mut scenario = harmless();
    scenario.candidate.life.stuck = 1.0;
    let mut reason = None;
    let totals = live(1, &scenario, 900.0, |turn| {
        reason = turn.decision.memory.retreat.as_ref().map(|retreat| retreat.reason.clone());
    });
    assert_eq!((reason.as_deref(), totals.candidate.requests), (Some("CandidateNotReady"), 0));
    let deadline = scenario.setup.ready_deadline_seconds;
    assert!((deadline..deadline + 10.0).contains(&totals.seconds), "{} s", totals.seconds);
}

/// How often it was said that stable's own pods differ, in twenty harmless Changes of half an hour.
fn doubts(stable: impl Fn(Behaviour) -> Behaviour) -> usize {
    let mut said = 0;
    for seed in 0..20 {
        let mut scenario = harmless();
        scenario.traffic.rate = Curve::constant(600.0);
        scenario.setup.plan.min_bake_seconds = 900.0;
        scenario.stable = stable(scenario.stable);
        World::new(seed, scenario).watch(1800.0, |turn| {
            said += turn.decision.notes.iter().filter(|note| note.reason == "StablePodsDiffer").count();
        });
    }
    said
}

#[test]
fn given_stable_pods_that_differ_by_more_than_their_past_said_then_that_is_said_more_often() {
    let bad = Noisy { one_in: 10, worse: Worse { failing: 20.0, latency: 1.0 } };
    let begin = Curve::steps([(-1.0, 1.0), (0.0, 8.0)]);
    let alike = doubts(|usual| usual);
    let one_bad = doubts(|usual| Behaviour { noisy: Some(bad), ..usual });
    let bursts = doubts(|usual| Behaviour { bursts: begin.clone(), ..usual });
    // Doubt without reason comes in at most one Change of ten.
    assert!(alike <= 3 && one_bad <= 3 && bursts >= 10, "alike {alike}, one that was always worse {one_bad}, bursts {bursts}");
}
