//! Policies over real templates: changes with the level, the factors and the plan that follow; what a namespace can and cannot do;
//! the manifests that are shipped.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;

use firebreak_api::{
    ClusterRiskPolicy, RiskPolicy, diff,
    in_force::{self, Basis, Effective, Judged, Named},
    plan,
    policy::{Inconclusive, Level as Plan, NoData, RiskLevel, RiskPolicySpec, RiskRule, StricterApproval, Tightening},
    stricter, template,
};
use firebreak_engine::{
    people::Approval,
    policy::{
        Facts,
        facts::{Changer, Clock, History, Workload},
    },
    risk::{Level, assess},
};
use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

const SHIPPED: [&str; 4] = ["standard", "strict-ai", "bank", "start-up"];
const LEVELS: [Level; 4] = [Level::Low, Level::Medium, Level::High, Level::Critical];

/// Whether one level is at least as strict as another in every field.
fn is_at_least_as_strict(level: &Plan, other: &Plan) -> bool {
    let bake = match level.inconclusive {
        // A level that no longer promotes what is inconclusive may say so sooner.
        Inconclusive::Promote => level.max_bake >= other.max_bake,
        Inconclusive::Hold | Inconclusive::RollBack => level.max_bake <= other.max_bake.max(level.min_bake),
    };
    let asks = |stage: &i32| level.approval_stages().iter().any(|asked| asked <= stage && level.stages.contains(asked));
    level.alpha >= other.alpha
        && level.beta <= other.beta
        && level.margin <= other.margin
        && level.budget_percent <= other.budget_percent
        && level.slo_factor <= other.slo_factor
        && other.stages.iter().all(|stage| level.stages.contains(stage))
        && level.min_bake >= other.min_bake
        && bake
        && level.final_bake >= other.final_bake
        && level.holdback_percent >= other.holdback_percent
        && other.approval_stages().iter().all(asks)
        && level.inconclusive >= other.inconclusive
        && level.no_data >= other.no_data
        && level.no_data_after <= other.no_data_after
        && asks_no_less(&plan::plan(level, None).approval, &plan::plan(other, None).approval)
}

/// As many people or more, of no other groups, for no longer.
fn asks_no_less(approval: &Approval, other: &Approval) -> bool {
    let among = |group| other.groups.is_empty() || other.groups.contains(group);
    approval.count >= other.count
        && (other.groups.is_empty() || !approval.groups.is_empty())
        && approval.groups.iter().all(among)
        && other.expires_after_seconds.is_none_or(|other| approval.expires_after_seconds.is_some_and(|own| own <= other))
}

fn documents(name: &str) -> Vec<Value> {
    let path = format!("{}/../../charts/firebreak/policies/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    text.split("\n---\n").map(|document| serde_yaml_ng::from_str(document).unwrap()).collect()
}

fn shipped(name: &str) -> ClusterRiskPolicy {
    serde_json::from_value(documents(name)[0].clone()).unwrap()
}

fn payments() -> RiskPolicy {
    serde_json::from_value(documents("bank")[1].clone()).unwrap()
}

fn cluster(name: &str) -> Effective {
    Effective { cluster: Some(Named { name: name.to_owned(), spec: shipped(name).spec }), own: None }
}

/// A workload as a bank would run it.
fn stable() -> Value {
    json!({
        "metadata": {"labels": {"app": "shop"}},
        "spec": {
            "serviceAccountName": "shop",
            "containers": [{
                "name": "app", "image": "registry.bank/shop:1.4@sha256:aa", "args": ["--serve"],
                "env": [{"name": "MODE", "value": "prod"}, {"name": "DB", "valueFrom": {"secretKeyRef": {"name": "db", "key": "url"}}}],
                "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"memory": "1Gi"}},
                "livenessProbe": {"httpGet": {"path": "/live", "port": 8080}},
                "securityContext": {"runAsNonRoot": true, "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
                "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
            }],
            "volumes": [{"name": "tmp", "emptyDir": {}}],
        },
    })
}

/// The candidate: stable with some places set (`null` takes away). `=` alone is the new digest that every release has.
fn candidate(sets: &[(&str, Value)]) -> Value {
    let mut template = stable();
    for (path, value) in sets {
        let (parent, key) = path.rsplit_once('/').unwrap();
        let parent = template.pointer_mut(parent).unwrap_or_else(|| panic!("{path}"));
        match parent {
            Value::Object(map) if value.is_null() => drop(map.remove(key)),
            Value::Object(map) => drop(map.insert(key.to_owned(), value.clone())),
            Value::Array(list) if key == "-" => list.push(value.clone()),
            Value::Array(list) => list[key.parse::<usize>().unwrap()] = value.clone(),
            _ => panic!("{path}"),
        }
    }
    template
}

/// A quiet Wednesday at ten, read by someone else, asked for by a known user, in a namespace without labels that matter.
fn facts(claims: &str, sets: &[(&str, Value)]) -> Facts {
    let pair = |part: &str| part.split_once('=').map(|(name, value)| (format!("firebreak.dev/{name}"), value.to_owned()));
    Facts {
        annotations: claims.split(';').filter_map(pair).collect(),
        workload: Workload {
            name: "shop".to_owned(),
            in_namespace: "shop".to_owned(),
            replicas: 4,
            namespace_labels: Some(BTreeMap::new()),
            ..Workload::default()
        },
        diff: diff::between(&stable(), &candidate(sets)),
        time: Clock { zone: "Europe/Zurich".to_owned(), year: 2026, month: 7, day: 29, weekday: 3, hour: 10, minute: 0 },
        history: History { complete: true, ..History::default() },
        changer: Changer { name: Some("ann".to_owned()) },
    }
}

fn image(reference: &str) -> (&'static str, Value) {
    ("/spec/containers/0/image", json!(reference))
}

fn release() -> (&'static str, Value) {
    image("registry.bank/shop:1.5@sha256:bb")
}

fn set(path: &'static str, value: Value) -> Vec<(&'static str, Value)> {
    vec![release(), (path, value)]
}

fn nothing(_: &mut Facts) {}

/// Names of the rules that had a part, without the word before them.
fn rules(judged: &Judged) -> Vec<String> {
    let names = judged.outcome.factors.iter().filter_map(|factor| factor.name.strip_prefix("rule ").map(str::to_owned));
    names.collect()
}

const READ: &str = "risk=low;author=carol;reviewed-by=bob";

#[rstest]
// What a release usually is.
#[case::release(READ, vec![release()], nothing, "low", &[], &[], false)]
#[case::medium("risk=medium;reviewed-by=bob", vec![release()], nothing, "medium", &[], &[], false)]
#[case::nothing_claimed("reviewed-by=bob", vec![release()], nothing, "medium", &[], &[], false)]
#[case::nobody_read_it("risk=low", vec![release()], nothing, "medium", &["reviewed-by-its-author"], &[], false)]
#[case::its_author_read_it("risk=low;author=bob;reviewed-by=bob", vec![release()], nothing, "medium", &["reviewed-by-its-author"], &[], false)]
#[case::high("risk=high;reviewed-by=bob", vec![release()], nothing, "high", &[], &[100], false)]
#[case::critical("risk=critical;reviewed-by=bob", vec![release()], nothing, "critical", &[], &[10, 100], false)]
#[case::score("risk-score=0.90;reviewed-by=bob", vec![release()], nothing, "high", &[], &[100], false)]
#[case::malformed("risk=none;reviewed-by=bob", vec![release()], nothing, "high", &[], &[100], false)]
#[case::machine_read("risk=low;ai-contribution=ai;reviewed-by=bob", vec![release()], nothing, "low", &[], &[], false)]
#[case::machine_unread("risk=low;ai-contribution=ai", vec![release()], nothing, "high", &["reviewed-by-its-author"], &[100], false)]
// Images.
#[case::not_pinned(READ, vec![image("registry.bank/shop:1.5")], nothing, "medium", &["not-pinned"], &[], false)]
#[case::latest(READ, vec![image("registry.bank/shop:latest")], nothing, "medium", &["not-pinned"], &[], false)]
#[case::other_source(READ, vec![image("docker.io/x/shop:1.5@sha256:bb")], nothing, "critical", &["new-source"], &[10, 100], false)]
#[case::other_source_not_pinned(READ, vec![image("docker.io/x/shop:1.5")], nothing, "critical", &["new-source", "not-pinned"], &[10, 100], false)]
#[case::port_is_no_tag(READ, vec![image("registry.bank:5000/shop@sha256:bb")], nothing, "critical", &["new-source"], &[10, 100], false)]
// Environment and volumes.
#[case::env_added(READ, set("/spec/containers/0/env/-", json!({"name": "NEW", "value": "1"})), nothing, "low", &[], &[], false)]
#[case::env_changed(READ, set("/spec/containers/0/env/0", json!({"name": "MODE", "value": "test"})), nothing, "low", &[], &[], false)]
#[case::secret_added(READ, set("/spec/containers/0/env/-", json!({"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "k", "key": "k"}}})), nothing, "high", &["secrets"], &[100], false)]
#[case::secret_replaced_by_text(READ, set("/spec/containers/0/env/1", json!({"name": "DB", "value": "postgres://"})), nothing, "high", &["secrets"], &[100], false)]
#[case::secret_set(READ, set("/spec/containers/0/envFrom", json!([{"secretRef": {"name": "all"}}])), nothing, "high", &["secrets"], &[100], false)]
#[case::config_set(READ, set("/spec/containers/0/envFrom", json!([{"configMapRef": {"name": "all"}}])), nothing, "low", &[], &[], false)]
#[case::secret_volume(READ, set("/spec/volumes/-", json!({"name": "k", "secret": {"secretName": "k"}})), nothing, "high", &["secrets"], &[100], false)]
#[case::host_path(READ, set("/spec/volumes/-", json!({"name": "h", "hostPath": {"path": "/"}})), nothing, "low", &["host-access"], &[], true)]
// Rights.
#[case::privileged(READ, set("/spec/containers/0/securityContext/privileged", json!(true)), nothing, "critical", &["host-access", "rights-widened"], &[1, 10, 100], true)]
#[case::host_network(READ, set("/spec/hostNetwork", json!(true)), nothing, "critical", &["host-access", "rights-widened"], &[1, 10, 100], true)]
#[case::root(READ, set("/spec/containers/0/securityContext/runAsUser", json!(0)), nothing, "critical", &["rights-widened"], &[1, 10, 100], false)]
#[case::no_longer_non_root(READ, set("/spec/containers/0/securityContext/runAsNonRoot", Value::Null), nothing, "critical", &["rights-widened"], &[1, 10, 100], false)]
#[case::capability(READ, set("/spec/containers/0/securityContext/capabilities", json!({"add": ["NET_ADMIN"], "drop": ["ALL"]})), nothing, "critical", &["rights-widened"], &[1, 10, 100], false)]
#[case::drops_less(READ, set("/spec/containers/0/securityContext/capabilities", json!({"drop": []})), nothing, "critical", &["rights-widened"], &[1, 10, 100], false)]
#[case::escalation(READ, set("/spec/containers/0/securityContext/allowPrivilegeEscalation", Value::Null), nothing, "critical", &["rights-widened"], &[1, 10, 100], false)]
#[case::tighter(READ, set("/spec/containers/0/securityContext/readOnlyRootFilesystem", json!(true)), nothing, "low", &[], &[], false)]
#[case::service_account(READ, set("/spec/serviceAccountName", json!("admin")), nothing, "critical", &["rights-widened"], &[1, 10, 100], false)]
// Safety nets, resources, the rest.
#[case::probe_gone(READ, set("/spec/containers/0/livenessProbe", Value::Null), nothing, "high", &["safety-net"], &[100], false)]
#[case::probe_added(READ, set("/spec/containers/0/readinessProbe", json!({"tcpSocket": {"port": 1}})), nothing, "low", &[], &[], false)]
#[case::less_memory(READ, set("/spec/containers/0/resources/limits/memory", json!("512Mi")), nothing, "high", &["safety-net"], &[100], false)]
#[case::more_memory(READ, set("/spec/containers/0/resources/limits/memory", json!("2Gi")), nothing, "low", &[], &[], false)]
#[case::no_limit(READ, set("/spec/containers/0/resources/limits", Value::Null), nothing, "high", &["safety-net"], &[100], false)]
#[case::args(READ, set("/spec/containers/0/args", json!(["--debug"])), nothing, "low", &[], &[], false)]
#[case::sidecar(READ, set("/spec/containers/-", json!({"name": "log", "image": "registry.bank/log:1"})), nothing, "medium", &["not-pinned"], &[], false)]
#[case::sidecar_privileged(READ, set("/spec/containers/-", json!({"name": "log", "image": "registry.bank/log@sha256:c", "securityContext": {"privileged": true}})), nothing, "critical", &["host-access", "rights-widened"], &[1, 10, 100], true)]
#[case::elsewhere(READ, set("/spec/nodeSelector", json!({"disk": "ssd"})), nothing, "low", &[], &[], false)]
// When, who, and what came before.
#[case::evening(READ, vec![release()], |facts: &mut Facts| facts.time.hour = 18, "low", &["evening"], &[5], false)]
#[case::friday(READ, vec![release()], |facts: &mut Facts| (facts.time.weekday, facts.time.hour) = (5, 15), "low", &["evening"], &[5], false)]
#[case::nobody_known(READ, vec![release()], |facts: &mut Facts| facts.changer.name = None, "high", &["changer-unknown"], &[100], false)]
#[case::unsteady(READ, vec![release()], |facts: &mut Facts| facts.history = History { changes: 4, taken_back: 2, share_taken_back: Some(0.5), ..History::default() }, "high", &["unsteady"], &[100], false)]
#[case::one_bad_of_one(READ, vec![release()], |facts: &mut Facts| facts.history = History { changes: 1, taken_back: 1, share_taken_back: Some(1.0), ..History::default() }, "low", &[], &[], false)]
#[case::regulated(READ, vec![release()], |facts: &mut Facts| facts.workload.namespace_labels = Some(BTreeMap::from([("regulated".to_owned(), "yes".to_owned())])), "high", &["regulated"], &[100], false)]
#[case::labels_unread(READ, vec![release()], |facts: &mut Facts| facts.workload.namespace_labels = None, "high", &["regulated"], &[100], false)]
#[case::much_at_once(READ, vec![image("docker.io/x/shop:1.5"), ("/spec/serviceAccountName", json!("admin")), ("/spec/containers/0/livenessProbe", Value::Null)], |facts: &mut Facts| facts.time.hour = 3, "critical", &["evening", "rights-widened", "new-source", "not-pinned", "safety-net"], &[1, 10, 100], false)]
fn given_a_change_at_a_bank_when_judged_then_level_rules_approvals_and_refusal(
    #[case] claims: &str,
    #[case] sets: Vec<(&str, Value)>,
    #[case] more: fn(&mut Facts),
    #[case] level: &str,
    #[case] expected: &[&str],
    #[case] approval_at: &[i32],
    #[case] refused: bool,
) {
    let mut facts = facts(claims, &sets);
    more(&mut facts);
    let in_force = cluster("bank").compile().unwrap();
    let judged = in_force.judge(&facts);
    assert_eq!(judged.outcome.level.as_str(), level, "{:#?}", judged.outcome.factors);
    assert_eq!(rules(&judged), expected, "{:#?}", judged.outcome.factors);
    assert_eq!(judged.plan.approval_stages(), approval_at);
    assert_eq!(!judged.outcome.refused.is_empty(), refused);
    let level = cluster("bank").level(judged.outcome.level);
    assert_eq!(
        Plan { approval_at: level.approval_at.clone(), ..judged.plan.clone() },
        level,
        "the rest of the plan is the level's"
    );
    let basis = Basis { facts, policy: cluster("bank") };
    assert_eq!(Basis::unpack(&basis.pack().unwrap()).unwrap().judge().unwrap(), judged, "the same from what is stored");
}

#[rstest]
#[case::human("risk=low;ai-contribution=human;reviewed-by=bob", vec![release()], "low", &[], &[], false)]
#[case::not_said("risk=low", vec![release()], "medium", &["authorship-not-said"], &[100], false)]
#[case::not_said_medium("risk=medium;reviewed-by=bob", vec![release()], "medium", &["authorship-not-said"], &[100], false)]
#[case::read_medium("risk=medium;ai-contribution=ai;reviewed-by=bob", vec![release()], "medium", &["machine-written"], &[100], false)]
#[case::read("risk=low;ai-contribution=ai;ai-agents=writer;reviewed-by=bob", vec![release()], "medium", &["machine-written"], &[100], false)]
#[case::unread("risk=low;ai-contribution=ai;ai-agents=writer", vec![release()], "high", &["machine-written", "machine-written-unreviewed"], &[1, 100], false)]
#[case::agents_alone("risk=low;ai-contribution=human;ai-agents=writer;reviewed-by=bob", vec![release()], "medium", &["machine-written"], &[100], false)]
#[case::read_by_itself("risk=low;ai-contribution=ai;ai-agents=writer;reviewed-by=writer", vec![release()], "high", &["machine-written", "reviewed-by-its-writer"], &[1, 100], false)]
#[case::widens("risk=low;ai-contribution=ai;reviewed-by=bob", set("/spec/hostPID", json!(true)), "medium", &["machine-written", "machine-widens-rights"], &[100], true)]
#[case::human_widens("risk=low;ai-contribution=human;reviewed-by=bob", set("/spec/hostPID", json!(true)), "low", &[], &[], false)]
#[case::secrets("risk=low;ai-contribution=mixed;reviewed-by=bob", set("/spec/containers/0/envFrom", json!([{"secretRef": {"name": "all"}}])), "critical", &["machine-written", "machine-touches-secrets"], &[10, 100], false)]
#[case::source("risk=low;ai-contribution=ai;reviewed-by=bob", vec![image("docker.io/x/shop:1")], "critical", &["machine-written", "machine-new-source"], &[10, 100], false)]
#[case::probe("risk=low;ai-contribution=ai;reviewed-by=bob", set("/spec/containers/0/livenessProbe", Value::Null), "high", &["machine-written", "machine-drops-safety-net"], &[100], false)]
fn given_a_change_of_a_team_with_agents_when_judged_then_level_rules_approvals_and_refusal(
    #[case] claims: &str,
    #[case] sets: Vec<(&str, Value)>,
    #[case] level: &str,
    #[case] expected: &[&str],
    #[case] approval_at: &[i32],
    #[case] refused: bool,
) {
    let judged = cluster("strict-ai").compile().unwrap().judge(&facts(claims, &sets));
    assert_eq!(judged.outcome.level.as_str(), level, "{:#?}", judged.outcome.factors);
    assert_eq!((rules(&judged).as_slice(), judged.plan.approval_at.as_slice()), (to_owned(expected).as_slice(), approval_at));
    assert_eq!(!judged.outcome.refused.is_empty(), refused);
}

#[rstest]
#[case::usual(vec![release()], nothing, "low", &[], &[])]
#[case::saturday(vec![release()], |facts: &mut Facts| facts.time.weekday = 6, "medium", &["friday-evening"], &[])]
#[case::secret(set("/spec/containers/0/envFrom", json!([{"secretRef": {"name": "all"}}])), nothing, "high", &["secrets"], &[100])]
#[case::privileged(set("/spec/hostPID", json!(true)), nothing, "low", &["privileged"], &[10])]
#[case::after_a_bad_one(vec![release()], |facts: &mut Facts| facts.history = History { last_taken_back: Some(true), hours_since_last: Some(3.0), ..History::default() }, "medium", &["after-a-bad-one"], &[])]
fn given_a_change_of_a_start_up_when_judged_then_level_rules_and_approvals(
    #[case] sets: Vec<(&str, Value)>,
    #[case] more: fn(&mut Facts),
    #[case] level: &str,
    #[case] expected: &[&str],
    #[case] approval_at: &[i32],
) {
    let mut facts = facts(READ, &sets);
    more(&mut facts);
    let judged = cluster("start-up").compile().unwrap().judge(&facts);
    assert_eq!(judged.outcome.level.as_str(), level, "{:#?}", judged.outcome.factors);
    assert_eq!((rules(&judged), judged.plan.approval_stages()), (to_owned(expected), approval_at.to_vec()));
}

fn to_owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn given_the_standard_policy_when_compared_then_it_is_the_built_in_one_in_every_level_and_assessment() {
    let standard = cluster("standard");
    for level in LEVELS {
        assert_eq!(standard.level(level), plan::level(None, level), "{level}");
        for availability in [None, Some(0.999)] {
            assert_eq!(
                plan::plan(&standard.level(level), availability),
                plan::plan(&plan::level(None, level), availability),
                "{level}"
            );
        }
    }
    let (standard, built_in) = (standard.compile().unwrap(), Effective::default().compile().unwrap());
    for claims in
        ["", READ, "risk=high", "risk=x", "risk-score=0.99", "ai-contribution=ai", "risk=low;ai-contribution=mixed", "author= "]
    {
        let facts = facts(claims, &[release()]);
        assert_eq!(standard.judge(&facts), built_in.judge(&facts), "{claims}");
        assert_eq!(built_in.judge(&facts).outcome.level, assess(&facts.annotations).level, "{claims}");
    }
}

#[test]
fn given_the_shipped_policies_when_read_then_nothing_in_them_is_unknown_and_every_rule_compiles() {
    for name in SHIPPED {
        let policy = shipped(name);
        assert_eq!(policy.metadata.name.as_deref(), Some(name));
        let given = documents(name)[0]["spec"].clone();
        let kept = serde_json::to_value(&policy.spec).unwrap();
        assert_eq!(given["rules"].as_array().map(Vec::len).unwrap_or(0), policy.spec.rules.len());
        for (at, rule) in given["rules"].as_array().into_iter().flatten().enumerate() {
            assert_eq!(rule, &kept["rules"][at], "{name}");
        }
        let in_force = cluster(name).compile().unwrap_or_else(|errors| panic!("{name}: {errors:?}"));
        let judged = in_force.judge(&facts("", &[release()]));
        assert_eq!(judged.outcome.rules.len(), policy.spec.rules.len());
    }
}

#[test]
fn given_the_payments_namespace_when_judged_then_it_is_as_strict_as_the_bank_and_stricter_where_it_says_so() {
    let own = Named { name: "payments".to_owned(), spec: payments().spec };
    let both = Effective { own: Some(own), ..cluster("bank") };
    assert_eq!((both.name().as_str(), both.ignored().len()), ("bank + payments", 0), "{:?}", both.ignored());
    let judged = both.clone().compile().unwrap().judge(&facts(READ, &[release()]));
    assert_eq!((judged.outcome.level, rules(&judged)), (Level::Medium, to_owned(&["payments/atLeast"])));
    let high = both.level(Level::High);
    assert_eq!((high.stages, high.approval_at), (vec![1, 2, 5, 10, 20, 50, 100], vec![20, 100]));
    assert_eq!(high.approval.map_or(0, |approval| approval.count), 2);
}

#[test]
fn given_a_namespace_that_asks_for_less_when_joined_then_nothing_is_looser_and_it_is_named() {
    let looser = json!({"alpha": 0.001, "budgetPercent": 5.0, "stages": [50, 100], "minBake": "1s", "approvalAt": [100],
        "inconclusive": "Promote", "noData": "Hold", "holdbackPercent": 0});
    let own = json!({"levels": {"critical": looser}});
    let own = Named { name: "team".to_owned(), spec: serde_json::from_value(own).unwrap() };
    let both = Effective { own: Some(own), ..cluster("standard") };
    assert_eq!(both.level(Level::Critical), cluster("standard").level(Level::Critical));
    let words = both.ignored().join("\n");
    for word in [
        "alpha 0.001 is looser than 0.05",
        "budgetPercent 5",
        "minBake 1s",
        "inconclusive Promote",
        "noData Hold",
        "holdbackPercent 0",
    ] {
        assert!(words.contains(word), "{word}: {words}");
    }
}

/// The least level of a namespace's policy counts as one of its rules, where it is checked as where it is used.
#[rstest]
#[case(63, true)]
#[case(64, false)]
fn given_a_least_level_beside_rules_when_checked_then_it_counts_as_one_of_them(#[case] rules: usize, #[case] usable: bool) {
    let rule = |nth: usize| json!({"name": format!("rule-{nth}"), "when": "true", "raise": 1});
    let rules: Vec<Value> = (0..rules).map(rule).collect();
    let spec: RiskPolicySpec = serde_json::from_value(json!({"atLeast": "medium", "rules": rules})).unwrap();
    assert_eq!(in_force::check_own(&spec).is_ok(), usable);
    let own = Some(Named { name: "team".to_owned(), spec });
    assert_eq!(Effective { cluster: None, own }.compile().is_ok(), usable);
}

fn approvals() -> impl Strategy<Value = StricterApproval> {
    let groups = prop::collection::vec(prop::sample::select(vec!["release-managers", "team", "risk"]), 0..3);
    let after = prop::option::of((1_u64..20_000).prop_map(firebreak_api::Span::seconds));
    (prop::option::of(1_u32..=10), groups, after).prop_map(|(count, groups, expires_after)| StricterApproval {
        count,
        groups: groups.into_iter().map(str::to_owned).collect(),
        expires_after,
    })
}

fn tightening() -> impl Strategy<Value = Tightening> {
    let number = |low: f64, high: f64| prop::option::of(low..high);
    let span = || prop::option::of((0_u64..20_000).prop_map(firebreak_api::Span::seconds));
    let percents = || prop::collection::vec(1_i32..=100, 0..20);
    let first = (number(0.001, 0.5), number(0.001, 0.5), number(1.0, 10.0), number(0.001, 49.0), number(0.01, 1.0), percents());
    let last = (span(), span(), span(), prop::option::of(0_i32..=20), percents(), 0_usize..4, 0_usize..4, span());
    (first, last, prop::option::of(approvals())).prop_map(
        |((alpha, beta, margin, budget_percent, slo_factor, stages), last, approval)| {
            let (min_bake, max_bake, final_bake, holdback_percent, approval_at, inconclusive, no_data, no_data_after) = last;
            Tightening {
                alpha,
                beta,
                margin,
                budget_percent,
                slo_factor,
                stages,
                min_bake,
                max_bake,
                final_bake,
                holdback_percent,
                approval_at,
                approval,
                inconclusive: [Inconclusive::Promote, Inconclusive::Hold, Inconclusive::RollBack].get(inconclusive).copied(),
                no_data: [NoData::Hold, NoData::HoldAlert, NoData::RollBack].get(no_data).copied(),
                no_data_after,
            }
        },
    )
}

#[rstest]
#[case::nobody_said(json!(null), json!({"count": 2, "groups": ["team"], "expiresAfter": "1h"}), (2, vec!["team"], Some(3600.0)), &[])]
#[case::stricter(json!({"count": 2, "groups": ["release", "risk"], "expiresAfter": "2h"}), json!({"count": 3, "groups": ["risk"], "expiresAfter": "1h"}), (3, vec!["risk"], Some(3600.0)), &[])]
#[case::looser(
    json!({"count": 2, "groups": ["release"], "expiresAfter": "1h"}),
    json!({"count": 1, "groups": ["release", "team"], "expiresAfter": "2h"}),
    (2, vec!["release"], Some(3600.0)),
    &["approval.count 1 is looser than 2", "approval.expiresAfter 2h is looser than 1h", "approval.groups [\"team\"] are not among [\"release\"]"],
)]
#[case::no_group_in_common(json!({"groups": ["release"]}), json!({"groups": ["team"]}), (1, vec!["release"], None), &["[\"team\"] are not among"])]
#[case::who_is_asked_stays(json!({"groups": ["release"]}), json!({"count": 2}), (2, vec!["release"], None), &[])]
fn given_approvals_of_both_when_joined_then_the_stricter_of_each_holds(
    #[case] cluster: Value,
    #[case] own: Value,
    #[case] (count, groups, expires_after_seconds): (u32, Vec<&str>, Option<f64>),
    #[case] ignored: &[&str],
) {
    let level = Plan { approval: serde_json::from_value(cluster).unwrap(), ..plan::level(None, Level::High) };
    let own: Tightening = serde_json::from_value(json!({"approval": own})).unwrap();
    let (both, words) = stricter::both(&level, &own);
    let groups = groups.into_iter().map(str::to_owned).collect();
    assert_eq!(plan::plan(&both, None).approval, Approval { count, groups, expires_after_seconds });
    assert_eq!(words.len(), ignored.len(), "{words:?}");
    assert!(ignored.iter().zip(&words).all(|(part, words)| words.contains(part)), "{words:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever a namespace writes, every level stays at least as strict as the cluster's, and is a level that can be run.
    #[test]
    fn given_any_policy_of_a_namespace_then_no_level_is_looser(
        own in tightening(),
        policy in 0_usize..4,
        at in 0_usize..4,
        asked in prop::option::of(approvals()),
    ) {
        let mut level = cluster(SHIPPED[policy]).level(LEVELS[at]);
        let asked = asked.map(|asked| firebreak_api::policy::Approval {
            count: asked.count.unwrap_or(1),
            groups: asked.groups,
            expires_after: asked.expires_after,
            at: level.approval_stages(),
        });
        level.approval = asked.or(level.approval);
        let (both, _) = stricter::both(&level, &own);
        prop_assert!(is_at_least_as_strict(&both, &level), "{:?}\n{:?}\n{:?}", level, own, both);
        prop_assert!(both.min_bake <= both.max_bake);
        prop_assert!(both.stages.windows(2).all(|two| two[0] < two[1]) && both.stages.last() == Some(&100) && both.stages.len() <= 20);
        prop_assert!(both.approval_at.iter().all(|stage| both.stages.contains(stage)));
        prop_assert_eq!(&stricter::both(&both, &own).0, &both, "twice is as strict as once");
        let round = serde_json::to_value(&both).unwrap();
        prop_assert_eq!(serde_json::from_value::<Plan>(round).unwrap(), both);
    }

    /// Whatever rules a namespace adds, the level and who is asked are no less than by the cluster's alone.
    #[test]
    fn given_any_rules_of_a_namespace_then_no_change_is_judged_less_strictly(
        raise in prop::option::of(1_u8..=3),
        least in 0_usize..5,
        approval in prop::collection::vec(0_i32..=100, 0..4),
        holds in any::<bool>(),
        hour in 0_i64..24,
        own in tightening(),
    ) {
        let levels = [RiskLevel::Low, RiskLevel::Medium, RiskLevel::High, RiskLevel::Critical];
        let rule = RiskRule {
            name: "own".to_owned(),
            when: if holds { "true".to_owned() } else { "history.shareTakenBack > 2.0".to_owned() },
            raise,
            at_least: levels.get(least).copied(),
            approval_at: approval,
            refuse: None,
            factor: Some("own".to_owned()),
        };
        let spec = firebreak_api::RiskPolicySpec { rules: vec![rule], levels: levels.map(|level| (level, own.clone())).into(), ..Default::default() };
        let both = Effective { own: Some(Named { name: "team".to_owned(), spec }), ..cluster("bank") };
        let mut facts = facts(READ, &[release()]);
        facts.time.hour = hour;
        let (alone, both) = (cluster("bank").compile().unwrap().judge(&facts), both.compile().unwrap().judge(&facts));
        prop_assert!(both.outcome.level >= alone.outcome.level);
        if both.outcome.level == alone.outcome.level {
            prop_assert!(is_at_least_as_strict(&both.plan, &alone.plan), "{:?}\n{:?}", alone.plan, both.plan);
        }
    }

    /// By every policy that is shipped, a risky fact more never lowers the level, asks no fewer humans, lets nothing through that was
    /// refused.
    #[test]
    fn given_a_risky_fact_more_then_no_shipped_policy_is_looser(
        claims in (0_usize..5, 0_usize..3, any::<bool>()),
        there in prop::collection::vec(any::<bool>(), RISKY.len()),
        more in 0_usize..RISKY.len() + 2,
        policy in 0_usize..4,
    ) {
        let in_force = cluster(SHIPPED[policy]).compile().unwrap();
        let before = in_force.judge(&risky_facts(claims, &there));
        let (risk, wrote, unread) = claims;
        let (mut claims, mut there) = ((risk, wrote, unread), there);
        match more.checked_sub(RISKY.len()) {
            None => there[more] = true,
            Some(0) => claims.1 = (wrote + 1).min(2),
            Some(_) => claims.2 = true,
        }
        let after = in_force.judge(&risky_facts(claims, &there));
        prop_assert!(after.outcome.level >= before.outcome.level, "{:?}\n{:?}", before.outcome, after.outcome);
        let asks = |stage: &i32| after.plan.approval_stages().iter().any(|asked| asked <= stage);
        prop_assert!(before.plan.approval_stages().iter().all(asks), "{:?}\n{:?}", before.plan, after.plan);
        let approval = |judged: &Judged| plan::plan(&judged.plan, None).approval;
        prop_assert!(asks_no_less(&approval(&after), &approval(&before)), "{:?}\n{:?}", before.plan, after.plan);
        prop_assert!(before.outcome.refused.iter().all(|why| after.outcome.refused.contains(why)));
    }

    /// What makes two templates another revision is never invisible, and no value of a variable is told.
    #[test]
    fn given_any_two_templates_then_they_are_the_same_or_something_is_told(edits in prop::collection::vec((0_usize..24, 0_u8..4), 0..6)) {
        let other = edits.iter().fold(stable(), |template, (place, how)| edited(template, *place, *how));
        let found = diff::between(&stable(), &other);
        prop_assert_eq!(template::same(&stable(), &other), found.is_empty(), "{:?}\n{}", found, other);
        prop_assert!(!found.words().join("\n").contains("hush"));
        let back = diff::between(&other, &stable());
        prop_assert_eq!(found.is_empty(), back.is_empty());
    }
}

type Riskier = fn(&mut Vec<(&'static str, Value)>, &mut Facts);

/// What makes a change riskier, whatever else it does.
const RISKY: [Riskier; 13] = [
    |sets, _| sets.push(image("docker.io/x/shop:1.5")),
    |sets, _| sets.push(("/spec/hostPID", json!(true))),
    |sets, _| sets.push(("/spec/serviceAccountName", json!("admin"))),
    |sets, _| sets.push(("/spec/containers/0/livenessProbe", Value::Null)),
    |sets, _| sets.push(("/spec/containers/0/resources/limits/memory", json!("512Mi"))),
    |sets, _| sets.push(("/spec/containers/0/envFrom", json!([{"secretRef": {"name": "all"}}]))),
    |sets, _| sets.push(("/spec/volumes/-", json!({"name": "h", "hostPath": {"path": "/"}}))),
    |sets, _| sets.push(("/spec/containers/0/securityContext/privileged", json!(true))),
    |sets, _| sets.push(("/spec/containers/-", json!({"name": "log", "image": "registry.bank/log:1"}))),
    |_, facts| facts.time.hour = 18,
    |_, facts| facts.workload.namespace_labels = None,
    |_, facts| facts.changer.name = None,
    |_, facts| {
        facts.history = History {
            changes: 4,
            taken_back: 2,
            share_taken_back: Some(0.5),
            last_taken_back: Some(true),
            hours_since_last: Some(3.0),
            ..History::default()
        }
    },
];

/// A release that claims this risk, was written by a human, nobody knows who or a machine, and was read by someone or not; with these
/// of what is risky.
fn risky_facts((risk, wrote, unread): (usize, usize, bool), there: &[bool]) -> Facts {
    let risk = ["risk=low;", "risk=medium;", "risk=high;", "risk=critical;", ""][risk];
    let wrote = ["ai-contribution=human;", "", "ai-contribution=ai;"][wrote];
    let read = if unread { "" } else { "reviewed-by=bob" };
    let mut sets = vec![release()];
    let mut rest = facts("", &[]);
    for (riskier, _) in RISKY.iter().zip(there).filter(|(_, there)| **there) {
        riskier(&mut sets, &mut rest);
    }
    let facts = facts(&format!("{risk}{wrote}{read}"), &sets);
    Facts { time: rest.time, workload: rest.workload, changer: rest.changer, history: rest.history, ..facts }
}

/// A template with one place set, taken away, or turned round.
fn edited(mut template: Value, place: usize, how: u8) -> Value {
    let paths = [
        "/spec",
        "/spec/containers",
        "/spec/containers/0",
        "/spec/containers/0/env",
        "/spec/containers/0/env/0",
        "/spec/containers/0/env/1",
        "/spec/containers/0/resources",
        "/spec/containers/0/resources/limits",
        "/spec/containers/0/securityContext",
        "/spec/containers/0/securityContext/capabilities",
        "/spec/containers/0/securityContext/capabilities/drop",
        "/spec/volumes",
        "/spec/volumes/0",
        "/spec/containers/0/volumeMounts",
        "/spec/containers/0/volumeMounts/0",
        "/spec/containers/0/livenessProbe",
        "/spec/serviceAccountName",
        "/spec/containers/0/image",
        "/spec/containers/0/args",
        "/metadata/labels",
        "/spec/containers/0/name",
        "/spec/containers/0/env/0/value",
        "/metadata",
        "/spec/volumes/0/emptyDir",
    ];
    let Some(value) = paths.get(place).and_then(|path| template.pointer_mut(path)) else { return template };
    match (how, value) {
        (0, value) if place == 21 => *value = json!("hush"),
        (0, value) => *value = json!("other"),
        (1, Value::Object(map)) => drop(map.insert("extra".to_owned(), json!("other"))),
        (1, Value::Array(list)) => list.push(json!({"name": "extra", "value": "hush"})),
        (2, Value::Array(list)) => list.reverse(),
        (2, Value::Object(map)) => map.clear(),
        (3, Value::Array(list)) => list.extend(list.clone()),
        (3, value) => *value = Value::Null,
        _ => {}
    }
    template
}
