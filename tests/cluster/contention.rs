//! Others write the same objects: the hold and the invariants stand.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use firebreak_api::{Guard, change::Phase, names};
use firebreak_lab::{
    cluster::until,
    faults::{GitOps, Manner},
};
use firebreak_tests::{
    MINUTE, Scene, World,
    chronicle::{Seen, TOGETHER},
    manifests::{self, APP, yaml},
    record::waits_for,
};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

/// A candidate follows a stable that shrinks within this, on a busy machine.
const FOLLOWS: Duration = Duration::from_secs(10);

/// The workload and its Service are applied again every second, as a GitOps tool does.
async fn reapplied(world: &World, namespace: &str, manner: Manner) -> Result<()> {
    let scene = Scene::open(world, namespace).await?;
    scene.guarded(3, &[]).await?;
    let load = scene.load(50).await?;
    let route = scene.route().await?;
    let manifests = [manifests::deployment("v2", 3, &[]), manifests::service()].map(|object| scene.within(&object));
    let tool = GitOps::start(&world.lab, yaml(&manifests), manner, Duration::from_secs(1))?;
    let change = scene.exposed(1).await?;
    in_sync(&scene, &yaml(&manifests), manner).await?;
    let change = scene.ends(&change.name_any(), Phase::Promoted, 8 * MINUTE).await?;
    ensure!(tool.rounds() >= 5, "{} rounds of the tool only", tool.rounds());
    in_peace(namespace, tool, manner).await?;
    ensure!(scene.finish(load).await?.total_failed() == 0, "requests failed");
    scene.chronicle.check_held(&change.name_any())?;
    scene.guard_is("Guarding").await?;
    scene.close(Some(&route)).await
}

/// Ends the tool: Firebreak stood in the way of none of its rounds. A replacement may meet a write between its own reading and
/// writing, and is then tried again.
async fn in_peace(namespace: &str, tool: GitOps, manner: Manner) -> Result<()> {
    let (rounds, failures, errors) = (tool.rounds(), tool.failures(), tool.errors());
    println!("{namespace}: {rounds} rounds, {failures} failed: {:?}", errors.first());
    tool.stop().await?;
    let conflicts = errors.iter().all(|error| error.contains("the object has been modified"));
    let bearable = manner == Manner::Replace && conflicts && failures * 4 <= rounds;
    ensure!(failures == 0 || bearable, "{failures} of {rounds} rounds of the tool failed: {errors:#?}");
    Ok(())
}

/// What the tool applies is in sync while the candidate serves: it sees no difference, and without force meets no conflict.
async fn in_sync(scene: &Scene<'_>, text: &str, manner: Manner) -> Result<()> {
    let file = std::env::temp_dir().join("firebreak-tests").join(format!("{}.yaml", scene.namespace));
    std::fs::write(&file, text)?;
    let file = file.display().to_string();
    match manner {
        Manner::ServerSide => {
            let owner = ["--server-side", "--field-manager=gitops", "--filename", &file];
            scene.kubectl(&[&["diff"], owner.as_slice()].concat()).await.context("a difference is shown")?;
            scene.kubectl(&[&["apply"], owner.as_slice()].concat()).await.context("without force")?;
        }
        Manner::ClientSide => {
            scene.kubectl(&["diff", "--filename", &file]).await.context("a difference is shown")?;
        }
        Manner::Replace => {}
    }
    Ok(())
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

/// The route as well is applied again every second: the candidate's share is taken back again and again. Exposure stays
/// within the stage, the tool is named in the record and in an Event, and when it lets go the Change ends as it would have.
async fn all_reapplied(world: &World, namespace: &str, manner: Manner, manager: &str) -> Result<()> {
    let scene = Scene::open(world, namespace).await?;
    scene.guarded(3, &[]).await?;
    let load = scene.load(50).await?;
    let route = scene.route().await?;
    let objects = [manifests::deployment("v2", 3, &[]), manifests::service(), manifests::route(&scene.host())];
    let manifests = objects.map(|object| scene.within(&object));
    let tool = GitOps::start(&world.lab, yaml(&manifests), manner, Duration::from_secs(1))?;
    let name = scene.change(1).await?.name_any();
    contention_is_told(&scene, &name, manager).await?;
    tool.wait_for_rounds(5, MINUTE).await?;
    in_peace(namespace, tool, manner).await?;
    scene.chronicle.check_held(&name)?;
    scene.ends(&name, Phase::Promoted, 8 * MINUTE).await?;
    ensure!(scene.finish(load).await?.total_failed() == 0, "requests failed");
    scene.close(Some(&route)).await
}

/// Waits until the Change's record and an Event name the manager that contends.
async fn contention_is_told(scene: &Scene<'_>, change: &str, manager: &str) -> Result<()> {
    let named = format!("\"{manager}\" writes");
    let told = scene
        .until_change(change, "to report contention", 3 * MINUTE, |c| {
            c.status.iter().flat_map(|s| &s.decisions).any(|decision| decision.reason == "Contention")
        })
        .await?;
    let decisions = told.status.iter().flat_map(|s| &s.decisions).filter(|d| d.reason == "Contention");
    let messages: Vec<&str> = decisions.map(|decision| decision.message.as_str()).collect();
    ensure!(messages.iter().any(|message| message.contains(&named)), "{manager} is not named: {messages:?}");
    until("an Event that names the manager", MINUTE, async || {
        let only = ["get", "events", "--field-selector=reason=Contention", "--output=jsonpath={.items[*].message}"];
        Ok(scene.kubectl(&only).await?.contains(&named).then_some(()))
    })
    .await
}

pub(crate) async fn all_reapplied_client_side(world: &World) -> Result<()> {
    all_reapplied(world, "all-client", Manner::ClientSide, "kubectl-client-side-apply").await
}

pub(crate) async fn all_reapplied_server_side(world: &World) -> Result<()> {
    all_reapplied(world, "all-server", Manner::ServerSide, "gitops").await
}

pub(crate) async fn all_replaced(world: &World) -> Result<()> {
    all_reapplied(world, "all-replace", Manner::Replace, "kubectl-replace").await
}

/// Someone writes the route back once: the operator puts its entry back and says who it was.
pub(crate) async fn route_weights_reverted_are_reported(world: &World) -> Result<()> {
    let scene = Scene::open(world, "reverted").await?;
    scene.guarded(3, &[]).await?;
    let load = scene.load(50).await?;
    let route = scene.route().await?;
    scene.ship("v2", 3, &[]).await?;
    let change = scene.change(1).await?;
    let name = change.name_any();
    let shares = |from: usize| -> Vec<f64> {
        let share = |(_, seen): &(Duration, Seen)| if let Seen::Route(share) = seen { Some(*share) } else { None };
        scene.chronicle.entries().iter().skip(from).filter_map(share).collect()
    };
    until("the candidate's first share", 3 * MINUTE, async || Ok(shares(0).iter().any(|share| *share > 0.0).then_some(())))
        .await?;
    let from = scene.chronicle.entries().len();
    let rules = json!({"spec": {"rules": route.data["spec"]["rules"]}}).to_string();
    scene.kubectl(&["patch", "httproute", APP, "--type=merge", "--field-manager=someone", "--patch", &rules]).await?;
    until("the share to be put back", MINUTE, async || {
        let taken = shares(from).iter().skip_while(|share| **share > 0.0).any(|share| *share > 0.0);
        Ok(taken.then_some(()))
    })
    .await?;
    contention_is_told(&scene, &name, "someone").await?;
    // Someone who leaves the entry and rewrites its weight alone.
    let from = scene.chronicle.entries().len();
    let rules = json!({"spec": {"rules": without_weight(&scene.route().await?.data["spec"]["rules"])}}).to_string();
    scene.kubectl(&["patch", "httproute", APP, "--type=merge", "--field-manager=another", "--patch", &rules]).await?;
    until("the weight to be put back", MINUTE, async || {
        let taken = shares(from).iter().skip_while(|share| **share > 0.0).any(|share| *share > 0.0);
        Ok(taken.then_some(()))
    })
    .await?;
    contention_is_told(&scene, &name, "another").await?;
    scene.ends(&name, Phase::Promoted, 8 * MINUTE).await?;
    scene.chronicle.check_held(&name)?;
    ensure!(scene.finish(load).await?.total_failed() == 0, "requests failed");
    scene.close(Some(&route)).await
}

/// Rules of a route in which the candidate has no weight.
fn without_weight(rules: &Value) -> Value {
    let mut rules = rules.clone();
    let entries = rules.as_array_mut().into_iter().flatten().filter_map(|rule| rule["backendRefs"].as_array_mut()).flatten();
    let candidate = names::candidate_service(APP);
    entries.filter(|entry| entry["name"] == candidate.as_str()).for_each(|entry| entry["weight"] = json!(0));
    rules
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
    scene.exposed(1).await?;
    for _ in 0..5 {
        scene.kubectl(&["--as=dev", "rollout", "resume", &deployment]).await?;
        tokio::time::sleep(TOGETHER).await;
    }
    scene.chronicle.check_held(&name)?;
    // Who holds the verb lets it through, at once and unjudged: the operator gets out of the way.
    scene.kubectl(&["--as=breaker", "annotate", "--overwrite", &deployment, "firebreak.dev/bypass=INC-1: the fix"]).await?;
    scene.rolled_out().await?;
    scene.ends(&name, Phase::Withdrawn, 4 * MINUTE).await?;
    let guards: Api<Guard> = scene.api();
    until("the Guard to take the result as stable", MINUTE, async || {
        let status = guards.get(APP).await?.status.unwrap_or_default();
        ensure!(status.condemned.is_empty(), "what was let through is condemned");
        let pods = scene.pods(&status.stable.map(|stable| stable.hash).unwrap_or_default()).await?;
        Ok((status.active_change.is_none() && pods.len() == 3).then_some(()))
    })
    .await?;
    scene.guard_is("Guarding").await?;
    let deployment = scene.deployment().await?;
    ensure!(deployment.data.pointer("/spec/paused").is_none(), "the workload is held after a bypass");
    ensure!(scene.changes().await?.len() == 1, "a Change began for what was let through");
    ensure!(scene.finish(load).await?.total_failed() == 0, "requests failed");
    // I4 ends with the bypass: the native controller scales the old pods away, as it was told to.
    scene.close(Some(&route)).await
}

/// The same where the pods are the share: the candidate grows and shrinks with stable, and has at most half of the pods.
pub(crate) async fn replicas_change_where_pods_are_the_share(world: &World) -> Result<()> {
    let scene = Scene::open(world, "scaled-pods").await?;
    let mut policy = manifests::policy();
    policy["metadata"]["name"] = json!("half");
    policy["spec"]["levels"]["medium"]["stages"] = json!([50, 100]);
    policy["spec"]["levels"]["medium"]["approvalAt"] = json!([100]);
    let mut guard = manifests::guard();
    guard["spec"]["policyRef"]["name"] = json!("half");
    guard["spec"].as_object_mut().map(|spec| spec.remove("traffic"));
    scene.apply(&[policy]).await?;
    scene.guarded_by(&guard, 4, &[]).await?;
    let load = scene.load(50).await?;
    let route = scene.route().await?;
    scene.ship("v2", 4, &[]).await?;
    let change = scene.exposed(1).await?;
    let name = change.name_any();
    // It stays at half until a human lets it go on, so that the sizes below are those of one stage.
    scene.until_change(&name, "to wait for a human", 4 * MINUTE, |c| waits_for(c, &["WaitingForHuman"])).await?;
    let sets = [&change.spec.stable.replica_set, &change.spec.candidate.replica_set];
    for size in [10, 4] {
        scene.kubectl(&["scale", "deployment", APP, &format!("--replicas={size}")]).await?;
        for set in sets {
            until(&format!("{set} to have {size} pods"), 3 * MINUTE, async || {
                let set = scene.raw("apps", "ReplicaSet", "replicasets").get(set).await?;
                let ready = set.data.pointer("/status/readyReplicas").and_then(Value::as_u64);
                let wanted = set.data.pointer("/spec/replicas").and_then(Value::as_u64);
                Ok((wanted == Some(size) && ready == Some(size)).then_some(()))
            })
            .await?;
        }
    }
    within_half(&scene.chronicle.entries(), sets)?;
    let ann = scene.person("ann", &[], &["firebreak-approver"]).await?;
    ann.firebreak(&["approve", APP, "--reason", "a test"])?;
    scene.ends(&name, Phase::Promoted, 4 * MINUTE).await?;
    scene.rolled_out().await?;
    ensure!(scene.pods(&change.spec.candidate.hash).await?.len() == 4, "not four pods after the hand-over");
    ensure!(scene.finish(load).await?.total_failed() == 0, "requests failed");
    scene.close(Some(&route)).await
}

/// The candidate is asked to have no more pods than stable, but for the moment in which it follows a stable that shrinks.
fn within_half(entries: &[(Duration, Seen)], [stable, candidate]: [&String; 2]) -> Result<()> {
    let (mut ours, mut theirs, mut larger_since) = (0, 0, None);
    for (at, seen) in entries {
        match seen {
            Seen::ReplicaSet(name, size) if name == stable => ours = *size,
            Seen::ReplicaSet(name, size) if name == candidate => theirs = *size,
            _ => {}
        }
        let since = *larger_since.get_or_insert(*at);
        if theirs <= ours {
            larger_since = None;
        } else {
            ensure!(*at <= since + FOLLOWS, "I1: at {at:?} the candidate has had {theirs} pods beside {ours} since {since:?}");
        }
    }
    Ok(())
}

/// As an autoscaler does.
pub(crate) async fn replicas_change_while_a_change_runs(world: &World) -> Result<()> {
    let scene = Scene::open(world, "scaled").await?;
    scene.guarded(4, &[]).await?;
    let load = scene.load(50).await?;
    let route = scene.route().await?;
    scene.ship("v2", 4, &[]).await?;
    let change = scene.exposed(1).await?;
    let name = change.name_any();
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
    ensure!(scene.finish(load).await?.total_failed() == 0, "requests failed");
    scene.chronicle.check_held(&name)?;
    scene.close(Some(&route)).await
}
