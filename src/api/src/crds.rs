//! The definitions that a cluster admin installs, generated from the types.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{CustomResourceDefinition, JSONSchemaProps};
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
        schemas.for_each(without_unknown_formats);
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
    if let Some(k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaPropsOrArray::Schema(items)) =
        &mut schema.items
    {
        without_unknown_formats(items);
    }
}
