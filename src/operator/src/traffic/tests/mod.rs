//! The traffic functions as specifications: tables for rules, properties for invariants. Patches are applied as the
//! API server would.

mod properties;
mod restoring;
mod rolling_back;
mod services;
mod splitting;
mod watching;

use firebreak_api::change::RuleRecord;
use serde_json::{Value, json};

use super::{
    Backends, Patch, Weight,
    route::{record, restore, split, zero},
};

const OURS: Backends<'static> = Backends { service: "checkout", candidate: "checkout-candidate" };

fn permille(weight: u32) -> Weight {
    Weight::from_permille(weight)
}

/// A route whose rules hold these `backendRefs`.
fn route(rules: &[Value]) -> Value {
    let rules: Vec<_> = rules
        .iter()
        .map(|refs| json!({"matches": [{"path": {"type": "PathPrefix", "value": "/"}}], "backendRefs": refs}))
        .collect();
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "shop", "namespace": "shop", "uid": "u-1"},
        "spec": {"hostnames": ["shop.example"], "rules": rules},
    })
}

/// An entry as the API server gives it.
fn backend(name: &str, weight: u64) -> Value {
    json!({"group": "", "kind": "Service", "name": name, "port": 80, "weight": weight})
}

/// `backendRefs` from names and weights.
fn refs(entries: &[(&str, u64)]) -> Value {
    entries.iter().map(|(name, weight)| backend(name, *weight)).collect()
}

/// Names and weights of a rule's `backendRefs`.
fn weights(route: &Value, rule: usize) -> Vec<(String, u64)> {
    let entries = route["spec"]["rules"][rule]["backendRefs"].as_array().unwrap();
    let pair = |entry: &Value| (entry["name"].as_str().unwrap().to_owned(), entry["weight"].as_u64().unwrap_or(1));
    entries.iter().map(pair).collect()
}

fn named(expected: &[(&str, u64)]) -> Vec<(String, u64)> {
    expected.iter().map(|(name, weight)| ((*name).to_owned(), *weight)).collect()
}

/// The object after the patch, or why the API server would refuse it.
fn try_apply(object: &Value, patch: &Patch) -> Result<Value, json_patch::PatchError> {
    let patch: json_patch::Patch = serde_json::from_value(patch.clone().into_value()).unwrap();
    let mut object = object.clone();
    json_patch::patch(&mut object, &patch)?;
    Ok(object)
}

fn apply(object: &Value, patch: Option<Patch>) -> Value {
    patch.map_or_else(|| object.clone(), |patch| try_apply(object, &patch).unwrap())
}

fn after_split(route: &Value, records: &[RuleRecord], weight: u32) -> Value {
    apply(route, split(route, OURS, records, permille(weight)).unwrap())
}

fn after_restore(route: &Value, records: &[RuleRecord]) -> Value {
    apply(route, restore(route, OURS, records).unwrap())
}

fn after_zero(route: &Value, records: &[RuleRecord]) -> Value {
    apply(route, zero(route, OURS, records))
}

fn recorded(route: &Value) -> Vec<RuleRecord> {
    record(route, OURS, &[]).unwrap()
}
