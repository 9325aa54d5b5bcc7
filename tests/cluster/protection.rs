//! What stands while a Change runs: the pods that serve users, the workload, its Guard and its claims; and each way out.

use std::time::Duration;

use anyhow::{Result, ensure};
use firebreak_api::{Guard, change::Phase, names};
use firebreak_lab::cluster::until;
use firebreak_tests::{
    MINUTE, Person, Scene, World,
    manifests::{self, APP},
    person::refusal,
    record::waits_for,
    world::{ALSO_WITHOUT_POLICY, SYSTEM},
};
use k8s_openapi::api::{
    apps::v1::{Deployment, ReplicaSet},
    core::v1::Namespace,
};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::{Value, json};

/// A namespace that is deleted is gone within this: pods take their ten seconds to end.
const GONE_WITHIN: Duration = Duration::from_secs(90);

fn says(text: &str, words: &[&str]) -> Result<()> {
    words.iter().try_for_each(|words| {
        ensure!(text.contains(words), "it does not say {words:?}: {text}");
        Ok(())
    })
}

/// A Change that stays held, because its policy asks a human before the first stage.
async fn held(scene: &Scene<'_>) -> Result<firebreak_api::Change> {
    held_with(scene, &json!({(names::RISK): "high", (names::RISK_SCORE): "0.90", (names::AI_CONTRIBUTION): "ai"})).await
}

/// The same with these claims.
async fn held_with(scene: &Scene<'_>, claims: &Value) -> Result<firebreak_api::Change> {
    let mut policy = manifests::policy();
    policy["metadata"]["name"] = json!(scene.namespace);
    for level in ["low", "medium", "high", "critical"] {
        policy["spec"]["levels"][level]["approvalAt"] = json!([10]);
    }
    let mut guard = manifests::guard();
    guard["spec"]["policyRef"]["name"] = json!(scene.namespace);
    scene.apply(&[policy]).await?;
    scene.guarded_by(&guard, 2, &[]).await?;
    let mut risky = manifests::deployment("v2", 2, &[]);
    risky["metadata"]["annotations"] = claims.clone();
    scene.apply(&[risky]).await?;
    let name = scene.change(1).await?.name_any();
    let change = scene.until_change(&name, "to wait", MINUTE, |c| waits_for(c, &["WaitingForHuman"])).await?;
    let guards: Api<Guard> = scene.api();
    until("the Guard to say that it runs", MINUTE, async || {
        let status = guards.get(APP).await?.status.unwrap_or_default();
        Ok((status.active_change.as_deref() == Some(&name)).then_some(()))
    })
    .await?;
    Ok(change)
}

async fn patches<K>(scene: &Scene<'_>, who: &Person, name: &str, patch: Value, dry_run: bool) -> kube::Result<()>
where
    K: kube::Resource<Scope = kube::core::NamespaceResourceScope> + Clone + serde::de::DeserializeOwned + std::fmt::Debug,
    K::DynamicType: Default,
{
    let api: Api<K> = Api::namespaced(who.client.clone(), &scene.namespace);
    let params = PatchParams { dry_run, ..PatchParams::default() };
    api.patch(name, &params, &Patch::Merge(patch)).await.map(|_| ())
}

async fn scales(scene: &Scene<'_>, who: &Person, set: &str, replicas: i32) -> kube::Result<()> {
    let api: Api<ReplicaSet> = Api::namespaced(who.client.clone(), &scene.namespace);
    let params = PatchParams { dry_run: true, ..PatchParams::default() };
    api.patch_scale(set, &params, &Patch::Merge(json!({"spec": {"replicas": replicas}}))).await.map(|_| ())
}

/// Lets someone delete Guards by the lot, which none of the chart's roles does.
async fn collects(scene: &Scene<'_>, who: &Person) -> Result<()> {
    let group = "rbac.authorization.k8s.io";
    let role = json!({"apiVersion": format!("{group}/v1"), "kind": "Role", "metadata": {"name": "collects"},
        "rules": [{"apiGroups": ["firebreak.dev"], "resources": ["guards"], "verbs": ["deletecollection"]}]});
    let binding = json!({"apiVersion": format!("{group}/v1"), "kind": "RoleBinding", "metadata": {"name": "collects"},
        "roleRef": {"apiGroup": group, "kind": "Role", "name": "collects"},
        "subjects": [{"apiGroup": group, "kind": "User", "name": who.name}]});
    scene.apply(&[role, binding]).await?;
    let may = format!("--as={}", who.name);
    until("the role to be known", MINUTE, async || {
        let answer = scene.kubectl(&["auth", "can-i", "deletecollection", "guards.firebreak.dev", &may]).await;
        Ok(answer.is_ok_and(|answer| answer.contains("yes")).then_some(()))
    })
    .await
}

/// Stable's pods, the workload and the Guard, against the namespace's owner; the ways out: a bypass, an abort.
pub(crate) async fn what_serves_users_stays_while_a_change_runs(world: &World) -> Result<()> {
    let scene = Scene::open(world, "protected").await?;
    let change = held(&scene).await?;
    let (stable, name) = (change.spec.stable.replica_set.clone(), change.name_any());
    let owner = scene.person("olga", &[], &["admin"]).await?;
    let trusted = scene.person("tom", &[], &["admin", "firebreak-bypass"]).await?;

    let abort = format!("kubectl firebreak abort {APP} -n {}", scene.namespace);
    let way_out: &[&str] = &[&name, &abort, "the verb bypass"];
    let smaller = json!({"spec": {"replicas": 1}});
    says(&refusal(owner.deletes::<ReplicaSet>(&stable, true).await)?, way_out)?;
    says(&refusal(patches::<ReplicaSet>(&scene, &owner, &stable, smaller.clone(), true).await)?, way_out)?;
    says(&refusal(scales(&scene, &owner, &stable, 0).await)?, &[&name, &abort, "kubectl scale deployment"])?;
    says(&refusal(owner.deletes::<Deployment>(APP, true).await)?, way_out)?;
    says(&refusal(owner.deletes::<Guard>(APP, true).await)?, way_out)?;
    collects(&scene, &owner).await?;
    let all = Api::<Guard>::namespaced(owner.client.clone(), &scene.namespace);
    says(&refusal(all.delete_collection(&DeleteParams::default(), &kube::api::ListParams::default()).await)?, way_out)?;
    scales(&scene, &owner, &stable, 3).await?;
    patches::<ReplicaSet>(&scene, &owner, &stable, json!({"metadata": {"labels": {"looked-at": "yes"}}}), true).await?;

    trusted.deletes::<ReplicaSet>(&stable, true).await?;
    patches::<ReplicaSet>(&scene, &trusted, &stable, smaller, true).await?;
    trusted.deletes::<Deployment>(APP, true).await?;
    trusted.deletes::<Guard>(APP, true).await?;

    // The native controller scales it as its Deployment asks, up and down.
    let sets = scene.raw("apps", "ReplicaSet", "replicasets");
    for replicas in [3, 2] {
        scene.kubectl(&["scale", "deployment", APP, &format!("--replicas={replicas}")]).await?;
        until(&format!("stable to have {replicas} pods"), MINUTE, async || {
            let size = sets.get(&stable).await?.data.pointer("/spec/replicas").and_then(Value::as_i64);
            Ok((size == Some(replicas)).then_some(()))
        })
        .await?;
    }
    owner.firebreak(&["abort", APP])?;
    scene.ends(&name, Phase::RolledBack, 2 * MINUTE).await?;
    scene.guard_is("Condemned").await?;
    owner.deletes::<Deployment>(APP, true).await?;
    owner.deletes::<Guard>(APP, false).await?;
    scene.close(None).await
}

/// Claims of what is held may rise and not be lowered, each by itself; a bypass may.
pub(crate) async fn claims_of_what_is_held_are_not_lowered(world: &World) -> Result<()> {
    let scene = Scene::open(world, "claims-stay").await?;
    let change = held(&scene).await?;
    let owner = scene.person("olga", &[], &["admin"]).await?;
    let trusted = scene.person("tom", &[], &["admin", "firebreak-bypass"]).await?;
    let claims = |claims: &Value| json!({"metadata": {"annotations": claims}});
    let lowered = [
        (json!({(names::RISK): "low"}), "risk"),
        (json!({(names::RISK): null}), "risk"),
        (json!({(names::RISK_SCORE): "0.10"}), "risk-score"),
        (json!({(names::RISK_SCORE): null}), "risk-score"),
        (json!({(names::RISK_SCORE): "-1"}), "risk-score"),
        (json!({(names::AI_CONTRIBUTION): "human"}), "ai-contribution"),
        (json!({(names::AI_CONTRIBUTION): null}), "ai-contribution"),
        (json!({(names::REVIEWED_BY): "olga"}), "reviewed-by"),
    ];
    for (patch, claim) in &lowered {
        let told = refusal(patches::<Deployment>(&scene, &owner, APP, claims(patch), true).await)?;
        says(&told, &[&format!("firebreak.dev/{claim} is not lowered"), "kubectl firebreak explain", "the verb bypass"])?;
        patches::<Deployment>(&scene, &trusted, APP, claims(patch), true).await?;
    }
    let raised = [
        json!({(names::RISK): "critical", (names::RISK_SCORE): "0.99", (names::AI_CONTRIBUTION): "mixed"}),
        json!({(names::SUMMARY): "a new word for it", "team": "checkout"}),
    ];
    for patch in &raised {
        patches::<Deployment>(&scene, &owner, APP, claims(patch), true).await?;
    }
    // Another template is another change, with claims of its own.
    let mut other = manifests::deployment("v3", 2, &[]);
    other["metadata"]["annotations"] = json!({(names::RISK): "low"});
    patches::<Deployment>(
        &scene,
        &owner,
        APP,
        json!({"metadata": {"annotations": {(names::RISK): "low"}}, "spec": other["spec"]}),
        true,
    )
    .await?;
    owner.firebreak(&["abort", APP])?;
    scene.ends(&change.name_any(), Phase::RolledBack, 2 * MINUTE).await?;
    scene.close(None).await
}

/// What was not said, or cannot be read, counts as it does to the engine: medium, high.
pub(crate) async fn claims_that_were_not_made_are_not_lowered(world: &World) -> Result<()> {
    for (namespace, claims, lowered) in [
        (
            "claims-none",
            json!({(names::SUMMARY): "nothing said"}),
            [
                (json!({(names::RISK_SCORE): "0.10"}), "risk-score"),
                (json!({(names::AI_CONTRIBUTION): "human"}), "ai-contribution"),
                (json!({(names::REVIEWED_BY): "olga"}), "reviewed-by"),
            ],
        ),
        (
            "claims-odd",
            json!({(names::RISK_SCORE): "much", (names::AI_AGENTS): "some agent"}),
            [
                (json!({(names::RISK_SCORE): "0.10"}), "risk-score"),
                (json!({(names::RISK_SCORE): null}), "risk-score"),
                (json!({(names::AI_AGENTS): null}), "ai-contribution"),
            ],
        ),
    ] {
        let scene = Scene::open(world, namespace).await?;
        let change = held_with(&scene, &claims).await?;
        let owner = scene.person("olga", &[], &["admin"]).await?;
        for (patch, claim) in &lowered {
            let patch = json!({"metadata": {"annotations": patch}});
            let told = refusal(patches::<Deployment>(&scene, &owner, APP, patch, true).await)?;
            says(&told, &[&format!("firebreak.dev/{claim} is not lowered")])?;
        }
        let risen = json!({"metadata": {"annotations": {(names::RISK_SCORE): "0.97"}}});
        patches::<Deployment>(&scene, &owner, APP, risen, true).await?;
        owner.firebreak(&["abort", APP])?;
        scene.ends(&change.name_any(), Phase::RolledBack, 2 * MINUTE).await?;
        scene.close(None).await?;
    }
    Ok(())
}

/// Where the API server does not hold, a condemned template is still not resumed; the ways out: a bypass, a retry, another one.
pub(crate) async fn a_condemned_template_is_not_resumed(world: &World) -> Result<()> {
    let scene = Scene::open(world, ALSO_WITHOUT_POLICY).await?;
    let change = held(&scene).await?;
    let owner = scene.person("olga", &[], &["admin"]).await?;
    let trusted = scene.person("tom", &[], &["admin", "firebreak-bypass"]).await?;
    owner.firebreak(&["abort", APP])?;
    scene.ends(&change.name_any(), Phase::RolledBack, 2 * MINUTE).await?;
    scene.guard_is("Condemned").await?;
    let resumed = json!({"spec": {"paused": null}});
    let told = refusal(patches::<Deployment>(&scene, &owner, APP, resumed.clone(), true).await)?;
    says(&told, &["is condemned: it is not resumed", "kubectl firebreak retry", "the verb bypass"])?;
    patches::<Deployment>(&scene, &trusted, APP, resumed, true).await?;
    scene.ship("v1", 2, &[]).await?;
    scene.guard_is("Guarding").await?;
    scene.close(None).await
}

/// A namespace with a Change that runs can be deleted, by the control plane and without a bypass.
pub(crate) async fn a_namespace_that_is_deleted_goes(world: &World) -> Result<()> {
    let mut scene = Scene::open(world, "deleted").await?;
    held(&scene).await?;
    let namespaces: Api<Namespace> = Api::all(world.admin.clone());
    namespaces.delete(&scene.namespace, &DeleteParams::background()).await?;
    until("the namespace to be gone", GONE_WITHIN, async || {
        let left = namespaces.get_opt(&scene.namespace).await?;
        match left {
            None => Ok(Some(())),
            Some(namespace) => anyhow::bail!("{:?}", namespace.status.and_then(|status| status.conditions)),
        }
    })
    .await?;
    scene.operator.kill();
    Ok(())
}

/// Every policy of ours is the chart's: what helm uninstalls leaves no block behind.
pub(crate) async fn every_policy_goes_with_the_chart(world: &World) -> Result<()> {
    let manifest = world.lab.helm(&["get", "manifest", "firebreak", "--namespace", SYSTEM]).await?;
    let kinds =
        "mutatingadmissionpolicies,mutatingadmissionpolicybindings,validatingadmissionpolicies,validatingadmissionpolicybindings";
    let names = world.lab.kubectl(&["get", kinds, "--output=name"]).await?;
    let ours: Vec<&str> =
        names.lines().filter_map(|name| name.rsplit('/').next()).filter(|name| name.starts_with("firebreak")).collect();
    ensure!(ours.len() >= 20, "{ours:?}");
    for name in ours {
        ensure!(manifest.contains(&format!("name: {name}\n")), "{name} is not the chart's");
    }
    Ok(())
}
