//! The evidence curve of a Change's whole way: what people will be shown of it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use firebreak_engine::{
    Memory,
    curve::Curve,
    memory::{Outcome, Phase},
    risk::Level,
    units::{Millis, Weight},
};
use firebreak_sim::{Cluster, setup};

fn ended(failing: (u64, u64)) -> Cluster {
    let mut cluster = Cluster::new(setup(Level::Medium, 2));
    cluster.failing = failing;
    cluster.run(2_000);
    cluster
}

#[test]
fn given_a_harmful_candidate_when_taken_back_then_the_curve_crosses_what_took_it_back_and_ends_without_a_share() {
    let cluster = ended((60, 1));
    assert_eq!(cluster.memory.phase, Phase::Ended(Outcome::RolledBack));
    let needed = -cluster.setup.plan.alpha.ln();
    let curve = &cluster.memory.curve;
    let highest = curve.points().iter().map(|point| point.harm()).fold(f64::MIN, f64::max);
    assert!(highest >= needed - 0.005, "{highest} of {needed}: {curve:?}");
    assert_eq!(curve.points().last().unwrap().share, Weight::ZERO);
    assert_eq!(curve.points()[0].share, Weight::percent(5));
    assert_eq!(curve.points().iter().filter(|point| point.share == Weight::ZERO).count(), 1, "{curve:?}");
}

#[test]
fn given_a_harmless_candidate_when_promoted_then_the_curve_shows_every_stage_proved_and_nothing_of_safety_after() {
    let cluster = ended((1, 1));
    assert_eq!(cluster.memory.phase, Phase::Ended(Outcome::Promoted));
    let curve = &cluster.memory.curve;
    let shares: Vec<u16> = curve.points().iter().map(|point| point.share.as_permille()).collect();
    let mut stages = shares.clone();
    stages.dedup();
    assert_eq!(stages, [50, 200, 500, 950], "{curve:?}");
    // But for its last look, in which the next share is on its way, a stage's requests follow its share.
    for two in curve.points().windows(2).filter(|two| two[0].share == two[1].share) {
        assert!((two[0].exposure().unwrap() - two[0].share.share()).abs() < 0.01, "{two:?}");
    }
    let last = curve.points().last().unwrap();
    assert_eq!((last.share, last.safety()), (Weight::permille(950), None), "nothing opens after the last stage");
    for stage in [50, 200, 500] {
        let safety = curve.points().iter().filter(|point| point.share.as_permille() == stage).filter_map(|point| point.safety());
        assert!(safety.fold(f64::MIN, f64::max) > 3.1, "{stage}: {curve:?}");
    }
    // Evidence of harm never came near what would have taken it back.
    assert!(curve.points().iter().all(|point| point.harm() < 2.0), "{curve:?}");
}

#[test]
fn given_a_memory_of_before_there_were_curves_when_read_then_it_goes_on_with_an_empty_one() {
    let cluster = ended((1, 1));
    let mut stored = serde_json::to_value(&cluster.memory).unwrap();
    assert!(stored.as_object_mut().unwrap().remove("curve").is_some());
    let again: Memory = serde_json::from_value(stored).unwrap();
    assert_eq!(again, Memory { curve: Curve::default(), ..cluster.memory.clone() });
    // And a Change that has seen nothing stores none.
    let new = serde_json::to_value(Memory::new(&cluster.setup, Millis(0))).unwrap();
    assert!(new.get("curve").is_none());
}
