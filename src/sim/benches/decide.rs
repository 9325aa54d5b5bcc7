//! One turn of a Change with four signals and twenty pods an arm, a look that closes an interval with failures in both arms.

#![allow(missing_docs, clippy::indexing_slicing)]

use criterion::{Criterion, criterion_group, criterion_main};
use firebreak_engine::{decide, observation::SignalLook};
use firebreak_sim::{Cluster, setup};

fn one_turn(criterion: &mut Criterion) {
    let mut cluster = Cluster::new(setup(firebreak_engine::risk::Level::Medium, 4));
    cluster.failing = (20, 20);
    for _ in 0..30 {
        cluster.turn();
    }
    cluster.now = cluster.now.plus_seconds(1.0);
    let mut seen = cluster.observe();
    for signal in &mut seen.look.as_mut().into_iter().flat_map(|look| &mut look.signals) {
        let SignalLook::Read(readings) = signal else { continue };
        let mut pods = Vec::new();
        for reading in readings.iter() {
            for pod in 0..20 {
                let mut reading = reading.clone();
                reading.pod = format!("{}-{pod}", reading.pod);
                reading.requests = 30;
                reading.failures = 2;
                pods.push(reading);
            }
        }
        *readings = pods;
    }
    criterion.bench_function("decide: 4 signals, 20 pods an arm", |bench| {
        bench.iter(|| {
            decide(std::hint::black_box(&cluster.setup), std::hint::black_box(&cluster.memory), std::hint::black_box(&seen))
        });
    });
}

criterion_group!(benches, one_turn);
criterion_main!(benches);
