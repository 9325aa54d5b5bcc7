//! Risk policy: rules judge a Change, a bad edit of a policy changes nothing, and a namespace cannot loosen.

use std::{path::Path, time::Duration};

use anyhow::{Result, ensure};
use firebreak_api::{Change, ClusterRiskPolicy, Guard, RiskPolicy, change::Phase, conditions, policy::PolicyStatus};
use firebreak_lab::cluster::until;
use firebreak_tests::{
    MINUTE, Scene, World,
    manifests::{self, APP, yaml},
    record::{phase_of, waits_for},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{
    Api, ResourceExt as _,
    api::{ApiResource, DynamicObject, GroupVersionKind, PostParams},
};
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
    // What tightened when it was written is ignored when the cluster's policy has become the stricter one.
    let mut before = ruled(GOOD, None);
    before["spec"]["levels"]["high"]["alpha"] = json!(0.01);
    before["spec"]["levels"]["low"]["approval"] = json!({"at": [100], "count": 2, "groups": ["release"], "expiresAfter": "1h"});
    before["spec"]["levels"]["low"].as_object_mut().map(|low| low.remove("approvalAt"));
    before["spec"]["limits"] = json!({"namespace": 2});
    scene.apply(&[before]).await?;
    loosens_nothing(&scene).await?;
    until("the API server to know the policy", MINUTE, async || {
        scene.apply(&[team(&json!({"high": {"alpha": 0.015, "stages": [20], "minBake": "6s"}}))]).await.map(Some)
    })
    .await?;
    scene.apply(&[ruled(GOOD, None)]).await?;
    let mut guard = manifests::guard();
    guard["spec"]["policyRef"] = json!({"kind": "RiskPolicy", "name": "team"});
    scene.guarded_by(&guard, 3, &[]).await?;
    cluster_says(world, "Ready", "InForce", &["every rule can be used"]).await?;
    // What it said before it may go on saying, and more that is stricter; nothing that is looser.
    let now = |levels: Value| team(&json!({"high": levels}));
    scene.apply(&[now(json!({"alpha": 0.015, "stages": [20], "minBake": "6s", "beta": 0.04}))]).await?;
    let looser = now(json!({"alpha": 0.012, "stages": [20], "minBake": "6s"}));
    let refusal = scene.apply(&[looser]).await.err().map(|error| format!("{error:#}")).unwrap_or_default();
    ensure!(refusal.contains("alpha 0.012 is looser than 0.02"), "a looser value than before: {refusal:?}");
    team_says(&scene, "Tightens", "LooserIgnored", &["levels.high: alpha 0.015 is looser than 0.02"]).await?;
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

/// What would be looser than the policy that it names, or than the built-in one, is refused where it is written; and where a namespace
/// says which policy it goes by, nothing in it names another.
async fn loosens_nothing(scene: &Scene<'_>) -> Result<()> {
    let own = |cluster: Option<&str>, levels: Value| {
        let mut policy = json!({"apiVersion": "firebreak.dev/v1alpha1", "kind": "RiskPolicy", "metadata": {"name": "loose"},
            "spec": {"levels": levels}});
        if let Some(cluster) = cluster {
            policy["spec"]["clusterPolicy"] = json!(cluster);
        }
        policy
    };
    let high = |field: &str, value: Value| own(Some(RULED), json!({"high": {(field): value}}));
    refused(scene, &high("alpha", json!(0.001)), "spec.levels.high.alpha 0.001 is looser than 0.01").await?;
    let table = [
        (high("beta", json!(0.5)), "beta 0.5 is looser than 0.05"),
        (high("margin", json!(2)), "margin 2 is looser than 1.25"),
        (high("budgetPercent", json!(3)), "budgetPercent 3"),
        (high("holdbackPercent", json!(0)), "holdbackPercent 0 is looser than 5"),
        (high("minBake", json!("1s")), "minBake 1s is looser than 5s"),
        (high("maxBake", json!("20m")), "maxBake 20m is looser than 10m"),
        (high("finalBake", json!("0s")), "finalBake 0s"),
        (high("noDataAfter", json!("2m")), "noDataAfter 2m"),
        (high("inconclusive", json!("Promote")), "inconclusive Promote is looser than Hold"),
        (
            own(Some(RULED), json!({"low": {"alpha": 0.001}, "critical": {"beta": 0.4}})),
            "spec.levels.low.alpha 0.001 is looser than 0.005; spec.levels.critical.beta 0.4",
        ),
        (
            own(None, json!({"medium": {"minBake": "1s", "maxBake": "10m"}})),
            "tightens the built-in policy, and spec.levels.medium.minBake 1s is looser than 2m",
        ),
        (own(None, json!({"critical": {"noData": "Hold"}})), "noData Hold is looser than RollBack"),
        (own(Some(RULED), json!({"low": {"approval": {"count": 1}}})), "approval.count 1 is looser than 2"),
        (
            own(Some(RULED), json!({"low": {"approval": {"groups": ["release", "team"]}}})),
            "approval.groups names groups that are not among release",
        ),
        (own(Some(RULED), json!({"low": {"approval": {"expiresAfter": "2h"}}})), "approval.expiresAfter 2h is looser than 1h"),
        (with_limit(own(Some(RULED), json!({}))), "spec.limits.namespace 3 is looser than 2"),
        // A null beside it hides nothing.
        (own(Some(RULED), json!({"high": {"alpha": null, "beta": 0.5}})), "beta 0.5 is looser than 0.05"),
    ];
    for (object, words) in table {
        refused(scene, &object, words).await?;
    }
    // Made before the namespace says which policy it goes by, it tightens another.
    let mut other = own(None, json!({"high": {"minBake": "1h"}}));
    other["metadata"]["name"] = json!("other");
    scene.apply(&[other]).await?;
    let label = |text: &str| vec!["label".to_owned(), "namespace".to_owned(), scene.namespace.clone(), text.to_owned()];
    let kubectl = async |args: Vec<String>| {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        scene.world.lab.kubectl(&args).await
    };
    kubectl(label(&format!("firebreak.dev/policy={RULED}"))).await?;
    let mut guard = manifests::guard();
    guard["metadata"]["name"] = json!("free");
    refused(scene, &guard, "goes by ClusterRiskPolicy ruled (its label firebreak.dev/policy), and a Guard in it by no other")
        .await?;
    guard["spec"].as_object_mut().map(|spec| spec.remove("policyRef"));
    refused(scene, &guard, "Write spec.policyRef: {kind: ClusterRiskPolicy, name: ruled}").await?;
    refused(scene, &own(None, json!({"high": {"minBake": "1h"}})), "Write spec.clusterPolicy: ruled").await?;
    guard["spec"]["policyRef"] = json!({"kind": "RiskPolicy", "name": "other"});
    refused(scene, &guard, "RiskPolicy other does not tighten ClusterRiskPolicy ruled").await?;
    // What it goes by, it may name.
    guard["spec"]["policyRef"] = json!({"kind": "ClusterRiskPolicy", "name": RULED});
    let api: Api<Guard> = scene.api();
    api.create(&PostParams { dry_run: true, field_manager: None }, &serde_json::from_value(guard)?).await?;
    Ok(())
}

fn with_limit(mut policy: Value) -> Value {
    policy["spec"]["limits"] = json!({"namespace": 3});
    policy
}

/// Waits until the API server refuses it with these words: it learns of policies and labels a moment after they are written.
async fn refused(scene: &Scene<'_>, object: &Value, words: &str) -> Result<()> {
    let kind = object["kind"].as_str().unwrap_or_default();
    let gvk = GroupVersionKind::gvk("firebreak.dev", "v1alpha1", kind);
    let resource = ApiResource::from_gvk_with_plural(&gvk, if kind == "Guard" { "guards" } else { "riskpolicies" });
    let api: Api<DynamicObject> = Api::namespaced_with(scene.world.admin.clone(), &scene.namespace, &resource);
    let object = serde_json::from_value(object.clone())?;
    let tried = PostParams { dry_run: true, field_manager: None };
    let refusal = until(&format!("to be refused with: {words}"), MINUTE, async || {
        Ok(api.create(&tried, &object).await.err().map(|error| error.to_string()))
    })
    .await?;
    let object = serde_json::to_string(&object)?;
    ensure!(refusal.contains(words), "{object}: the refusal does not say \"{words}\": {refusal}");
    Ok(())
}

/// The examples of the README, as they are shipped: applied by kubectl, named by a Guard, and one change judged by each.
pub(crate) async fn the_three_examples_judge(world: &World) -> Result<()> {
    // The bank's file has a RiskPolicy in this namespace.
    let scene = Scene::open(world, "payments").await?;
    scene.guarded(2, &[]).await?;
    let secret = |deployment: &mut Value| {
        let from = json!({"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "shop", "optional": true}}});
        if let Some(env) = deployment["spec"]["template"]["spec"]["containers"][0]["env"].as_array_mut() {
            env.push(from);
        }
    };
    let claims = |contribution: &str, reviewer: &str| json!({"firebreak.dev/risk": "low", "firebreak.dev/ai-contribution": contribution, "firebreak.dev/reviewed-by": reviewer});
    type Example<'a> = (&'a str, Value, &'a str, Value, bool, &'a [&'a str]);
    let examples: [Example<'_>; 3] = [
        (
            "start-up",
            json!({"kind": "ClusterRiskPolicy", "name": "start-up"}),
            "start-up",
            claims("human", "bob"),
            true,
            &["a wrong secret fails at once and everywhere"],
        ),
        (
            "bank",
            json!({"kind": "RiskPolicy", "name": "payments"}),
            "bank + payments",
            claims("human", "bob"),
            true,
            &["it reads other secrets than before", "at least medium"],
        ),
        (
            "strict-ai",
            json!({"kind": "ClusterRiskPolicy", "name": "strict-ai"}),
            "strict-ai",
            claims("ai", ""),
            false,
            &["no human is named who read what a machine wrote"],
        ),
    ];
    for (number, (file, named, policy, claims, secrets, factors)) in (1..).zip(examples) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../charts/firebreak/policies/{file}.yaml"));
        let path = path.display().to_string();
        // As the file's second document names the first one, which the API server has just learned of.
        until(&format!("{file} to be taken"), MINUTE, async || {
            world.lab.kubectl(&["apply", "--filename", &path]).await.map(Some)
        })
        .await?;
        let mut guard = manifests::guard();
        guard["spec"]["policyRef"] = named;
        scene.apply(&[guard]).await?;
        guard_says(&scene, "InForce", &[&format!("policy {policy} is in force")]).await?;
        let mut deployment = manifests::deployment(&format!("v{}", number + 1), 2, &[]);
        deployment["metadata"]["annotations"] = claims;
        if secrets {
            secret(&mut deployment);
        }
        scene.apply(&[deployment]).await?;
        let change = scene.change(number).await?;
        let name = change.name_any();
        let (spec, risk) = (&change.spec, &change.spec.risk);
        ensure!(spec.policy == policy, "{name} goes by {}", spec.policy);
        // At a weekend the start-up's is a level higher.
        ensure!(["high", "critical"].contains(&risk.level.as_str()), "{policy}: {} by {:?}", risk.level, risk.factors);
        for words in factors {
            ensure!(
                risk.factors.iter().any(|factor| factor.effect.contains(words)),
                "{policy}: no \"{words}\" in {:?}",
                risk.factors
            );
        }
        let tested = scene.firebreak(&["policy", "test", &format!("change/{name}"), "--policy", &path])?;
        println!("{policy}: {} risk, humans before {:?} of {:?} %", risk.level, spec.plan.approval_stages(), spec.plan.stages);
        ensure!(tested.contains(factors[0]), "policy test does not name what it was judged by: {tested}");
        if file == "strict-ai" {
            scene.until_change(&name, "to wait for a human", MINUTE, |change| waits_for(change, &["WaitingForHuman"])).await?;
        }
        scene.firebreak(&["abort", APP, "--reason", "seen enough"])?;
        scene.ends(&name, Phase::RolledBack, 3 * MINUTE).await?;
    }
    scene.close(None).await
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
