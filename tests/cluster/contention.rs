//! Others write the same objects: the hold and the invariants stand.

use std::time::Duration;

use anyhow::{Result, ensure};
use firebreak_api::change::Phase;
use firebreak_lab::{
    cluster::until,
    faults::{GitOps, Manner},
};
use firebreak_tests::{
    Scene, World,
    chronicle::Seen,
    manifests::{self, APP, yaml},
    scene::phase_of,
};
use kube::ResourceExt as _;
use serde_json::json;

const MINUTE: Duration = Duration::from_secs(60);

/// The workload and its Service are applied again every second, as a GitOps tool does.
async fn reapplied(world: &World, namespace: &str, manner: Manner) -> Result<()> {
    let scene = Scene::open(world, namespace).await?;
    scene.guarded(3, &[]).await?;
    let load = scene.load(50).await?;
    let route = scene.route().await?;
    let manifests = [manifests::deployment("v2", 3, &[]), manifests::service()].map(|object| scene.within(&object));
    let tool = GitOps::start(&world.lab, yaml(&manifests), manner, Duration::from_secs(1))?;
    let change = scene.change(1).await?;
    let change = scene.ends(&change.name_any(), Phase::Promoted, 8 * MINUTE).await?;
    let (rounds, failures) = (tool.rounds(), tool.failures());
    println!("{namespace}: {rounds} rounds, {failures} failed: {:?}", tool.errors().first());
    tool.stop().await?;
    ensure!(rounds >= 5, "the tool came {rounds} times only");
    ensure!(load.stop().await.total_failed() == 0, "requests failed");
    scene.guard_is("Guarding").await?;
    scene.close(Some(&route), &change.spec.stable.replica_set).await
}

pub(crate) async fn reapplied_client_side(world: &World) -> Result<()> {
    reapplied(world, "again-client", Manner::ClientSide).await
}

pub(crate) async fn reapplied_server_side(world: &World) -> Result<()> {
    reapplied(world, "again-server", Manner::ServerSide).await
}

pub(crate) async fn replaced(world: &World) -> Result<()> {
    reapplied(world, "again-replace", Manner::Replace).await
}

/// A tool that writes the route back every second: exposure stays within the stage and the tool is named.
pub(crate) async fn route_weights_reverted_are_reported(world: &World) -> Result<()> {
    let scene = Scene::open(world, "reverted").await?;
    scene.guarded(3, &[]).await?;
    let load = scene.load(50).await?;
    let route = scene.route().await?;
    scene.ship("v2", 3, &[]).await?;
    let change = scene.change(1).await?;
    let name = change.name_any();
    scene
        .until_change(&name, "to be exposed", 3 * MINUTE, |c| c.status.as_ref().is_some_and(|s| s.stage_began_at.is_some()))
        .await?;
    let manifests = [scene.within(&manifests::route(&scene.host()))];
    let tool = GitOps::start(&world.lab, yaml(&manifests), Manner::ServerSide, Duration::from_secs(1))?;
    let contended = scene
        .until_change(&name, "to report contention", 3 * MINUTE, |c| {
            c.status.iter().flat_map(|s| &s.decisions).any(|decision| decision.reason == "Contention")
        })
        .await?;
    let told = contended.status.iter().flat_map(|s| &s.decisions).find(|d| d.reason == "Contention").map(|d| d.message.clone());
    println!("contention: {told:?}");
    ensure!(told.is_some_and(|told| told.contains("gitops") || told.contains("kubectl")), "the other manager is not named");
    tool.stop().await?;
    let put_back = scene.chronicle.entries().iter().rev().find_map(|(_, seen)| match seen {
        Seen::Route(share) => Some(*share),
        _ => None,
    });
    ensure!(put_back.is_some(), "the route was not seen");
    scene.ends(&name, Phase::Promoted, 8 * MINUTE).await?;
    ensure!(load.stop().await.total_failed() == 0, "requests failed");
    scene.close(Some(&route), &change.spec.stable.replica_set).await
}

/// Someone who may edit but not bypass resumes the rollout: it stays held.
pub(crate) async fn resume_without_the_verb_changes_nothing(world: &World) -> Result<()> {
    let scene = Scene::open(world, "resumed").await?;
    scene.guarded(3, &[]).await?;
    let load = scene.load(50).await?;
    let route = scene.route().await?;
    scene.kubectl(&["create", "rolebinding", "edit", "--clusterrole=edit", "--user=dev"]).await?;
    scene.kubectl(&["create", "rolebinding", "breaker-edit", "--clusterrole=edit", "--user=breaker"]).await?;
    scene.kubectl(&["create", "rolebinding", "breaker", "--clusterrole=firebreak-bypass", "--user=breaker"]).await?;
    scene.ship("v2", 3, &[]).await?;
    let change = scene.change(1).await?;
    let name = change.name_any();
    let deployment = format!("deployment/{APP}");
    scene.kubectl(&["--as=dev", "rollout", "resume", &deployment]).await?;
    scene.kubectl(&["--as=dev", "annotate", &deployment, "firebreak.dev/bypass=because"]).await?;
    ensure!(scene.deployment().await?.data.pointer("/spec/paused") == Some(&json!(true)), "the workload was resumed");
    scene
        .until_change(&name, "to be exposed", 3 * MINUTE, |c| c.status.as_ref().is_some_and(|s| s.stage_began_at.is_some()))
        .await?;
    // Who holds the verb lets it through, at once and unjudged: the operator gets out of the way.
    scene.kubectl(&["--as=breaker", "annotate", "--overwrite", &deployment, "firebreak.dev/bypass=INC-1: the fix"]).await?;
    scene.rolled_out().await?;
    scene.until_change(&name, "to end", 4 * MINUTE, |change| phase_of(change).ended()).await?;
    scene.guard_is("Guarding").await?;
    let deployment = scene.deployment().await?;
    ensure!(deployment.data.pointer("/spec/paused").is_none(), "the workload is held after a bypass");
    ensure!(scene.changes().await?.len() == 1, "a Change began for what was let through");
    load.stop().await;
    // I4 ends with the bypass: the native controller scales the old pods away, as it was told to.
    scene.close(Some(&route), "").await
}

/// As an autoscaler does.
pub(crate) async fn replicas_change_while_a_change_runs(world: &World) -> Result<()> {
    let scene = Scene::open(world, "scaled").await?;
    scene.guarded(4, &[]).await?;
    let load = scene.load(50).await?;
    let route = scene.route().await?;
    scene.ship("v2", 4, &[]).await?;
    let change = scene.change(1).await?;
    let name = change.name_any();
    scene
        .until_change(&name, "to be exposed", 3 * MINUTE, |c| c.status.as_ref().is_some_and(|s| s.stage_began_at.is_some()))
        .await?;
    for size in ["10", "4"] {
        scene.kubectl(&["scale", "deployment", APP, &format!("--replicas={size}")]).await?;
        until("stable to follow", 3 * MINUTE, async || {
            let stable = scene.raw("apps", "ReplicaSet", "replicasets").get(&change.spec.stable.replica_set).await?;
            let wanted = stable.data.pointer("/spec/replicas").map(ToString::to_string);
            Ok((wanted.as_deref() == Some(size)).then_some(()))
        })
        .await?;
    }
    scene.ends(&name, Phase::Promoted, 8 * MINUTE).await?;
    scene.rolled_out().await?;
    ensure!(scene.pods(&change.spec.candidate.hash).await?.len() == 4, "not four pods after the hand-over");
    load.stop().await;
    scene.close(Some(&route), &change.spec.stable.replica_set).await
}
