//! Routes that cannot be written, and records that cannot: the candidate goes all the same, and it is said.

use firebreak_api::names;
use serde_json::{Value, json};

use super::*;

const DENIED: &str = "admission webhook routes.example denied the request";

fn deny_routes(server: &ApiServer) {
    server.faults(|method, key| (method == "PATCH" && key.starts_with("httproutes/")).then_some(Fault::Says(500, DENIED)));
}

fn selected(server: &ApiServer) -> Value {
    server.get("services/checkout-candidate").unwrap()["spec"]["selector"][names::POD_TEMPLATE_HASH].clone()
}

fn decisions(server: &ApiServer, reason: &str) -> Vec<String> {
    let status = server.get("changes/checkout-1").unwrap()["status"].clone();
    let decisions = status["decisions"].as_array().cloned().unwrap_or_default();
    let of_reason = decisions.iter().filter(|one| one["reason"] == reason);
    of_reason.map(|one| one["message"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn given_a_route_that_cannot_be_written_when_zeroed_then_its_share_lands_on_stable() {
    let (server, change) = rollout::rollout();
    deny_routes(&server);
    let view = rollout::view_with_routes(&server).await;
    assert!(act(&server, &view, &change, &[Effect::ZeroWeight]).await.is_err());
    assert_eq!(selected(&server), "stable");
}

#[tokio::test]
async fn given_a_route_that_changed_meanwhile_when_zeroed_then_the_service_is_left_as_it_is() {
    let (server, change) = rollout::rollout();
    let view = rollout::view_with_routes(&server).await;
    server.edit("httproutes/checkout", |route| {
        let refs = route["spec"]["rules"][0]["backendRefs"].as_array_mut().unwrap();
        refs.reverse();
    });
    act(&server, &view, &change, &[Effect::ZeroWeight]).await.unwrap();
    assert_eq!(selected(&server), rollout::candidate_hash().as_str());
    assert_eq!(rollout::weights(&server)[0], ("checkout-candidate".to_owned(), 0));
}

#[tokio::test]
async fn given_a_candidate_service_of_someone_else_when_a_route_cannot_be_written_then_it_is_left_as_it_is() {
    let (server, change) = rollout::rollout();
    server.edit("services/checkout-candidate", |service| service["metadata"]["ownerReferences"] = json!([]));
    deny_routes(&server);
    let view = rollout::view_with_routes(&server).await;
    assert!(act(&server, &view, &change, &[Effect::ZeroWeight]).await.is_err());
    assert_eq!(selected(&server), rollout::candidate_hash().as_str());
}

#[tokio::test]
async fn given_a_route_that_cannot_be_written_when_turns_are_taken_then_it_is_said_once_with_the_api_servers_words() {
    let (server, _) = rollout::rollout();
    server.put("guards/checkout", rollout::guard());
    server.delete("changes/checkout-1");
    deny_routes(&server);
    let mut work = None;
    for _ in 0..4 {
        rollout::worker(&server).await.one_turn(&mut work).await;
    }
    let said = decisions(&server, "RouteNotWritable");
    assert_eq!(said.len(), 1, "{said:?}");
    for part in ["HTTPRoute shop/checkout", "20.0 %", DENIED, "Service checkout-candidate now selects stable's pods"] {
        assert!(said[0].contains(part), "{part} is not in {said:?}");
    }
    server.faults(|_, _| None);
    assert!(rollout::turns_until(&server, |server| server.get("changes/checkout-1").is_none()).await);
}

#[tokio::test]
async fn given_a_candidate_service_that_points_at_stable_when_observed_then_the_candidate_has_no_endpoint() {
    let (server, change) = rollout::rollout();
    let endpoint =
        |pod: &str| json!({"addresses": ["10.0.0.1"], "conditions": {"ready": true}, "targetRef": {"kind": "Pod", "name": pod}});
    server.put("endpointslices/checkout-candidate-1", json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": "checkout-candidate-1", "namespace": "shop", "labels": {"kubernetes.io/service-name": "checkout-candidate"}},
        "endpoints": [endpoint("checkout-stable-0"), endpoint("checkout-next-0")],
    }));
    let view = rollout::view_with_routes(&server).await;
    assert_eq!(seen(&view, &change, &Objects::find(&view, &change, &Live::new())).candidate.endpoints, 1);
}

/// The rollout on its way back, with its first record refused as `fault` says.
async fn refused_once(fault: Fault) -> ApiServer {
    let (server, _) = rollout::rollout();
    server.put("guards/checkout", rollout::guard());
    server.delete("changes/checkout-1");
    let refused = std::sync::atomic::AtomicBool::new(false);
    server.faults(move |method, key| {
        let first =
            method == "PUT" && key == "changes/checkout-1/status" && !refused.swap(true, std::sync::atomic::Ordering::Relaxed);
        first.then(|| fault.clone())
    });
    server
}

#[tokio::test]
async fn given_a_way_back_whose_record_fails_when_the_next_is_stored_then_the_decision_is_in_it_with_its_basis() {
    let server = refused_once(Fault::Says(500, "etcd is slow")).await;
    let mut work = None;
    rollout::worker(&server).await.one_turn(&mut work).await;
    assert_eq!(rollout::weights(&server)[1], ("checkout-candidate".to_owned(), 0), "it did not wait for the record");
    assert!(decisions(&server, "GuardDeleted").is_empty());
    rollout::worker(&server).await.one_turn(&mut work).await;
    assert_eq!(decisions(&server, "GuardDeleted").len(), 1);
    let status = server.get("changes/checkout-1").unwrap()["status"].clone();
    let record = status["decisions"].as_array().unwrap().iter().find(|one| one["reason"] == "GuardDeleted").unwrap().clone();
    let basis: firebreak_engine::Basis = firebreak_api::packed::unpack("basis", record["basis"].as_str().unwrap()).unwrap();
    let again = firebreak_engine::decide(&basis.setup, &basis.memory, &basis.observation);
    assert_eq!(json!(again.notes[0].message), record["message"]);
}

#[tokio::test]
async fn given_a_way_back_whose_change_another_wrote_when_the_turn_is_lost_then_the_share_is_taken_all_the_same() {
    let server = refused_once(Fault::Says(409, "the object has been modified")).await;
    let mut work = None;
    let worker = rollout::worker(&server).await;
    server.edit("changes/checkout-1", |change| change["status"] = json!({"phase": "Held"}));
    let mut worker = worker;
    worker.one_turn(&mut work).await;
    assert!(work.is_none(), "the turn is lost");
    assert_eq!(rollout::weights(&server)[1], ("checkout-candidate".to_owned(), 0));
}

#[tokio::test]
async fn given_someone_who_labels_the_change_when_it_is_recorded_then_the_turn_stands() {
    let (server, _) = rollout::rollout();
    server.put("guards/checkout", rollout::guard());
    server.delete("changes/checkout-1");
    let mut worker = rollout::worker(&server).await;
    server.edit("changes/checkout-1", |change| change["metadata"]["labels"] = json!({"team": "shop"}));
    let mut work = None;
    worker.one_turn(&mut work).await;
    assert!(work.is_some(), "the turn is not lost");
    let change = server.get("changes/checkout-1").unwrap();
    assert_eq!((&change["status"]["phase"], &change["metadata"]["labels"]["team"]), (&json!("RollingBack"), &json!("shop")));
}
