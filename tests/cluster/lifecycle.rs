//! What people do while a Change runs, and workloads in any state.

use anyhow::{Context as _, Result, ensure};
use firebreak_api::{
    change::{Change, Phase},
    guard::Hold,
    names::{self, HELD},
};
use firebreak_lab::cluster::until;
use firebreak_tests::{
    MINUTE, Scene, World,
    chronicle::Seen,
    harm::serves_no_more,
    manifests::{self, APP},
    record::{decided, phase_of, waits_for},
    world::WITHOUT_POLICY,
};
use kube::ResourceExt as _;
use serde_json::json;

pub(crate) async fn third_template_supersedes(world: &World) -> Result<()> {
    let scene = Scene::open(world, "superseded").await?;
    scene.guarded(3, &[]).await?;
    let load = scene.load(50).await?;
    let route = scene.route().await?;
    scene.ship("v2", 3, &[]).await?;
    let first = scene.exposed(1).await?;
    scene.ship("v3", 3, &[]).await?;
    scene.ends(&first.name_any(), Phase::Superseded, 3 * MINUTE).await?;
    let second = scene.change(2).await?;
    ensure!(second.spec.stable == first.spec.stable, "{:?} became stable", second.spec.stable);
    serves_no_more(&load, "v2").await?;
    scene.ends(&second.name_any(), Phase::Promoted, 6 * MINUTE).await?;
    ensure!(scene.pods(&first.spec.candidate.hash).await?.is_empty(), "pods of the superseded candidate run");
    ensure!(scene.finish(load).await?.total_failed() == 0, "requests failed");
    scene.close(Some(&route)).await
}

pub(crate) async fn stable_template_again_withdraws(world: &World) -> Result<()> {
    let scene = Scene::open(world, "withdrawn").await?;
    scene.guarded(3, &[]).await?;
    let load = scene.load(50).await?;
    let route = scene.route().await?;
    scene.ship("v2", 3, &[]).await?;
    let change = scene.exposed(1).await?;
    scene.ship("v1", 3, &[]).await?;
    scene.ends(&change.name_any(), Phase::Withdrawn, 3 * MINUTE).await?;
    scene.guard_is("Guarding").await?;
    scene.rolled_out().await?;
    let deployment = scene.deployment().await?;
    ensure!(deployment.data.pointer("/spec/paused").is_none(), "the workload is still paused");
    ensure!(!deployment.annotations().contains_key(HELD), "the mark is left");
    serves_no_more(&load, "v2").await?;
    ensure!(scene.pods(&change.spec.candidate.hash).await?.is_empty(), "pods of the withdrawn candidate run");
    ensure!(scene.finish(load).await?.total_failed() == 0, "requests failed");
    scene.close(Some(&route)).await
}

pub(crate) async fn condemned_template_stays_held_until_retried(world: &World) -> Result<()> {
    let scene = Scene::open(world, "condemned").await?;
    scene.guarded(3, &[]).await?;
    let load = scene.load(100).await?;
    let route = scene.route().await?;
    let bad: manifests::Env<'_> = &[("ERROR_RATE", "1.0")];
    scene.ship("bad", 3, bad).await?;
    let first = scene.change(1).await?;
    scene.ends(&first.name_any(), Phase::RolledBack, 4 * MINUTE).await?;
    scene.ship("v1", 3, &[]).await?;
    scene.guard_is("Guarding").await?;
    scene.ship("bad", 3, bad).await?;
    let applied = scene.chronicle.elapsed();
    scene.guard_is("Condemned").await?;
    serves_no_more(&load, "bad").await?;
    ensure!(scene.changes().await?.len() == 1, "a Change began for a condemned template");
    scene.chronicle.check_paused_since(applied)?;
    let held = scene.deployment().await?;
    ensure!(held.annotations().get(HELD).map(String::as_str) == Some(APP), "not marked as held: {:?}", held.annotations());
    ensure!(scene.pods(&first.spec.candidate.hash).await?.is_empty(), "pods of the condemned candidate run");
    scene.firebreak(&["retry", APP, "--reason", "a test"])?;
    let second = scene.change(2).await?;
    ensure!(second.spec.attempt == 2, "attempt {}", second.spec.attempt);
    scene.ends(&second.name_any(), Phase::RolledBack, 4 * MINUTE).await?;
    serves_no_more(&load, "bad").await?;
    scene.finish(load).await?;
    scene.close(Some(&route)).await
}

pub(crate) async fn operator_absent_the_api_server_holds(world: &World) -> Result<()> {
    let mut scene = Scene::open(world, "absent").await?;
    scene.guarded(3, &[]).await?;
    let load = scene.load(50).await?;
    let route = scene.route().await?;
    scene.operator.kill();
    scene.ship("v2", 3, &[]).await?;
    let deployment = scene.deployment().await?;
    ensure!(deployment.data.pointer("/spec/paused") == Some(&json!(true)), "not held");
    ensure!(deployment.annotations().get(HELD).map(String::as_str) == Some(APP), "not marked as held");
    ensure!(scene.changes().await?.is_empty() && load.snapshot().by_version("v2").is_none(), "something runs from it");
    scene.operator.start()?;
    let change = scene.change(1).await?;
    ensure!(change.spec.hold == Hold::Admission, "held {:?}", change.spec.hold);
    ensure!(change.spec.claims.changed_by.is_some(), "nobody knows who changed it");
    scene.ends(&change.name_any(), Phase::Promoted, 6 * MINUTE).await?;
    ensure!(scene.finish(load).await?.total_failed() == 0, "requests failed");
    scene.close(Some(&route)).await
}

/// Pods that a first stage of 10 % needs of six: two, since one pod's own troubles are not the revision's.
const STAGE_PODS: u64 = 2;

/// The chart's policy leaves this namespace out: first a harmless version, then one that fails.
pub(crate) async fn without_policy_the_operator_holds_late(world: &World) -> Result<()> {
    let scene = Scene::open(world, WITHOUT_POLICY).await?;
    scene.guarded(6, &[]).await?;
    let load = scene.load(100).await?;
    let route = scene.route().await?;
    scene.ship("v2", 6, &[]).await?;
    let change = scene.change(1).await?;
    ensure!(change.spec.hold == Hold::Late, "held {:?}", change.spec.hold);
    let change = scene.ends(&change.name_any(), Phase::Promoted, 6 * MINUTE).await?;
    held_late(&scene, &change)?;
    ensure!(load.snapshot().total_failed() == 0, "requests failed");
    scene.guard_is("Guarding").await?;
    scene.ship("v3", 6, &[("ERROR_RATE", "1.0")]).await?;
    let change = scene.change(2).await?;
    ensure!(change.spec.hold == Hold::Late, "held {:?}", change.spec.hold);
    let change = scene.ends(&change.name_any(), Phase::RolledBack, 4 * MINUTE).await?;
    held_late(&scene, &change)?;
    scene.finish(load).await?;
    scene.close(Some(&route)).await
}

/// The native controller's pods of the candidate were cut down to the stage's before the first weight, and what ran until
/// then is reported: since when, how much, and what it served.
fn held_late(scene: &Scene<'_>, change: &Change) -> Result<()> {
    let (name, set) = (change.name_any(), &change.spec.candidate.replica_set);
    let entries = scene.chronicle.entries();
    let of_change = |fits: &dyn Fn(Phase, f64) -> bool| {
        entries.iter().position(
            |(_, seen)| matches!(seen, Seen::Change { name: of, phase, weight, .. } if *of == name && fits(*phase, *weight)),
        )
    };
    let weighed = of_change(&|_, weight| weight > 0.0);
    let until = weighed.or_else(|| of_change(&|phase, _| phase == Phase::RollingBack)).unwrap_or(entries.len());
    let mut sizes = entries
        .iter()
        .take(until)
        .filter_map(|(_, seen)| if let Seen::ReplicaSet(of, size) = seen { (of == set).then_some(*size) } else { None });
    let size = sizes.next_back().context("the candidate's ReplicaSet was not seen")?;
    ensure!(size <= STAGE_PODS, "{size} pods of the candidate at the first weight, not the stage's {STAGE_PODS}");
    let late = decided(change, "HeldLate").context("the window is not reported")?;
    let exposure = decided(change, "LateExposure").context("what the late pods served is not reported")?;
    println!("late hold: {} pods; {late}; {exposure}", change.spec.candidate.late_pods);
    ensure!(late.contains("had been started before"), "{late}");
    ensure!(exposure.contains("ran unheld for up to"), "{exposure}");
    if phase_of(change) == Phase::Promoted {
        ensure!(exposure.contains("had answered"), "what they served was not counted: {exposure}");
    }
    Ok(())
}

pub(crate) async fn an_older_revision_is_taken_over(world: &World) -> Result<()> {
    let scene = Scene::open(world, "older").await?;
    scene.guarded(3, &[]).await?;
    let load = scene.load(50).await?;
    let route = scene.route().await?;
    scene.ship("v2", 3, &[]).await?;
    let first = scene.change(1).await?;
    scene.ends(&first.name_any(), Phase::Promoted, 6 * MINUTE).await?;
    scene.guard_is("Guarding").await?;
    scene.ship("v1", 3, &[]).await?;
    let second = scene.change(2).await?;
    ensure!(second.spec.candidate.taken_over, "the old ReplicaSet was not taken over");
    ensure!(second.spec.candidate.replica_set == first.spec.stable.replica_set, "another ReplicaSet was taken over");
    scene.ends(&second.name_any(), Phase::Promoted, 6 * MINUTE).await?;
    scene.rolled_out().await?;
    ensure!(scene.finish(load).await?.total_failed() == 0, "requests failed");
    scene.close(Some(&route)).await
}

pub(crate) async fn scaled_to_zero_waits_and_missing_is_adopted(world: &World) -> Result<()> {
    let scene = Scene::open(world, "states").await?;
    // The Guard is there before its workload.
    scene.apply(&[manifests::guard(), manifests::service(), manifests::route(&scene.host())]).await?;
    scene.guard_is("TargetNotFound").await?;
    scene.apply(&[manifests::deployment("v1", 2, &[])]).await?;
    scene.guard_is("Guarding").await?;
    scene.kubectl(&["scale", "deployment", APP, "--replicas=0"]).await?;
    until("no pods", 3 * MINUTE, async || {
        let deployment = scene.deployment().await?;
        let left = deployment.data.pointer("/status/replicas").and_then(serde_json::Value::as_u64).unwrap_or(0);
        Ok((left == 0).then_some(()))
    })
    .await?;
    scene.ship("v2", 0, &[]).await?;
    let change = scene.change(1).await?;
    let name = change.name_any();
    scene.until_change(&name, "to wait for pods to be wanted", 3 * MINUTE, |c| waits_for(c, &["WorkloadScaledToZero"])).await?;
    scene.kubectl(&["scale", "deployment", APP, "--replicas=3"]).await?;
    let load = scene.load(50).await?;
    scene.ends(&name, Phase::Promoted, 6 * MINUTE).await?;
    scene.finish(load).await?;
    scene.close(None).await
}

pub(crate) async fn mid_rollout_and_paused_workloads_are_adopted(world: &World) -> Result<()> {
    let scene = Scene::open(world, "adopted").await?;
    scene.apply(&[manifests::deployment("v1", 3, &[]), manifests::service(), manifests::route(&scene.host())]).await?;
    scene.rolled_out().await?;
    // A native rollout that takes its time is under way when the Guard comes.
    scene.apply(&[manifests::deployment("v2", 3, &[("READY_AFTER", "3")]), manifests::guard()]).await?;
    scene.guard_is("Guarding").await?;
    scene.rolled_out().await?;
    ensure!(scene.changes().await?.is_empty(), "the rollout under way became a Change");
    scene.kubectl(&["delete", "guard", APP]).await?;
    scene.kubectl(&["rollout", "pause", &format!("deployment/{APP}")]).await?;
    scene.ship("v3", 3, &[]).await?;
    scene.apply(&[manifests::guard()]).await?;
    let load = scene.load(50).await?;
    let change = scene.change(1).await?;
    scene.ends(&change.name_any(), Phase::Promoted, 6 * MINUTE).await?;
    scene.rolled_out().await?;
    scene.finish(load).await?;
    scene.close(None).await
}

pub(crate) async fn humans_steer_by_interventions(world: &World) -> Result<()> {
    let scene = Scene::open(world, "steered").await?;
    scene.guarded(3, &[]).await?;
    let load = scene.load(50).await?;
    let route = scene.route().await?;
    let mut risky = manifests::deployment("v2", 3, &[]);
    // Every claim there is, none of which can be read, and the remedy that is named.
    let malformed = [
        (names::RISK, "severe", "low, medium, high or critical"),
        (names::RISK_SCORE, "2", "a number from \"0.00\" to \"1.00\""),
        (names::AI_CONTRIBUTION, "robot", "human, ai, mixed or unknown"),
        (names::AI_AGENTS, " ", "a text of 1 to 1024 bytes"),
        (names::REVISION, "", "a text of 1 to 1024 bytes"),
        (names::AUTHOR, " ", "a text of 1 to 1024 bytes"),
        (names::REVIEWED_BY, " ", "a text of 1 to 1024 bytes"),
        (names::CHANGE_URL, "ftp://somewhere", "an http or https address"),
        (names::SUMMARY, "", "a text of 1 to 1024 bytes"),
    ];
    ensure!(malformed.map(|(name, ..)| name) == names::CLAIMS, "a claim is not in the table");
    risky["metadata"]["annotations"] = malformed.iter().map(|(name, text, _)| (*name, *text)).collect();
    scene.apply(&[risky]).await?;
    let change = scene.exposed(1).await?;
    let name = change.name_any();
    ensure!(change.spec.risk.level == "high", "level {}", change.spec.risk.level);
    for (name, _, remedy) in malformed {
        let said = |problem: &String| problem.contains(name) && problem.contains(remedy);
        ensure!(change.spec.claims.problems.iter().any(said), "{name}, {remedy}: {:?}", change.spec.claims.problems);
    }
    scene.firebreak(&["pause", APP, "--reason", "look first"])?;
    scene.until_change(&name, "to be paused", 2 * MINUTE, |c| c.status.as_ref().is_some_and(|status| status.paused)).await?;
    let replayed = scene.firebreak(&["replay", APP])?;
    ensure!(replayed.contains(" 0 different, 0 not computed"), "decisions are not computed again: {replayed}");
    let explained = scene.firebreak(&["explain", APP])?;
    ensure!(explained.contains("paused") || explained.contains("Paused"), "explain says nothing of the pause: {explained}");
    scene.firebreak(&["resume", APP])?;
    // Who asked for a template that humans are asked about does not promote it.
    ensure!(
        scene
            .firebreak(&["promote", APP, "--reason", "a test"])
            .is_err_and(|error| error.to_string().contains("their own change"))
    );
    let ann = scene.person("ann", &[], &["firebreak-approver"]).await?;
    ann.firebreak(&["promote", APP, "--reason", "a test"])?;
    scene
        .until_change(&name, "to be at 50 %", 3 * MINUTE, |c| c.status.as_ref().is_some_and(|s| s.weight_percent > 49.0))
        .await?;
    scene.until_change(&name, "to wait for a human", 4 * MINUTE, |c| waits_for(c, &["WaitingForHuman"])).await?;
    let answer = scene.firebreak(&["abort", APP, "--reason", "not today"])?;
    println!("abort: {answer}");
    let ended = scene.ends(&name, Phase::RolledBack, 3 * MINUTE).await?;
    let decisions = ended.status.unwrap_or_default().decisions;
    ensure!(decisions.iter().any(|decision| decision.reason == "Aborted" && decision.message.contains("admin")), "{decisions:?}");
    ensure!(scene.finish(load).await?.total_failed() == 0, "requests failed");
    scene.close(Some(&route)).await
}

/// Claims that are edited while the Change runs: lower ones change nothing, higher ones begin a Change of their level.
pub(crate) async fn claims_that_rise_begin_anew(world: &World) -> Result<()> {
    let scene = Scene::open(world, "raised").await?;
    scene.guarded(3, &[]).await?;
    let load = scene.load(50).await?;
    let route = scene.route().await?;
    scene.ship("v2", 3, &[]).await?;
    let first = scene.change(1).await?;
    ensure!(first.spec.risk.level == "medium", "level {}", first.spec.risk.level);
    let claim = async |level: &str| {
        let risk = format!("{}={level}", names::RISK);
        scene.kubectl(&["annotate", "--overwrite", &format!("deployment/{APP}"), &risk]).await
    };
    claim("low").await?;
    scene.exposed(1).await?;
    ensure!(scene.changes().await?.len() == 1, "a lower claim began a Change");
    claim("high").await?;
    let ended = scene.ends(&first.name_any(), Phase::Superseded, MINUTE).await?;
    println!("raised: {}", decided(&ended, "RiskRaised").context("it does not say why it ended")?);
    let second = scene.exposed(2).await?;
    ensure!(second.spec.risk.level == "high", "level {}", second.spec.risk.level);
    ensure!(second.spec.candidate.template == first.spec.candidate.template, "another template");
    scene.firebreak(&["abort", APP])?;
    scene.ends(&second.name_any(), Phase::RolledBack, 3 * MINUTE).await?;
    ensure!(scene.finish(load).await?.total_failed() == 0, "requests failed");
    scene.close(Some(&route)).await
}

pub(crate) async fn guard_deleted_takes_its_candidate_back_first(world: &World) -> Result<()> {
    let scene = Scene::open(world, "leaving").await?;
    scene.guarded(3, &[]).await?;
    let load = scene.load(50).await?;
    let route = scene.route().await?;
    scene.ship("v2", 3, &[]).await?;
    scene.exposed(1).await?;
    scene.kubectl(&["delete", "guard", APP, "--timeout=60s"]).await?;
    ensure!(scene.finish(load).await?.total_failed() == 0, "requests failed");
    let deployment = scene.deployment().await?;
    ensure!(!deployment.annotations().contains_key(HELD), "the mark is left");
    scene.close(Some(&route)).await
}
