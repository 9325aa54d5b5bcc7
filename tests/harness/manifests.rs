//! Manifests as a user would write them.

use serde_json::{Value, json};

use crate::world::SERVICE_IMAGE;

/// Name of the workload, its Service and its Guard in every scene.
pub const APP: &str = "shop";
/// The policy of the tests: the table's proofs, short bakes, a budget that a few hundred requests can prove.
pub const POLICY: &str = "swift";

/// Environment of a version of the demo service.
pub type Env<'a> = &'a [(&'a str, &'a str)];

/// A Deployment of the demo service.
#[must_use]
pub fn deployment(version: &str, replicas: u32, env: Env<'_>) -> Value {
    let mut variables = vec![
        json!({"name": "VERSION", "value": version}),
        json!({"name": "LATENCY", "value": "p50:5ms"}),
        json!({"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}),
    ];
    variables.retain(|variable| !env.iter().any(|(name, _)| variable["name"] == *name));
    variables.extend(env.iter().map(|(name, value)| json!({"name": name, "value": value})));
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": APP, "labels": {"app": APP}},
        "spec": {
            "replicas": replicas,
            "progressDeadlineSeconds": 60,
            "selector": {"matchLabels": {"app": APP}},
            "template": {
                "metadata": {"labels": {"app": APP}},
                "spec": {
                    "automountServiceAccountToken": false,
                    "terminationGracePeriodSeconds": 10,
                    "containers": [{
                        "name": "app", "image": SERVICE_IMAGE, "imagePullPolicy": "Never",
                        "env": variables,
                        "ports": [{"name": "http", "containerPort": 8080}, {"name": "metrics", "containerPort": 9090}],
                        "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}, "periodSeconds": 1},
                        "resources": {"requests": {"cpu": "5m", "memory": "8Mi"}},
                    }],
                },
            },
        },
    })
}

/// The Service of the workload.
#[must_use]
pub fn service() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": APP},
        "spec": {"selector": {"app": APP}, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]},
    })
}

/// A plain route to the Service.
#[must_use]
pub fn route(host: &str) -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": APP},
        "spec": {
            "parentRefs": [parent()],
            "hostnames": [host],
            "rules": [{"backendRefs": [{"name": APP, "port": 80}]}],
        },
    })
}

/// The lab's Gateway as a parent of routes.
#[must_use]
pub fn parent() -> Value {
    json!({
        "name": firebreak_lab::cluster::GATEWAY_NAME,
        "namespace": firebreak_lab::cluster::GATEWAY_NAMESPACE,
    })
}

/// The Guard of the workload, with both signals and a route. Slow is what takes a second: on a busy machine a harmless
/// pod takes 300 ms now and then.
#[must_use]
pub fn guard() -> Value {
    guard_with_slow("1s")
}

/// The Guard of the workload, where a request slower than this counts as slow.
#[must_use]
pub fn guard_with_slow(slower_than: &str) -> Value {
    json!({
        "apiVersion": "firebreak.dev/v1alpha1", "kind": "Guard", "metadata": {"name": APP},
        "spec": {
            "targetRef": {"kind": "Deployment", "name": APP},
            "policyRef": {"kind": "ClusterRiskPolicy", "name": POLICY},
            "traffic": {"service": APP, "routes": [{"kind": "HTTPRoute", "name": APP}]},
            "metrics": {"signals": [
                {"name": "errors", "requests": "http_requests_total", "failures": "http_requests_total{code=~\"5..\"}"},
                {"name": "slow", "histogram": "http_request_duration_seconds", "slowerThan": slower_than},
            ]},
        },
    })
}

/// A workload of the demo service beside the guarded one, behind a Service and a route of its own; its version is its name.
#[must_use]
pub fn neighbour(name: &str, host: &str, replicas: u32, env: Env<'_>) -> [Value; 3] {
    let renamed = |object: &Value| {
        let text = object.to_string().replace(&format!("\"{APP}\""), &format!("\"{name}\""));
        serde_json::from_str(&text).unwrap_or_default()
    };
    [renamed(&deployment(name, replicas, env)), renamed(&service()), renamed(&route(host))]
}

/// The policy of the tests.
#[must_use]
pub fn policy() -> Value {
    let level = |alpha: f64, beta: f64, margin: f64, approval: &[i32]| {
        json!({
            "alpha": alpha, "beta": beta, "margin": margin, "budgetPercent": 2.0, "sloFactor": 1.0,
            "stages": [10, 50, 100], "minBake": "5s", "maxBake": "10m", "finalBake": "5s",
            "approvalAt": approval, "inconclusive": "Hold", "noData": "Hold", "noDataAfter": "60s",
        })
    };
    json!({
        "apiVersion": "firebreak.dev/v1alpha1", "kind": "ClusterRiskPolicy", "metadata": {"name": POLICY},
        "spec": {"levels": {
            "low": level(0.005, 0.10, 1.5, &[]),
            "medium": level(0.01, 0.05, 1.25, &[]),
            "high": level(0.02, 0.05, 1.25, &[100]),
            "critical": level(0.05, 0.01, 1.1, &[50, 100]),
        }},
    })
}

/// Objects as one YAML text for kubectl.
#[must_use]
pub fn yaml(objects: &[Value]) -> String {
    objects.iter().map(|object| format!("---\n{}", serde_yaml_ng::to_string(object).unwrap_or_default())).collect()
}
