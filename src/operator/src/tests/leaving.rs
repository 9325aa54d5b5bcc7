//! A Change or a Guard that is deleted: the candidate is taken back before it goes.

use firebreak_api::names;
use serde_json::{Value, json};

use super::*;

/// Nothing of a Change is left in the route and the Service.
fn is_as_it_was(server: &ApiServer) -> bool {
    let service = server.get("services/checkout").unwrap();
    let entries = rollout::weights(server);
    entries.len() == 1
        && entries[0].0 == "checkout"
        && service["metadata"]["annotations"].get(names::PIN).is_none()
        && service["spec"]["selector"].get(names::POD_TEMPLATE_HASH).is_none()
}

fn gone(server: &ApiServer, key: &str) -> bool {
    server.get(key).is_none()
}

fn replicas(server: &ApiServer, set: &str) -> Value {
    server.get(&format!("replicasets/{set}")).unwrap()["spec"]["replicas"].clone()
}

#[tokio::test]
async fn given_a_change_with_a_share_when_it_is_deleted_then_it_goes_only_after_all_is_as_it_was() {
    let (server, _) = rollout::rollout();
    server.put("guards/checkout", rollout::guard());
    server.delete("changes/checkout-1");
    assert!(!gone(&server, "changes/checkout-1"), "the Change's own finalizer holds it");
    let safe = |server: &ApiServer| gone(server, "changes/checkout-1");
    assert!(rollout::turns_until(&server, safe).await);
    assert!(is_as_it_was(&server), "{:?}", server.get("httproutes/checkout"));
    assert!(gone(&server, "services/checkout-candidate"));
    assert_eq!(replicas(&server, "checkout-next"), 0);
}

#[tokio::test]
async fn given_a_change_that_was_deleted_when_it_is_gone_then_its_template_stays_held_until_a_retry() {
    let (server, _) = rollout::rollout();
    server.put("guards/checkout", rollout::guard());
    server.delete("changes/checkout-1");
    let said = |server: &ApiServer| {
        let conditions = server.get("guards/checkout").unwrap()["status"]["conditions"].clone();
        conditions.as_array().into_iter().flatten().any(|condition| condition["reason"] == "Condemned")
    };
    assert!(rollout::turns_until(&server, said).await);
    assert!(server.names("changes").is_empty(), "{:?}", server.names("changes"));
}

#[tokio::test]
async fn given_a_deleted_change_on_its_way_back_when_a_newer_template_is_resumed_then_the_guard_holds_it_at_once() {
    let (server, _) = rollout::rollout();
    server.put("guards/checkout", rollout::guard());
    server.delete("changes/checkout-1");
    let mut work = None;
    rollout::worker(&server).await.one_turn(&mut work).await;
    assert_eq!(server.get("changes/checkout-1").unwrap()["status"]["phase"], "RollingBack");
    server.edit("deployments/checkout", |deployment| {
        deployment["spec"]["paused"] = json!(false);
        deployment["spec"]["template"]["spec"]["containers"][0]["image"] = json!("v3");
    });
    rollout::worker(&server).await.one_turn(&mut work).await;
    assert_eq!(server.get("deployments/checkout").unwrap()["spec"]["paused"], true);
}

#[tokio::test]
async fn given_a_guard_that_vanished_with_its_change_running_when_turns_are_taken_then_the_change_is_brought_to_its_end() {
    let (server, _) = rollout::rollout();
    server.delete("changes/checkout-1");
    assert!(rollout::turns_until(&server, |server| gone(server, "changes/checkout-1")).await);
    assert!(is_as_it_was(&server));
}

#[tokio::test]
async fn given_a_change_that_vanished_when_its_guard_leaves_then_the_route_and_the_service_are_as_they_were_before_it_goes() {
    let (server, _) = rollout::rollout();
    server.take("changes/checkout-1");
    server.take("replicasets/checkout-next");
    server.put("guards/checkout", rollout::guard());
    server.delete("guards/checkout");
    assert!(rollout::turns_until(&server, |server| gone(server, "guards/checkout")).await);
    assert!(is_as_it_was(&server));
}

#[tokio::test]
async fn given_what_a_vanished_change_left_that_cannot_be_written_when_the_guard_leaves_then_it_stays_and_says_the_way_out() {
    let (server, _) = rollout::rollout();
    server.take("changes/checkout-1");
    server.put("guards/checkout", rollout::guard());
    server.delete("guards/checkout");
    server
        .faults(|method, key| (method == "PATCH" && key == "httproutes/checkout").then_some(Fault::Says(403, "policy says no")));
    let stalled = |server: &ApiServer| {
        let conditions = server.get("guards/checkout").unwrap()["status"]["conditions"].clone();
        let all = conditions.as_array().cloned().unwrap_or_default();
        all.into_iter().find(|condition| condition["type"] == "Stalled" && condition["status"] == "True")
    };
    let told = |server: &ApiServer| {
        server.names("events").iter().any(|name| server.get(&format!("events/{name}")).unwrap()["reason"] == "CleanupBlocked")
    };
    assert!(rollout::turns_until(&server, |server| stalled(server).is_some() && told(server)).await);
    let message = stalled(&server).unwrap()["message"].as_str().unwrap().to_owned();
    for part in ["HTTPRoute checkout", "policy says no", "backend checkout-candidate", "kubectl patch guard checkout -n shop"] {
        assert!(message.contains(part), "{message}");
    }
    server.faults(|_, _| None);
    assert!(rollout::turns_until(&server, |server| gone(server, "guards/checkout")).await);
    assert!(is_as_it_was(&server));
}

#[tokio::test]
async fn given_someone_elses_canary_service_when_the_guard_leaves_then_its_share_of_the_route_stays() {
    let (server, _) = rollout::rollout();
    server.take("changes/checkout-1");
    server.edit("services/checkout-candidate", |service| service["metadata"]["ownerReferences"] = json!([]));
    server.put("guards/checkout", rollout::guard());
    server.delete("guards/checkout");
    assert!(rollout::turns_until(&server, |server| gone(server, "guards/checkout")).await);
    assert_eq!(rollout::weights(&server)[1], ("checkout-candidate".to_owned(), 20));
}

#[tokio::test]
async fn given_a_change_that_ended_when_the_guards_status_cannot_be_written_then_it_is_not_let_go() {
    let (server, _) = rollout::rollout();
    server.put("guards/checkout", rollout::guard());
    server.delete("changes/checkout-1");
    server.faults(|method, key| (method == "PATCH" && key == "guards/checkout/status").then_some(Fault::Says(500, "no")));
    assert!(!rollout::turns_until(&server, |server| gone(server, "changes/checkout-1")).await);
    assert!(is_as_it_was(&server));
    server.faults(|_, _| None);
    assert!(rollout::turns_until(&server, |server| gone(server, "changes/checkout-1")).await);
    let status = server.get("guards/checkout").unwrap()["status"].clone();
    assert_eq!((&status["lastChange"], &status["accounted"]["uid"]), (&json!("checkout-1"), &json!("uid-change")));
}

#[tokio::test]
async fn given_a_change_that_ended_when_the_guard_is_not_seen_to_have_it_then_it_is_not_let_go() {
    let (server, _) = rollout::rollout();
    server.put("guards/checkout", rollout::guard());
    server.edit("changes/checkout-1", |change| {
        change["status"] = json!({"phase": "RolledBack", "endedAt": "2026-01-01T00:01:00Z"});
    });
    let mut work = None;
    rollout::worker(&server).await.one_turn(&mut work).await;
    let held =
        |server: &ApiServer| server.get("changes/checkout-1").unwrap()["metadata"]["finalizers"] == json!([names::FINALIZER]);
    assert!(held(&server));
    rollout::worker(&server).await.one_turn(&mut work).await;
    assert!(!held(&server));
}
