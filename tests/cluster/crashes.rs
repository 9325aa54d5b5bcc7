//! The operator dies at any line: the Change ends as it would have (I5).

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use firebreak_api::{Change, change::Phase};
use firebreak_lab::{cluster::until, load::Load};
use firebreak_tests::{
    MINUTE, Scene, World,
    harm::serves_no_more,
    manifests::{self, APP},
    record::phase_of,
    world::SYSTEM,
};
use futures::StreamExt as _;
use k8s_openapi::api::coordination::v1::Lease;
use kube::{
    Api, ResourceExt as _,
    api::DynamicObject,
    runtime::{WatchStreamExt as _, watcher},
};
use serde_json::json;

/// Waits on a watch, which is faster than asking, until any Change is in a phase.
async fn reaches(scene: &Scene<'_>, phase: Phase) -> Result<String> {
    let api: Api<Change> = scene.api();
    let waiting = async {
        let mut stream = std::pin::pin!(watcher(api, watcher::Config::default()).default_backoff().applied_objects());
        while let Some(event) = stream.next().await {
            if let Ok(change) = event
                && phase_of(&change) == phase
            {
                return Ok(change.name_any());
            }
        }
        anyhow::bail!("the watch ended")
    };
    tokio::time::timeout(4 * MINUTE, waiting).await?
}

/// Kills the operator when the Change is in `phase`, starts it again, and expects the usual end.
async fn killed_in(world: &World, namespace: &str, phase: Phase, failing: bool) -> Result<()> {
    let mut scene = Scene::open(world, namespace).await?;
    scene.guarded(4, &[]).await?;
    let load = scene.load(100).await?;
    let route = scene.route().await?;
    let env: &[(&str, &str)] = if failing { &[("ERROR_RATE", "0.5")] } else { &[] };
    scene.ship("v2", 4, env).await?;
    let name = reaches(&scene, phase).await?;
    scene.operator.kill();
    let hit = phase_of(&scene.api::<Change>().get(&name).await?);
    ensure!(hit == phase, "the kill came in {hit:?}, not in {phase:?}");
    let hash = scene.api::<Change>().get(&name).await?.spec.candidate.hash;
    let before = scene.pods(&hash).await?;
    scene.operator.start()?;
    let expected = if failing { Phase::RolledBack } else { Phase::Promoted };
    let change = scene.ends(&name, expected, 6 * MINUTE).await?;
    if failing {
        serves_no_more(&load, "v2").await?;
        let failed = scene.finish(load).await?.total_failed();
        println!("killed in {phase:?}: {failed} requests failed");
    } else {
        promoted_unharmed(&scene, &change, &before, load).await?;
    }
    ensure!(scene.changes().await?.len() == 1, "a second Change began");
    scene.close(Some(&route)).await
}

/// Not one request failed, and the candidate's pods are those of before, none restarted.
async fn promoted_unharmed(scene: &Scene<'_>, change: &Change, before: &[(String, String, i32)], load: Load) -> Result<()> {
    let report = scene.finish(load).await?;
    ensure!(report.total_failed() == 0, "{} of {} requests failed", report.total_failed(), report.total_sent());
    let pods = scene.pods(&change.spec.candidate.hash).await?;
    ensure!(pods.len() == 4 && pods.iter().all(|pod| pod.2 == 0), "pods after the hand-over: {pods:?}");
    ensure!(before.iter().all(|pod| pods.contains(pod)), "before the kill {before:?}, after the hand-over {pods:?}");
    scene.rolled_out().await
}

/// Waits on a watch until an object of the application's name fits.
async fn sees(api: Api<DynamicObject>, name: &str, what: &str, fits: impl Fn(&DynamicObject) -> bool) -> Result<()> {
    let waiting = async {
        let only = watcher::Config::default().fields(&format!("metadata.name={name}"));
        let mut stream = std::pin::pin!(watcher(api, only).default_backoff().applied_objects());
        while let Some(event) = stream.next().await {
            if event.is_ok_and(|object| fits(&object)) {
                return Ok(());
            }
        }
        anyhow::bail!("the watch ended before {what}")
    };
    tokio::time::timeout(2 * MINUTE, waiting).await.with_context(|| format!("not seen in time: {what}"))?
}

/// The hand-over is cut after each of its writes, all in one Change.
pub(crate) async fn killed_at_each_step_of_the_hand_over(world: &World) -> Result<()> {
    let mut scene = Scene::open(world, "killed-steps").await?;
    scene.guarded(4, &[]).await?;
    let load = scene.load(100).await?;
    let route = scene.route().await?;
    scene.ship("v2", 4, &[]).await?;
    let name = reaches(&scene, Phase::Promoting).await?;
    let candidate = scene.api::<Change>().get(&name).await?.spec.candidate;
    let before = scene.pods(&candidate.hash).await?;
    for step in ["unpinned", "handed over", "resumed", "routes restored"] {
        match step {
            "unpinned" => {
                let pin = |service: &DynamicObject| !service.annotations().contains_key(firebreak_api::names::PIN);
                sees(scene.raw("", "Service", "services"), APP, step, pin).await?;
            }
            "handed over" => {
                let owned = |set: &DynamicObject| set.owner_references().iter().any(|owner| owner.kind == "Deployment");
                sees(scene.raw("apps", "ReplicaSet", "replicasets"), &candidate.replica_set, step, owned).await?;
            }
            "resumed" => {
                let runs = |workload: &DynamicObject| workload.data.pointer("/spec/paused") != Some(&json!(true));
                sees(scene.raw("apps", "Deployment", "deployments"), APP, step, runs).await?;
            }
            _ => {
                let clean = |object: &DynamicObject| object.data["spec"] == route.data["spec"];
                sees(scene.raw("gateway.networking.k8s.io", "HTTPRoute", "httproutes"), APP, step, clean).await?;
            }
        }
        scene.operator.kill();
        let phase = phase_of(&scene.api::<Change>().get(&name).await?);
        ensure!(phase == Phase::Promoting, "{step}: the kill came in {phase:?}");
        scene.operator.start()?;
    }
    let change = scene.ends(&name, Phase::Promoted, 3 * MINUTE).await?;
    promoted_unharmed(&scene, &change, &before, load).await?;
    ensure!(scene.changes().await?.len() == 1, "a second Change began");
    scene.close(Some(&route)).await
}

/// The replica that works dies for good in `phase`; the one that waited takes the lease and the Change.
async fn taken_over_in(world: &World, namespace: &str, phase: Phase, failing: bool) -> Result<()> {
    let mut scene = Scene::open(world, namespace).await?;
    scene.guarded(4, &[]).await?;
    let mut second = scene.operator.replica("second");
    second.start()?;
    let leases: Api<Lease> = Api::namespaced(world.admin.clone(), SYSTEM);
    let holder = async || anyhow::Ok(leases.get(namespace).await?.spec.and_then(|spec| spec.holder_identity));
    let waits = || Ok(std::fs::read_to_string(second.log())?.contains("another replica works").then_some(()));
    until("the second replica to wait", MINUTE, async || waits()).await?;
    let load = scene.load(100).await?;
    let route = scene.route().await?;
    let env: &[(&str, &str)] = if failing { &[("ERROR_RATE", "0.5")] } else { &[] };
    scene.ship("v2", 4, env).await?;
    let name = reaches(&scene, phase).await?;
    let first = holder().await?;
    scene.operator.kill();
    let hit = phase_of(&scene.api::<Change>().get(&name).await?);
    ensure!(hit == phase, "the kill came in {hit:?}, not in {phase:?}");
    ensure!(first.as_deref() == Some("test"), "{first:?} held the lease while the first replica lived");
    let hash = scene.api::<Change>().get(&name).await?.spec.candidate.hash;
    let before = scene.pods(&hash).await?;
    let change = scene.ends(&name, if failing { Phase::RolledBack } else { Phase::Promoted }, 6 * MINUTE).await?;
    let last = holder().await?;
    ensure!(last.as_deref() == Some("second"), "{last:?} holds the lease at the end");
    if failing {
        serves_no_more(&load, "v2").await?;
        let failed = scene.finish(load).await?.total_failed();
        println!("taken over in {phase:?}: {failed} requests failed");
    } else {
        promoted_unharmed(&scene, &change, &before, load).await?;
    }
    ensure!(scene.changes().await?.len() == 1, "a second Change began");
    scene.close(Some(&route)).await
}

pub(crate) async fn another_replica_takes_over_a_harmless_release(world: &World) -> Result<()> {
    taken_over_in(world, "taken-over", Phase::Progressing, false).await
}

pub(crate) async fn another_replica_takes_over_a_way_back(world: &World) -> Result<()> {
    taken_over_in(world, "taken-back", Phase::RollingBack, true).await
}

/// The first stage waits for a human here, so that the Change stays held.
pub(crate) async fn killed_while_held(world: &World) -> Result<()> {
    let mut scene = Scene::open(world, "killed-held").await?;
    scene.guarded(4, &[]).await?;
    let mut policy = manifests::policy();
    policy["metadata"]["name"] = json!("asks-first");
    policy["spec"]["levels"]["medium"]["approvalAt"] = json!([10]);
    let mut guard = manifests::guard();
    guard["spec"]["policyRef"]["name"] = json!("asks-first");
    scene.apply(&[policy, guard]).await?;
    let load = scene.load(100).await?;
    let route = scene.route().await?;
    scene.ship("v2", 4, &[]).await?;
    let name = scene.change(1).await?.name_any();
    scene
        .until_change(&name, "to wait for a human", 3 * MINUTE, |change| {
            let waiting = change.status.as_ref().and_then(|status| status.waiting.as_ref());
            phase_of(change) == Phase::Held && waiting.is_some_and(|waiting| waiting.reason == "WaitingForHuman")
        })
        .await?;
    scene.operator.kill();
    scene.operator.start()?;
    // Who asked for the template does not answer for it.
    let ann = scene.person("ann", &[], &["firebreak-approver"]).await?;
    ann.firebreak(&["approve", manifests::APP, "--reason", "a test"])?;
    scene.ends(&name, Phase::Promoted, 6 * MINUTE).await?;
    let report = scene.finish(load).await?;
    ensure!(report.total_failed() == 0, "{} of {} requests failed", report.total_failed(), report.total_sent());
    scene.close(Some(&route)).await
}

pub(crate) async fn killed_while_preparing(world: &World) -> Result<()> {
    killed_in(world, "killed-preparing", Phase::Preparing, false).await
}

pub(crate) async fn killed_while_progressing(world: &World) -> Result<()> {
    killed_in(world, "killed-progressing", Phase::Progressing, false).await
}

pub(crate) async fn killed_while_baking(world: &World) -> Result<()> {
    killed_in(world, "killed-baking", Phase::Baking, false).await
}

pub(crate) async fn killed_while_promoting(world: &World) -> Result<()> {
    killed_in(world, "killed-promoting", Phase::Promoting, false).await
}

pub(crate) async fn killed_while_rolling_back(world: &World) -> Result<()> {
    killed_in(world, "killed-back", Phase::RollingBack, true).await
}

/// Killed and started again every two seconds, all along.
async fn killed_again_and_again(world: &World, namespace: &str, failing: bool) -> Result<()> {
    let mut scene = Scene::open(world, namespace).await?;
    scene.guarded(4, &[]).await?;
    let load = scene.load(100).await?;
    let route = scene.route().await?;
    let env: &[(&str, &str)] = if failing { &[("ERROR_RATE", "1.0")] } else { &[] };
    scene.ship("v2", 4, env).await?;
    let name = scene.change(1).await?.name_any();
    let api: Api<Change> = scene.api();
    let end = tokio::time::Instant::now() + 5 * MINUTE;
    let mut kills = 0;
    loop {
        let change = api.get(&name).await?;
        if phase_of(&change).ended() {
            break;
        }
        ensure!(
            tokio::time::Instant::now() < end,
            "it did not end in 5 minutes: {:?}",
            change.status.map(|s| (s.phase, s.waiting))
        );
        tokio::time::sleep(Duration::from_secs(2)).await;
        scene.operator.kill();
        scene.operator.start()?;
        kills += 1;
    }
    scene.ends(&name, if failing { Phase::RolledBack } else { Phase::Promoted }, 3 * MINUTE).await?;
    if failing {
        serves_no_more(&load, "v2").await?;
    }
    let report = scene.finish(load).await?;
    println!("killed {kills} times: {} of {} requests failed", report.total_failed(), report.total_sent());
    ensure!(kills > 2, "it was killed {kills} times only");
    if failing {
        ensure!(report.total_failed() <= 300, "{} requests failed", report.total_failed());
    } else {
        ensure!(report.total_failed() == 0, "{} requests failed", report.total_failed());
    }
    scene.close(Some(&route)).await
}

pub(crate) async fn killed_every_two_seconds_harmless(world: &World) -> Result<()> {
    killed_again_and_again(world, "killed-often", false).await
}

pub(crate) async fn killed_every_two_seconds_failing(world: &World) -> Result<()> {
    killed_again_and_again(world, "killed-often-bad", true).await
}
