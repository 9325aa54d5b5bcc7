//! What a Guard keeps of its past: by its own bounds, said before it is done, and never what it still needs.

use firebreak_api::names;
use serde_json::{Value, json};

use super::*;

/// A Change of this name, for another template, that ended on this day of January.
fn ended(server: &ApiServer, name: &str, day: u32) {
    let mut change = serde_json::to_value(rollout::change()).unwrap();
    change["metadata"]["name"] = json!(name);
    change["metadata"]["uid"] = json!(format!("uid-{name}"));
    change["metadata"]["finalizers"] = json!([]);
    change["spec"]["candidate"]["template"] = json!(name);
    change["spec"]["detectedAt"] = json!(format!("2026-01-{day:02}T00:00:00Z"));
    let decision =
        json!({"at": format!("2026-01-{day:02}T00:00:30Z"), "reason": "RolledBack", "message": "gone", "basis": "AAAA"});
    change["status"] = json!({"phase": "RolledBack", "endedAt": format!("2026-01-{day:02}T00:01:00Z"), "memory": "AAAA", "decisions": [decision]});
    server.put(&format!("changes/{name}"), change);
}

/// The Guard of a held template with so many ended Changes, all of them taken in.
fn with_past(history: &Value, count: u32) -> ApiServer {
    let (server, _) = rollout::rollout();
    server.take("changes/checkout-1").unwrap();
    let mut guard = rollout::guard();
    guard["spec"]["history"] = history.clone();
    guard["status"]["lastChange"] = json!("past");
    guard["status"]["accounted"] = json!({"uid": "u", "endedAt": "2026-01-31T00:00:00Z"});
    server.put("guards/checkout", guard);
    (1..=count).for_each(|day| ended(&server, &format!("past-{day:02}"), day));
    server
}

fn past(server: &ApiServer) -> Vec<String> {
    server.names("changes").into_iter().filter(|name| name.starts_with("past-")).collect()
}

async fn turn(server: &ApiServer) {
    rollout::worker(server).await.one_turn(&mut None).await;
}

#[tokio::test]
async fn given_a_history_of_two_when_a_turn_is_taken_then_the_oldest_go_and_the_guard_said_so_before() {
    let server = with_past(&json!({"changes": 2}), 4);
    turn(&server).await;
    assert_eq!(past(&server), ["past-03", "past-04"]);
    assert_eq!(server.get("guards/checkout").unwrap()["status"]["forgottenUntil"], "2026-01-02T00:00:00Z");
    let asked = server.asked();
    let place = |what: &str| asked.iter().position(|one| one == what).unwrap();
    assert!(place("PATCH guards/checkout/status") < place("DELETE changes/past-01"), "{asked:?}");
    let begun = server.names("changes").into_iter().find(|name| !name.starts_with("past-")).unwrap();
    let basis = server.get(&format!("changes/{begun}")).unwrap()["spec"]["riskBasis"].as_str().unwrap().to_owned();
    let basis = firebreak_api::in_force::Basis::unpack(&basis).unwrap();
    assert_eq!(basis.facts.history.changes, 0, "all of them are older than the window");
}

#[tokio::test]
async fn given_no_bounds_when_a_turn_is_taken_then_twenty_are_kept() {
    let server = with_past(&Value::Null, 22);
    turn(&server).await;
    assert_eq!((past(&server).len(), past(&server)[0].as_str()), (20, "past-03"));
}

#[tokio::test]
async fn given_more_than_the_newest_ten_when_turns_are_taken_then_of_the_others_only_words_are_kept() {
    let server = with_past(&Value::Null, 12);
    turn(&server).await;
    let status = |name: &str| server.get(&format!("changes/{name}")).unwrap()["status"].clone();
    for name in ["past-01", "past-02"] {
        assert_eq!((&status(name)["wordsOnly"], status(name).get("memory")), (&json!(true), None), "{name}");
        assert_eq!(status(name)["decisions"][0]["message"], "gone");
        assert_eq!(status(name)["decisions"][0].get("basis"), None);
    }
    assert_eq!(status("past-03")["memory"], "AAAA");
    let before = server.asked().len();
    turn(&server).await;
    let again: Vec<String> =
        server.asked().split_off(before).into_iter().filter(|one| one.starts_with("PUT changes/past")).collect();
    assert!(again.is_empty(), "{again:?}");
}

#[tokio::test]
async fn given_an_old_change_that_someone_holds_when_a_turn_is_taken_then_it_is_only_asked_to_go() {
    let server = with_past(&json!({"changes": 1}), 3);
    server.edit("changes/past-01", |change| change["metadata"]["finalizers"] = json!(["someone.else/keeps"]));
    turn(&server).await;
    assert_eq!(past(&server), ["past-01", "past-03"], "someone else's finalizer holds it");
    assert!(server.get("changes/past-01").unwrap()["metadata"].get("deletionTimestamp").is_some());
}

#[tokio::test]
async fn given_a_template_that_a_human_cleared_when_it_is_judged_again_then_its_change_says_who_and_why() {
    let server = with_past(&Value::Null, 0);
    let hash = rollout::candidate_hash();
    let first = format!("checkout-{hash}-1");
    ended(&server, &first, 3);
    server.edit(&format!("changes/{first}"), |change| change["spec"]["candidate"]["template"] = json!(hash));
    let act = |name: &str, outcome: &str, by: &str, minute: u32| {
        json!({"apiVersion": "firebreak.dev/v1alpha1", "kind": "Intervention",
            "metadata": {"name": name, "namespace": "shop", "uid": name, "creationTimestamp": format!("2026-01-03T01:{minute:02}:00Z")},
            "spec": {"guard": "checkout", "change": first, "action": "Clear", "by": by, "reason": "certificate renewed"},
            "status": {"outcome": outcome, "message": "x"}})
    };
    server.put("interventions/clear-1", act("clear-1", "Applied", "olga", 1));
    server.put("interventions/clear-2", act("clear-2", "Refused", "mallory", 2));
    turn(&server).await;
    let second = server.get(&format!("changes/checkout-{hash}-2")).unwrap();
    let expected = json!({"intervention": "clear-1", "action": "Clear", "by": "olga", "at": "2026-01-03T01:01:00Z", "reason": "certificate renewed"});
    assert_eq!(second["spec"]["cleared"], expected);
    assert_eq!(second["spec"]["stableImages"], json!(["v1"]));
}

#[tokio::test]
async fn given_a_template_that_nothing_holds_when_a_turn_is_taken_then_it_is_held_before_anything_is_forgotten() {
    let server = with_past(&json!({"changes": 2}), 4);
    server.edit("deployments/checkout", |deployment| {
        deployment["spec"]["paused"] = json!(false);
        deployment["metadata"]["annotations"] = json!({});
    });
    turn(&server).await;
    assert_eq!(server.get("deployments/checkout").unwrap()["spec"]["paused"], true);
    assert_eq!(past(&server).len(), 4, "{:?}", server.asked());
    turn(&server).await;
    assert_eq!(past(&server).len(), 2, "{:?}", server.asked());
}

/// The Change that condemned it is gone from the history; its name is not given again.
#[tokio::test]
async fn given_a_condemned_template_without_its_change_when_it_is_retried_then_its_change_has_a_name_of_its_own() {
    let server = with_past(&Value::Null, 0);
    let condemning = format!("checkout-{}-3", rollout::candidate_hash());
    server.edit("guards/checkout", |guard| {
        guard["status"]["condemned"] = json!([{"template": rollout::candidate_hash(), "change": condemning}]);
    });
    server.put(
        "interventions/retry",
        json!({"apiVersion": "firebreak.dev/v1alpha1", "kind": "Intervention",
            "metadata": {"name": "retry", "namespace": "shop", "uid": "uid-retry", "resourceVersion": "1"},
            "spec": {"guard": "checkout", "change": condemning, "action": "Retry", "by": "ann", "reason": "a test"}}),
    );
    // The API server vouches for people: the trial is refused.
    let refusal = "ValidatingAdmissionPolicy 'firebreak-interventions' with binding 'firebreak-interventions' denied request: no";
    server.faults(move |method, key| (method == "POST" && key == "interventions").then_some(Fault::Says(403, refusal)));
    let mut worker = rollout::worker(&server).await;
    let begun = async {
        while server.names("changes").is_empty() {
            worker.one_turn(&mut None).await;
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), begun).await.unwrap();
    let begun = server.get(&format!("changes/checkout-{}-4", rollout::candidate_hash())).unwrap();
    assert_eq!(begun["spec"]["cleared"]["by"], "ann");
}

#[tokio::test]
async fn given_a_mark_of_a_bypass_on_a_workload_that_was_not_guarded_when_it_is_adopted_then_nobody_is_told_to_have_bypassed() {
    let server = with_past(&Value::Null, 0);
    server.edit("guards/checkout", |guard| guard["status"] = json!({}));
    server.edit("deployments/checkout", |deployment| {
        deployment["metadata"]["annotations"] = json!({(names::BYPASSED): "a forged one", (names::CHANGED_BY): "the chief"});
    });
    turn(&server).await;
    let status = server.get("guards/checkout").unwrap()["status"].clone();
    assert!(status["stable"].is_object() && status.get("bypasses").is_none(), "{status}");
}
