//! What speaks beside the signals: absolute checks, dependents, and a second source.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use firebreak_api::change::{DependentState, Phase};
use firebreak_lab::{
    cluster::until,
    load::{Config, Load},
    service::{Control, ControlServer, Override},
};
use firebreak_tests::{
    MINUTE, Scene, World, manifests,
    record::{decided, reasons, waits_for},
};
use kube::ResourceExt as _;
use serde_json::json;

/// Nothing of what it does is a failure, but a limit that people set is broken.
pub(crate) async fn a_check_that_fails_takes_back(world: &World) -> Result<()> {
    let scene = Scene::open(world, "check").await?;
    let mut guard = manifests::guard();
    let bucket = r#"http_request_duration_seconds_bucket{namespace="$namespace",pod=~"$candidate-.*"}"#;
    guard["spec"]["metrics"]["checks"] = json!([
        {"name": "median", "query": format!("histogram_quantile(0.5, sum by (le) (rate({bucket}[5s])))"), "max": 0.1, "every": "1s",
         "onMissing": "Ignore"},
        {"name": "pods", "query": r#"count(up{namespace="$namespace",pod=~"$stable-.*"} == 1)"#, "min": 1, "every": "1s"},
    ]);
    scene.guarded_by(&guard, 4, &[]).await?;
    let load = scene.load(100).await?;
    let route = scene.route().await?;
    scene.ship("v2", 4, &[]).await?;
    let harmless = scene.change(1).await?.name_any();
    scene.ends(&harmless, Phase::Promoted, 6 * MINUTE).await?;
    scene.guard_is("Guarding").await?;
    scene.ship("v3", 4, &[("LATENCY", "p50:200ms")]).await?;
    let slow = scene.change(2).await?.name_any();
    let ended = scene.ends(&slow, Phase::RolledBack, 4 * MINUTE).await?;
    let words = decided(&ended, "CheckFailed").with_context(|| format!("{:?}", reasons(&ended)))?;
    println!("check: {words}");
    ensure!(words.contains("check median: the value is 0.") && words.contains("at most 0.1 is allowed"), "{words}");
    ensure!(scene.finish(load).await?.total_failed() == 0, "requests failed");
    scene.close(Some(&route)).await
}

/// Stable spent the budget of its objective just now: nobody is exposed to a change until the burning is over.
pub(crate) async fn a_burning_error_budget_exposes_nobody(world: &World) -> Result<()> {
    let scene = Scene::open(world, "budget").await?;
    let control = ControlServer::start(SocketAddr::from((world.lab.host_address_for_pods()?, 0))).await?;
    let url = control.url();
    let mut guard = manifests::guard();
    guard["spec"]["slo"] = json!({"availability": 99});
    scene.guarded_by(&guard, 4, &[("CONTROL_URL", &url)]).await?;
    let load = scene.load(100).await?;
    let route = scene.route().await?;
    control.set(Control { error_rate: Some(0.5), ..Control::default() });
    until("stable to fail", 2 * MINUTE, async || Ok((load.snapshot().total_failed() >= 1000).then_some(()))).await?;
    control.set(Control::default());
    scene.ship("v2", 4, &[("CONTROL_URL", &url)]).await?;
    let name = scene.change(1).await?.name_any();
    let burns = ["ErrorBudgetBurns"];
    let held = scene.until_change(&name, "to hold for the error budget", MINUTE, |change| waits_for(change, &burns)).await?;
    let status = held.status.context("no status")?;
    println!("budget: {}", status.waiting.map(|waiting| waiting.message).unwrap_or_default());
    ensure!(status.highest_weight_percent == 0.0, "{} % while the budget burns", status.highest_weight_percent);
    let since = load.elapsed();
    scene.ends(&name, Phase::Promoted, 8 * MINUTE).await?;
    println!("budget: promoted {:.0} s after the hold was seen", (load.elapsed() - since).as_secs_f64());
    scene.finish(load).await?;
    scene.close(Some(&route)).await
}

/// A workload beside the guarded one, with requests of its own.
async fn neighbour(scene: &Scene<'_>, name: &str, control: &str) -> Result<Load> {
    let env = [("CONTROL_URL", control)];
    let host = format!("{name}.{}", scene.host());
    scene.apply(&manifests::neighbour(name, &host, 2, &env)).await?;
    scene.kubectl(&["rollout", "status", &format!("deployment/{name}"), "--timeout=120s"]).await?;
    let url = world_url(scene)?;
    until(&format!("the gateway to serve {name}"), MINUTE, async || {
        let config = Config { host: Some(host.clone()), duration: Some(MINUTE / 120), ..Config::new(&url, 20) };
        let report = Load::start(&config)?.wait().await;
        Ok((report.total_failed() == 0 && report.total_sent() > 0).then_some(()))
    })
    .await?;
    Load::start(&Config { host: Some(host), ..Config::new(url, 50) }).map_err(Into::into)
}

fn world_url(scene: &Scene<'_>) -> Result<String> {
    scene.world.lab.gateway_url()
}

/// Whose requests fail, by the version that its pods say they run.
fn failing(control: &ControlServer, who: &[&str]) {
    let fails = Override { error_rate: Some(0.3), ..Override::default() };
    control.set(Control { by_version: who.iter().map(|who| ((*who).to_owned(), fails)).collect(), ..Control::default() });
}

/// The candidate itself looks healthy; a workload that must not be hurt does not. Where others beside it suffer as well, the
/// platform is to blame.
pub(crate) async fn a_hurt_dependent_takes_back_and_platform_trouble_holds(world: &World) -> Result<()> {
    let scene = Scene::open(world, "dependents").await?;
    let control = ControlServer::start(SocketAddr::from((world.lab.host_address_for_pods()?, 0))).await?;
    let url = control.url();
    let mut guard = manifests::guard();
    let failures = "http_requests_total{code=~\"5..\"}";
    guard["spec"]["dependents"] =
        json!([{"name": "payments", "signals": [{"name": "errors", "requests": "http_requests_total", "failures": failures}]}]);
    scene.guarded_by(&guard, 4, &[]).await?;
    let load = scene.load(100).await?;
    let payments = neighbour(&scene, "payments", &url).await?;
    let search = neighbour(&scene, "search", &url).await?;
    let route = scene.route().await?;
    let past = async |load: &Load| {
        until("a neighbour to have a past", 3 * MINUTE, async || Ok((load.snapshot().total_sent() >= 2500).then_some(()))).await
    };
    past(&payments).await?;
    past(&search).await?;
    // Trouble of everyone is nobody's.
    scene.ship("v2", 4, &[]).await?;
    let first = scene.exposed(1).await?.name_any();
    failing(&control, &["payments", "search"]);
    scene.until_change(&first, "to blame the platform", MINUTE, |change| waits_for(change, &["PlatformTrouble"])).await?;
    control.set(Control::default());
    let promoted = scene.ends(&first, Phase::Promoted, 8 * MINUTE).await?;
    let words = decided(&promoted, "PlatformTrouble").unwrap_or_default();
    println!("dependents: {words}");
    ensure!(words.contains("of the requests of payments failed"), "{words}");
    scene.guard_is("Guarding").await?;
    // Its own is the candidate's doing.
    scene.ship("v3", 4, &[]).await?;
    let second = scene.exposed(2).await?.name_any();
    failing(&control, &["payments"]);
    let ended = scene.ends(&second, Phase::RolledBack, 3 * MINUTE).await?;
    let words = decided(&ended, "DependentHarmed").with_context(|| format!("{:?}", reasons(&ended)))?;
    println!("dependents: {words}");
    ensure!(words.starts_with("harms payments: "), "{words}");
    let harmed = ended.status.iter().flat_map(|status| &status.dependents).map(|one| (one.name.as_str(), one.state));
    ensure!(harmed.collect::<Vec<_>>() == [("payments", DependentState::Harmed)], "{:?}", ended.status);
    payments.stop().await;
    search.stop().await;
    ensure!(scene.finish(load).await?.total_failed() == 0, "requests of the guarded workload failed");
    scene.close(Some(&route)).await
}

/// The guarded pods' own counters say which version's requests to a dependent fail. The demo service calls nobody, so its counters of requests
/// stand for those of a client, and its own signal is another: it is not slow.
pub(crate) async fn callers_tell_which_version_hurts_a_dependent(world: &World) -> Result<()> {
    let scene = Scene::open(world, "callers").await?;
    let mut guard = manifests::guard();
    let slow = json!({"name": "slow", "histogram": "http_request_duration_seconds", "slowerThan": "1s"});
    guard["spec"]["metrics"]["signals"] = json!([slow]);
    let calls = |labels: &str| {
        let failures = format!("http_requests_total{{{labels}code=~\"5..\"}}");
        let calls = json!({"name": "calls", "requests": format!("http_requests_total{{{labels}}}"), "failures": failures});
        json!([{"name": "ledger", "namespace": "bank", "measuredBy": "Callers", "signals": [calls]}])
    };
    guard["spec"]["dependents"] = calls("to=\"ledger\",");
    scene.guarded_by(&guard, 4, &[]).await?;
    let load = scene.load(100).await?;
    let route = scene.route().await?;
    // A dependent that nobody is seen to call is not known to be well.
    scene.ship("v2", 4, &[("ERROR_RATE", "0.3")]).await?;
    let first = scene.change(1).await?.name_any();
    let missing =
        scene.until_change(&first, "to miss the calls", MINUTE, |change| waits_for(change, &["MetricsMissing"])).await?;
    let words = missing.status.and_then(|status| status.waiting).map(|waiting| waiting.message).unwrap_or_default();
    println!("callers: {words}");
    ensure!(words.contains("no stable pod of the guarded workload counts its requests to ledger"), "{words}");
    guard["spec"]["dependents"] = calls("");
    scene.apply(&[guard]).await?;
    scene.ends(&first, Phase::Superseded, MINUTE).await?;
    let second = scene.change(2).await?.name_any();
    let ended = scene.ends(&second, Phase::RolledBack, 4 * MINUTE).await?;
    let words = decided(&ended, "DependentHarmed").with_context(|| format!("{:?}", reasons(&ended)))?;
    println!("callers: {words}");
    ensure!(
        words.starts_with("harms ledger.bank: ") && words.contains("of the candidate's requests to ledger.bank failed"),
        "{words}"
    );
    scene.finish(load).await?;
    scene.close(Some(&route)).await
}

/// Prometheus counts what the pods' own pages do not: a label that only relabelling adds makes every request of one version a
/// failure there.
pub(crate) async fn sources_that_disagree_hold(world: &World) -> Result<()> {
    let scene = Scene::open(world, "sources").await?;
    let mut guard = manifests::guard();
    guard["spec"]["metrics"]["pods"] = json!({"port": 9090});
    guard["spec"]["metrics"]["bothSources"] = json!(true);
    scene.guarded_by(&guard, 4, &[]).await?;
    let load = scene.load(100).await?;
    let route = scene.route().await?;
    scene.ship("v2", 4, &[]).await?;
    let agreed = scene.change(1).await?.name_any();
    scene.ends(&agreed, Phase::Promoted, 6 * MINUTE).await?;
    scene.guard_is("Guarding").await?;
    // The hash of the pods that will be the candidate's is not known before, but stable's is: whatever is not stable's fails.
    let stable = scene.changes().await?.pop().context("no Change")?.spec.candidate.replica_set;
    let failures = format!("http_requests_total{{code=\"200\",container=~\".+\",pod!~\"{stable}-.*\"}}");
    guard["spec"]["metrics"]["signals"] = json!([{"name": "errors", "requests": "http_requests_total", "failures": failures}]);
    scene.apply(&[guard]).await?;
    scene.guard_is("Guarding").await?;
    scene.ship("v3", 4, &[]).await?;
    let name = scene.exposed(2).await?.name_any();
    let disagree = ["SourcesDisagree"];
    let held =
        scene.until_change(&name, "to say that the sources disagree", 2 * MINUTE, |change| waits_for(change, &disagree)).await?;
    let words = held.status.and_then(|status| status.waiting).map(|waiting| waiting.message).unwrap_or_default();
    println!("sources: {words}");
    scene.stays(&name, &disagree, MINUTE / 3).await?;
    scene.ship("v2", 4, &[]).await?;
    scene.ends(&name, Phase::Withdrawn, 3 * MINUTE).await?;
    ensure!(scene.finish(load).await?.total_failed() == 0, "requests failed");
    scene.close(Some(&route)).await
}
