//! The definitions that a cluster admin installs, generated from the types.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray,
};
use kube::CustomResourceExt as _;

use crate::{Change, ClusterRiskPolicy, Guard, Intervention};

/// Where the definition of Changes is kept.
const CHANGES: &str = "changes.yaml";
/// What a Change takes over from its Guard as it stands there.
const COPIES: [&str; 3] = ["podPages", "signals", "traffic"];

/// All definitions, each with the file name it has in `crds/`.
#[must_use]
pub fn all() -> Vec<(&'static str, CustomResourceDefinition)> {
    let all = [
        (CHANGES, Change::crd()),
        ("clusterriskpolicies.yaml", ClusterRiskPolicy::crd()),
        ("guards.yaml", Guard::crd()),
        ("interventions.yaml", Intervention::crd()),
    ];
    let known = |(name, mut definition): (_, CustomResourceDefinition)| {
        let schemas =
            definition.spec.versions.iter_mut().filter_map(|version| version.schema.as_mut()?.open_api_v3_schema.as_mut());
        schemas.for_each(|schema| {
            without_unknown_formats(schema);
            if name == CHANGES {
                copies_without_words(schema);
            }
        });
        (name, definition)
    };
    all.into_iter().map(known).collect()
}

/// The API server warns about number formats it does not know; the ranges stand in `minimum` anyway.
fn without_unknown_formats(schema: &mut JSONSchemaProps) {
    if schema.format.as_deref().is_some_and(|format| format.starts_with("uint")) {
        schema.format = None;
    }
    schema.properties.iter_mut().flat_map(|properties| properties.values_mut()).for_each(without_unknown_formats);
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        without_unknown_formats(items);
    }
}

/// A Change's copies of its Guard's fields are explained, and checked, in the Guard: said once, all definitions together stay small
/// enough for a plain `kubectl apply`.
fn copies_without_words(change: &mut JSONSchemaProps) {
    let spec = change.properties.as_mut().and_then(|properties| properties.get_mut("spec"));
    let fields = spec.and_then(|spec| spec.properties.as_mut());
    for (_, field) in fields.into_iter().flatten().filter(|(name, _)| COPIES.contains(&name.as_str())) {
        let words = field.description.take();
        without_words(field);
        field.description = words;
    }
}

fn without_words(schema: &mut JSONSchemaProps) {
    schema.description = None;
    schema.x_kubernetes_validations = None;
    schema.properties.iter_mut().flat_map(|properties| properties.values_mut()).for_each(without_words);
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        without_words(items);
    }
}
