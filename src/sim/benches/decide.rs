//! One turn of a Change with four signals and twenty pods an arm, a look that closes an interval with failures in both arms.

#![allow(missing_docs, clippy::indexing_slicing)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use firebreak_engine::{
    Observation, decide,
    observation::{Reading, SignalLook},
    risk::Level,
};
use firebreak_sim::{Cluster, setup};

/// What the metrics source answers of twenty pods an arm, each with so many requests and failures since it began.
fn look_of_twenty(cluster: &Cluster, requests: u64, failures: u64) -> Observation {
    let mut seen = cluster.observe();
    for signal in &mut seen.look.as_mut().into_iter().flat_map(|look| &mut look.signals) {
        let SignalLook::Read(readings) = signal else { continue };
        let of_arm = |reading: &Reading| -> Vec<Reading> {
            (0..20).map(|pod| Reading { pod: format!("{}-{pod}", reading.pod), requests, failures, ..reading.clone() }).collect()
        };
        *readings = readings.iter().flat_map(of_arm).collect();
    }
    for (pods, arm) in [(&mut seen.stable, "s-0"), (&mut seen.candidate, "c-0")] {
        pods.names = (0..20).map(|pod| format!("{arm}-{pod}")).collect();
        (pods.wanted, pods.ready, pods.endpoints) = (20, 20, 20);
    }
    seen.seen = seen.candidate.names.clone();
    seen
}

/// The next look at pods that were read before. Stable's rates are computed anew in the look after the one that brought a
/// tenth more requests: `grown` requests a pod came in the look before.
fn one_turn(criterion: &mut Criterion, name: &str, grown: u64) {
    let mut cluster = Cluster::new(setup(Level::Medium, 4));
    cluster.failing = (20, 20);
    for _ in 0..30 {
        cluster.turn();
    }
    let mut memory = cluster.memory.clone();
    let mut next = |requests, failures| {
        cluster.now = cluster.now.plus_seconds(1.0);
        let seen = look_of_twenty(&cluster, requests, failures);
        let after = decide(&cluster.setup, &memory, &seen).memory;
        let before = std::mem::replace(&mut memory, after);
        (before, seen, memory.clone())
    };
    next(1000, 20);
    next(1010, 22);
    next(1010 + grown, 24);
    let (before, seen, after) = next(1020 + grown, 26);
    for (old, new) in before.judgement.signals.iter().zip(&after.judgement.signals) {
        let failed = (new.total.x_c - old.total.x_c, new.total.x_s - old.total.x_s);
        assert!(failed == (40, 40) && new.phi().get() == 2.0, "not the look that this is to measure: {failed:?}");
    }
    let setup = cluster.setup;
    criterion.bench_function(name, |bench| bench.iter(|| decide(black_box(&setup), black_box(&before), black_box(&seen))));
}

fn turns(criterion: &mut Criterion) {
    one_turn(criterion, "decide: 4 signals, 20 pods an arm", 10);
    one_turn(criterion, "decide: 4 signals, 20 pods an arm, stable's rates anew", 1000);
}

criterion_group!(benches, turns);
criterion_main!(benches);
