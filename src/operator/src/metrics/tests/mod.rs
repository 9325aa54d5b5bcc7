//! The metrics source as a specification.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod decoding;
mod histories;
mod memories;
mod queries;
mod selectors;
mod server;
mod watching;

use super::shape::{Selectors, SignalShape, Target};

fn requests() -> SignalShape {
    SignalShape::Requests { requests: "http_requests_total".into(), failures: "http_requests_total{code=~\"5..\"}".into() }
}

fn latency() -> SignalShape {
    SignalShape::Histogram { histogram: "latency_seconds".into(), edge_ms: 300 }
}

fn read(shape: &SignalShape) -> Selectors {
    Selectors::parse(shape).unwrap()
}

fn target(replica_sets: &[&str]) -> Target {
    Target::of("shop", &replica_sets.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>())
}
