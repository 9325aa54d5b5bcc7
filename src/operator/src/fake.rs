//! For tests: an API server of a few lines, and the objects it is asked about.
#![allow(dead_code, reason = "each test takes what it needs of it")]

use std::sync::{Arc, Mutex, PoisonError};

use axum::{Router, body::Body, extract::Request, http::StatusCode, response::Response};
use firebreak_api::{Change, Guard};
use kube::Client;
use serde_json::{Value, json};

use crate::metrics::PodSample;

/// One request that was made.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) body: Value,
}

/// What was asked so far, in order.
pub(crate) type Log = Arc<Mutex<Vec<Asked>>>;

/// Most bytes of a request that are read.
const LONGEST: usize = 1 << 20;

/// A client of an API server that answers as it is told, and the log of what it was asked.
pub(crate) fn client<A>(answer: impl Fn(Asked) -> A + Clone + Send + Sync + 'static) -> (Client, Log)
where
    A: Future<Output = (u16, Value)> + Send,
{
    let log = Log::default();
    let kept = Arc::clone(&log);
    let router = Router::new().fallback(move |request: Request| {
        let (answer, kept) = (answer.clone(), Arc::clone(&kept));
        async move {
            let (parts, body) = request.into_parts();
            let bytes = axum::body::to_bytes(body, LONGEST).await.unwrap_or_default();
            let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
            let asked = Asked { method: parts.method.to_string(), path: parts.uri.to_string(), body };
            kept.lock().unwrap_or_else(PoisonError::into_inner).push(asked.clone());
            let (status, value) = answer(asked).await;
            let mut response = Response::new(Body::from(value.to_string()));
            *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            response
        }
    });
    (Client::new(router, "shop"), log)
}

/// What was asked so far.
pub(crate) fn asked(log: &Log) -> Vec<Asked> {
    log.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// The API server's answer for a failure.
pub(crate) fn failure(code: u16, reason: &str) -> (u16, Value) {
    let status =
        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code, "message": reason});
    (code, status)
}

/// What is known of a pod in the namespace `shop` with so many requests, of which none failed and none could be seen to.
pub(crate) fn sample(pod: &str, requests: Option<u64>) -> PodSample {
    PodSample {
        namespace: "shop".to_owned(),
        pod: pod.to_owned(),
        requests,
        failures: requests.map(|_| 0),
        failures_exist: false,
        siblings: false,
        scraped_at_ms: None,
        up: Some(true),
    }
}

#[allow(clippy::unwrap_used)]
fn from<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn signals() -> Value {
    json!([{"name": "errors", "requests": "http_requests_total", "failures": "http_requests_total{code=~\"5..\"}"}])
}

/// A Guard of the Deployment of its name.
pub(crate) fn guard(name: &str) -> Guard {
    from(json!({
        "apiVersion": "firebreak.dev/v1alpha1", "kind": "Guard",
        "metadata": {"name": name, "namespace": "shop", "uid": "guard-uid", "generation": 1},
        "spec": {"targetRef": {"kind": "Deployment", "name": name}, "metrics": {"signals": signals()}},
    }))
}

/// A Change of the Guard `shop`.
pub(crate) fn change(name: &str) -> Change {
    from(json!({
        "apiVersion": "firebreak.dev/v1alpha1", "kind": "Change",
        "metadata": {"name": name, "namespace": "shop", "uid": format!("{name}-uid")},
        "spec": {
            "guard": "shop", "target": {"kind": "Deployment", "name": "shop"}, "targetUid": "0b6e",
            "stable": {"hash": "old", "replicaSet": "shop-old"},
            "candidate": {"hash": "new", "replicaSet": "shop-new", "template": "new"},
            "attempt": 1, "detectedAt": "2026-07-01T12:00:00Z", "hold": "Admission",
            "claims": {}, "risk": {"level": "medium", "factors": []},
            "plan": {"alpha": 0.01, "beta": 0.05, "margin": 1.25, "budgetPercent": 0.1, "sloFactor": 0.1,
                "stages": [5, 20, 50, 100], "minBake": "2m", "maxBake": "30m", "finalBake": "5m",
                "inconclusive": "Hold", "noData": "Hold"},
            "policy": "built-in", "signals": signals(),
        },
    }))
}
