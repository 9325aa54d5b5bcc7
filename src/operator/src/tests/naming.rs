//! A Change whose name is taken by an object that the Guard cannot use.

use serde_json::{Value, json};

use super::*;

/// The Guard of a held template without a Change; the name of its first one.
fn without_change() -> (ApiServer, String, Value) {
    let (server, _) = rollout::rollout();
    let other = server.take("changes/checkout-1").unwrap();
    server.put("guards/checkout", rollout::guard());
    (server, format!("checkout-{}", rollout::candidate_hash()), other)
}

async fn turn(server: &ApiServer) {
    rollout::worker(server).await.one_turn(&mut None).await;
}

fn reason(server: &ApiServer) -> Value {
    let status = server.get("guards/checkout").unwrap()["status"].clone();
    let conditions = status["conditions"].as_array().unwrap().clone();
    conditions.iter().find(|condition| condition["type"] == "Ready").unwrap()["reason"].clone()
}

#[tokio::test]
async fn given_ended_changes_of_a_guard_of_the_same_name_when_a_change_begins_then_it_takes_the_next_name() {
    let (server, begins, mut other) = without_change();
    other["metadata"]["finalizers"] = json!([]);
    other["metadata"]["ownerReferences"] = json!([]);
    other["status"] = json!({"phase": "RolledBack"});
    server.put(&format!("changes/{begins}-1"), other.clone());
    server.put(&format!("changes/{begins}-2"), other);
    turn(&server).await;
    assert_eq!(server.get(&format!("changes/{begins}-3")).unwrap()["spec"]["attempt"], 3);
    assert_eq!(reason(&server), "Changing");
}

#[tokio::test]
async fn given_a_change_that_cannot_be_read_when_one_of_its_name_is_to_begin_then_the_guard_says_so_and_none_begins() {
    let (server, begins, mut other) = without_change();
    let name = format!("{begins}-1");
    other["metadata"]["name"] = json!(name);
    other["spec"]["attempt"] = json!("one");
    server.put(&format!("changes/{name}"), other);
    turn(&server).await;
    assert_eq!(server.names("changes"), [name]);
    assert_eq!(reason(&server), "ChangeUnreadable");
}
