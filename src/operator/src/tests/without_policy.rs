//! A Guard whose policy does not exist: a new template is held all the same, and nothing of it serves.

use firebreak_api::names;
use serde_json::{Value, json};

use super::*;

/// A new template that nothing held yet; the native controller has started a pod of it.
fn shipped(held: bool) -> ApiServer {
    let (server, _) = rollout::rollout();
    for key in ["changes/checkout-1", "replicasets/checkout-next"] {
        server.take(key);
    }
    server.put("guards/checkout", rollout::guard());
    server.edit("guards/checkout", |guard| {
        guard["spec"]["policyRef"] = json!({"kind": "ClusterRiskPolicy", "name": "nowhere"});
        guard["spec"]["traffic"] = Value::Null;
        guard["status"]["hold"] = json!("Late");
    });
    server
        .put("replicasets/checkout-native", rollout::replica_set("checkout-native", "native", "v2", 1, &rollout::of_workload()));
    server.edit("deployments/checkout", |deployment| {
        deployment["spec"]["paused"] = json!(held);
        if !held {
            deployment["metadata"]["annotations"] = json!({(names::CHANGED_BY): "who asked for a former template"});
        }
    });
    server
}

fn stalled(server: &ApiServer) -> Value {
    let conditions = server.get("guards/checkout").unwrap()["status"]["conditions"].clone();
    conditions.as_array().unwrap().iter().find(|one| one["type"] == "Stalled" && one["status"] == "True").cloned().unwrap()
}

#[tokio::test]
async fn given_no_policy_when_a_template_comes_unheld_then_it_is_held() {
    let server = shipped(false);
    rollout::worker(&server).await.one_turn(&mut None).await;
    let deployment = server.get("deployments/checkout").unwrap();
    assert_eq!(
        (&deployment["spec"]["paused"], &deployment["metadata"]["annotations"][names::HELD]),
        (&json!(true), &json!("checkout"))
    );
    assert_eq!(deployment["metadata"]["annotations"].get(names::CHANGED_BY), None, "they did not ask for this one");
}

#[tokio::test]
async fn given_no_policy_when_a_template_was_held_late_then_its_pods_are_put_away_and_it_is_said_how_to_go_on() {
    let server = shipped(true);
    rollout::worker(&server).await.one_turn(&mut None).await;
    assert_eq!(server.get("replicasets/checkout-native").unwrap()["spec"]["replicas"], 0);
    assert!(server.names("changes").is_empty());
    let said = stalled(&server);
    let message = said["message"].as_str().unwrap();
    assert_eq!(said["reason"], "PolicyNotFound");
    assert!(message.contains("nowhere") && message.contains("Deployment checkout is paused"), "{message}");
}

#[tokio::test]
async fn given_no_policy_when_a_condemned_template_is_retried_then_it_stays_condemned_and_both_are_said() {
    let server = shipped(true);
    let condemned = json!([{"template": rollout::candidate_hash(), "change": "checkout-0"}]);
    server.edit("guards/checkout", |guard| guard["status"]["condemned"] = condemned.clone());
    server.put(
        "interventions/retry",
        json!({"apiVersion": "firebreak.dev/v1alpha1", "kind": "Intervention",
            "metadata": {"name": "retry", "namespace": "shop", "uid": "uid-retry", "resourceVersion": "1"},
            "spec": {"guard": "checkout", "change": "checkout-0", "action": "Retry", "by": "ann", "reason": "a test"}}),
    );
    rollout::worker(&server).await.one_turn(&mut None).await;
    let message = stalled(&server)["message"].as_str().unwrap().to_owned();
    assert!(message.contains("taken back by Change checkout-0") && message.contains("nowhere does not exist"), "{message}");
    let guard = server.get("guards/checkout").unwrap();
    assert_eq!(guard["status"]["condemned"][0]["change"], "checkout-0");
    assert!(server.get("interventions/retry").unwrap()["status"]["outcome"].is_null());
}

#[tokio::test]
async fn given_no_policy_when_nothing_is_to_be_judged_then_it_is_said_before_a_change_comes() {
    let server = shipped(true);
    let stable = server.get("replicasets/checkout-stable").unwrap()["spec"]["template"].clone();
    server.edit("deployments/checkout", |deployment| deployment["spec"]["template"] = stable);
    rollout::worker(&server).await.one_turn(&mut None).await;
    assert_eq!(stalled(&server)["reason"], "PolicyNotFound");
    assert_eq!(server.get("guards/checkout").unwrap()["status"]["condemned"], Value::Null);
}
