//! The definitions that a cluster admin installs, generated from the types.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt as _;

use crate::{Change, ClusterRiskPolicy, Guard, Intervention};

/// All definitions, each with the file name it has in `crds/`.
#[must_use]
pub fn all() -> Vec<(&'static str, CustomResourceDefinition)> {
    vec![
        ("changes.yaml", Change::crd()),
        ("clusterriskpolicies.yaml", ClusterRiskPolicy::crd()),
        ("guards.yaml", Guard::crd()),
        ("interventions.yaml", Intervention::crd()),
    ]
}
