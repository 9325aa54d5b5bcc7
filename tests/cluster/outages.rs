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

/// Selectors by which failures cannot be counted: each hold says what is wrong and exposes nothing, and the Guard that is corrected counts
/// at once.
pub(crate) async fn selectors_that_count_nothing_are_named_and_corrected(world: &World) -> Result<()> {
    let scene = Scene::open(world, "bad-query").await?;
    let mut guard = manifests::guard();
    // One by its form, with a pattern that only Prometheus reads.
    guard["spec"]["metrics"]["signals"][0]["failures"] = json!("http_requests_total{code=~\"5[\"}");
    scene.guarded_by(&guard, 3, &[]).await?;
    let load = scene.load(50).await?;
    let route = scene.route().await?;
    scene.ship("v2", 3, &[]).await?;
    named(&scene, 1, "QueryRefused", &["signal errors", "parse error", "correct the selectors of the signal"]).await?;
    // Prometheus answers, but no series has the label: whatever fails, none would be counted.
    guard["spec"]["metrics"]["signals"][0]["failures"] = json!("http_requests_total{status=~\"5..\"}");
    scene.apply(&[guard.clone()]).await?;
    begun_anew(&scene, 1).await?;
    let no_label = ["has no series http_requests_total{status!=\"\"}", "correct the labels in failures"];
    named(&scene, 2, "MetricsMissing", &no_label).await?;
    // The pods' own pages have none of a counter by that name.
    guard["spec"]["metrics"]["pods"] = json!({"port": 9090});
    guard["spec"]["metrics"]["signals"][0]["failures"] = json!("http_errors_total");
    scene.apply(&[guard.clone()]).await?;
    begun_anew(&scene, 2).await?;
    named(&scene, 3, "MetricsMissing", &["has no series http_errors_total", "have it begin at zero"]).await?;
    ensure!(load.snapshot().by_version("v2").is_none(), "the candidate served although its failures cannot be counted (I9)");
    guard["spec"]["metrics"]["signals"][0]["failures"] = json!("http_requests_total{code=~\"5..\"}");
    scene.apply(&[guard]).await?;
    begun_anew(&scene, 3).await?;
    let last = scene.exposed(4).await?.name_any();
    scene.ship("v1", 3, &[]).await?;
    scene.ends(&last, Phase::Withdrawn, 2 * MINUTE).await?;
    let report = scene.finish(load).await?;
    ensure!(report.total_failed() == 0, "{} of {} requests failed", report.total_failed(), report.total_sent());
    scene.close(Some(&route)).await
}

/// Change number `count` holds for this reason, in these words, and exposes nothing for a while.
async fn named(scene: &Scene<'_>, count: usize, reason: &'static str, words: &[&str]) -> Result<()> {
    let name = scene.change(count).await?.name_any();
    holds(scene, &name, &[reason], 2 * MINUTE).await?;
    let held = scene.api::<Change>().get(&name).await?;
    let waiting = held.status.and_then(|status| status.waiting).map(|waiting| waiting.message).unwrap_or_default();
    println!("bad query: {waiting}");
    for word in words {
        ensure!(waiting.contains(word), "the hold does not say \"{word}\": {waiting}");
    }
    scene.stays(&name, &[reason], Duration::from_secs(10)).await
}

/// Change number `count` gave way to another by the Guard as it is now.
async fn begun_anew(scene: &Scene<'_>, count: usize) -> Result<()> {
    let name = scene.change(count).await?.name_any();
    let ended = scene.ends(&name, Phase::Superseded, MINUTE).await?;
    ensure!(reasons(&ended).contains(&"GuardChanged"), "{:?}", reasons(&ended));
    Ok(())
}
