//! Records that auditors keep: who did what, when and why, by people with rights of their own; and how much of the past is kept.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use firebreak_api::{Change, change::Phase, guard::Guard};
use firebreak_lab::cluster::until;
use firebreak_tests::{
    MINUTE, Scene, World,
    manifests::{self, APP},
    record::waits_for,
};
use kube::{
    ResourceExt as _,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::people::ships;

/// The operator tidies within this: deletions come with the next look at the Guard.
const TIDIED_WITHIN: Duration = Duration::from_secs(30);

/// A Guard by a policy of two short stages whose first asks a human.
fn asking(scene: &Scene<'_>) -> [Value; 2] {
    let mut policy = manifests::policy();
    policy["metadata"]["name"] = json!(scene.namespace);
    for level in ["low", "medium", "high", "critical"] {
        let level = &mut policy["spec"]["levels"][level];
        (level["stages"], level["approvalAt"]) = (json!([50, 100]), json!([50]));
        (level["minBake"], level["finalBake"]) = (json!("2s"), json!("2s"));
    }
    let mut guard = manifests::guard();
    guard["spec"]["policyRef"]["name"] = json!(scene.namespace);
    [policy, guard]
}

async fn waits_for_people(scene: &Scene<'_>, name: &str) -> Result<Change> {
    scene.until_change(name, "to wait for a human", MINUTE, |c| waits_for(c, &["WaitingForHuman"])).await
}

/// The Changes that are kept, once they are these.
async fn keeps(scene: &Scene<'_>, names: &[&str]) -> Result<()> {
    until(&format!("only {names:?} to be kept"), TIDIED_WITHIN, async || {
        let kept = scene.changes().await?;
        let kept: Vec<String> = kept.iter().map(kube::ResourceExt::name_any).collect();
        ensure!(names.iter().all(|name| kept.iter().any(|other| other == name)), "{kept:?} are kept, not {names:?}");
        Ok((kept == names).then_some(()))
    })
    .await
}

fn lines(text: &str) -> Result<Vec<Value>> {
    text.lines().filter(|line| line.starts_with('{')).map(|line| Ok(serde_json::from_str(line)?)).collect()
}

/// The entry of a Change that tells of this.
fn entry<'l>(lines: &'l [Value], change: &str, what: &str) -> Result<&'l Value> {
    lines.iter().find(|line| line["change"] == change && line["what"] == what).with_context(|| format!("{change} has no {what}"))
}

fn is(value: &Value, expected: &Value) -> Result<()> {
    ensure!(value == expected, "{value} is not {expected}");
    Ok(())
}

fn names_people(export: &str, promoted: &str, aborted: &str) -> Result<()> {
    let lines = lines(export)?;
    let person = |name: &str| json!({"kind": "Person", "name": name});
    for change in [promoted, aborted] {
        is(&entry(&lines, change, "Held")?["actor"], &person("carol"))?;
    }
    let approved = entry(&lines, promoted, "Approved")?;
    is(&approved["actor"], &person("ann"))?;
    is(&approved["why"], &json!("read the diff"))?;
    is(&entry(&lines, promoted, "Promoted")?["actor"], &json!({"kind": "Firebreak"}))?;
    let refused = entry(&lines, promoted, "Refused")?;
    is(&refused["actor"], &person("carol"))?;
    ensure!(refused["message"].as_str().is_some_and(|words| words.contains("their own change")), "{refused}");
    let abort = entry(&lines, aborted, "Aborted")?;
    is(&abort["actor"], &person("carol"))?;
    is(&abort["why"], &json!("wrong build"))?;
    ensure!(abort["from"]["images"].as_array().is_some_and(|images| !images.is_empty()), "{abort} does not say from what");
    let times: Vec<&str> = lines.iter().filter_map(|line| line["at"].as_str()).collect();
    ensure!(times.len() == lines.len() && !times.is_empty(), "an entry has no time: {export}");
    Ok(())
}

/// Approved and promoted, aborted: `history` and `export` say who, when and why. Then a history of one: what is beyond goes, and
/// what was condemned stays condemned without its Change.
pub(crate) async fn say_who_did_what_and_are_kept_as_asked(world: &World) -> Result<()> {
    let scene = Scene::open(world, "records").await?;
    let [policy, guard] = asking(&scene);
    scene.apply(&[policy]).await?;
    scene.guarded_by(&guard, 2, &[]).await?;
    let carol = scene.person("carol", &[], &["edit", "firebreak-approver"]).await?;
    let ann = scene.person("ann", &[], &["firebreak-approver"]).await?;
    let load = scene.load(100).await?;
    ships(&scene, &carol, "v2", "carol").await?;
    let promoted = scene.change(1).await?.name_any();
    waits_for_people(&scene, &promoted).await?;
    carol.refused(&["approve", APP, "--reason", "mine"])?;
    ann.firebreak(&["approve", APP, "--reason", "read the diff"])?;
    scene.ends(&promoted, Phase::Promoted, 2 * MINUTE).await?;
    scene.guard_is("Guarding").await?;
    ships(&scene, &carol, "v3", "carol").await?;
    let aborted = scene.change(2).await?.name_any();
    waits_for_people(&scene, &aborted).await?;
    carol.firebreak(&["abort", APP, "--reason", "wrong build"])?;
    scene.ends(&aborted, Phase::RolledBack, MINUTE).await?;
    scene.guard_is("Condemned").await?;

    let history = ann.firebreak(&["history", APP])?;
    println!("{history}");
    for words in ["promoted", "rolled back (Aborted)", "ann", "carol"] {
        ensure!(history.contains(words), "it does not say {words:?}: {history}");
    }
    let record = ann.firebreak(&["history", &format!("change/{promoted}")])?;
    println!("{record}");
    for words in ["Approved", "ann", "read the diff", "Refused", "Promoted"] {
        ensure!(record.contains(words), "it does not say {words:?}: {record}");
    }
    let export = ann.firebreak(&["export"])?;
    names_people(&export, &promoted, &aborted)?;
    ensure!(export == ann.firebreak(&["export"])?, "exported twice it is not the same");
    let events = lines(&ann.firebreak(&["export", "--format", "cdevents"])?)?;
    for kind in ["service.deployed.0.3.0", "service.upgraded.0.3.0"] {
        ensure!(events.iter().any(|event| event["context"]["type"] == format!("dev.cdevents.{kind}")), "no {kind}");
    }
    let approval = events.iter().find(|event| event["context"]["type"] == "dev.cdeventsx.firebreak-approval.given.0.1.0");
    is(&approval.context("no approval")?["subject"]["content"]["user"], &json!("ann"))?;

    let bound = Patch::Merge(json!({"spec": {"history": {"changes": 1}}}));
    scene.api::<Guard>().patch(APP, &PatchParams::default(), &bound).await?;
    keeps(&scene, &[&aborted]).await?;
    ships(&scene, &carol, "v4", "carol").await?;
    let third = until("another Change", MINUTE, async || {
        Ok(scene.changes().await?.into_iter().map(|change| change.name_any()).find(|name| *name != aborted))
    })
    .await?;
    waits_for_people(&scene, &third).await?;
    carol.firebreak(&["abort", APP])?;
    scene.ends(&third, Phase::RolledBack, MINUTE).await?;
    keeps(&scene, &[&third]).await?;
    // I3: what it condemned is the Guard's to know, not the Change's.
    ships(&scene, &carol, "v3", "carol").await?;
    scene.guard_is("Condemned").await?;
    until("the Guard to name the Change that is gone", TIDIED_WITHIN, async || {
        let guard = scene.api::<Guard>().get(APP).await?;
        let status = guard.status.unwrap_or_default();
        ensure!(status.forgotten_until.is_some(), "it does not say that some are forgotten");
        let said = status.conditions.iter().any(|condition| condition.message.contains(&aborted));
        Ok(said.then_some(()))
    })
    .await?;
    ensure!(scene.changes().await?.len() == 1, "a condemned template began a Change");
    ensure!(scene.finish(load).await?.total_failed() == 0, "requests failed");
    scene.close(None).await
}
