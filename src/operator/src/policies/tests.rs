//! Which spec of a policy is in force, and what is said of it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::HashMap;

use firebreak_api::{plan, policy::PolicyStatus};
use firebreak_engine::risk::Level;
use kube::{
    Client,
    runtime::{reflector, watcher::Event},
};
use serde_json::{Value, json};

use super::{keep::look, *};
use crate::fake;

fn cluster(generation: i64, when: &str, status: Option<Value>) -> ClusterRiskPolicy {
    let level = |level: Level| serde_json::to_value(plan::level(None, level)).unwrap();
    let levels = json!({"low": level(Level::Low), "medium": level(Level::Medium), "high": level(Level::High), "critical": level(Level::Critical)});
    serde_json::from_value(json!({
        "apiVersion": "firebreak.dev/v1alpha1", "kind": "ClusterRiskPolicy",
        "metadata": {"name": "bank", "generation": generation, "resourceVersion": generation.to_string()},
        "spec": {"levels": levels, "rules": [{"name": "images", "when": when, "atLeast": "high"}]},
        "status": status,
    }))
    .unwrap()
}

fn own(spec: &Value) -> RiskPolicy {
    serde_json::from_value(json!({
        "apiVersion": "firebreak.dev/v1alpha1", "kind": "RiskPolicy",
        "metadata": {"name": "team", "namespace": "shop", "generation": 1, "resourceVersion": "7"}, "spec": spec,
    }))
    .unwrap()
}

fn policies(cluster: Vec<ClusterRiskPolicy>, own: Vec<RiskPolicy>) -> Policies {
    fn cache<K>(objects: Vec<K>) -> Cache<K>
    where
        K: Resource<DynamicType = ()> + Clone + Send + Sync + 'static,
    {
        let mut writer = reflector::store::Writer::<K>::new(());
        let cache = Cache::of(&writer);
        writer.apply_watcher_event(&Event::Init);
        objects.into_iter().for_each(|object| writer.apply_watcher_event(&Event::InitApply(object)));
        writer.apply_watcher_event(&Event::InitDone);
        cache
    }
    Policies::new(cache(cluster), cache(own))
}

fn guard(kind: &str, name: &str) -> Guard {
    let mut guard = fake::guard("shop");
    guard.spec.policy_ref = Some(serde_json::from_value(json!({"kind": kind, "name": name})).unwrap());
    guard
}

fn api_server() -> (Client, fake::Log) {
    fake::client(|asked: fake::Asked| async move {
        let kind = if asked.path.contains("clusterriskpolicies") { "ClusterRiskPolicy" } else { "RiskPolicy" };
        let spec = if kind == "RiskPolicy" {
            json!({"atLeast": "low"})
        } else {
            serde_json::to_value(cluster(1, "true", None).spec).unwrap()
        };
        (
            200,
            json!({"apiVersion": "firebreak.dev/v1alpha1", "kind": kind, "metadata": {"name": "x", "namespace": "shop"}, "spec": spec}),
        )
    })
}

/// The statuses that are written in one look.
async fn written(policies: &Policies) -> Vec<PolicyStatus> {
    let (client, log) = api_server();
    look(&client, policies, &mut HashMap::new()).await;
    fake::asked(&log).iter().map(|asked| serde_json::from_value(asked.body["status"].clone()).unwrap()).collect()
}

fn condition<'a>(status: &'a PolicyStatus, kind: &str) -> (&'a str, &'a str, &'a str) {
    let found = status.conditions.iter().find(|condition| condition.type_ == kind).unwrap();
    (&found.status, &found.reason, &found.message)
}

const GOOD: &str = "size(diff.images) > 0";
const BAD: &str = "size(diff.imgs) > 0";

#[tokio::test]
async fn given_a_good_policy_that_becomes_bad_when_the_operator_starts_anew_then_the_good_one_is_in_force() {
    let status = written(&policies(vec![cluster(1, GOOD, None)], Vec::new())).await.remove(0);
    assert_eq!(condition(&status, "Ready"), ("True", "InForce", "every rule can be used"));
    assert_eq!(status.last_good.as_ref().unwrap().generation, 1);

    let bad = cluster(2, BAD, Some(serde_json::to_value(&status).unwrap()));
    let policies = policies(vec![bad], Vec::new());
    let held = policies.of(&guard("ClusterRiskPolicy", "bank")).unwrap();
    assert_eq!(held.effective.cluster.as_ref().unwrap().spec, cluster(1, GOOD, None).spec);
    assert!(held.former[0].contains("there is no fact diff.imgs") && held.former[0].contains("generation 1 stays in force"));

    let status = written(&policies).await.remove(0);
    let (ready, reason, message) = condition(&status, "Ready");
    assert_eq!((ready, reason), ("False", "FormerInForce"));
    assert!(message.contains("rule images, column 10") && message.contains("did you mean images?"), "{message}");
    assert_eq!(condition(&status, "Stalled").0, "True");
    assert_eq!((status.last_good.unwrap().generation, status.observed_generation), (1, Some(2)), "the good one is kept");
}

#[tokio::test]
async fn given_a_policy_that_was_never_good_when_asked_then_nothing_is_in_force_and_it_is_said() {
    let policies = policies(vec![cluster(1, BAD, None)], Vec::new());
    let nothing = policies.of(&guard("ClusterRiskPolicy", "bank")).unwrap_err();
    assert_eq!(nothing.reason, "PolicyNotUsable");
    assert!(nothing.message.contains("no Change begins"), "{}", nothing.message);
    let status = written(&policies).await.remove(0);
    assert_eq!((condition(&status, "Ready").1, &status.last_good), ("NotUsable", &None));
}

#[tokio::test]
async fn given_what_is_said_already_when_looked_at_then_nothing_is_written() {
    let said = written(&policies(vec![cluster(1, GOOD, None)], Vec::new())).await.remove(0);
    let said = cluster(1, GOOD, Some(serde_json::to_value(said).unwrap()));
    assert!(written(&policies(vec![said], Vec::new())).await.is_empty());
}

#[tokio::test]
async fn given_a_namespace_that_asks_for_less_when_looked_at_then_it_is_told_and_the_cluster_holds() {
    let spec = json!({"clusterPolicy": "bank", "levels": {"critical": {"alpha": 0.001, "minBake": "20m"}}});
    let policies = policies(vec![cluster(1, GOOD, None)], vec![own(&spec)]);
    let statuses = written(&policies).await;
    let (value, reason, message) = condition(&statuses[1], "Tightens");
    assert_eq!((value, reason), ("False", "LooserIgnored"));
    assert!(message.contains("levels.critical: alpha 0.001 is looser than 0.05") && !message.contains("minBake"), "{message}");
    let held = policies.of(&guard("RiskPolicy", "team")).unwrap();
    assert_eq!((held.effective.name(), held.effective.level(Level::Critical).alpha), ("bank + team".to_owned(), 0.05));
    assert_eq!(held.effective.level(Level::Critical).min_bake.to_string(), "20m");
}

#[rstest::rstest]
#[case("ClusterRiskPolicy", "none", "ClusterRiskPolicy none does not exist")]
#[case("RiskPolicy", "none", "RiskPolicy none does not exist in namespace shop")]
#[case("RiskPolicy", "team", "take spec.clusterPolicy of RiskPolicy team out")]
fn given_a_policy_that_is_not_there_when_asked_then_it_says_what_to_do(
    #[case] kind: &str,
    #[case] name: &str,
    #[case] words: &str,
) {
    let policies = policies(Vec::new(), vec![own(&json!({"clusterPolicy": "gone", "atLeast": "high"}))]);
    let nothing = policies.of(&guard(kind, name)).unwrap_err();
    assert!(nothing.reason == "PolicyNotFound" && nothing.message.contains(words), "{nothing:?}");
}

#[test]
fn given_a_time_zone_that_there_is_not_when_checked_then_it_says_what_to_write() {
    let mut policy = cluster(1, GOOD, None);
    policy.spec.time_zone = Some("Europe/Atlantis".to_owned());
    let trouble = standing::check_cluster(&policy.spec).unwrap_err();
    assert!(trouble.contains("there is no time zone Europe/Atlantis"), "{trouble}");
}

#[test]
fn given_a_kept_spec_that_is_no_spec_when_a_policy_is_bad_then_nothing_of_it_is_in_force() {
    let status = json!({"lastGood": {"generation": 1, "spec": "!!"}});
    assert!(matches!(
        *policies(vec![cluster(2, BAD, Some(status))], Vec::new()).cluster_standing(&cluster(2, BAD, None)),
        Standing::Unusable(_)
    ));
}
