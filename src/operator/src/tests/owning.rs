//! What is someone else's is not taken for the Change's own.

use firebreak_engine::observation::Traffic;
use serde_json::json;

use super::*;

async fn traffic(server: &ApiServer, change: &Change) -> Traffic {
    let view = rollout::view_with_routes(server).await;
    seen(&view, change, &Objects::find(&view, change, &Live::new())).traffic.unwrap()
}

fn someone_elses(server: &ApiServer) {
    server.edit("services/checkout-candidate", |service| service["metadata"]["ownerReferences"] = json!([]));
}

#[tokio::test]
async fn given_a_candidate_service_of_someone_else_when_observed_then_it_is_a_problem_and_its_share_is_theirs() {
    let (server, change) = rollout::rollout();
    someone_elses(&server);
    let traffic = traffic(&server, &change).await;
    assert_eq!((traffic.candidate_service, traffic.largest_share, traffic.carries_candidate), (false, 0.0, false));
    let problem = traffic.problem.unwrap();
    assert!(
        problem.contains("Service checkout-candidate is someone else's") && problem.contains("Rename or delete it"),
        "{problem}"
    );
}

#[tokio::test]
async fn given_our_weight_on_a_service_that_someone_replaced_when_observed_then_the_share_is_still_ours_to_take_back() {
    let (server, change) = rollout::rollout();
    someone_elses(&server);
    let traffic = recorded(&server, &change).await;
    assert_eq!((traffic.largest_share, traffic.carries_candidate), (200.0, true));
}

/// What is seen once the route's own entries are recorded.
async fn recorded(server: &ApiServer, change: &Change) -> Traffic {
    let view = rollout::view_with_routes(server).await;
    let objects = Objects::find(&view, change, &Live::new());
    let given = Given {
        raised: None,
        guard_changed: false,
        now: NOW,
        looks: Looks::default(),
        seen: Vec::new(),
        pasts: Found::default(),
        guard_leaves: false,
        watching_since: NOW,
        vouched: crate::attest::Vouched::Yes,
    };
    let records: Vec<firebreak_api::change::RouteRecord> =
        serde_json::from_value(json!([{"kind": "HTTPRoute", "name": "checkout", "uid": "uid-route",
        "rules": [{"index": 0, "backendRefs": "[{\"name\":\"checkout\",\"port\":80}]"}]}]))
        .unwrap();
    observe::observe(&view, change, &objects, &records, given).traffic.unwrap()
}

#[tokio::test]
async fn given_a_weight_or_a_pin_that_someone_rewrote_when_observed_then_their_name_is_said() {
    let (server, mut change) = rollout::rollout();
    let wrote = |manager: &str, field: &str| {
        json!([{"manager": manager, "operation": "Update", "time": "2026-01-01T00:00:00Z", "fieldsType": "FieldsV1",
            "fieldsV1": {"f:spec": {(field): {}}}}])
    };
    server.edit("httproutes/checkout", |route| route["metadata"]["managedFields"] = wrote("gitops", "f:rules"));
    server.edit("services/checkout", |service| service["metadata"]["managedFields"] = wrote("helm", "f:selector"));
    let status = change.status.get_or_insert_default();
    status.weight_percent = 20.0;
    assert_eq!(recorded(&server, &change).await.contention, None, "the route says what was granted");
    change.status.as_mut().unwrap().weight_percent = 50.0;
    assert_eq!(recorded(&server, &change).await.contention.as_deref(), Some("gitops"));
    server.edit("services/checkout", |service| service["spec"]["selector"] = json!({"app": "checkout"}));
    assert_eq!(recorded(&server, &change).await.contention.as_deref(), Some("helm"));
}

#[tokio::test]
async fn given_an_older_change_on_the_same_service_when_observed_then_the_younger_waits() {
    let (server, change) = rollout::rollout();
    let mut older = rollout::change();
    older.metadata.name = Some("cart-1".to_owned());
    older.metadata.uid = Some("uid-older".to_owned());
    older.spec.guard = "cart".to_owned();
    older.spec.detected_at = "2025-12-31T00:00:00Z".parse().unwrap();
    server.put("changes/cart-1", serde_json::to_value(&older).unwrap());
    let problem = traffic(&server, &change).await.problem.unwrap();
    assert!(problem.contains("divided by Change cart-1 of Guard cart already"), "{problem}");
    server.edit("changes/cart-1", |older| older["status"] = json!({"phase": "Promoted"}));
    assert_eq!(traffic(&server, &change).await.problem, None);
}

async fn stalled_for(server: &ApiServer) -> String {
    server.take("changes/checkout-1");
    server.edit("deployments/checkout", |deployment| {
        deployment["spec"]["template"]["spec"]["containers"][0]["image"] = json!("v1");
    });
    server.put("guards/checkout", rollout::guard());
    let mut work = None;
    rollout::worker(server).await.one_turn(&mut work).await;
    let status = server.get("guards/checkout").unwrap()["status"].clone();
    let conditions = status["conditions"].as_array().unwrap();
    let stalled = conditions.iter().find(|one| one["type"] == "Stalled" && one["status"] == "True");
    stalled.map(|one| one["message"].as_str().unwrap().to_owned()).unwrap_or_default()
}

#[tokio::test]
async fn given_a_hand_made_canary_when_its_guard_is_at_rest_then_the_guard_says_so_and_leaves_it_alone() {
    let (server, _) = rollout::rollout();
    someone_elses(&server);
    let said = stalled_for(&server).await;
    assert!(said.contains("Service checkout-candidate is someone else's"), "{said}");
    assert_eq!(rollout::weights(&server)[1], ("checkout-candidate".to_owned(), 20));
}

#[tokio::test]
async fn given_two_guards_of_one_service_when_at_rest_then_the_younger_is_refused() {
    let (server, _) = rollout::rollout();
    let mut older = rollout::guard();
    older["metadata"]["name"] = json!("cart");
    older["metadata"]["uid"] = json!("uid-cart");
    older["spec"]["targetRef"]["name"] = json!("cart");
    server.put("guards/cart", older);
    let said = stalled_for(&server).await;
    assert!(said.contains("Service checkout is divided by Guard cart already"), "{said}");
}
