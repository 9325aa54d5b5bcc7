//! The objects of one guarded workload in the middle of a rollout.

use std::{sync::Arc, time::Duration};

use firebreak_api::{Change, ClusterRiskPolicy, Guard, RiskPolicy, guard::RouteKind, names, template};
use kube::Api;
use serde_json::{Value, json};

use super::api_server::ApiServer;
use crate::{
    events::Teller,
    guard::Worker,
    metrics::Hub,
    policies::Policies,
    supervisor::Shared,
    world::{Bell, Held, View, watch_kind},
};

/// Workload `checkout` with 3 stable pods, a Change with two candidate pods, Service and route divided 20 to 80.
pub(crate) fn rollout() -> (ApiServer, Change) {
    let server = ApiServer::default();
    let change = change();
    server.put("changes/checkout-1", serde_json::to_value(&change).unwrap());
    server.put("deployments/checkout", deployment());
    server.put("replicasets/checkout-stable", replica_set("checkout-stable", "stable", "v1", 3, &of_workload()));
    let hash = candidate_hash();
    server.put("replicasets/checkout-next", replica_set("checkout-next", &hash, "v2", 2, &of_change()));
    server.edit("replicasets/checkout-next", |set| set["metadata"]["labels"][names::GUARD_LABEL] = json!("checkout"));
    for (set, hash, count) in [("checkout-stable", "stable".to_owned(), 3), ("checkout-next", hash.clone(), 2)] {
        for nth in 0..count {
            let name = format!("{set}-{nth}");
            server.put(&format!("pods/{name}"), pod(&name, set, &hash));
        }
    }
    server.put("services/checkout", service("checkout", "stable", &json!([])));
    server.edit("services/checkout", |service| service["metadata"]["annotations"] = json!({(names::PIN): "stable"}));
    server.put("services/checkout-candidate", service("checkout-candidate", &hash, &json!([of_change()])));
    server.put("httproutes/checkout", route(20));
    (server, change)
}

/// What is in the caches of a namespace once all first lists came.
pub(super) async fn view(server: &ApiServer) -> View {
    let view = View::open(server.client(), "shop");
    view.ready().await.unwrap();
    view
}

/// The same, with the routes listed.
pub(super) async fn view_with_routes(server: &ApiServer) -> View {
    let view = view(server).await;
    assert!(view.routes(RouteKind::HTTPRoute).cache.ready().await);
    view
}

/// What the native controllers do meanwhile: pods of a ReplicaSet of size 0 go.
pub(super) fn settle(server: &ApiServer) {
    for set in server.names("replicasets") {
        let wanted = server.get(&format!("replicasets/{set}")).unwrap()["spec"]["replicas"].as_u64();
        for pod in server.names("pods") {
            if wanted == Some(0) && pod.starts_with(&format!("{set}-")) {
                server.take(&format!("pods/{pod}"));
            }
        }
    }
}

/// The Guard of the workload.
pub(super) fn guard() -> Value {
    json!({
        "apiVersion": "firebreak.dev/v1alpha1", "kind": "Guard",
        "metadata": {"name": "checkout", "namespace": "shop", "uid": "uid-guard", "resourceVersion": "1", "finalizers": [names::FINALIZER]},
        "spec": {
            "targetRef": {"kind": "Deployment", "name": "checkout"},
            "traffic": {"service": "checkout", "routes": [{"kind": "HTTPRoute", "name": "checkout"}]},
            "metrics": {"signals": [{"name": "errors", "requests": "http_requests_total", "failures": "http_requests_total{code=~\"5..\"}"}]},
        },
        "status": {"stable": {"hash": "stable", "replicaSet": "checkout-stable"}},
    })
}

/// A worker of the Guard `checkout`, on caches that were just listed.
pub(super) async fn worker(server: &ApiServer) -> Worker {
    worker_of(server, true).await
}

/// The same; with or without waiting for the list of routes.
pub(super) async fn worker_of(server: &ApiServer, routes: bool) -> Worker {
    let client = server.client();
    let mut watches = tokio::task::JoinSet::new();
    let bell: Bell = Arc::new(tokio::sync::watch::Sender::new(0));
    let guards = watch_kind(&mut watches, Api::<Guard>::namespaced(client.clone(), "shop"), (), |_| {}, bell.clone());
    let cluster = watch_kind(&mut watches, Api::<ClusterRiskPolicy>::all(client.clone()), (), |_| {}, bell.clone());
    let own = watch_kind(&mut watches, Api::<RiskPolicy>::namespaced(client.clone(), "shop"), (), |_| {}, bell.clone());
    let policies = Arc::new(Policies::new(cluster, own));
    assert!(guards.ready().await && policies.cluster.ready().await && policies.own.ready().await);
    let held = Held::watch(&mut watches, Api::namespaced(client.clone(), "shop"), bell.clone());
    assert!(held.ready().await);
    let shared = Arc::new(Shared { guards, policies, held, gates: Arc::default(), bell });
    let hub = Arc::new(Hub::new(None, crate::metrics::Limits::default()));
    let view = Arc::new(if routes { view_with_routes(server).await } else { view(server).await });
    Worker::new(client.clone(), hub, Teller::start(client, "test"), shared, view, "checkout".to_owned())
}

/// Turns of the Guard's worker, each on caches as they are then, until `done`; false where that does not come.
pub(super) async fn turns_until(server: &ApiServer, done: impl Fn(&ApiServer) -> bool) -> bool {
    let mut work = None;
    // A drain takes its seconds.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while tokio::time::Instant::now() < deadline {
        if done(server) {
            return true;
        }
        worker(server).await.one_turn(&mut work).await;
        settle(server);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    false
}

/// Digest of the candidate's template, which is its hash as well.
pub(super) fn candidate_hash() -> String {
    template::hash(&pod_template("v2"))
}

fn pod_template(image: &str) -> Value {
    json!({"metadata": {"labels": {"app": "checkout"}}, "spec": {"containers": [{"name": "app", "image": image}]}})
}

/// Owned by the workload.
pub(super) fn of_workload() -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "checkout", "uid": "uid-workload", "controller": true})
}

/// Owned by the Change.
pub(super) fn of_change() -> Value {
    json!({"apiVersion": "firebreak.dev/v1alpha1", "kind": "Change", "name": "checkout-1", "uid": "uid-change", "controller": true})
}

fn deployment() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "checkout", "namespace": "shop", "uid": "uid-workload", "resourceVersion": "1", "generation": 2,
                     "annotations": {(names::HELD): "checkout"}},
        "spec": {"replicas": 3, "paused": true, "selector": {"matchLabels": {"app": "checkout"}}, "template": pod_template("v2")},
        "status": {"observedGeneration": 2},
    })
}

/// A ReplicaSet of the workload's pods.
pub(super) fn replica_set(name: &str, hash: &str, image: &str, replicas: u32, owner: &Value) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {"name": name, "namespace": "shop", "uid": format!("uid-{name}"), "resourceVersion": "1",
                     "labels": {"app": "checkout", (names::POD_TEMPLATE_HASH): hash}, "ownerReferences": [owner]},
        "spec": {"replicas": replicas, "template": template::with_hash(&pod_template(image), hash)},
        "status": {"replicas": replicas},
    })
}

/// A ready pod.
pub(super) fn pod(name: &str, set: &str, hash: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "uid": format!("uid-{name}"),
                     "labels": {"app": "checkout", (names::POD_TEMPLATE_HASH): hash},
                     "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": set, "uid": format!("uid-{set}"), "controller": true}]},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    })
}

fn service(name: &str, hash: &str, owners: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "namespace": "shop", "uid": format!("uid-{name}"), "resourceVersion": "1", "ownerReferences": owners},
        "spec": {"selector": {"app": "checkout", (names::POD_TEMPLATE_HASH): hash}, "ports": [{"port": 80}]},
    })
}

/// The route, with this share of the Service's traffic on the candidate.
pub(super) fn route(percent: u32) -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"name": "checkout", "namespace": "shop", "uid": "uid-route", "resourceVersion": "1"},
        "spec": {"rules": [{"backendRefs": [
            {"name": "checkout", "port": 80, "weight": 100 - percent},
            {"name": "checkout-candidate", "port": 80, "weight": percent},
        ]}]},
    })
}

/// Weights of the route's entries by name.
pub(crate) fn weights(server: &ApiServer) -> Vec<(String, u64)> {
    let route = server.get("httproutes/checkout").unwrap();
    let refs = route["spec"]["rules"][0]["backendRefs"].as_array().unwrap().clone();
    refs.iter().map(|entry| (entry["name"].as_str().unwrap().to_owned(), entry["weight"].as_u64().unwrap_or(1))).collect()
}

/// The Change of the rollout.
pub(super) fn change() -> Change {
    let hash = candidate_hash();
    let plan = firebreak_api::plan::level(None, firebreak_engine::risk::Level::Medium);
    serde_json::from_value(json!({
        "apiVersion": "firebreak.dev/v1alpha1", "kind": "Change",
        "metadata": {"name": "checkout-1", "namespace": "shop", "uid": "uid-change", "resourceVersion": "1",
                     "finalizers": [names::FINALIZER],
                     "ownerReferences": [{"apiVersion": "firebreak.dev/v1alpha1", "kind": "Guard", "name": "checkout", "uid": "uid-guard", "controller": true}]},
        "spec": {
            "guard": "checkout", "target": {"kind": "Deployment", "name": "checkout"}, "targetUid": "uid-workload",
            "stable": {"hash": "stable", "replicaSet": "checkout-stable"},
            "candidate": {"hash": hash, "replicaSet": "checkout-next", "template": hash},
            "attempt": 1, "detectedAt": "2026-01-01T00:00:00Z", "hold": "Admission",
            "claims": {}, "risk": {"level": "medium", "factors": []}, "plan": plan, "policy": "built-in",
            "traffic": {"service": "checkout", "routes": [{"kind": "HTTPRoute", "name": "checkout"}]},
            "signals": [{"name": "errors", "requests": "http_requests_total", "failures": "http_requests_total{code=~\"5..\"}"}],
        },
    }))
    .unwrap()
}
