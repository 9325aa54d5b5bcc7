//! The metrics source fails: every missing, partial or doubtful answer is a named hold, and a failing candidate is never promoted.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use firebreak_api::{Change, change::Phase};
use firebreak_lab::{
    faults::{MetricsProxy, Mode},
    service::{Control, ControlServer, Override},
};
use firebreak_tests::{
    MINUTE, Scene, World,
    manifests::{self, APP},
    record::{HARM, phase_of, reasons, waits_for},
};
use kube::ResourceExt as _;
use serde_json::json;

/// A hold is named within this of its cause: one query's time limit and a few turns, on a busy machine.
const NAMED_WITHIN: Duration = Duration::from_secs(15);
/// A candidate that serves is seen to serve within this.
const SERVING: Duration = Duration::from_secs(3);
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

async fn proxied<'w>(world: &'w World, namespace: &str) -> Result<(Scene<'w>, MetricsProxy)> {
    let proxy = MetricsProxy::start(&world.lab.prometheus_url()?, LOOPBACK).await?;
    let scene = Scene::open_with(world, namespace, &proxy.url()).await?;
    Ok((scene, proxy))
}

/// At a stage with traffic that reaches the candidate.
async fn exposed(scene: &Scene<'_>, number: usize) -> Result<Change> {
    let change = scene.change(number).await?;
    scene
        .until_change(&change.name_any(), "to be exposed", 3 * MINUTE, |change| {
            phase_of(change) == Phase::Progressing
                && change.status.as_ref().is_some_and(|status| {
                    status.stage_began_at.is_some() && status.evidence.first().is_some_and(|e| e.candidate.requests > 10)
                })
        })
        .await
}

/// Waits for a hold with one of these reasons; how long it took.
async fn holds(scene: &Scene<'_>, name: &str, reasons: &[&str], within: Duration) -> Result<Duration> {
    let from = Instant::now();
    scene.until_change(name, &format!("to hold with one of {reasons:?}"), within, |change| waits_for(change, reasons)).await?;
    Ok(from.elapsed())
}

/// The backend is away for a minute mid-stage.
pub(crate) async fn backend_away_holds_a_harmless_candidate(world: &World) -> Result<()> {
    let (scene, proxy) = proxied(world, "away-harmless").await?;
    scene.guarded(4, &[]).await?;
    let load = scene.load(100).await?;
    let route = scene.route().await?;
    scene.ship("v2", 4, &[]).await?;
    let change = exposed(&scene, 1).await?;
    let name = change.name_any();
    proxy.set(Mode::Refuse).await?;
    let named = holds(&scene, &name, &["BackendUnreachable"], NAMED_WITHIN).await?;
    println!("backend away, harmless: named after {:.1} s", named.as_secs_f64());
    scene.stays(&name, &["BackendUnreachable"], MINUTE).await?;
    proxy.set(Mode::Pass).await?;
    scene.ends(&name, Phase::Promoted, 6 * MINUTE).await?;
    let report = scene.finish(load).await?;
    ensure!(report.total_failed() == 0, "{} of {} requests failed", report.total_failed(), report.total_sent());
    scene.close(Some(&route)).await
}

/// The same, and the candidate begins to fail every request while nobody can see it.
pub(crate) async fn backend_away_never_promotes_a_failing_candidate(world: &World) -> Result<()> {
    let (scene, proxy) = proxied(world, "away-failing").await?;
    let control = ControlServer::start(SocketAddr::from((world.lab.host_address_for_pods()?, 0))).await?;
    let url = control.url();
    scene.guarded(4, &[("CONTROL_URL", &url)]).await?;
    let load = scene.load(100).await?;
    let route = scene.route().await?;
    scene.ship("v2", 4, &[("CONTROL_URL", &url)]).await?;
    let change = exposed(&scene, 1).await?;
    let name = change.name_any();
    proxy.set(Mode::Refuse).await?;
    let failing = Override { error_rate: Some(1.0), ..Override::default() };
    control.set(Control { by_version: [("v2".to_owned(), failing)].into(), ..Control::default() });
    holds(&scene, &name, &["BackendUnreachable"], NAMED_WITHIN).await?;
    scene.stays(&name, &["BackendUnreachable"], MINUTE).await?;
    proxy.set(Mode::Pass).await?;
    let back = load.elapsed();
    let ended = scene.ends(&name, Phase::RolledBack, 3 * MINUTE).await?;
    let reasons = reasons(&ended);
    ensure!(reasons.iter().any(|reason| HARM.contains(reason)), "taken back, but not for harm: {reasons:?}");
    let report = scene.finish(load).await?;
    let series = report.by_version("v2");
    // Else its last response says nothing about how long it served after the return.
    let before = series.map(|series| series.between(back.saturating_sub(SERVING), back).failed());
    ensure!(before > Some(0), "the candidate did not fail requests up to the backend's return: {before:?}");
    let last = series.map(|series| series.last_response()).unwrap_or_default();
    let after = last.saturating_sub(back).as_secs_f64();
    println!("failing while the backend was away: last response {after:.1} s after its return");
    ensure!(after <= 5.0, "taken back {after:.1} s after the backend's return");
    scene.close(Some(&route)).await
}

/// No data at the beginning: nothing is exposed before it can be seen.
pub(crate) async fn no_data_exposes_nothing(world: &World) -> Result<()> {
    let (scene, proxy) = proxied(world, "no-data").await?;
    scene.guarded(3, &[]).await?;
    let load = scene.load(50).await?;
    let route = scene.route().await?;
    proxy.set(Mode::Empty).await?;
    scene.ship("v2", 3, &[]).await?;
    let change = scene.change(1).await?;
    let name = change.name_any();
    let reasons = ["MetricsMissing", "WaitingForMetrics", "NotSeenByMetrics"];
    holds(&scene, &name, &reasons, 3 * MINUTE).await?;
    scene.stays(&name, &reasons, Duration::from_secs(15)).await?;
    ensure!(load.snapshot().by_version("v2").is_none(), "the candidate served although no metrics source could see it (I9)");
    proxy.set(Mode::Pass).await?;
    scene.ends(&name, Phase::Promoted, 6 * MINUTE).await?;
    scene.finish(load).await?;
    scene.close(Some(&route)).await
}

/// Warnings, missing rows, and a backend that hangs: each is a named hold and it goes on afterwards.
pub(crate) async fn doubtful_answers_hold(world: &World) -> Result<()> {
    let (scene, proxy) = proxied(world, "doubtful").await?;
    scene.guarded(4, &[]).await?;
    let load = scene.load(100).await?;
    let route = scene.route().await?;
    scene.ship("v2", 4, &[]).await?;
    let change = exposed(&scene, 1).await?;
    let name = change.name_any();
    let stable = scene.pods(&change.spec.stable.hash).await?;
    let one = stable.first().map(|pod| pod.0.clone()).unwrap_or_default();
    let faults = [
        (Mode::Warnings, "AnswerIncomplete"),
        (Mode::Partial { pods: vec![one] }, "MetricsStale"),
        (Mode::Hang, "BackendTimeout"),
        (Mode::Huge(20 << 20), "AnswerTooLarge"),
        (Mode::Status(503), "BackendFailing"),
    ];
    for (mode, reason) in faults {
        let shown = format!("{mode:?}");
        proxy.set(mode).await?;
        let named = holds(&scene, &name, &[reason], 2 * MINUTE).await?;
        println!("{shown}: {reason} after {:.1} s", named.as_secs_f64());
        scene.stays(&name, &[reason], Duration::from_secs(5)).await?;
        proxy.set(Mode::Pass).await?;
        scene.until_change(&name, "to go on", 2 * MINUTE, |c| !waits_for(c, &[reason])).await?;
    }
    let change = scene.ends(&name, Phase::Promoted, 6 * MINUTE).await?;
    ensure!(scene.finish(load).await?.total_failed() == 0, "requests failed");
    ensure!(change.spec.target.name == APP, "another workload");
    scene.close(Some(&route)).await
}

/// A selector that is one by its form, with a pattern that only Prometheus reads: it says what is wrong, and exposes nothing.
pub(crate) async fn query_that_prometheus_refuses_is_named(world: &World) -> Result<()> {
    let scene = Scene::open(world, "bad-query").await?;
    let mut guard = manifests::guard();
    guard["spec"]["metrics"]["signals"][0]["failures"] = json!("http_requests_total{code=~\"5[\"}");
    scene.guarded_by(&guard, 3, &[]).await?;
    let load = scene.load(50).await?;
    let route = scene.route().await?;
    scene.ship("v2", 3, &[]).await?;
    let change = scene.change(1).await?;
    let name = change.name_any();
    holds(&scene, &name, &["QueryRefused"], 2 * MINUTE).await?;
    let held = scene.api::<Change>().get(&name).await?;
    let waiting = held.status.and_then(|status| status.waiting).map(|waiting| waiting.message).unwrap_or_default();
    println!("bad query: {waiting}");
    for word in ["signal errors", "parse error", "correct the selectors of the signal"] {
        ensure!(waiting.contains(word), "the hold does not say \"{word}\": {waiting}");
    }
    scene.stays(&name, &["QueryRefused"], Duration::from_secs(10)).await?;
    scene.ship("v1", 3, &[]).await?;
    scene.ends(&name, Phase::Withdrawn, 2 * MINUTE).await?;
    let report = scene.finish(load).await?;
    ensure!(report.by_version("v2").is_none(), "the candidate served although its failures cannot be counted (I9)");
    ensure!(report.total_failed() == 0, "{} of {} requests failed", report.total_failed(), report.total_sent());
    scene.close(Some(&route)).await
}
