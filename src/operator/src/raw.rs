//! Reading raw objects: workloads, ReplicaSets, Services and routes as the JSON that the API server gives.

use firebreak_api::template;
use kube::{ResourceExt as _, api::DynamicObject};
use serde_json::Value;

/// The whole object as JSON, metadata and all.
pub(crate) fn whole(object: &DynamicObject) -> Value {
    serde_json::to_value(object).unwrap_or(Value::Null)
}

pub(crate) fn at<'a>(object: &'a DynamicObject, pointer: &str) -> Option<&'a Value> {
    object.data.pointer(pointer)
}

pub(crate) fn number(object: &DynamicObject, pointer: &str) -> Option<u32> {
    at(object, pointer).and_then(Value::as_u64).map(|number| u32::try_from(number).unwrap_or(u32::MAX))
}

/// `spec.template`.
pub(crate) fn pod_template(object: &DynamicObject) -> Option<&Value> {
    at(object, "/spec/template")
}

/// Whether two objects carry the same pod template.
pub(crate) fn same_template(left: &DynamicObject, right: &DynamicObject) -> bool {
    pod_template(left).zip(pod_template(right)).is_some_and(|(left, right)| template::same(left, right))
}

/// `spec.replicas`, 1 where it is not set, as the API server has it.
pub(crate) fn replicas(object: &DynamicObject) -> u32 {
    number(object, "/spec/replicas").unwrap_or(1)
}

pub(crate) fn paused(deployment: &DynamicObject) -> bool {
    at(deployment, "/spec/paused").and_then(Value::as_bool).unwrap_or(false)
}

pub(crate) fn annotation<'a>(object: &'a DynamicObject, name: &str) -> Option<&'a str> {
    object.annotations().get(name).map(String::as_str)
}

/// `pod-template-hash` of a ReplicaSet.
pub(crate) fn hash_label(replica_set: &DynamicObject) -> Option<&str> {
    replica_set.labels().get(firebreak_api::names::POD_TEMPLATE_HASH).map(String::as_str)
}

/// UID of the controller of an object.
pub(crate) fn controller(object: &DynamicObject) -> Option<&k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference> {
    object.owner_references().iter().find(|owner| owner.controller == Some(true))
}

/// Whether the native controller has rolled out the workload's own template: every pod is of it and available.
pub(crate) fn rolled_out(deployment: &DynamicObject) -> bool {
    let wanted = replicas(deployment);
    let status = |field: &str| number(deployment, &format!("/status/{field}")).unwrap_or(0);
    observed(deployment)
        && status("updatedReplicas") == wanted
        && status("replicas") == wanted
        && status("availableReplicas") == wanted
}

/// Whether the native controller has seen the workload as it is now.
pub(crate) fn observed(deployment: &DynamicObject) -> bool {
    let observed = at(deployment, "/status/observedGeneration").and_then(Value::as_i64).unwrap_or(0);
    observed >= deployment.metadata.generation.unwrap_or(0)
}

/// Surge pods that the native controller may add: `maxSurge`, rounded up as it does.
pub(crate) fn max_surge(deployment: &DynamicObject) -> u32 {
    let size = u64::from(replicas(deployment));
    let surge = at(deployment, "/spec/strategy/rollingUpdate/maxSurge");
    let number = surge.and_then(|surge| match surge {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.strip_suffix('%').and_then(|text| text.parse::<u64>().ok()).map(|p| (size * p).div_ceil(100)),
        _ => None,
    });
    u32::try_from(number.unwrap_or_else(|| size.div_ceil(4))).unwrap_or(u32::MAX)
}

/// `progressDeadlineSeconds`, 600 where it is not set, as the API server has it.
pub(crate) fn progress_deadline(deployment: &DynamicObject) -> f64 {
    number(deployment, "/spec/progressDeadlineSeconds").map_or(600.0, f64::from)
}

/// Images of a pod template, for people.
pub(crate) fn images(template: &Value) -> Vec<String> {
    let containers = template.pointer("/spec/containers").and_then(Value::as_array);
    let image = |container: &Value| container.get("image").and_then(Value::as_str).map(str::to_owned);
    containers.into_iter().flatten().filter_map(image).collect()
}
