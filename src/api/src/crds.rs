//! The definitions that a cluster admin installs, generated from the types.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray,
};
use kube::CustomResourceExt as _;

use crate::{Change, ClusterRiskPolicy, Guard, Intervention};

/// All definitions, each with the file name it has in `crds/`.
#[must_use]
pub fn all() -> Vec<(&'static str, CustomResourceDefinition)> {
    let all = [
        ("changes.yaml", Change::crd()),
        ("clusterriskpolicies.yaml", ClusterRiskPolicy::crd()),
        ("guards.yaml", Guard::crd()),
        ("interventions.yaml", Intervention::crd()),
    ];
    let known = |(name, mut definition): (_, CustomResourceDefinition)| {
        let schemas =
            definition.spec.versions.iter_mut().filter_map(|version| version.schema.as_mut()?.open_api_v3_schema.as_mut());
        schemas.for_each(|schema| {
            without_unknown_formats(schema);
            if name == "changes.yaml" {
                without_what_guards_say(schema);
            }
            REPEATED.iter().filter(|(file, _)| *file == name).for_each(|(_, path)| say_once(schema, path));
        });
        (name, definition)
    };
    all.into_iter().map(known).collect()
}

/// What a Change copies from its Guard and policy, where it was explained and checked: it is explained there alone, not even its
/// shape is told again, so that all definitions together stay small enough for a plain `kubectl apply`. Only the operator writes it.
const COPIED: [&str; 6] = ["checks", "dependents", "plan", "podPages", "signals", "traffic"];

fn without_what_guards_say(schema: &mut JSONSchemaProps) {
    let spec = schema.properties.as_mut().and_then(|properties| properties.get_mut("spec"));
    let Some(fields) = spec.and_then(|spec| spec.properties.as_mut()) else { return };
    for (_, field) in fields.iter_mut().filter(|(name, _)| COPIED.contains(&name.as_str())) {
        let whole = |field: &JSONSchemaProps| JSONSchemaProps {
            description: field.description.clone(),
            nullable: field.nullable,
            type_: Some("object".to_owned()),
            x_kubernetes_preserve_unknown_fields: Some(true),
            ..JSONSchemaProps::default()
        };
        match &mut field.items {
            Some(JSONSchemaPropsOrArray::Schema(items)) => **items = JSONSchemaProps { description: None, ..whole(items) },
            _ => *field = whole(field),
        }
    }
}

/// Parts that are explained elsewhere in the same definition: their checks stay, their words do not.
const REPEATED: [(&str, &[&str]); 4] = [
    ("clusterriskpolicies.yaml", &["spec", "levels", "medium"]),
    ("clusterriskpolicies.yaml", &["spec", "levels", "high"]),
    ("clusterriskpolicies.yaml", &["spec", "levels", "critical"]),
    ("guards.yaml", &["spec", "dependents", "signals"]),
];

fn say_once(schema: &mut JSONSchemaProps, path: &[&str]) {
    let Some((first, rest)) = path.split_first() else {
        return inside(schema, &mut |inner| inner.description = None);
    };
    let place = match &mut schema.items {
        Some(JSONSchemaPropsOrArray::Schema(items)) => items.as_mut(),
        _ => schema,
    };
    if let Some(field) = place.properties.as_mut().and_then(|properties| properties.get_mut(*first)) {
        say_once(field, rest);
    }
}

/// All schemas inside a schema.
fn inside(schema: &mut JSONSchemaProps, change: &mut impl FnMut(&mut JSONSchemaProps)) {
    let properties = schema.properties.iter_mut().flat_map(|properties| properties.values_mut());
    let items = match &mut schema.items {
        Some(JSONSchemaPropsOrArray::Schema(items)) => Some(items.as_mut()),
        _ => None,
    };
    for inner in properties.chain(items) {
        change(inner);
        inside(inner, change);
    }
}

/// The API server warns about number formats it does not know; the ranges stand in `minimum` anyway.
fn without_unknown_formats(schema: &mut JSONSchemaProps) {
    inside(schema, &mut |inner| {
        if inner.format.as_deref().is_some_and(|format| format.starts_with("uint")) {
            inner.format = None;
        }
    });
}
