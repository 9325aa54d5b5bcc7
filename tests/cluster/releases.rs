//! Harmless releases go up, harmful ones come back.

use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, ensure};
use firebreak_api::{Change, change::Phase};
use firebreak_lab::{
    cluster::until,
    load::{BUCKET, Load, Report},
};
use firebreak_tests::{
    MINUTE, Scene, World,
    harm::{Harm, serves_no_more, serves_not_after},
    manifests,
    record::{HARM, in_effect, phase_of, reasons},
};
use kube::ResourceExt as _;
use serde_json::json;

/// A route as large services have: filters, two rules, a second weighted backend that is none of Firebreak's business.
fn rich_route(host: &str) -> serde_json::Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": manifests::APP},
        "spec": {
            "parentRefs": [manifests::parent()],
            "hostnames": [host],
            "rules": [
                {
                    "matches": [{"path": {"type": "PathPrefix", "value": "/api"}}],
                    "filters": [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "x-rule", "value": "api"}]}}],
                    "backendRefs": [{"name": manifests::APP, "port": 80}],
                },
                {
                    "filters": [{"type": "ResponseHeaderModifier", "responseHeaderModifier": {"add": [{"name": "x-rule", "value": "all"}]}}],
                    "backendRefs": [
                        {"name": manifests::APP, "port": 80, "weight": 9},
                        {"name": "legacy", "port": 80, "weight": 1},
                    ],
                },
            ],
        },
    })
}

pub(crate) async fn harmless_release_is_promoted(world: &World) -> Result<()> {
    let scene = Scene::open(world, "harmless").await?;
    let mut legacy = manifests::deployment("legacy", 1, &[]);
    legacy["metadata"] = json!({"name": "legacy"});
    legacy["spec"]["selector"] = json!({"matchLabels": {"app": "legacy"}});
    legacy["spec"]["template"]["metadata"]["labels"] = json!({"app": "legacy"});
    let mut legacy_service = manifests::service();
    legacy_service["metadata"]["name"] = json!("legacy");
    legacy_service["spec"]["selector"] = json!({"app": "legacy"});
    scene.apply(&[legacy, legacy_service]).await?;
    scene.guarded(4, &[]).await?;
    scene.apply(&[rich_route(&scene.host())]).await?;
    until("the gateway to follow the route", MINUTE, async || the_filter_works(&scene).map(Some)).await?;
    let load = scene.load(200).await?;
    let of_api = scene.load_of("/api", 50).await?;
    let route = scene.route().await?;
    scene.ship("v2", 4, &[]).await?;
    let change = scene.exposed(1).await?;
    the_filter_works(&scene).context("while the candidate has a share")?;
    // While stable is still warm the candidate has its full size, and is not handed over.
    let full = |change: &Change| phase_of(change) == Phase::Baking && in_effect(change);
    let baking = scene.until_change(&change.name_any(), "to be at its full size", 6 * MINUTE, full).await?;
    let pods = scene.pods(&baking.spec.candidate.hash).await?;
    let ended = scene.ends(&change.name_any(), Phase::Promoted, 3 * MINUTE).await?;
    scene.rolled_out().await?;
    let after = scene.pods(&ended.spec.candidate.hash).await?;
    ensure!(pods == after && after.len() == 4, "candidate pods changed at the hand-over: {pods:?}, then {after:?}");
    ensure!(after.iter().all(|(_, _, restarts)| *restarts == 0), "candidate pods were restarted: {after:?}");
    scene.guard_is("Guarding").await?;
    the_filter_works(&scene).context("afterwards")?;
    let report = scene.finish(load).await?;
    println!("harmless: {} requests sent, {} failed", report.total_sent(), report.total_failed());
    ensure!(report.total_failed() == 0, "{} of {} requests failed", report.total_failed(), report.total_sent());
    // One in ten, as its weight says, with what chance and counting anew give.
    let (legacy, all) = (report.by_version("legacy").map_or(0, |series| series.count()), report.total_sent());
    ensure!(legacy * 100 >= all * 8 && legacy * 100 <= all * 12, "the second backend answered {legacy} of {all} requests");
    let report = scene.finish(of_api).await?;
    ensure!(report.total_failed() == 0, "/api: {} of {} requests failed", report.total_failed(), report.total_sent());
    ensure!(report.by_version("legacy").is_none(), "/api: the second backend of another rule answered");
    ensure!(report.by_version("v2").is_some_and(|series| series.count() > 0), "/api: the candidate never served");
    scene.close(Some(&route)).await
}

/// The second rule's filter names the rule in every answer; the first rule's has no part in answers.
fn the_filter_works(scene: &Scene<'_>) -> Result<()> {
    let named = |path| Ok::<_, anyhow::Error>(scene.answer_head(path)?.to_ascii_lowercase().contains("x-rule: all"));
    ensure!(named("/")?, "the filter of the second rule has no effect");
    ensure!(!named("/api")?, "the filter of the second rule acts on the first");
    Ok(())
}

/// Failures of stable before the measured runs: 25 minutes of them. Of a past of five minutes the dispersion is put at 1.1 to 1.4, and the
/// proof takes three failures more.
const PAST_FAILURES: u64 = 300;

/// Releases of one failing share, and what they may do to users at most; the middle one of so many runs counts.
struct Bar {
    failing: &'static str,
    runs: usize,
    /// From the candidate's first response to its last.
    seconds: f64,
    failures: u64,
}

/// Limits of the issue, where Prometheus counts at every scrape.
const BY_PROMETHEUS: [Bar; 3] = [
    Bar { failing: "1.0", runs: 3, seconds: 4.0, failures: 70 },
    Bar { failing: "0.2", runs: 3, seconds: 6.0, failures: 25 },
    Bar { failing: "0.05", runs: 3, seconds: 20.0, failures: 15 },
];

/// Limits where the pods' own pages are read. In simulation the last takes 4 to 12 failures, 7 in the median after a past like this
/// one: of three runs the middle one would be above 8 in one of ten cases, of nine in one of a hundred.
const BY_PAGES: [Bar; 3] = [
    Bar { failing: "1.0", runs: 3, seconds: 4.0, failures: 45 },
    Bar { failing: "0.2", runs: 3, seconds: 6.0, failures: 12 },
    Bar { failing: "0.05", runs: 9, seconds: 20.0, failures: 8 },
];

/// Releases that fail at 200 requests per second, the first stage having 10 % of ten pods' traffic: by Prometheus, then by the
/// pods' own pages.
pub(crate) async fn failing_releases_are_taken_back(world: &World) -> Result<()> {
    let scene = Scene::open(world, "failing").await?;
    // Below 50 failures of history bursts are assumed (dispersion 2), as for any service that was just installed; these
    // figures are those of a service that has a past. It is gathered while other cases run.
    let shared = world.machine.share(200).await?;
    // More releases than a Guard keeps the record of by default.
    let mut guard = manifests::guard();
    guard["spec"]["history"] = json!({"changes": 40});
    scene.guarded_by(&guard, 10, &[("ERROR_RATE", "0.001")]).await?;
    let past = scene.load(200).await?;
    let route = scene.route().await?;
    until("stable to have a past", 45 * MINUTE, async || Ok((past.snapshot().total_failed() >= PAST_FAILURES).then_some(())))
        .await?;
    scene.finish(past).await?;
    drop(shared);
    let _alone = world.machine.alone().await?;
    let load = scene.load(200).await?;
    let mut taken_back = Vec::new();
    let mut missed = within(&scene, &load, "by Prometheus", &BY_PROMETHEUS, &mut taken_back).await?;
    // Only stable's past comes from Prometheus then.
    guard["spec"]["metrics"]["pods"] = json!({"port": 9090});
    scene.apply(&[guard]).await?;
    scene.guard_is_seen().await?;
    missed.extend(within(&scene, &load, "by the pods' pages", &BY_PAGES, &mut taken_back).await?);
    if let Some((last, _)) = taken_back.last() {
        serves_no_more(&load, last).await?;
    }
    let report = scene.finish(load).await?;
    for (version, ended) in &taken_back {
        serves_not_after(&report, version, *ended)?;
    }
    scene.close(Some(&route)).await?;
    ensure!(missed.is_empty(), "{missed:?}");
    Ok(())
}

/// Ships what each bar says, as often as it says; the bars that were missed. Each version is added to `taken_back`, with when it was.
async fn within(
    scene: &Scene<'_>,
    load: &Load,
    source: &str,
    bars: &[Bar],
    taken_back: &mut Vec<(String, Duration)>,
) -> Result<Vec<String>> {
    let mut missed = Vec::new();
    for Bar { failing, runs: count, seconds, failures } in bars {
        let mut runs = Vec::new();
        for _ in 0..*count {
            let number = taken_back.len() + 1;
            let (version, harm) = taken_back_once(scene, load, number, failing).await?;
            taken_back.push((version, load.elapsed() + BUCKET));
            runs.push(harm);
        }
        let (lasted, failed) = middle(&runs);
        let figures =
            format!("{source}, failing {failing}: median of {count} {lasted:.1} s of {seconds} s, {failed} failed of {failures}");
        println!("{figures}");
        if lasted > *seconds || failed > *failures {
            missed.push(figures);
        }
    }
    Ok(missed)
}

/// Ships a failing version as Change number `number` and waits until it is taken back; its name, and what it did to users.
async fn taken_back_once(scene: &Scene<'_>, load: &Load, number: usize, failing: &str) -> Result<(String, Harm)> {
    let version = format!("bad-{number}");
    let from = load.elapsed();
    scene.ship(&version, 10, &[("ERROR_RATE", failing)]).await?;
    let change = scene.change(number).await?;
    let ended = scene.ends(&change.name_any(), Phase::RolledBack, 4 * MINUTE).await?;
    let to = load.elapsed() + BUCKET;
    let found = reasons(&ended);
    ensure!(found.iter().any(|reason| HARM.contains(reason)), "{version}: taken back, but not for its failures: {found:?}");
    let report = load.snapshot();
    let harm = Harm::of(&report, &version, from, to)?;
    println!(
        "{}: failing {failing}, {version}: {:.1} s, {} failed, {} of them without an answer; {:.1} s in all; {}",
        scene.namespace,
        harm.seconds,
        harm.failed(),
        harm.unanswered,
        (to - from).as_secs_f64(),
        course(&ended, &report, &version).unwrap_or_default()
    );
    Ok((version, harm))
}

/// Where the time went: from the candidate's first response to the decision, from there to its last, and on which counts.
fn course(ended: &Change, report: &Report, version: &str) -> Option<String> {
    let status = ended.status.as_ref()?;
    let series = report.by_version(version)?;
    let decision = status.decisions.iter().find(|decision| HARM.contains(&decision.reason.as_str()))?;
    let decided = report.offset_of(SystemTime::from(decision.at)).as_secs_f64();
    let errors = status.evidence.iter().find(|evidence| evidence.signal == "errors")?;
    Some(format!(
        "decided {:.2} s after its first response, {:.2} s before its last, at dispersion {:.2}: {}",
        decided - series.first_response().as_secs_f64(),
        series.last_response().as_secs_f64() - decided,
        errors.dispersion,
        decision.message
    ))
}

/// The medians of seconds and of failures.
fn middle(runs: &[Harm]) -> (f64, u64) {
    let mut lasted: Vec<f64> = runs.iter().map(|harm| harm.seconds).collect();
    let mut failed: Vec<u64> = runs.iter().map(Harm::failed).collect();
    lasted.sort_by(f64::total_cmp);
    failed.sort_unstable();
    (lasted[runs.len() / 2], failed[runs.len() / 2])
}
