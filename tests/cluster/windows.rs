//! Freeze windows and limits: what stands before a Change beside its evidence.

use std::{sync::OnceLock, time::Duration};

use anyhow::{Context as _, Result, ensure};
use firebreak_api::{Change, Guard, change::Phase, conditions};
use firebreak_lab::{
    cluster::until,
    load::{Config, Load},
};
use firebreak_tests::{
    MINUTE, Operator, Scene, World,
    manifests::{self, APP},
    record::{decided, phase_of, waits_for},
    world::JOIN,
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ListParams},
};
use serde_json::{Value, json};

/// Candidates come up, are seen and have their first share within this, six guarded workloads side by side.
const BEGINS_WITHIN: Duration = Duration::from_secs(90);

/// The policy of the tests under a name of its own, so that what a case limits or freezes is its own alone.
fn policy(name: &str, change: impl FnOnce(&mut Value)) -> Value {
    let mut policy = manifests::policy();
    policy["metadata"]["name"] = json!(name);
    policy["spec"]["levels"]["medium"]["stages"] = json!([20, 50, 100]);
    policy["spec"]["levels"]["medium"]["minBake"] = json!("10s");
    change(&mut policy["spec"]);
    policy
}

fn guard_of(policy: &str) -> Value {
    let mut guard = manifests::guard();
    guard["spec"]["policyRef"] = json!({"kind": "ClusterRiskPolicy", "name": policy});
    guard
}

/// A freeze that is open now, until so many seconds from now.
fn open_for(seconds: i64, running: &str, exception: &str) -> Result<(Value, Timestamp)> {
    let now = Timestamp::now();
    let until = now.checked_add(SignedDuration::from_secs(seconds))?;
    let from = now.checked_sub(SignedDuration::from_secs(1))?;
    let freeze = json!({"name": "audit", "from": from, "until": until, "running": running, "exception": exception});
    Ok((json!([freeze]), until))
}

fn message(change: &Change) -> String {
    let waiting = change.status.as_ref().and_then(|status| status.waiting.as_ref());
    waiting.map_or(String::new(), |waiting| waiting.message.clone())
}

fn weight(change: &Change) -> f64 {
    change.status.as_ref().map_or(0.0, |status| status.weight_percent)
}

/// A freeze begins while a Change is at 20 %: it stays there, and goes on when the window is over.
pub(crate) async fn a_freeze_holds_what_runs_at_its_stage(world: &World) -> Result<()> {
    let scene = Scene::open(world, "freeze-hold").await?;
    scene.apply(&[policy("freeze-hold", |_| {})]).await?;
    scene.guarded_by(&guard_of("freeze-hold"), 4, &[]).await?;
    let load = scene.load(100).await?;
    let route = scene.route().await?;
    scene.ship("v2", 4, &[]).await?;
    let name = scene.exposed(1).await?.name_any();
    let (freezes, _) = open_for(900, "Hold", "None")?;
    scene.apply(&[policy("freeze-hold", |spec| spec["freezes"] = freezes)]).await?;
    let held = scene.until_change(&name, "to be frozen", MINUTE, |change| waits_for(change, &["Frozen"])).await?;
    println!("freeze: {}", message(&held));
    ensure!((weight(&held) - 20.0).abs() < 0.01, "it is frozen at {} %", weight(&held));
    ensure!(
        message(&held).contains("freeze audit is in force until") && message(&held).contains("it stays at 20 %"),
        "{}",
        message(&held)
    );
    let (freezes, over) = open_for(15, "Hold", "None")?;
    scene.apply(&[policy("freeze-hold", |spec| spec["freezes"] = freezes)]).await?;
    let ended = scene.ends(&name, Phase::Promoted, 4 * MINUTE).await?;
    let after =
        ended.status.iter().flat_map(|status| &status.decisions).find(|decision| decision.message.starts_with("stage 2 "));
    let after = after.context("no second stage is recorded")?;
    ensure!(after.at >= over, "stage 2 began at {}, in the freeze that ended at {over}", after.at);
    ensure!(scene.finish(load).await?.total_failed() == 0, "requests failed");
    scene.close(Some(&route)).await
}

/// What has users when the freeze begins goes on to its end; what comes in it does not begin.
pub(crate) async fn a_freeze_lets_what_runs_finish_and_nothing_begin(world: &World) -> Result<()> {
    let scene = Scene::open(world, "freeze-finish").await?;
    scene.apply(&[policy("freeze-finish", |_| {})]).await?;
    scene.guarded_by(&guard_of("freeze-finish"), 4, &[]).await?;
    let load = scene.load(100).await?;
    let route = scene.route().await?;
    scene.ship("v2", 4, &[]).await?;
    let first = scene.exposed(1).await?.name_any();
    let (freezes, over) = open_for(900, "Finish", "None")?;
    scene.apply(&[policy("freeze-finish", |spec| spec["freezes"] = freezes.clone())]).await?;
    let ended = scene.ends(&first, Phase::Promoted, 4 * MINUTE).await?;
    ensure!(decided(&ended, "Frozen").is_none() && Timestamp::now() < over, "{:?}", decided(&ended, "Frozen"));
    scene.guard_is("Guarding").await?;
    scene.ship("v3", 4, &[]).await?;
    let second = scene.change(2).await?.name_any();
    let frozen = ["Frozen"];
    let held = scene.until_change(&second, "to be frozen", MINUTE, |change| waits_for(change, &frozen)).await?;
    println!("freeze: {}", message(&held));
    scene.stays(&second, &frozen, Duration::from_secs(5)).await?;
    ensure!(phase_of(&held) == Phase::Held && scene.pods(&held.spec.candidate.hash).await?.is_empty(), "something of it runs");
    scene.ship("v2", 4, &[]).await?;
    scene.ends(&second, Phase::Withdrawn, MINUTE).await?;
    ensure!(scene.finish(load).await?.total_failed() == 0, "requests failed");
    scene.close(Some(&route)).await
}

/// A freeze that lets exceptions through asks those whom the level asks; never who made the change.
pub(crate) async fn an_approval_lets_a_change_through_a_freeze(world: &World) -> Result<()> {
    let scene = Scene::open(world, "freeze-exception").await?;
    let (freezes, over) = open_for(900, "Hold", "Approval")?;
    scene.apply(&[policy("freeze-exception", |spec| spec["freezes"] = freezes.clone())]).await?;
    scene.guarded_by(&guard_of("freeze-exception"), 4, &[]).await?;
    let ann = scene.person("ann", &[], &["firebreak-approver"]).await?;
    let carol = scene.person("carol", &[], &["edit"]).await?;
    let load = scene.load(100).await?;
    let route = scene.route().await?;
    scene.ship("v2", 4, &[]).await?;
    let name = scene.change(1).await?.name_any();
    let frozen = ["FrozenUnlessApproved"];
    let held = scene.until_change(&name, "to be frozen", MINUTE, |change| waits_for(change, &frozen)).await?;
    ensure!(
        message(&held).contains("kubectl firebreak approve GUARD --reason '...' lets it through this window"),
        "{}",
        message(&held)
    );
    let explained = ann.firebreak(&["explain", APP])?;
    ensure!(explained.contains("ASKED     may it pass the freeze that is in force? 1 human"), "{explained}");
    carol.refused(&["approve", APP, "--reason", "it is urgent"])?;
    println!("exception: {}", ann.firebreak(&["approve", APP, "--reason", "it is urgent"])?.trim());
    let ended = scene.ends(&name, Phase::Promoted, 4 * MINUTE).await?;
    ensure!(Timestamp::now() < over, "the freeze was over");
    let words = decided(&ended, "FreezeExcepted").context("no exception is recorded")?;
    ensure!(words.contains("ann") && words.contains("freeze audit"), "{words}");
    ensure!(scene.finish(load).await?.total_failed() == 0, "requests failed");
    scene.close(Some(&route)).await
}

/// One of the workloads of the queue: namespace and name.
type Workload = (&'static str, &'static str);

/// Six Changes, of whom two may be under way: never more are, and they come in the order that was shown. In two namespaces, under
/// an operator of the whole cluster; in a lab that others use as well, in one.
pub(crate) async fn six_changes_queue_for_two_places(world: &World) -> Result<()> {
    let _alone = world.machine.alone().await?;
    let shared = std::env::var_os(JOIN).is_some();
    let (one, two) = ("queue-a", if shared { "queue-a" } else { "queue-b" });
    let scenes = [Scene::open_in_cluster(world, one).await?, Scene::open_in_cluster(world, "queue-b").await?];
    let prometheus = world.lab.prometheus_url()?;
    let mut operator = if shared { Operator::new(world, one, &prometheus)? } else { Operator::of_all(world, one, &prometheus)? };
    operator.start()?;
    let limited = policy("queue", |spec| {
        spec["levels"]["medium"]["minBake"] = json!("10m");
        spec["levels"]["medium"]["maxBake"] = json!("30m");
        spec["limits"] = json!({"cluster": 2});
    });
    scenes[0].apply(&[limited]).await?;
    let workloads: [Workload; 6] = [(one, "a1"), (one, "a2"), (one, "a3"), (two, "b1"), (two, "b2"), (two, "b3")];
    let scene_of = |namespace: &str| if namespace == one { &scenes[0] } else { &scenes[1] };
    let mut loads = Vec::new();
    for (namespace, name) in workloads {
        let host = format!("{name}.{one}.test");
        scene_of(namespace).apply(&manifests::neighbour(name, &host, 1, &[("VERSION", "v1")])).await?;
        loads.push(Load::start(&Config { host: Some(host), ..Config::new(world.lab.gateway_url()?, 10) })?);
    }
    for (namespace, name) in workloads {
        let scene = scene_of(namespace);
        scene.kubectl(&["rollout", "status", &format!("deployment/{name}"), "--timeout=120s"]).await?;
        let guard = guard_of("queue").to_string().replace(&format!("\"{APP}\""), &format!("\"{name}\""));
        scene.apply(&[serde_json::from_str(&guard)?]).await?;
    }
    for (namespace, name) in workloads {
        let api: Api<Guard> = Api::namespaced(world.admin.clone(), namespace);
        until(&format!("Guard {name} to guard"), MINUTE, async || {
            let status = api.get(name).await?.status.unwrap_or_default();
            let said = conditions::get(&status.conditions, "Ready").map(|ready| ready.reason.clone());
            if said.as_deref() == Some("Guarding") { Ok(Some(())) } else { anyhow::bail!("it says {said:?}") }
        })
        .await?;
    }
    // Each is known before the next comes, so that who waits longest is certain.
    for (place, (namespace, name)) in workloads.into_iter().enumerate() {
        let host = format!("{name}.{one}.test");
        let [deployment, ..] = manifests::neighbour(name, &host, 1, &[("VERSION", "v2")]);
        scene_of(namespace).apply(&[deployment]).await?;
        if place < 2 {
            until_exposed(world, &workloads, name).await?;
        } else {
            until_queued(world, &workloads, name).await?;
        }
    }
    let order: [&str; 6] = if shared { ["a1", "a2", "a3", "b1", "b2", "b3"] } else { ["a1", "a2", "b1", "a3", "b2", "b3"] };
    // Nobody of the second namespace is under way: all of it come before the third of the first, which waits the longest.
    let shown: [&str; 4] = if shared { ["a3", "b1", "b2", "b3"] } else { ["b1", "b2", "b3", "a3"] };
    let expected: Vec<_> = (1u32..).zip(shown).map(|(place, name)| (place, 4, name.to_owned())).collect();
    until_all(world, &workloads, "the queue to be shown in its order", |changes| {
        let mut queue: Vec<(u32, u32, String)> = changes.iter().filter_map(place_of).collect();
        queue.sort();
        if queue == expected { Ok(Some(())) } else { anyhow::bail!("it is {queue:?}") }
    })
    .await?;
    let listed = scenes[0].firebreak(&["queue"])?;
    println!("{listed}");
    ensure!(listed.contains("1 of 4") && listed.contains("limits.cluster"), "{listed}");
    // Whoever was first goes; whoever is next comes.
    for (leaves, comes) in order.into_iter().zip(order.into_iter().skip(2)) {
        let (namespace, _) = workloads.iter().find(|(_, name)| *name == leaves).context("no such workload")?;
        scene_of(namespace).firebreak(&["abort", leaves, "--reason", "the next, please"])?;
        until_exposed(world, &workloads, comes).await?;
    }
    for load in loads {
        load.stop().await;
    }
    for namespace in if shared { vec![one] } else { vec![one, two] } {
        let guards: Api<Guard> = Api::namespaced(world.admin.clone(), namespace);
        guards.delete_collection(&DeleteParams::default(), &ListParams::default()).await?;
        until("the Guards to leave", MINUTE, async || {
            Ok(guards.list(&ListParams::default()).await?.items.is_empty().then_some(()))
        })
        .await?;
    }
    operator.kill();
    let namespaces: Api<Namespace> = Api::all(world.admin.clone());
    for scene in scenes {
        namespaces.delete(&scene.namespace, &DeleteParams::background()).await?;
    }
    Ok(())
}

/// The Changes of all namespaces, of whom never more than two are under way.
async fn changes(world: &World, workloads: &[Workload]) -> Result<Vec<Change>> {
    let mut namespaces: Vec<&str> = workloads.iter().map(|(namespace, _)| *namespace).collect();
    namespaces.dedup();
    let all: Api<Change> = Api::all(world.admin.clone());
    let mut changes = all.list(&ListParams::default()).await?.items;
    changes.retain(|change| change.namespace().is_some_and(|namespace| namespaces.contains(&namespace.as_str())));
    let recorded = |change: &&Change| change.status.as_ref().is_some_and(|status| status.is_under_way());
    let under_way: Vec<String> = changes.iter().filter(recorded).map(|change| change.name_any()).collect();
    ensure!(under_way.len() <= 2, "more than two are under way: {under_way:?}");
    Ok(changes)
}

fn place_of(change: &Change) -> Option<(u32, u32, String)> {
    let place = change.status.as_ref()?.queue?;
    Some((place.position, place.of, change.spec.guard.clone()))
}

async fn until_exposed(world: &World, workloads: &[Workload], guard: &str) -> Result<()> {
    until_one(world, workloads, guard, "to have its first share", |change| weight(change) > 0.0).await
}

async fn until_queued(world: &World, workloads: &[Workload], guard: &str) -> Result<()> {
    until_one(world, workloads, guard, "to queue", |change| waits_for(change, &["Queued"])).await
}

async fn until_one(world: &World, workloads: &[Workload], guard: &str, what: &str, fits: impl Fn(&Change) -> bool) -> Result<()> {
    until_all(world, workloads, &format!("the Change of {guard} {what}"), |changes| {
        let change = changes.iter().find(|change| change.spec.guard == guard).context("there is none yet")?;
        if fits(change) { Ok(Some(())) } else { anyhow::bail!("it is {:?}: {}", phase_of(change), message(change)) }
    })
    .await
}

/// Waits for something of all Changes; that more than two are under way ends it at once.
async fn until_all(
    world: &World,
    workloads: &[Workload],
    what: &str,
    fits: impl Fn(&[Change]) -> Result<Option<()>>,
) -> Result<()> {
    let broken = OnceLock::new();
    let found = until(what, BEGINS_WITHIN, async || {
        let changes = match changes(world, workloads).await {
            Ok(changes) => changes,
            Err(error) if error.to_string().starts_with("more than two") => {
                let _ = broken.set(error);
                return Ok(Some(()));
            }
            Err(error) => return Err(error),
        };
        fits(&changes)
    })
    .await;
    broken.into_inner().map_or(found, Err)
}
