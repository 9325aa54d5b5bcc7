//! What to write into the Service of the guard, and the second Service beside it.
//!
//! A *pin* is the stable arm's `pod-template-hash` in the Service's selector, with an annotation that says who put it
//! there and what it is: one is ours only if the other agrees.

use std::collections::BTreeMap;

use firebreak_api::names::{PIN, POD_TEMPLATE_HASH};
use serde_json::{Map, Value, json};

use super::{
    Patch,
    patch::{Builder, step},
};

/// Fields of a port that say how the Service's pods are spoken to; node ports are the first Service's own.
const PORT_FIELDS: [&str; 5] = ["name", "port", "protocol", "appProtocol", "targetPort"];
/// Fields of the spec that say how the Service's pods are reached.
const SPEC_FIELDS: [&str; 5] =
    ["ipFamilies", "ipFamilyPolicy", "sessionAffinity", "sessionAffinityConfig", "trafficDistribution"];

/// Why a Service's traffic cannot be divided. All are the user's to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServiceError {
    /// It is a name elsewhere.
    #[error(
        "Service {service} is of type ExternalName and has no pods to divide traffic between: name the Service that selects \
         the workload's pods in spec.traffic.service of the Guard"
    )]
    ExternalName {
        /// The Service.
        service: String,
    },
    /// Its endpoints are kept by someone else.
    #[error(
        "Service {service} has no selector, so it cannot be pinned to the stable pods: give it a selector of the workload's \
         labels, or name another Service in spec.traffic.service of the Guard"
    )]
    NoSelector {
        /// The Service.
        service: String,
    },
    /// It selects on a hash that is not our pin.
    #[error(
        "Service {service} selects {POD_TEMPLATE_HASH}={hash}, which Firebreak did not write: take {POD_TEMPLATE_HASH} out of \
         its spec.selector, so that Firebreak can pin it while a Change runs"
    )]
    OwnHash {
        /// The Service.
        service: String,
        /// The hash it selects.
        hash: String,
    },
}

/// The hash the Service is pinned to by us: selector and annotation agree.
#[must_use]
pub fn pinned_to(service: &Value) -> Option<String> {
    let hash = selected_hash(service)?;
    (annotated_hash(service)? == hash).then(|| hash.to_owned())
}

/// Pins the Service to the pods of `hash`. `None` where it is pinned to them already; a pin of ours to another hash is
/// moved.
///
/// # Errors
/// Where the Service has no selector of its own, or one that names a hash which is not our pin.
pub fn pin(service: &Value, hash: &str) -> Result<Option<Patch>, ServiceError> {
    unpinned_selector(service)?;
    if pinned_to(service).as_deref() == Some(hash) {
        return Ok(None);
    }
    let mut patch = Builder::default();
    patch.test_if_read(service, "/metadata/uid");
    patch.test_if_read(service, "/spec/selector");
    patch.set(&selector_path(), &Value::from(hash));
    if service.pointer("/metadata/annotations").is_some_and(Value::is_object) {
        patch.test_if_read(service, &annotation_path());
        patch.set(&annotation_path(), &Value::from(hash));
    } else {
        // A patch cannot test that something is absent, and annotations made meanwhile must not be lost.
        patch.test_if_read(service, "/metadata/resourceVersion");
        patch.set("/metadata/annotations", &json!({PIN: hash}));
    }
    Ok(patch.finish())
}

/// Takes out what [`pin`] put in, and nothing else: a hash in the selector that is not our pin stays. `None` where
/// nothing of ours is there.
#[must_use]
pub fn unpin(service: &Value) -> Option<Patch> {
    let pin = service.pointer(&annotation_path())?;
    let mut patch = Builder::default();
    patch.test_if_read(service, "/metadata/uid");
    if pinned_to(service).is_some() {
        patch.test(&selector_path(), pin).remove(&selector_path());
    }
    match service.pointer("/metadata/annotations") {
        Some(annotations) if annotations.as_object().is_some_and(|all| all.len() == 1) => {
            patch.test("/metadata/annotations", annotations).remove("/metadata/annotations");
        }
        _ => {
            patch.test(&annotation_path(), pin).remove(&annotation_path());
        }
    }
    patch.finish()
}

/// The second Service, `name`: it reaches the pods of `hash` as the first reaches its own.
///
/// Copied: ports without node ports, session affinity, traffic distribution, IP families, and being headless. Not
/// copied: the address, what leads in from outside the cluster, `internalTrafficPolicy` (Local drops requests on nodes
/// without a candidate pod) and `publishNotReadyAddresses` (a candidate pod gets requests when it is ready, not
/// before).
///
/// # Errors
/// As [`pin`].
pub fn candidate_service(
    service: &Value,
    name: &str,
    hash: &str,
    owner_reference: &Value,
    labels: &BTreeMap<String, String>,
) -> Result<Value, ServiceError> {
    let mut selector = unpinned_selector(service)?;
    selector.insert(POD_TEMPLATE_HASH.to_owned(), Value::from(hash));
    let mut spec =
        Map::from_iter([("type".to_owned(), Value::from("ClusterIP")), ("selector".to_owned(), Value::Object(selector))]);
    let given = service.get("spec").and_then(Value::as_object);
    spec.extend(given.map(|given| picked(given, &SPEC_FIELDS)).unwrap_or_default());
    if given.and_then(|given| given.get("clusterIP")).and_then(Value::as_str) == Some("None") {
        spec.insert("clusterIP".to_owned(), Value::from("None"));
    }
    if let Some(ports) = given.and_then(|given| given.get("ports")).and_then(Value::as_array) {
        let ports = ports.iter().filter_map(Value::as_object).map(|port| Value::Object(picked(port, &PORT_FIELDS)));
        spec.insert("ports".to_owned(), ports.collect());
    }
    let mut metadata = json!({"name": name, "labels": labels, "ownerReferences": [owner_reference]});
    if let (Some(namespace), Some(metadata)) = (service.pointer("/metadata/namespace"), metadata.as_object_mut()) {
        metadata.insert("namespace".to_owned(), namespace.clone());
    }
    Ok(json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}))
}

/// Whether the Service sends requests to pods with these labels when it is not pinned; `false` for one that [`pin`]
/// refuses.
#[must_use]
pub fn reaches(service: &Value, labels: &Value) -> bool {
    unpinned_selector(service).is_ok_and(|selector| selector.iter().all(|(key, value)| labels.get(key) == Some(value)))
}

/// The user's own selector for people: `app=checkout, tier=web`.
#[must_use]
pub fn selector_words(service: &Value) -> String {
    let selector = unpinned_selector(service).unwrap_or_default();
    let pairs = selector.iter().map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()));
    pairs.collect::<Vec<_>>().join(", ")
}

/// Whether the Service sends requests to pods with these labels (an object, as in a pod or a template) as it is now,
/// pin and all.
#[must_use]
pub fn selects(service: &Value, labels: &Value) -> bool {
    selector(service).is_ok_and(|selector| selector.iter().all(|(key, value)| labels.get(key) == Some(value)))
}

fn selector_path() -> String {
    format!("/spec/selector/{}", step(POD_TEMPLATE_HASH))
}

fn annotation_path() -> String {
    format!("/metadata/annotations/{}", step(PIN))
}

fn selected_hash(service: &Value) -> Option<&str> {
    service.pointer(&selector_path()).and_then(Value::as_str)
}

fn annotated_hash(service: &Value) -> Option<&str> {
    service.pointer(&annotation_path()).and_then(Value::as_str)
}

fn selector(service: &Value) -> Result<&Map<String, Value>, ServiceError> {
    let name = || service.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned();
    if service.pointer("/spec/type").and_then(Value::as_str) == Some("ExternalName") {
        return Err(ServiceError::ExternalName { service: name() });
    }
    let selector = service.pointer("/spec/selector").and_then(Value::as_object);
    selector.filter(|selector| !selector.is_empty()).ok_or_else(|| ServiceError::NoSelector { service: name() })
}

/// The user's own selector.
fn unpinned_selector(service: &Value) -> Result<Map<String, Value>, ServiceError> {
    let mut selector = selector(service)?.clone();
    match selected_hash(service) {
        Some(hash) if pinned_to(service).is_none() => {
            let name = service.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
            return Err(ServiceError::OwnHash { service: name.to_owned(), hash: hash.to_owned() });
        }
        _ => selector.remove(POD_TEMPLATE_HASH),
    };
    if selector.is_empty() {
        let service = service.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned();
        return Err(ServiceError::NoSelector { service });
    }
    Ok(selector)
}

fn picked(from: &Map<String, Value>, fields: &[&str]) -> Map<String, Value> {
    let picked = fields.iter().filter_map(|field| Some(((*field).to_owned(), from.get(*field)?.clone())));
    picked.collect()
}
