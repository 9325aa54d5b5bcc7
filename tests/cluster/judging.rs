//! What the traffic shows decides: harmless, slow, shared trouble, crashing, not starting.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context as _, Result, ensure};
use firebreak_api::{Change, change::Phase};
use firebreak_lab::{
    cluster::until,
    service::{Control, ControlServer},
};
use firebreak_tests::{
    MINUTE, Scene, World,
    harm::{Harm, serves_no_more},
    manifests,
    record::{HARM, decided, phase_of, reasons, waits_for},
};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use serde_json::json;

/// Failing share of every version here, stable's included.
const USUAL: (&str, &str) = ("ERROR_RATE", "0.001");

/// Three harmless releases in a row.
pub(crate) async fn harmless_releases_at_200_rps_are_promoted(world: &World) -> Result<()> {
    let scene = Scene::open(world, "harmless-200").await?;
    scene.guarded(10, &[USUAL]).await?;
    let load = scene.load(200).await?;
    let route = scene.route().await?;
    for number in 1..=3 {
        scene.ship(&format!("v{}", number + 1), 10, &[USUAL]).await?;
        let change = scene.change(number).await?;
        scene.ends(&change.name_any(), Phase::Promoted, 10 * MINUTE).await?;
        scene.guard_is("Guarding").await?;
    }
    scene.finish(load).await?;
    scene.close(Some(&route)).await
}

/// At 20 requests per second there is little to see: whatever it is, it is no harm.
pub(crate) async fn harmless_releases_at_20_rps_are_not_taken_back(world: &World) -> Result<()> {
    let scene = Scene::open(world, "harmless-20").await?;
    scene.guarded(10, &[USUAL]).await?;
    let load = scene.load(20).await?;
    let route = scene.route().await?;
    let mut serving = "v1".to_owned();
    let mut shipped: Vec<(String, String)> = Vec::new();
    for number in 1..=3 {
        let version = format!("v{}", number + 1);
        scene.ship(&version, 10, &[USUAL]).await?;
        if let Some((name, before)) = shipped.last()
            && was_not_harm(&scene, name).await? == Phase::Promoted
        {
            serving.clone_from(before);
        }
        let change = scene.change(number).await?;
        let name = change.name_any();
        let enough = |change: &Change| {
            let seen = change.status.iter().flat_map(|status| &status.evidence).map(|e| e.candidate.requests).max();
            phase_of(change).ended() || seen.unwrap_or(0) >= 200
        };
        scene.until_change(&name, "to have 200 candidate requests", 10 * MINUTE, enough).await?;
        shipped.push((name, version));
    }
    // What is not over yet is withdrawn by stable's own template.
    if let Some((name, _)) = shipped.last() {
        if !phase_of(&scene.api::<Change>().get(name).await?).ended() {
            scene.ship(&serving, 10, &[USUAL]).await?;
        }
        was_not_harm(&scene, name).await?;
    }
    scene.finish(load).await?;
    scene.guard_is("Guarding").await?;
    scene.close(Some(&route)).await
}

/// Waits for the end of a Change, and that nothing took it back; how it ended.
async fn was_not_harm(scene: &Scene<'_>, name: &str) -> Result<Phase> {
    let change = scene.until_change(name, "to end", 4 * MINUTE, |change| phase_of(change).ended()).await?;
    let phase = phase_of(&change);
    println!("{}: {name} ended as {phase:?}", scene.namespace);
    ensure!(phase != Phase::RolledBack, "{name} was taken back: {:?}", reasons(&change));
    Ok(phase)
}

pub(crate) async fn slow_release_is_taken_back(world: &World) -> Result<()> {
    let scene = Scene::open(world, "slow").await?;
    scene.guarded_by(&manifests::guard_with_slow("300ms"), 4, &[]).await?;
    let load = scene.load(100).await?;
    let route = scene.route().await?;
    scene.ship("v2", 4, &[("LATENCY", "p50:400ms")]).await?;
    let change = scene.change(1).await?;
    let change = scene.ends(&change.name_any(), Phase::RolledBack, 4 * MINUTE).await?;
    let message = decided(&change, "SlowerThanStable");
    ensure!(message.is_some_and(|message| message.contains("signal slow")), "{:?}", change.status);
    ensure!(scene.finish(load).await?.total_failed() == 0, "requests failed");
    scene.close(Some(&route)).await
}

/// Both arms fail alike from mid-stage on: nobody is to blame, nothing goes on, and it ends by itself.
pub(crate) async fn shared_outage_is_a_named_hold(world: &World) -> Result<()> {
    let scene = Scene::open(world, "shared-outage").await?;
    let control = ControlServer::start(SocketAddr::from((world.lab.host_address_for_pods()?, 0))).await?;
    let url = control.url();
    scene.guarded(4, &[("CONTROL_URL", &url)]).await?;
    let load = scene.load(100).await?;
    let route = scene.route().await?;
    until("stable to have a past", 3 * MINUTE, async || Ok((load.snapshot().total_sent() >= 2000).then_some(()))).await?;
    scene.ship("v2", 4, &[("CONTROL_URL", &url)]).await?;
    let name = scene.exposed(1).await?.name_any();
    control.set(Control { error_rate: Some(0.3), ..Control::default() });
    let unhealthy = ["StableUnhealthy"];
    scene.until_change(&name, "to hold for stable", 3 * MINUTE, |change| waits_for(change, &unhealthy)).await?;
    scene.stays(&name, &unhealthy, MINUTE / 2).await?;
    control.set(Control::default());
    scene.ends(&name, Phase::Promoted, 8 * MINUTE).await?;
    scene.finish(load).await?;
    scene.close(Some(&route)).await
}

/// Whether a container of the pod was started anew and the pod is not ready now.
fn crashed(pod: &Pod) -> bool {
    let status = pod.status.as_ref();
    let mut conditions = status.iter().flat_map(|status| status.conditions.iter().flatten());
    let ready = conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True");
    let mut containers = status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    !ready && containers.any(|container| container.restart_count > 0)
}

/// One of four candidate pods crashes again and again, the others fail 30 %: readiness blocks no way back.
pub(crate) async fn crashing_pod_does_not_block_the_way_back(world: &World) -> Result<()> {
    // It has a time limit, so it takes the machine alone.
    let _alone = world.machine.alone().await?;
    let scene = Scene::open(world, "crashing").await?;
    let control = ControlServer::start(SocketAddr::from((world.lab.host_address_for_pods()?, 0))).await?;
    let url = control.url();
    // The first stage of 40 % takes four of ten pods.
    scene.guarded(10, &[("CONTROL_URL", &url)]).await?;
    let load = scene.load(200).await?;
    let route = scene.route().await?;
    let mut policy = manifests::policy();
    policy["metadata"]["name"] = json!("crashing");
    for level in ["low", "medium", "high", "critical"] {
        policy["spec"]["levels"][level]["stages"] = json!([40, 100]);
        policy["spec"]["levels"][level]["approvalAt"] = json!([]);
    }
    let mut guard = manifests::guard();
    guard["spec"]["policyRef"]["name"] = json!("crashing");
    scene.apply(&[policy, guard]).await?;
    scene.ship("v2", 10, &[("CONTROL_URL", &url)]).await?;
    let name = scene.change(1).await?.name_any();
    let pods = control.wait_for_pods("v2", 4, 4 * MINUTE).await.context("four candidate pods did not come up")?;
    scene.exposed(1).await?;
    let crashing = pods.first().cloned().unwrap_or_default();
    control.set(Control { crash_pods: [crashing.clone()].into(), ..Control::default() });
    // Only a pod that is known to be unready can stand in front of the way back.
    until("the pod to have crashed and to be unready", MINUTE, async || {
        Ok((scene.api::<Pod>().get(&crashing).await.is_ok_and(|pod| crashed(&pod))).then_some(()))
    })
    .await?;
    let failing = firebreak_lab::service::Override { error_rate: Some(0.3), ..Default::default() };
    let from = load.elapsed();
    control.update(|control| control.by_version = [("v2".to_owned(), failing)].into());
    let change = scene.ends(&name, Phase::RolledBack, 3 * MINUTE).await?;
    let reasons = reasons(&change);
    ensure!(reasons.iter().any(|reason| HARM.contains(reason)), "taken back, but not for its failures: {reasons:?}");
    serves_no_more(&load, "v2").await?;
    let report = scene.finish(load).await?;
    let harm = Harm::of(&report, "v2", Duration::ZERO, Duration::MAX)?;
    let last = report.by_version("v2").map(|series| series.last_response()).unwrap_or_default();
    println!(
        "crashing pod: last candidate response {:.1} s after its first, {:.1} s after it began to fail; {} failed, {} of them \
         without an answer",
        harm.seconds,
        last.saturating_sub(from).as_secs_f64(),
        harm.failed(),
        harm.unanswered
    );
    ensure!(harm.seconds <= 15.0, "it took {:.1} s", harm.seconds);
    scene.close(Some(&route)).await
}

/// `progressDeadlineSeconds` of a candidate that cannot start: by then its pods must be ready.
const READY_DEADLINE: Duration = Duration::from_secs(15);

async fn never_starts(world: &World, namespace: &str, broken: serde_json::Value, word: &str) -> Result<()> {
    let scene = Scene::open(world, namespace).await?;
    scene.guarded(3, &[]).await?;
    let load = scene.load(50).await?;
    let route = scene.route().await?;
    let mut deployment = manifests::deployment("v2", 3, &[]);
    deployment["spec"]["progressDeadlineSeconds"] = json!(READY_DEADLINE.as_secs());
    let container = &mut deployment["spec"]["template"]["spec"]["containers"][0];
    for (field, value) in broken.as_object().into_iter().flatten() {
        container[field] = value.clone();
    }
    scene.apply(&[deployment]).await?;
    let change = scene.change(1).await?;
    let before = scene.pods(&change.spec.stable.hash).await?;
    ensure!(before.len() == 3 && before.iter().all(|(_, _, restarts)| *restarts == 0), "stable before: {before:?}");
    let change = scene.ends(&change.name_any(), Phase::RolledBack, 4 * MINUTE).await?;
    let message = decided(&change, "CandidateNotReady").unwrap_or_default();
    let decision = |reason: &str| {
        let decision = change.status.iter().flat_map(|status| &status.decisions).find(|decision| decision.reason == reason);
        decision.with_context(|| format!("no decision {reason}: {:?}", reasons(&change)))
    };
    let waited = decision("CandidateNotReady")?.at.duration_since(decision("Preparing")?.at).unsigned_abs();
    println!("{namespace}: after {waited:.1?}: {message}");
    ensure!(waited >= READY_DEADLINE, "taken back after {waited:.1?}, before its deadline of {READY_DEADLINE:?}");
    ensure!(
        waited <= 2 * READY_DEADLINE,
        "taken back {waited:.1?} after its pods were asked for, the deadline is {READY_DEADLINE:?}"
    );
    ensure!(message.contains(word), "the reason does not name {word}: {message}");
    ensure!(scene.pods(&change.spec.stable.hash).await? == before, "stable's pods changed");
    let report = scene.finish(load).await?;
    ensure!(report.by_version("v2").is_none() && report.total_failed() == 0, "something of it served, or requests failed");
    scene.close(Some(&route)).await
}

pub(crate) async fn image_that_cannot_start_is_taken_back(world: &World) -> Result<()> {
    never_starts(world, "no-image", json!({"image": "localhost/nothing:here"}), "ErrImageNeverPull").await
}

pub(crate) async fn pods_that_cannot_be_scheduled_are_taken_back(world: &World) -> Result<()> {
    never_starts(world, "no-node", json!({"resources": {"requests": {"cpu": "500"}}}), "Unschedulable").await
}
