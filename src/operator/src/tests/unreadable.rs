//! A Change whose stored memory cannot be read.

use serde_json::{Value, json};

use super::*;

/// The rollout at 20 %, with a memory that no version wrote.
fn unreadable(phase: &str) -> ApiServer {
    let (server, _) = rollout::rollout();
    server.put("guards/checkout", rollout::guard());
    server.edit("changes/checkout-1", |change| {
        change["status"] = json!({"phase": phase, "weightPercent": 20.0, "highestWeightPercent": 20.0, "memory": "!!"});
    });
    server
}

fn status(server: &ApiServer) -> Value {
    server.get("changes/checkout-1").unwrap()["status"].clone()
}

fn ended(server: &ApiServer) -> bool {
    status(server)["endedAt"].is_string()
}

#[tokio::test]
async fn given_a_memory_that_cannot_be_read_when_taken_up_then_the_candidate_is_taken_back_and_that_is_said() {
    let server = unreadable("Progressing");
    let mut work = None;
    rollout::worker(&server).await.one_turn(&mut work).await;
    assert_eq!(rollout::weights(&server)[1], ("checkout-candidate".to_owned(), 0));
    let status = status(&server);
    assert_eq!(status["phase"], "RollingBack");
    let said = &status["decisions"][0];
    assert_eq!(said["reason"], "MemoryUnreadable");
    let message = said["message"].as_str().unwrap();
    assert!(message.contains("takes the candidate back from 20 %") && message.contains("not condemned"), "{message}");
    let condition = status["conditions"].as_array().unwrap().iter().find(|one| one["type"] == "Reconciling").unwrap();
    assert_eq!(condition["reason"], "MemoryUnreadable");
}

#[tokio::test]
async fn given_a_memory_that_cannot_be_read_of_a_candidate_that_did_harm_when_taken_up_then_it_stays_condemned() {
    let server = unreadable("RollingBack");
    server.edit("changes/checkout-1", |change| {
        change["status"]["conditions"] = json!([{"type": "Ready", "status": "False", "reason": "HarmProved", "message": "m",
            "lastTransitionTime": "2026-01-01T00:00:00Z"}]);
    });
    let mut work = None;
    rollout::worker(&server).await.one_turn(&mut work).await;
    let message = status(&server)["decisions"][0]["message"].clone();
    assert!(message.as_str().unwrap().contains("being taken back (HarmProved)"), "{message}");
    assert!(rollout::turns_until(&server, ended).await);
    assert_eq!(status(&server)["phase"], "RolledBack");
}

#[tokio::test]
async fn given_a_memory_that_cannot_be_read_when_the_candidate_was_handed_over_then_the_hand_over_is_finished() {
    let server = unreadable("Promoting");
    server.edit("replicasets/checkout-next", |set| {
        set["metadata"]["ownerReferences"] = json!([rollout::of_workload()]);
        set["spec"]["replicas"] = json!(3);
    });
    server.edit("replicasets/checkout-stable", |set| {
        set["spec"]["replicas"] = json!(0);
        set["status"]["replicas"] = json!(0);
    });
    server.edit("deployments/checkout", |deployment| {
        deployment["spec"]["paused"] = json!(false);
        deployment["status"] = json!({"observedGeneration": 2, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3});
    });
    let mut work = None;
    for _ in 0..2 {
        rollout::worker(&server).await.one_turn(&mut work).await;
    }
    assert_eq!(status(&server)["phase"], "Promoting");
    assert_eq!(server.get("replicasets/checkout-next").unwrap()["spec"]["replicas"], 3);
}
