//! What is taken from where, and what is said where something is missing.

use clap::Parser as _;

use super::*;
use crate::{
    args::{Cli, Command},
    error::USAGE,
    fixtures as fix,
};

fn args(words: &str) -> args::Simulate {
    let words = ["kubectl-firebreak", "simulate"].into_iter().chain(words.split_whitespace());
    match Cli::parse_from(words).command {
        Command::Simulate(simulate) => simulate,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn given_the_traffic_when_asked_without_a_guard_then_no_cluster_is_needed() {
    let global = Global { kubeconfig: Some("/nonexistent".into()), ..Global::default() };
    let asked = of(&global, &args("--rps 200 --failing 0.1% --slo 99.9 --alpha 2% --level high")).await.unwrap();
    assert_eq!((asked.traffic.requests, asked.traffic.failing, asked.metrics_delay), (200.0, 0.001, 5.0));
    assert_eq!(asked.policy, "policy built-in, level high, objective 99.9 %");
    // The objective's part of the budget: a twentieth of a thousandth.
    assert!((asked.plan.budget - 5e-5).abs() < 1e-12, "{}", asked.plan.budget);
    let asked = of(&global, &args("--rps 200 --failing 0.1% --beta 0.2")).await.unwrap();
    assert_eq!(asked.policy, "policy built-in, level medium with beta 0.2 (was 0.05)");
}

#[tokio::test]
async fn given_a_file_with_two_policies_when_asked_then_the_stricter_of_both() {
    let bank = concat!(env!("CARGO_MANIFEST_DIR"), "/../../charts/firebreak/policies/bank.yaml");
    let asked = of(&Global::default(), &args(&format!("--rps 200 --failing 0.1% --level high --policy {bank}"))).await.unwrap();
    assert_eq!(asked.policy, "policy bank + payments, level high");
    assert_eq!(asked.plan.min_bake_seconds, 900.0);
    assert_eq!(asked.plan.stages.first(), Some(&firebreak_engine::units::Weight::percent(1)));
}

#[tokio::test]
async fn given_neither_traffic_nor_where_to_read_it_when_asked_then_it_says_what_to_write() {
    let error = of(&Global::default(), &args("--rps 200")).await.unwrap_err();
    assert!(error.to_string().contains("--rps 200 --failing 0.1%"), "{error}");
    assert_eq!(error.exit_code(), USAGE);
    let mut guard = fix::guard(None);
    let error = read(&args("checkout"), Some(&guard)).await.unwrap_err();
    assert!(error.to_string().contains("--prometheus-url http://HOST:PORT"), "{error}");
    guard.spec.metrics.signals.clear();
    let error = read(&args("checkout --prometheus-url http://127.0.0.1:9"), Some(&guard)).await.unwrap_err();
    assert!(error.to_string().contains("no signal of failures"), "{error}");
}

/// A preset stands for selectors, as it does for the operator.
#[tokio::test]
async fn given_a_guard_with_a_preset_when_asked_then_its_signal_is_read() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut guard = fix::guard(None);
    guard.spec.metrics.signals = serde_json::from_value(serde_json::json!([{"name": "errors", "preset": "HTTP"}])).unwrap();
    let error = read(&args("checkout --prometheus-url http://127.0.0.1:9"), Some(&guard)).await.unwrap_err();
    assert!(error.to_string().contains("signal errors of Guard checkout -n shop"), "{error}");
}

#[tokio::test]
async fn given_a_prometheus_that_is_not_there_when_asked_then_the_other_ways_are_named() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let error = read(&args("checkout --prometheus-url http://127.0.0.1:9"), Some(&fix::guard(None))).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("signal errors of Guard checkout -n shop") && text.contains("refused"), "{text}");
    assert!(text.contains("--rps 200 --failing 0.1%"), "{text}");
}
