//! Exposure without routes follows the pods; GRPCRoutes are divided as HTTPRoutes are.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use firebreak_api::change::Phase;
use firebreak_tests::{
    MINUTE, Scene, World,
    chronicle::{Seen, TOGETHER},
    manifests::{self, APP},
};
use kube::ResourceExt as _;
use serde_json::json;

/// A Guard that names no route: candidate pods join the Service.
async fn pod_share(world: &World, namespace: &str, failing: bool) -> Result<()> {
    let scene = Scene::open(world, namespace).await?;
    scene.apply(&[manifests::deployment("v1", 9, &[]), manifests::service(), manifests::route(&scene.host())]).await?;
    scene.rolled_out().await?;
    let mut guard = manifests::guard();
    guard["spec"].as_object_mut().map(|spec| spec.remove("traffic"));
    scene.apply(&[guard]).await?;
    scene.guard_is("Guarding").await?;
    let load = scene.load(100).await?;
    let route = scene.route().await?;
    let env: &[(&str, &str)] = if failing { &[("ERROR_RATE", "1.0")] } else { &[] };
    scene.ship("v2", 9, env).await?;
    let change = scene.change(1).await?;
    let expected = if failing { Phase::RolledBack } else { Phase::Promoted };
    scene.ends(&change.name_any(), expected, 8 * MINUTE).await?;
    let candidate = &change.spec.candidate.replica_set;
    let entries = scene.chronicle.entries();
    let largest = entries.iter().filter_map(|(_, seen)| match seen {
        Seen::ReplicaSet(name, size) if name == candidate => Some(*size),
        _ => None,
    });
    let report = scene.finish(load).await?;
    println!("{namespace}: {} of {} requests failed", report.total_failed(), report.total_sent());
    if failing {
        // 10 % of nine pods: one.
        ensure!(largest.max() == Some(1), "more than the stage's share of pods");
        ensure!(report.total_failed() <= 120, "{} requests failed", report.total_failed());
    } else {
        one_pod_in_the_first_stage(&entries, candidate)?;
        ensure!(report.total_failed() == 0, "{} requests failed", report.total_failed());
        scene.rolled_out().await?;
    }
    scene.close(Some(&route)).await
}

/// I1 where pods are the share: 10 % of nine pods is one, and the second comes after the second stage was granted.
fn one_pod_in_the_first_stage(entries: &[(Duration, Seen)], candidate: &str) -> Result<()> {
    let second_stage = entries.iter().find(|(_, seen)| matches!(seen, Seen::Change { weight, .. } if *weight > 10.0));
    let second_pod =
        entries.iter().find(|(_, seen)| matches!(seen, Seen::ReplicaSet(name, size) if name == candidate && *size > 1));
    let (Some((granted, _)), Some((grown, _))) = (second_stage, second_pod) else {
        bail!("the second stage, or its pods, were not seen");
    };
    ensure!(*grown + TOGETHER >= *granted, "I1: a second pod at {grown:?}, the second stage was granted at {granted:?}");
    Ok(())
}

pub(crate) async fn pods_are_the_share_of_a_harmless_release(world: &World) -> Result<()> {
    pod_share(world, "podshare", false).await
}

pub(crate) async fn pods_are_the_share_of_a_failing_release(world: &World) -> Result<()> {
    pod_share(world, "podshare-bad", true).await
}

pub(crate) async fn grpc_route_is_divided_and_restored(world: &World) -> Result<()> {
    let scene = Scene::open(world, "grpc").await?;
    let grpc = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "GRPCRoute", "metadata": {"name": "calls"},
        "spec": {
            "parentRefs": [manifests::parent()], "hostnames": ["calls.test"],
            "rules": [{"matches": [{"method": {"service": "shop.Cart"}}], "backendRefs": [{"name": APP, "port": 80}]}],
        },
    });
    let objects = [manifests::deployment("v1", 3, &[]), manifests::service(), manifests::route(&scene.host()), grpc];
    scene.apply(&objects).await?;
    scene.rolled_out().await?;
    let mut guard = manifests::guard();
    guard["spec"]["traffic"]["routes"] = json!([{"kind": "HTTPRoute", "name": APP}, {"kind": "GRPCRoute", "name": "calls"}]);
    scene.apply(&[guard]).await?;
    scene.guard_is("Guarding").await?;
    let load = scene.load(50).await?;
    let route = scene.route().await?;
    let calls = scene.raw("gateway.networking.k8s.io", "GRPCRoute", "grpcroutes");
    let before = calls.get("calls").await?;
    scene.ship("v2", 3, &[]).await?;
    let change = scene.exposed(1).await?;
    let name = change.name_any();
    let divided = calls.get("calls").await?;
    let names: Vec<_> = divided.data["spec"]["rules"][0]["backendRefs"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|entry| (entry["name"].clone(), entry["weight"].clone()))
        .collect();
    ensure!(names == [(json!(APP), json!(9)), (json!("shop-candidate"), json!(1))], "the GRPCRoute says {names:?}");
    scene.ends(&name, Phase::Promoted, 8 * MINUTE).await?;
    ensure!(calls.get("calls").await?.data["spec"] == before.data["spec"], "the GRPCRoute is not as it was");
    ensure!(scene.finish(load).await?.total_failed() == 0, "requests failed");
    scene.close(Some(&route)).await
}
