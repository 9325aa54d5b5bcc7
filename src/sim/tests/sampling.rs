//! Only some pods of an arm are read: what they counted is not the arm's count, and nothing is made of it that it does not say.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use firebreak_engine::{
    Decision, decide,
    memory::Phase,
    observation::{Arm, Look, Part, Reading, Sampled, SignalLook},
    risk::Level,
    stats::{
        Phi,
        exposure::{split_ln_e, split_ln_e_within},
    },
};
use firebreak_sim::{Cluster, setup};
use rstest::rstest;

const ALL_OF_THE_CANDIDATE: Part = Part { read: 2, of: 2 };
const A_THIRD_OF_STABLE: Part = Part { read: 20, of: 60 };

/// A Change that stays at its first stage.
fn staying() -> Cluster {
    let mut cluster = Cluster::new(setup(Level::Medium, 1));
    cluster.setup.plan.min_bake_seconds = 1e6;
    cluster.rate = 3000;
    cluster
}

/// Of stable's counters only this part is read.
fn read_of_stable(look: &mut Look, part: f64) {
    let SignalLook::Read(readings) = &mut look.signals[0] else { panic!("no answer") };
    for reading in readings.iter_mut().filter(|reading| reading.arm == Arm::Stable) {
        reading.requests = (reading.requests as f64 * part) as u64;
        reading.failures = (reading.failures as f64 * part) as u64;
    }
}

fn sampled(late: &[&str]) -> Option<Sampled> {
    let late = late.iter().map(|pod| (*pod).to_owned()).collect();
    Some(Sampled { candidate: ALL_OF_THE_CANDIDATE, stable: A_THIRD_OF_STABLE, late })
}

/// Seconds in which the look is changed first; what was told.
fn seconds(cluster: &mut Cluster, seconds: usize, sent: f64, change: impl Fn(&mut Look)) -> Vec<String> {
    let mut told = Vec::new();
    for _ in 0..seconds {
        let share = cluster.share;
        cluster.share *= sent;
        cluster.next_second();
        cluster.share = share;
        let mut seen = cluster.observe();
        change(seen.look.as_mut().unwrap());
        let decision: Decision = decide(&cluster.setup, &cluster.memory, &seen);
        decision.effects.iter().for_each(|effect| cluster.carry_out(effect));
        told.extend(decision.notes.iter().map(|note| format!("{}: {}", note.reason, note.message)));
        cluster.memory = decision.memory;
    }
    told
}

fn waiting(cluster: &Cluster) -> &str {
    cluster.memory.waiting.as_ref().map_or("", |waiting| waiting.reason.as_str())
}

#[rstest]
#[case::told(sampled(&[]), "MinimumBake")]
#[case::untold(None, "SplitNotFollowed")]
fn given_a_third_of_stable_when_the_split_is_checked_then_it_follows_if_that_is_told(
    #[case] told: Option<Sampled>,
    #[case] expected: &str,
) {
    let mut cluster = staying();
    let notes = seconds(&mut cluster, 120, 1.0, |look| {
        read_of_stable(look, 1.0 / 3.0);
        look.sampled.clone_from(&told);
    });
    assert_eq!((cluster.memory.phase, waiting(&cluster)), (Phase::Progressing, expected));
    let sampled: Vec<&String> = notes.iter().filter(|note| note.starts_with("PodsSampled")).collect();
    assert_eq!(sampled.len(), usize::from(told.is_some()), "{notes:?}");
    assert!(sampled.iter().all(|note| note.contains("reads 20 of 60 stable pods and 2 of 2 of the candidate's")), "{sampled:?}");
    let measured = cluster.memory.judgement.exposure().unwrap();
    assert_eq!((measured - 0.05).abs() < 0.002, told.is_some(), "{measured}");
}

#[rstest]
#[case::requests_fall_unevenly_on_stables_pods(1.2 / 3.0, 1.0, "MinimumBake")]
#[case::or_the_other_way(0.8 / 3.0, 1.0, "MinimumBake")]
#[case::the_gateway_sends_twice_as_much(1.0 / 3.0, 2.0, "SplitNotFollowed")]
#[case::the_gateway_sends_half(1.0 / 3.0, 0.5, "SplitNotFollowed")]
fn given_a_sample_when_the_split_is_off_then_it_is_said_only_beyond_what_the_sample_can_be_off(
    #[case] part: f64,
    #[case] sent: f64,
    #[case] expected: &str,
) {
    let mut cluster = staying();
    seconds(&mut cluster, 8, 1.0, |look| {
        read_of_stable(look, part);
        look.sampled = sampled(&[]);
    });
    seconds(&mut cluster, 600, sent, |look| {
        read_of_stable(look, part);
        look.sampled = sampled(&[]);
    });
    assert_eq!(waiting(&cluster), expected);
    let message = &cluster.memory.waiting.as_ref().unwrap().message;
    assert_eq!(message.contains("worked out from 20 of 60 stable pods"), expected == "SplitNotFollowed", "{message}");
}

#[test]
fn given_a_pod_that_joins_the_sample_late_then_what_it_had_counted_is_nobodys() {
    let counted = |late: &'static [&'static str]| {
        let mut cluster = staying();
        seconds(&mut cluster, 30, 1.0, |look| look.sampled = sampled(&[]));
        let before = cluster.memory.judgement.signals[0].total;
        seconds(&mut cluster, 30, 1.0, move |look| {
            let read_at = look.at;
            let SignalLook::Read(readings) = &mut look.signals[0] else { panic!("no answer") };
            readings.push(Reading { pod: "s-old".to_owned(), arm: Arm::Stable, requests: 5_000_000, failures: 900_000, read_at });
            look.sampled = sampled(late);
        });
        cluster.memory.judgement.signals[0].total.n_s - before.n_s
    };
    assert!((80_000..90_000).contains(&counted(&["s-old"])), "30 seconds of the other pod");
    assert!(counted(&[]) > 5_000_000, "one that has just come counts from its beginning");
    let mut cluster = staying();
    seconds(&mut cluster, 30, 1.0, |look| look.sampled = sampled(&[]));
    let mut pods: Vec<&str> = cluster.memory.judgement.pods().collect();
    pods.sort_unstable();
    assert_eq!(pods, ["c-0", "s-0"], "whoever goes on from here reads the same ones");
}

#[test]
fn given_other_parts_of_the_arms_when_looked_at_then_the_split_is_counted_anew() {
    let mut cluster = staying();
    let third = |look: &mut Look| {
        read_of_stable(look, 1.0 / 3.0);
        look.sampled = sampled(&[]);
    };
    seconds(&mut cluster, 180, 1.0, third);
    // The pods of stable that are not read go away; those that are get three times as much each from now on.
    let before = std::cell::Cell::new(None);
    seconds(&mut cluster, 60, 1.0, |look| {
        let SignalLook::Read(readings) = &mut look.signals[0] else { panic!("no answer") };
        for reading in readings.iter_mut().filter(|reading| reading.arm == Arm::Stable) {
            let (requests, failures) = before.get().unwrap_or((reading.requests, reading.failures));
            before.set(Some((requests, failures)));
            reading.requests = requests / 3 + (reading.requests - requests);
            reading.failures = failures / 3 + (reading.failures - failures);
        }
        look.sampled = sampled(&[]).map(|sampled| Sampled { stable: Part { read: 20, of: 20 }, ..sampled });
    });
    assert_eq!(waiting(&cluster), "MinimumBake");
}

#[rstest]
#[case::as_expected(50, 950, true)]
#[case::within(70, 930, true)]
#[case::beyond(110, 890, false)]
#[case::none(0, 1000, false)]
#[case::only_the_candidate(1000, 0, false)]
fn given_counts_when_compared_with_a_share_and_a_tolerance_then_evidence_is_only_of_what_is_beyond(
    #[case] n_c: u64,
    #[case] n_s: u64,
    #[case] within: bool,
) {
    let ln_e = split_ln_e_within(n_c * 20, n_s * 20, 0.05, 1.5, Phi::new(4.0));
    assert_eq!(ln_e < 0.0, within, "{ln_e}");
    assert!(ln_e <= split_ln_e(n_c * 20, n_s * 20, 0.05, Phi::new(4.0)) + 1e-9);
    let exact = split_ln_e_within(n_c, n_s, 0.05, 1.0, Phi::new(4.0));
    assert!((exact - split_ln_e(n_c, n_s, 0.05, Phi::new(4.0))).abs() < 1e-9);
}
