//! A short piece of the scenario table; the whole is `cargo run --release -p firebreak-sim -- scenarios`.

#![allow(clippy::unwrap_used)]

use firebreak_sim::{
    Curve, Worse,
    scenarios::{End, Row, rows},
};

/// Rows that are decided otherwise than they should be; SCENARIOS.md tells why. One that is decided well leaves this list.
const MISSED: &[&str] = &["harmless, a pod with more to do is slower"];

/// Rows of which some seeds are decided otherwise than they should be; SCENARIOS.md tells why.
const MISSED_AT_TIMES: &[&str] = &["harmless, its failures come four at once, stable's do not"];

#[test]
fn given_what_can_happen_when_it_does_then_what_common_sense_asks_for_is_decided() {
    let is_wrong = |row: &Row| {
        // What comes by chance may once not come.
        let told = row.tell(if row.end == End::Promoted { 2 } else { 1 }, 2);
        let well = if MISSED.contains(&row.name) { told.share < 1.0 } else { told.kept };
        (!well).then(|| told.to_string())
    };
    let rows = rows();
    let (at_times, asked): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(|row| MISSED_AT_TIMES.contains(&row.name));
    assert_eq!(at_times.len(), MISSED_AT_TIMES.len(), "a row of another name");
    assert!(MISSED.iter().all(|name| asked.iter().any(|row| row.name == *name)), "a row of another name");
    let wrong: Vec<String> = asked.into_iter().filter_map(is_wrong).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn named(name: &str) -> Row {
    rows().into_iter().find(|row| row.name == name).unwrap()
}

#[test]
fn given_an_expectation_that_is_not_met_then_it_is_missed_with_the_story_of_a_seed() {
    for (name, end) in [
        ("every request fails", End::Promoted),
        ("every request fails", End::Open),
        ("every request fails", End::TakenBack(&["SlowerThanStable"])),
        ("harmless", End::TakenBack(&["FailsMoreThanStable"])),
    ] {
        let told = Row { end, ..named(name) }.tell(2, 1);
        assert!(!told.kept && told.share == 0.0 && told.others.iter().map(|(_, seeds)| seeds).sum::<u64>() == 2, "{told}");
        let (seed, story) = told.miss.unwrap();
        assert_eq!(named(name).story(seed), story, "the same seed tells the same story");
    }
}

#[test]
fn given_a_hold_that_does_not_come_or_does_not_last_then_it_is_missed() {
    let hold = |reasons, to| Row {
        hold: Some(firebreak_sim::scenarios::Hold { reasons, to }),
        ..named("metrics are gone for 15 minutes")
    };
    assert!(hold(&["BackendUnreachable"], 1200.0).tell(1, 1).kept);
    assert!(!hold(&["StableUnhealthy"], 1200.0).tell(1, 1).kept);
    assert!(!hold(&["BackendUnreachable"], 1500.0).tell(1, 1).kept);
}

#[test]
fn given_cold_pods_when_they_are_slow_then_they_are_no_harm_and_what_stays_slow_is() {
    let cold = named("cold pods are 2x slower for their first 20 s");
    let told = cold.tell(6, 7);
    assert_eq!(told.share, 1.0, "{told}");
    // The same start of a release that is as slow for good.
    let mut world = cold.world.clone();
    world.candidate.latency = Curve::constant(0.1);
    let told = Row { world, end: End::TakenBack(&["SlowerThanStable"]), ..cold.clone() }.tell(6, 7);
    assert_eq!(told.share, 1.0, "{told}");
    // Where most requests of cold pods are slow nobody waits until they are warm.
    let mut world = cold.world.clone();
    world.candidate.latency = Curve::constant(0.4);
    let told = Row { world, end: End::TakenBack(&["SlowerThanStable"]), ..cold.clone() }.tell(6, 7);
    assert!(told.share == 1.0 && told.seconds.is_some_and(|seconds| seconds < 15.0), "{told}");
    // Failures of cold pods are judged from the first on.
    let mut world = cold.world;
    world.candidate.life.warm_up = Some((20.0, Worse { failing: 1000.0, latency: 2.0 }));
    let told = Row { world, ..named("every request fails") }.tell(6, 7);
    assert!(told.share == 1.0 && told.seconds.is_some_and(|seconds| seconds < 15.0), "{told}");
}

#[test]
fn given_pods_with_more_to_do_when_they_are_slower_for_it_then_nothing_is_taken_back_but_what_is_slower_than_stable_was() {
    let crowded = named("harmless, a pod with more to do is slower");
    // To be promoted it has to prove more than it can: it is left to a human.
    let told = crowded.tell(6, 7);
    assert!(told.others.iter().all(|(end, _)| end == "waits: Inconclusive"), "{told}");
    let slower = |latency: f64| {
        let mut world = crowded.world.clone();
        world.candidate.latency = Curve::steps([(0.0, 0.0345), (600.0, latency)]);
        Row { world, end: End::TakenBack(&["SlowerThanStable"]), ..crowded.clone() }.tell(6, 7)
    };
    // A third slower at the same load once a pod has more to do: four times as many slow requests as stable had.
    let told = slower(0.0345 * 4.0 / 3.0);
    assert_eq!(told.share, 1.0, "{told}");
}

#[test]
fn given_a_clock_that_is_set_when_time_is_waited_for_then_time_is_what_went_by() {
    let row = named("harmless, the clock is set ahead by an hour while pods start");
    let told = row.tell(6, 7);
    assert_eq!(told.share, 1.0, "{told}");
    // Pods that are never ready are taken back by the deadline all the same, however the clock was set.
    for by in [3600.0, -3600.0] {
        let mut stuck = named("its pods are never ready");
        stuck.world.operator.clock_set = vec![(30.0, by)];
        let told = stuck.tell(2, 7);
        assert!(told.share == 1.0 && told.seconds.is_some_and(|seconds| (500.0..700.0).contains(&seconds)), "{told}");
    }
}
