//! A Service that is not the workload's own is not pinned.

use serde_json::json;

use super::*;

async fn problem(server: &ApiServer, change: &Change) -> Option<String> {
    let view = rollout::view_with_routes(server).await;
    seen(&view, change, &Objects::find(&view, change, &Live::new())).traffic.unwrap().problem
}

fn unpinned(server: &ApiServer) {
    server.edit("services/checkout", |service| {
        service["metadata"]["annotations"] = json!({});
        service["spec"]["selector"] = json!({"app": "checkout"});
    });
}

#[tokio::test]
async fn given_the_workloads_own_service_when_observed_then_nothing_stands_against_it() {
    let (server, change) = rollout::rollout();
    assert_eq!(problem(&server, &change).await, None);
    unpinned(&server);
    assert_eq!(problem(&server, &change).await, None);
}

#[tokio::test]
async fn given_a_service_of_another_workload_when_observed_then_it_is_refused_with_both_label_sets() {
    let (server, change) = rollout::rollout();
    unpinned(&server);
    server.edit("services/checkout", |service| service["spec"]["selector"] = json!({"app": "shop", "tier": "web"}));
    let problem = problem(&server, &change).await.unwrap();
    assert!(problem.contains("selects app=shop, tier=web") && problem.contains("carry app=checkout"), "{problem}");
}

#[tokio::test]
async fn given_a_candidate_that_the_service_does_not_select_when_observed_then_it_is_refused() {
    let (server, change) = rollout::rollout();
    unpinned(&server);
    server.edit("services/checkout", |service| service["spec"]["selector"] = json!({"app": "checkout", "track": "main"}));
    server.edit("replicasets/checkout-stable", |set| set["spec"]["template"]["metadata"]["labels"]["track"] = json!("main"));
    let problem = problem(&server, &change).await.unwrap();
    assert!(problem.contains("the candidate pods of Deployment checkout carry app=checkout"), "{problem}");
}

#[tokio::test]
async fn given_a_service_with_pods_of_two_workloads_when_observed_then_it_is_refused_until_it_is_pinned() {
    let (server, change) = rollout::rollout();
    let other = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "canary", "uid": "uid-canary", "controller": true});
    server.put("replicasets/canary-1", rollout::replica_set("canary-1", "other", "v9", 1, &other));
    server.put("pods/canary-1-0", rollout::pod("canary-1-0", "canary-1", "other"));
    assert_eq!(problem(&server, &change).await, None, "the pin has left them out already");
    unpinned(&server);
    let problem = problem(&server, &change).await.unwrap();
    assert!(problem.contains("(canary-1-0)"), "{problem}");
}

#[tokio::test]
async fn given_a_guard_that_names_another_workloads_service_when_at_rest_then_it_says_so() {
    let (server, _) = rollout::rollout();
    unpinned(&server);
    server.put("httproutes/checkout", rollout::route(0));
    server.take("changes/checkout-1");
    server.take("services/checkout-candidate");
    for pod in ["checkout-next-0", "checkout-next-1"] {
        server.take(&format!("pods/{pod}"));
    }
    server.edit("services/checkout", |service| service["spec"]["selector"] = json!({"app": "shop"}));
    server.edit("deployments/checkout", |deployment| {
        deployment["spec"]["template"]["spec"]["containers"][0]["image"] = json!("v1");
    });
    server.put("guards/checkout", rollout::guard());
    let mut work = None;
    rollout::worker(&server).await.one_turn(&mut work).await;
    let status = server.get("guards/checkout").unwrap()["status"].clone();
    let stalled = status["conditions"].as_array().unwrap().iter().find(|one| one["type"] == "Stalled").unwrap().clone();
    assert_eq!(stalled["reason"], "TrafficNotUsable");
    assert!(stalled["message"].as_str().unwrap().contains("selects app=shop"), "{stalled}");
}
