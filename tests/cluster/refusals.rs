//! Wrong input is refused with words that say what to write, and the workload is untouched.

use std::time::Duration;

use anyhow::{Result, ensure};
use firebreak_api::Guard;
use firebreak_lab::cluster::until;
use firebreak_tests::{
    Scene, World,
    manifests::{self, APP, yaml},
};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

/// A Guard with one thing changed.
fn guard_with(change: impl FnOnce(&mut Value)) -> Value {
    let mut guard = manifests::guard();
    change(&mut guard["spec"]);
    guard
}

pub(crate) async fn the_api_server_refuses_wrong_guards(world: &World) -> Result<()> {
    let scene = Scene::open(world, "refused").await?;
    scene.apply(&[manifests::deployment("v1", 1, &[]), manifests::service()]).await?;
    scene.rolled_out().await?;
    let before = untouched(&scene, APP).await?;
    let table: Vec<(&str, Value, &[&str])> = vec![
        ("unknown field", guard_with(|spec| spec["metrix"] = json!({})), &["field not declared in schema", "metrix"]),
        (
            "wrong kind",
            guard_with(|spec| spec["targetRef"]["kind"] = json!("StatefulSet")),
            &["spec.targetRef.kind", "Deployment"],
        ),
        ("no signal", guard_with(|spec| spec["metrics"]["signals"] = json!([])), &["spec.metrics.signals"]),
        (
            "half a pair",
            guard_with(|spec| spec["metrics"]["signals"] = json!([{"name": "errors", "requests": "a_total"}])),
            &["requests and failures go together", "write both"],
        ),
        (
            "two shapes",
            guard_with(|spec| {
                spec["metrics"]["signals"] =
                    json!([{"name": "x", "requests": "a", "failures": "b", "histogram": "h", "slowerThan": "1s"}]);
            }),
            &["either requests and failures, or histogram and slowerThan"],
        ),
        (
            "no length of time",
            guard_with(|spec| spec["metrics"]["signals"][1]["slowerThan"] = json!("fast")),
            &["slowerThan", "for example 300ms"],
        ),
        (
            "nothing but successes",
            guard_with(|spec| spec["metrics"]["signals"] = json!([{"name": "orders", "requests": "r", "successes": "s"}])),
            &["a signal of successes opens no stage"],
        ),
        (
            "a check without a limit",
            guard_with(|spec| spec["metrics"]["checks"] = json!([{"name": "queue", "query": "max(queue)"}])),
            &["a check needs max, min or both"],
        ),
        (
            "a check that fails after more answers than it looks at",
            guard_with(|spec| {
                spec["metrics"]["checks"] =
                    json!([{"name": "queue", "query": "max(queue)", "max": 1, "failsAfter": {"answers": 4, "of": 3}}]);
            }),
            &["failsAfter: answers is at most of"],
        ),
        (
            "both sources without pages",
            guard_with(|spec| spec["metrics"]["bothSources"] = json!(true)),
            &["spec.metrics.bothSources: name the pods' pages as well"],
        ),
        (
            "a dependent named twice",
            guard_with(|spec| {
                let signals = json!([{"name": "errors", "requests": "r", "failures": "f"}]);
                let one = json!({"name": "payments", "namespace": "bank", "signals": signals});
                spec["dependents"] = json!([one, one]);
            }),
            &["spec.dependents: name each workload once"],
        ),
        (
            "nothing that opens a stage",
            guard_with(|spec| {
                spec["metrics"]["signals"] = json!([{"name": "x", "requests": "r", "failures": "f", "opensStages": false}]);
            }),
            &["nor does one with opensStages: false"],
        ),
        (
            "failures and successes in one signal",
            guard_with(|spec| {
                spec["metrics"]["signals"] = json!([{"name": "both", "requests": "r", "failures": "f", "successes": "s"}]);
            }),
            &["failures and successes are two signals"],
        ),
        (
            "a page without a slash",
            guard_with(|spec| spec["metrics"]["pods"] = json!({"port": 9090, "path": "metrics"})),
            &["spec.metrics.pods.path"],
        ),
        ("an objective of 100", guard_with(|spec| spec["slo"] = json!({"availability": 100.0})), &["for example 99.9"]),
        (
            "a route twice",
            guard_with(|spec| {
                spec["traffic"]["routes"] = json!([{"kind": "HTTPRoute", "name": "a"}, {"kind": "HTTPRoute", "name": "a"}])
            }),
            &["name each route once"],
        ),
    ];
    for (what, guard, words) in table {
        let refusal = match world.lab.apply(&yaml(&[scene.within(&guard)])).await {
            Ok(()) => anyhow::bail!("{what} was accepted"),
            Err(error) => format!("{error:#}"),
        };
        for word in words {
            ensure!(refusal.contains(word), "{what}: the refusal does not say \"{word}\": {refusal}");
        }
    }
    scene.apply(&[manifests::guard()]).await?;
    let mut second = manifests::guard();
    second["metadata"]["name"] = json!("second");
    let refusal = match world.lab.apply(&yaml(&[scene.within(&second)])).await {
        Ok(()) => anyhow::bail!("a second Guard for one workload was accepted"),
        Err(error) => format!("{error:#}"),
    };
    ensure!(refusal.contains(APP), "the refusal does not name the first Guard: {refusal}");
    let mut policy = manifests::policy();
    policy["metadata"]["name"] = json!("wrong");
    policy["spec"]["levels"]["low"]["stages"] = json!([50, 10, 100]);
    let refusal = world.lab.apply(&yaml(&[policy])).await.err().map(|error| format!("{error:#}")).unwrap_or_default();
    ensure!(refusal.contains("rising, ending at 100"), "stages that fall: {refusal}");
    let after = untouched(&scene, APP).await?;
    ensure!(after == before, "the workload was touched: {before:#}, then {after:#}");
    scene.close(None).await
}

/// All of a workload that a Guard could change: its spec, annotations and labels.
async fn untouched(scene: &Scene<'_>, name: &str) -> Result<Value> {
    let workload = scene.raw("apps", "Deployment", "deployments").get(name).await?;
    Ok(json!({"spec": workload.data["spec"], "annotations": workload.annotations(), "labels": workload.labels()}))
}

pub(crate) async fn guards_that_cannot_work_say_so(world: &World) -> Result<()> {
    let scene = Scene::open(world, "cannot").await?;
    scene.apply(&[manifests::deployment("v1", 1, &[]), manifests::service()]).await?;
    scene.rolled_out().await?;
    let before = untouched(&scene, APP).await?;
    let table: Vec<(&str, Value, &[&str])> = vec![
        ("PolicyNotFound", guard_with(|spec| spec["policyRef"]["name"] = json!("nowhere")), &["nowhere", "spec.policyRef"]),
        (
            "BadSignal",
            guard_with(|spec| spec["metrics"]["signals"][0]["requests"] = json!("rate(http_requests_total[1m])")),
            &["errors", "spec.metrics.signals"],
        ),
    ];
    for (reason, guard, words) in table {
        scene.apply(&[guard]).await?;
        says(&scene, reason, words).await?;
    }
    let mut recreate = manifests::deployment("v1", 1, &[]);
    recreate["metadata"]["name"] = json!("batch");
    recreate["spec"]["strategy"] = json!({"type": "Recreate"});
    recreate["spec"]["selector"]["matchLabels"]["app"] = json!("batch");
    recreate["spec"]["template"]["metadata"]["labels"]["app"] = json!("batch");
    scene.apply(&[recreate]).await?;
    scene.kubectl(&["rollout", "status", "deployment/batch", "--timeout=120s"]).await?;
    let batch = untouched(&scene, "batch").await?;
    scene.kubectl(&["delete", "guard", APP]).await?;
    scene.apply(&[guard_with(|spec| spec["targetRef"]["name"] = json!("batch"))]).await?;
    says(&scene, "StrategyRecreate", &["Recreate", "RollingUpdate"]).await?;
    for (name, before) in [(APP, before), ("batch", batch)] {
        let after = untouched(&scene, name).await?;
        ensure!(after == before, "{name} was touched: {before:#}, then {after:#}");
    }
    // The target of a Guard is for good.
    scene.kubectl(&["delete", "guard", APP]).await?;
    scene.apply(&[guard_with(|spec| spec["targetRef"]["name"] = json!("nothing"))]).await?;
    says(&scene, "TargetNotFound", &["nothing", "spec.targetRef"]).await?;
    scene.close(None).await
}

/// Waits for a reason, and that its message holds these words.
async fn says(scene: &Scene<'_>, reason: &str, words: &[&str]) -> Result<()> {
    let api: Api<Guard> = scene.api();
    until(&format!("the Guard to say {reason} with {words:?}"), Duration::from_secs(60), async || {
        let conditions = api.get(APP).await?.status.unwrap_or_default().conditions;
        let ready = firebreak_api::conditions::get(&conditions, "Ready").map(|c| (c.reason.clone(), c.message.clone()));
        let fits =
            ready.as_ref().is_some_and(|(said, message)| said == reason && words.iter().all(|word| message.contains(word)));
        if fits { Ok(Some(())) } else { anyhow::bail!("it says {ready:?}") }
    })
    .await
}
