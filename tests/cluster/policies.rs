//! Risk policy: rules judge a Change, a bad edit of a policy changes nothing, and a namespace cannot loosen.

use std::time::Duration;

use anyhow::{Result, ensure};
use firebreak_api::{Change, ClusterRiskPolicy, Guard, RiskPolicy, change::Phase, conditions, policy::PolicyStatus};
use firebreak_lab::cluster::until;
use firebreak_tests::{
    MINUTE, Scene, World,
    manifests::{self, APP, yaml},
    record::{phase_of, waits_for},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

/// Name of the cluster's policy of this case.
const RULED: &str = "ruled";
/// What a status says is waited for this long.
const SAID_WITHIN: Duration = Duration::from_secs(60);

/// The policy of the tests with one rule more; `when` it holds the level is high and a human is asked before any exposure.
fn ruled(when: &str, refuse: Option<&str>) -> Value {
    let mut policy = manifests::policy();
    policy["metadata"]["name"] = json!(RULED);
    let mut rules =
        vec![json!({"name": "raised", "when": when, "atLeast": "high", "approvalAt": [0], "factor": "RAISED is set"})];
    rules.extend(refuse.map(|text| json!({"name": "frozen", "when": "true", "refuse": text})));
    policy["spec"]["rules"] = json!(rules);
    policy["spec"]["timeZone"] = json!("Europe/Zurich");
    policy
}

fn team(levels: &Value) -> Value {
    json!({"apiVersion": "firebreak.dev/v1alpha1", "kind": "RiskPolicy", "metadata": {"name": "team"},
        "spec": {"clusterPolicy": RULED, "levels": levels}})
}

const GOOD: &str = "diff.env.exists(e, e.name == \"RAISED\")";

pub(crate) async fn risk_policy(world: &World) -> Result<()> {
    let mut scene = Scene::open(world, "risk-policy").await?;
    the_api_server_refuses(&scene).await?;
    scene.apply(&[ruled(GOOD, None), team(&json!({"high": {"alpha": 0.0001, "stages": [20], "minBake": "6s"}}))]).await?;
    let mut guard = manifests::guard();
    guard["spec"]["policyRef"] = json!({"kind": "RiskPolicy", "name": "team"});
    scene.guarded_by(&guard, 3, &[]).await?;
    cluster_says(world, "Ready", "InForce", &["every rule can be used"]).await?;
    team_says(&scene, "Tightens", "LooserIgnored", &["levels.high: alpha 0.0001 is looser than 0.02"]).await?;
    guard_says(&scene, "InForce", &["policy ruled + team is in force"]).await?;

    // Nothing that was in force is lost by a bad edit, nor by a restart after it.
    scene.apply(&[ruled("diff.enw.exists(e, e.name == \"RAISED\")", None)]).await?;
    let words = ["rule raised, column 5: there is no fact diff.enw; did you mean env?", "stays in force"];
    cluster_says(world, "Ready", "FormerInForce", &words).await?;
    guard_says(&scene, "FormerInForce", &words).await?;
    scene.operator.kill();
    scene.operator.start()?;
    let load = scene.load(50).await?;
    let route = scene.route().await?;
    scene.ship("v2", 3, &[("RAISED", "1")]).await?;
    let change = scene.change(1).await?;
    judged_by_both(&change)?;
    let name = change.name_any();
    scene.until_change(&name, "to wait for a human", 2 * MINUTE, |change| waits_for(change, &["WaitingForHuman"])).await?;
    let tested = scene.firebreak(&["policy", "test", &format!("change/{name}")])?;
    ensure!(tested.contains("The same as the Change recorded."), "policy test: {tested}");
    let explained = scene.firebreak(&["explain", APP])?;
    ensure!(explained.contains("env RAISED added") && explained.contains("RAISED is set"), "explain: {explained}");
    scene.firebreak(&["abort", APP, "--reason", "seen enough"])?;
    scene.ends(&name, Phase::RolledBack, 3 * MINUTE).await?;

    // What a policy refuses is held, whoever lets it through, until another template comes.
    scene.apply(&[ruled(GOOD, Some("nothing ships today"))]).await?;
    cluster_says(world, "Ready", "InForce", &[]).await?;
    scene.ship("v3", 3, &[]).await?;
    let refused = scene.change(2).await?.name_any();
    scene.until_change(&refused, "to be refused", 2 * MINUTE, |change| waits_for(change, &["RefusedByPolicy"])).await?;
    let promoted =
        scene.firebreak(&["promote", APP, "--reason", "must go"]).err().map(|error| format!("{error:#}")).unwrap_or_default();
    ensure!(promoted.contains("nothing ships today"), "promote of what is refused: {promoted}");
    scene.stays(&refused, &["RefusedByPolicy"], Duration::from_secs(5)).await?;
    let change: Change = scene.api().get(&refused).await?;
    ensure!(
        scene.pods(&change.spec.candidate.hash).await?.is_empty() && phase_of(&change) == Phase::Held,
        "something of it runs"
    );
    scene.ship("v1", 3, &[]).await?;
    scene.ends(&refused, Phase::Withdrawn, 2 * MINUTE).await?;
    ensure!(scene.finish(load).await?.total_failed() == 0, "requests failed");
    scene.close(Some(&route)).await
}

/// The rule raised it and asks before any exposure; the namespace's stages and bake came in, its looser alpha did not.
fn judged_by_both(change: &Change) -> Result<()> {
    let (spec, plan) = (&change.spec, &change.spec.plan);
    ensure!(spec.policy == "ruled + team" && spec.risk.level == "high", "policy {}, level {}", spec.policy, spec.risk.level);
    let named = |factor: &firebreak_api::change::Factor| factor.name == "rule raised" && factor.effect.contains("RAISED is set");
    ensure!(spec.risk.factors.iter().any(named), "{:?}", spec.risk.factors);
    ensure!(plan.stages == [10, 20, 50, 100] && plan.approval_at == [10, 100], "{plan:?}");
    ensure!((plan.alpha - 0.02).abs() < 1e-12 && plan.min_bake.to_string() == "6s", "{plan:?}");
    ensure!(spec.differences.iter().any(|words| words == "container app: env RAISED added"), "{:?}", spec.differences);
    ensure!(spec.risk_basis.is_some(), "what it was judged by is not recorded");
    Ok(())
}

async fn the_api_server_refuses(scene: &Scene<'_>) -> Result<()> {
    let cluster = |change: &dyn Fn(&mut Value)| {
        let mut policy = ruled(GOOD, None);
        change(&mut policy["spec"]);
        policy
    };
    let freeze = |mut freeze: Value| {
        freeze["name"] = json!("a");
        cluster(&|spec| spec["freezes"] = json!([freeze]))
    };
    let table = [
        ("a rule without an effect", cluster(&|spec| spec["rules"] = json!([{"name": "a", "when": "true"}])), "say what follows"),
        (
            "two rules of one name",
            cluster(&|spec| {
                spec["rules"] = json!([{"name": "a", "when": "true", "raise": 1}, {"name": "a", "when": "true", "raise": 1}])
            }),
            "give each rule a name of its own",
        ),
        ("a rule that raises by 9", cluster(&|spec| spec["rules"][0]["raise"] = json!(9)), "raise"),
        (
            "a level more",
            cluster(&|spec| spec["levels"]["severe"] = spec["levels"]["high"].clone()),
            "levels are low, medium, high and critical",
        ),
        ("a level less", cluster(&|spec| drop(spec["levels"].as_object_mut().and_then(|levels| levels.remove("low")))), "low"),
        ("an alpha of 2", cluster(&|spec| spec["levels"]["high"]["alpha"] = json!(2.0)), "a probability above 0 and up to 0.5"),
        (
            "a freeze without its length",
            freeze(json!({"schedule": "0 17 * * 5"})),
            "write schedule and duration, or from and until",
        ),
        ("a freeze of six fields", freeze(json!({"schedule": "0 0 17 * * 5", "duration": "1h"})), "a cron of five fields"),
        ("a freeze of no time", freeze(json!({"schedule": "0 17 * * 5", "duration": "0s"})), "duration: from 1m to 8784h"),
        (
            "a freeze that ends before it begins",
            freeze(json!({"from": "2026-12-19T17:00:00Z", "until": "2026-12-18T17:00:00Z"})),
            "from must be before until",
        ),
        ("a limit of none", cluster(&|spec| spec["limits"] = json!({"cluster": 0})), "limits.cluster"),
        (
            "a limit of a level that there is not",
            cluster(&|spec| spec["limits"] = json!({"levels": {"severe": 1}})),
            "levels are low, medium, high and critical",
        ),
        (
            "a RiskPolicy that says nothing",
            json!({"apiVersion": "firebreak.dev/v1alpha1", "kind": "RiskPolicy", "metadata": {"name": "team"}, "spec": {"clusterPolicy": RULED}}),
            "write atLeast, rules or levels",
        ),
        (
            "a level of a RiskPolicy that there is not",
            team(&json!({"severe": {"alpha": 0.1}})),
            "levels are low, medium, high and critical",
        ),
        ("a field that would loosen", team(&json!({"high": {"skipStages": true}})), "skipStages"),
    ];
    for (what, object, words) in table {
        let refusal = match scene.world.lab.apply(&yaml(&[scene.within(&object)])).await {
            Ok(()) => anyhow::bail!("{what} was accepted"),
            Err(error) => format!("{error:#}"),
        };
        ensure!(refusal.contains(words), "{what}: the refusal does not say \"{words}\": {refusal}");
    }
    Ok(())
}

/// Whether a condition gives this reason with these words; an error with what it says instead.
fn fits(condition: Option<&Condition>, reason: &str, words: &[&str]) -> Result<Option<()>> {
    match condition {
        Some(said) if said.reason == reason && words.iter().all(|word| said.message.contains(word)) => Ok(Some(())),
        other => anyhow::bail!("it says {other:?}"),
    }
}

fn condition(status: Option<PolicyStatus>, kind: &str) -> Option<Condition> {
    conditions::get(&status?.conditions, kind).cloned()
}

async fn cluster_says(world: &World, kind: &str, reason: &str, words: &[&str]) -> Result<()> {
    let api: Api<ClusterRiskPolicy> = Api::all(world.admin.clone());
    until(&format!("ClusterRiskPolicy {RULED} to say {reason}"), SAID_WITHIN, async || {
        fits(condition(api.get(RULED).await?.status, kind).as_ref(), reason, words)
    })
    .await
}

async fn team_says(scene: &Scene<'_>, kind: &str, reason: &str, words: &[&str]) -> Result<()> {
    let api: Api<RiskPolicy> = scene.api();
    until(&format!("RiskPolicy team to say {reason}"), SAID_WITHIN, async || {
        fits(condition(api.get("team").await?.status, kind).as_ref(), reason, words)
    })
    .await
}

async fn guard_says(scene: &Scene<'_>, reason: &str, words: &[&str]) -> Result<()> {
    let api: Api<Guard> = scene.api();
    until(&format!("the Guard to say {reason}"), SAID_WITHIN, async || {
        let conditions = api.get(APP).await?.status.unwrap_or_default().conditions;
        fits(conditions::get(&conditions, conditions::kind::POLICY), reason, words)
    })
    .await
}
