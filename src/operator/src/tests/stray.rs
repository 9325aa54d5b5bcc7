//! Pods that the native controller starts from the candidate's template in the middle of its Change.

use firebreak_api::names;
use serde_json::{Value, json};

use super::*;

/// The rollout, resumed: a ReplicaSet of the native controller's beside the candidate's.
fn resumed() -> ApiServer {
    let (server, _) = rollout::rollout();
    server.put("guards/checkout", rollout::guard());
    server
        .put("replicasets/checkout-native", rollout::replica_set("checkout-native", "native", "v2", 1, &rollout::of_workload()));
    server.put("pods/checkout-native-0", rollout::pod("checkout-native-0", "checkout-native", "native"));
    server.edit("deployments/checkout", |deployment| deployment["spec"]["paused"] = json!(false));
    server
}

fn size(server: &ApiServer, set: &str) -> Value {
    server.get(&format!("replicasets/{set}")).unwrap()["spec"]["replicas"].clone()
}

async fn two_turns(server: &ApiServer) {
    let mut work = None;
    for _ in 0..2 {
        rollout::worker(server).await.one_turn(&mut work).await;
    }
}

#[tokio::test]
async fn given_a_resume_in_mid_change_when_turns_are_taken_then_its_pods_are_put_away_behind_the_hold_and_that_is_said() {
    let server = resumed();
    two_turns(&server).await;
    assert_eq!(size(&server, "checkout-native"), 0);
    assert_eq!(size(&server, "checkout-stable"), 3);
    assert_eq!(server.get("deployments/checkout").unwrap()["spec"]["paused"], true);
    let asked = server.asked();
    let first = |what: &str| asked.iter().position(|one| one == what).unwrap();
    assert!(first("PATCH deployments/checkout") < first("PATCH replicasets/checkout-native"), "{asked:?}");
    let status = server.get("changes/checkout-1").unwrap()["status"].clone();
    let told: Vec<_> = status["decisions"].as_array().unwrap().iter().filter(|one| one["reason"] == "StartedUnheld").collect();
    assert_eq!(told.len(), 1, "{status}");
    let message = told[0]["message"].as_str().unwrap();
    assert!(message.contains("ReplicaSet checkout-native (1 pods)") && message.contains("pinned to stable"), "{message}");
}

#[tokio::test]
async fn given_a_template_that_was_let_through_when_turns_are_taken_then_the_native_controllers_pods_stay() {
    let server = resumed();
    server.edit("deployments/checkout", |deployment| {
        deployment["metadata"]["annotations"][names::BYPASSED] = json!("incident 7");
    });
    two_turns(&server).await;
    assert_eq!(size(&server, "checkout-native"), 1);
}

#[tokio::test]
async fn given_pods_of_an_older_revision_when_turns_are_taken_then_they_are_the_native_controllers_own() {
    let server = resumed();
    server
        .put("replicasets/checkout-native", rollout::replica_set("checkout-native", "native", "v0", 1, &rollout::of_workload()));
    two_turns(&server).await;
    assert_eq!(size(&server, "checkout-native"), 1);
}
