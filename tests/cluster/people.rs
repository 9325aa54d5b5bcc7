//! Who may let a change through: people with rights of their own, approvals that the policy asks for, and names that the API
//! server vouches for.

use std::time::Duration;

use anyhow::{Result, ensure};
use firebreak_api::{
    Change,
    change::Phase,
    intervention::{Action, Outcome},
    names,
};
use firebreak_lab::{
    cluster::{Component, until},
    faults::{MetricsProxy, Mode},
};
use firebreak_tests::{
    MINUTE, Person, Scene, World,
    harm::serves_no_more,
    manifests::{self, APP},
    person::refusal,
    record::{decided, phase_of, waits_for},
};
use kube::{
    Api, ResourceExt as _,
    api::{DynamicObject, Patch, PatchParams},
};
use serde_json::{Value, json};

const ACTIONS: [Action; 7] =
    [Action::Approve, Action::Promote, Action::Pause, Action::Resume, Action::Abort, Action::Retry, Action::Clear];

/// Who may do what, by the cluster's own roles and by Firebreak's.
const MAY: [(&str, &[Action]); 8] = [
    ("view", &[]),
    ("edit", &[Action::Pause, Action::Resume, Action::Abort]),
    ("admin", &ACTIONS),
    ("firebreak-viewer", &[]),
    ("firebreak-operator", &[Action::Pause, Action::Resume, Action::Abort]),
    ("firebreak-approver", &[Action::Approve, Action::Promote, Action::Pause, Action::Resume, Action::Abort]),
    ("firebreak-admin", &ACTIONS),
    ("firebreak-bypass", &[]),
];

/// A Guard by a policy whose every level asks these humans at these stages, of 10, 50 and 100 %.
fn asking(scene: &Scene<'_>, approval: Value) -> [Value; 2] {
    let mut policy = manifests::policy();
    policy["metadata"]["name"] = json!(scene.namespace);
    for level in ["low", "medium", "high", "critical"] {
        let level = &mut policy["spec"]["levels"][level];
        level["approval"] = approval.clone();
        level.as_object_mut().map(|level| level.remove("approvalAt"));
    }
    let mut guard = manifests::guard();
    guard["spec"]["policyRef"]["name"] = json!(scene.namespace);
    [policy, guard]
}

/// The usual start with such a Guard.
async fn guarded(scene: &Scene<'_>, approval: Value) -> Result<()> {
    let [policy, guard] = asking(scene, approval);
    scene.apply(&[policy]).await?;
    scene.guarded_by(&guard, 2, &[]).await
}

/// Someone ships a version with their own rights; the change names its author.
pub(crate) async fn ships(scene: &Scene<'_>, who: &Person, version: &str, author: &str) -> Result<()> {
    let mut deployment = scene.within(&manifests::deployment(version, 2, &[]));
    scene.world.lab.adapt(&mut deployment)?;
    deployment["metadata"]["annotations"] = json!({(names::AUTHOR): author, (names::RISK): "high"});
    let resource = kube::api::ApiResource::from_gvk(&kube::api::GroupVersionKind::gvk("apps", "v1", "Deployment"));
    let api: Api<DynamicObject> = Api::namespaced_with(who.client.clone(), &scene.namespace, &resource);
    api.patch(APP, &PatchParams::apply("delivery").force(), &Patch::Apply(deployment)).await?;
    Ok(())
}

async fn waits_for_people(scene: &Scene<'_>, number: usize) -> Result<Change> {
    let change = scene.change(number).await?;
    scene.until_change(&change.name_any(), "to wait for a human", 2 * MINUTE, |c| waits_for(c, &["WaitingForHuman"])).await
}

/// Wherever its lines are broken.
fn has(text: &str, words: &[&str]) -> Result<()> {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    words.iter().try_for_each(|words| {
        ensure!(text.contains(words), "it does not say {words:?}: {text}");
        Ok(())
    })
}

/// Each verb allowed and denied, by role; names and groups that are one's own, and others'.
pub(crate) async fn verbs_are_what_roles_give(world: &World) -> Result<()> {
    let scene = Scene::open_in_cluster(world, "verbs").await?;
    for (role, may) in MAY {
        let someone = scene.person(&format!("with-{role}"), &["staff"], &[role]).await?;
        for action in ACTIONS {
            let answer = someone.tries(action, "shop-x-1", None).await;
            match answer {
                Ok(act) => {
                    ensure!(may.contains(&action), "{role} may {}", action.verb());
                    ensure!(act.spec.by.as_deref() == Some(&someone.name), "stamped {:?}", act.spec.by);
                    let groups = &act.spec.groups;
                    ensure!(groups.iter().any(|group| group == "staff"), "groups {groups:?}");
                }
                Err(kube::Error::Api(status)) => {
                    ensure!(!may.contains(&action), "{role} may not {}: {}", action.verb(), status.message);
                    ensure!(status.code == 403, "{}", status.message);
                    if may.contains(&Action::Abort) {
                        has(&status.message, &["that needs the verb", action.verb(), "ask someone who has it"])?;
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
    let approver = scene.person("ann", &["staff"], &["firebreak-approver"]).await?;
    has(&refusal(approver.tries(Action::Approve, "shop-x-1", Some("bob")).await)?, &["spec.by names bob, and you are ann"])?;
    let forged = approver.tries_as_of(Action::Approve, "shop-x-1", &["staff", "release"]).await;
    has(&refusal(forged)?, &["spec.groups names groups that ann is not in"])?;
    let own = approver.tries(Action::Approve, "shop-x-1", Some("ann")).await?;
    ensure!(own.spec.by.as_deref() == Some("ann"), "{:?}", own.spec.by);
    let admin = Api::<firebreak_api::Intervention>::namespaced(world.admin.clone(), &scene.namespace);
    let without_reason = json!({"apiVersion": "firebreak.dev/v1alpha1", "kind": "Intervention", "metadata": {"generateName": "x-"},
        "spec": {"guard": APP, "change": "shop-x-1", "action": "Promote"}});
    let answer = admin.create(&kube::api::PostParams::default(), &serde_json::from_value(without_reason)?).await;
    ensure!(answer.is_err_and(|error| error.to_string().contains("say why")), "a promote without a reason is taken");
    scene.close(None).await
}

/// Four eyes, groups, two people, an expiry; what `explain` says meanwhile.
pub(crate) async fn approvals_take_the_right_people(world: &World) -> Result<()> {
    let scene = Scene::open(world, "approved").await?;
    let expiry = Duration::from_secs(20);
    guarded(&scene, json!({"at": [10], "count": 2, "groups": ["release"], "expiresAfter": format!("{}s", expiry.as_secs())}))
        .await?;
    let release = &["release"];
    let carol = scene.person("carol", release, &["edit", "firebreak-approver"]).await?;
    let dave = scene.person("dave@example.com", release, &["firebreak-approver"]).await?;
    let eve = scene.person("eve", &["sales"], &["firebreak-approver"]).await?;
    let mallory = scene.person("mallory", release, &["firebreak-operator"]).await?;
    let ann = scene.person("ann", release, &["firebreak-approver"]).await?;
    let bob = scene.person("bob", release, &["firebreak-approver"]).await?;
    ships(&scene, &carol, "v2", "Dave Doe <Dave@Example.com>").await?;
    let change = waits_for_people(&scene, 1).await?;
    let name = change.name_any();
    ensure!(change.spec.claims.changed_by.as_deref() == Some("carol"), "changed by {:?}", change.spec.claims.changed_by);

    let approve: &[&str] = &["approve", APP, "--reason", "a test"];
    has(&ann.refused(&["approve", APP])?, &["takes a reason", "--reason"])?;
    has(&carol.refused(approve)?, &["carol asked for this template", "ask someone else who has the verb approve"])?;
    has(&dave.refused(approve)?, &["is named as its author", "ask someone else"])?;
    has(&eve.refused(approve)?, &["none of the groups that the policy asks", "release", "sales"])?;
    has(&mallory.refused(approve)?, &["mallory may not approve", "that needs the verb approve"])?;
    has(&ann.firebreak(approve)?, &["1 of 2", "1 human of release"])?;
    let asked =
        ["ASKED", "2 different humans of release", "ann (until", "not carol (asked for it)", "Dave", "kubectl firebreak approve"];
    has(&ann.firebreak(&["explain", APP])?, &asked)?;
    until("an Event with the brief", MINUTE, async || {
        let only = ["get", "events", "--field-selector=reason=WaitingForHuman", "--output=jsonpath={.items[*].message}"];
        let told = scene.kubectl(&only).await?;
        Ok((told.contains("ASKED: may 10 % begin?") && told.contains("ABORT: kubectl firebreak abort shop -n approved"))
            .then_some(()))
    })
    .await?;

    let expired =
        scene.until_change(&name, "to void the approval", expiry * 3, |c| decided(c, "ApprovalExpired").is_some()).await?;
    ensure!(phase_of(&expired) == Phase::Held, "{:?}", phase_of(&expired));
    has(decided(&expired, "ApprovalExpired").unwrap_or_default(), &["ann", "void", "Approve again"])?;
    bob.firebreak(approve)?;
    scene
        .until_change(&name, "to have one approval", MINUTE, |c| c.status.as_ref().is_some_and(|s| s.approvals.len() == 1))
        .await?;
    has(&ann.firebreak(approve)?, &["is approved"])?;
    scene.until_change(&name, "to go on", MINUTE, |c| phase_of(c) != Phase::Held).await?;
    mallory.firebreak(&["abort", APP, "--reason", "seen enough"])?;
    let ended = scene.ends(&name, Phase::RolledBack, 2 * MINUTE).await?;
    has(decided(&ended, "Aborted").unwrap_or_default(), &["mallory", "seen enough"])?;
    scene.close(None).await
}

/// An approval is of one candidate: a newer template begins without any, and what names the older one is refused. Then: cleared
/// is not begun.
pub(crate) async fn an_approval_is_of_one_candidate(world: &World) -> Result<()> {
    let scene = Scene::open(world, "one-candidate").await?;
    guarded(&scene, json!({"at": [10], "count": 2})).await?;
    let carol = scene.person("carol", &[], &["edit"]).await?;
    let ann = scene.person("ann", &[], &["firebreak-approver"]).await?;
    let owner = scene.person("olga", &[], &["admin"]).await?;
    ships(&scene, &carol, "v2", "carol").await?;
    let first = waits_for_people(&scene, 1).await?.name_any();
    has(&ann.firebreak(&["approve", APP, "--reason", "a test"])?, &["1 of 2"])?;
    ships(&scene, &carol, "v3", "carol").await?;
    scene.ends(&first, Phase::Superseded, MINUTE).await?;
    let second = waits_for_people(&scene, 2).await?;
    ensure!(second.status.as_ref().is_some_and(|status| status.approvals.is_empty()), "{:?}", second.status);
    let late = ann.asks(Action::Approve, &first).await?;
    let answer = ann.answer_to(&late).await?;
    ensure!(answer.outcome == Some(Outcome::Refused), "{answer:?}");
    has(&answer.message.unwrap_or_default(), &["is none for another", &second.name_any()])?;

    let reworded = json!({"spec": {"reason": "another one"}});
    let acts: Api<firebreak_api::Intervention> = Api::namespaced(world.admin.clone(), &scene.namespace);
    let refused = acts.patch(&late.name_any(), &PatchParams::default(), &Patch::Merge(reworded)).await;
    ensure!(refused.is_err_and(|error| error.to_string().contains("is immutable")), "what was asked for can be reworded");

    let paused = |paused: bool| move |change: &Change| change.status.as_ref().is_some_and(|status| status.paused == paused);
    carol.firebreak(&["pause", APP])?;
    scene.until_change(&second.name_any(), "to be paused", MINUTE, paused(true)).await?;
    carol.firebreak(&["resume", APP])?;
    scene.until_change(&second.name_any(), "to be resumed", MINUTE, paused(false)).await?;
    carol.firebreak(&["abort", APP])?;
    scene.ends(&second.name_any(), Phase::RolledBack, 2 * MINUTE).await?;
    scene.guard_is("Condemned").await?;
    has(&ann.refused(&["clear", APP, "--reason", "a test"])?, &["ann may not clear"])?;
    has(&owner.firebreak(&["clear", APP, "--reason", "a test"])?, &["is cleared", "stays held until it is shipped again"])?;
    scene.guard_is("Cleared").await?;
    ensure!(scene.changes().await?.len() == 2, "clearing began a Change");
    ships(&scene, &carol, "v1", "carol").await?;
    scene.guard_is("Guarding").await?;
    ships(&scene, &carol, "v3", "carol").await?;
    let third = waits_for_people(&scene, 3).await?;
    ensure!(third.spec.attempt == 2, "attempt {}", third.spec.attempt);
    carol.firebreak(&["abort", APP])?;
    scene.ends(&third.name_any(), Phase::RolledBack, 2 * MINUTE).await?;
    scene.close(None).await
}

/// Abort by someone who may do little else, while the metrics backend is gone: before the first stage, and with traffic.
pub(crate) async fn abort_needs_nothing_healthy(world: &World) -> Result<()> {
    let proxy = MetricsProxy::start(&world.lab.prometheus_url()?, std::net::Ipv4Addr::LOCALHOST.into()).await?;
    let scene = Scene::open_with(world, "abort-blind", &proxy.url()).await?;
    scene.guarded(2, &[]).await?;
    let carol = scene.person("carol", &[], &["edit"]).await?;
    let load = scene.load(50).await?;
    let route = scene.route().await?;
    scene.ship("v2", 2, &[]).await?;
    let first = scene.exposed(1).await?.name_any();
    proxy.set(Mode::Refuse).await?;
    scene.until_change(&first, "to be blind", MINUTE, |c| waits_for(c, &["BackendUnreachable"])).await?;
    carol.firebreak(&["abort", APP, "--reason", "blind"])?;
    scene.ends(&first, Phase::RolledBack, MINUTE).await?;
    serves_no_more(&load, "v2").await?;
    scene.ship("v3", 2, &[]).await?;
    let second = scene.change(2).await?.name_any();
    let preparing = |c: &Change| phase_of(c) == Phase::Preparing;
    scene.until_change(&second, "to prepare", MINUTE, preparing).await?;
    carol.firebreak(&["abort", APP])?;
    scene.ends(&second, Phase::RolledBack, MINUTE).await?;
    ensure!(scene.finish(load).await?.total_failed() == 0, "requests failed");
    scene.close(Some(&route)).await
}

/// Abort while the gateway hangs: the route is without the candidate, so that the gateway sends it nothing once it answers again.
pub(crate) async fn abort_while_the_gateway_hangs(world: &World) -> Result<()> {
    // It is everyone's gateway: nothing runs beside this one.
    let _alone = world.machine.alone().await?;
    let scene = Scene::open(world, "abort-gateway").await?;
    scene.guarded(2, &[]).await?;
    let carol = scene.person("carol", &[], &["edit"]).await?;
    let load = scene.load(50).await?;
    let route = scene.route().await?;
    scene.ship("v2", 2, &[]).await?;
    let change = scene.exposed(1).await?.name_any();
    let hangs = world.lab.freeze(Component::Gateway)?;
    carol.firebreak(&["abort", APP, "--reason", "the gateway hangs"])?;
    scene.ends(&change, Phase::RolledBack, MINUTE).await?;
    drop(hangs);
    serves_no_more(&load, "v2").await?;
    scene.finish(load).await?;
    scene.close(Some(&route)).await
}

/// What vouches for people, holds and pins.
const ADMISSION: [&str; 4] = [
    "validatingadmissionpolicybinding/firebreak-interventions",
    "mutatingadmissionpolicybinding/firebreak-by",
    "mutatingadmissionpolicybinding/firebreak-hold",
    "mutatingadmissionpolicybinding/firebreak-pin",
];

/// Without the policies that vouch for people, hold and pin nothing is let through, and what has traffic can still be stopped.
pub(crate) async fn nobody_is_believed_without_the_policy(world: &World) -> Result<()> {
    // Every case's people need the policy: nothing runs beside this one.
    let _alone = world.machine.alone().await?;
    let scene = Scene::open(world, "unattested").await?;
    guarded(&scene, json!({"at": [50]})).await?;
    let ann = scene.person("ann", &[], &["firebreak-approver"]).await?;
    let load = scene.load(200).await?;
    scene.ship("v2", 2, &[]).await?;
    let change = waits_for_people(&scene, 1).await?.name_any();
    let mut kept = Vec::new();
    for binding in ADMISSION {
        kept.push(world.lab.kubectl(&["get", binding, "--output=json"]).await?);
        world.lab.kubectl(&["delete", binding]).await?;
    }
    let olga = scene.person("olga", &[], &["admin"]).await?;
    let result = unbelieved(&scene, &ann, &olga, &change).await;
    for binding in kept {
        let mut binding: Value = serde_json::from_str(&binding)?;
        let metadata = &binding["metadata"];
        binding["metadata"] =
            json!({"name": metadata["name"], "labels": metadata["labels"], "annotations": metadata["annotations"]});
        world.lab.apply(&binding.to_string()).await?;
    }
    until("the policy to act again", MINUTE, async || {
        Ok(ann.tries(Action::Approve, &change, Some("bob")).await.is_err().then_some(()))
    })
    .await?;
    result?;
    serves_no_more(&load, "v2").await?;
    // What was refused stays refused; said again, it is believed.
    until("the operator to believe people again", MINUTE, async || {
        Ok(Some(olga.firebreak(&["retry", APP, "--reason", "now she is known"])?))
    })
    .await?;
    waits_for_people(&scene, 2).await?;
    has(&ann.firebreak(&["approve", APP, "--reason", "now she is known"])?, &["is approved"])?;
    scene.kubectl(&["delete", "guard", APP, "--timeout=60s"]).await?;
    scene.finish(load).await?;
    scene.close(None).await
}

async fn unbelieved(scene: &Scene<'_>, ann: &Person, olga: &Person, change: &str) -> Result<()> {
    until("the policy to act no more", MINUTE, async || {
        Ok(ann.tries(Action::Approve, change, Some("bob")).await.ok().map(|_| ()))
    })
    .await?;
    // The operator's answer of before counts for a few seconds; what is asked until then only is not paused.
    until("the operator to believe nobody", MINUTE, async || {
        let answer = ann.answer_to(&ann.asks(Action::Resume, change).await?).await?;
        Ok(answer.message.is_some_and(|message| message.contains("nobody vouches for who asked to resume")).then_some(()))
    })
    .await?;
    for act in ["approve", "promote"] {
        has(
            &ann.refused(&[act, APP, "--reason", "a test"])?,
            &["nobody vouches for who asked to", "Pause and abort need nothing of it"],
        )?;
    }
    ann.firebreak(&["pause", APP])?;
    has(&ann.refused(&["resume", APP])?, &["nobody vouches for who asked to resume"])?;
    ann.firebreak(&["abort", APP])?;
    scene.ends(change, Phase::RolledBack, MINUTE).await?;
    scene.guard_is("Condemned").await?;
    for act in ["retry", "clear"] {
        has(&olga.refused(&[act, APP, "--reason", "a test"])?, &["nobody vouches for who asked to"])?;
    }
    Ok(())
}
