//! The pods' own metrics pages are the source: no Prometheus is there to be asked.

use anyhow::{Result, ensure};
use firebreak_api::change::Phase;
use firebreak_lab::load::BUCKET;
use firebreak_tests::{
    MINUTE, Scene, World,
    harm::Harm,
    manifests::{self, APP},
    record::{HARM, decided, reasons},
};
use kube::ResourceExt as _;
use serde_json::json;

/// Nobody listens there.
const NO_PROMETHEUS: &str = "http://127.0.0.1:9";

pub(crate) async fn releases_are_judged_without_prometheus(world: &World) -> Result<()> {
    let scene = Scene::open_with(world, "pods", NO_PROMETHEUS).await?;
    let mut guard = manifests::guard();
    guard["spec"]["metrics"]["pods"] = json!({"port": 9090});
    let objects = [manifests::deployment("v1", 6, &[]), manifests::service(), manifests::route(&scene.host()), guard];
    scene.apply(&objects).await?;
    scene.rolled_out().await?;
    scene.guard_is("Guarding").await?;
    let load = scene.load(100).await?;
    let route = scene.route().await?;
    scene.ship("v2", 6, &[]).await?;
    let harmless = scene.change(1).await?;
    scene.ends(&harmless.name_any(), Phase::Promoted, 6 * MINUTE).await?;
    ensure!(load.snapshot().total_failed() == 0, "requests of a harmless release failed");
    scene.guard_is("Guarding").await?;
    let from = load.elapsed();
    scene.ship("v3", 6, &[("ERROR_RATE", "1.0")]).await?;
    let failing = scene.change(2).await?;
    let ended = scene.ends(&failing.name_any(), Phase::RolledBack, 3 * MINUTE).await?;
    let harm = Harm::of(&load.snapshot(), "v3", from, load.elapsed() + BUCKET)?;
    println!("{APP} without Prometheus: {:.1} s, {} failed", harm.seconds, harm.failed());
    let reasons = reasons(&ended);
    ensure!(reasons.iter().any(|reason| HARM.contains(reason)), "taken back, but not for its failures: {reasons:?}");
    ensure!(decided(&ended, "BackendUnreachable").is_none(), "someone asked Prometheus");
    scene.finish(load).await?;
    scene.close(Some(&route)).await
}
