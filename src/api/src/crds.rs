//! The definitions that a cluster admin installs, generated from the types.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool, ValidationRule,
};
use kube::CustomResourceExt as _;

use crate::{Change, ClusterRiskPolicy, Guard, Intervention, RiskPolicy};

/// All definitions, each with the file name it has in `crds/`.
#[must_use]
pub fn all() -> Vec<(&'static str, CustomResourceDefinition)> {
    let all = [
        ("changes.yaml", Change::crd()),
        ("clusterriskpolicies.yaml", ClusterRiskPolicy::crd()),
        ("guards.yaml", Guard::crd()),
        ("interventions.yaml", Intervention::crd()),
        ("riskpolicies.yaml", RiskPolicy::crd()),
    ];
    let known = |(name, mut definition): (_, CustomResourceDefinition)| {
        let schemas =
            definition.spec.versions.iter_mut().filter_map(|version| version.schema.as_mut()?.open_api_v3_schema.as_mut());
        schemas.for_each(|schema| {
            without_unknown_formats(schema);
            if name == "changes.yaml" {
                without_what_guards_say(schema);
            }
            if name == "clusterriskpolicies.yaml" {
                levels_as_one(schema);
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

/// The four levels are alike, so one schema says what each of them is; that all are there, and no other, is checked beside it.
fn levels_as_one(schema: &mut JSONSchemaProps) {
    let spec = schema.properties.as_mut().and_then(|properties| properties.get_mut("spec"));
    let levels = spec.and_then(|spec| spec.properties.as_mut()?.get_mut("levels"));
    let Some(levels) = levels else { return };
    let Some(mut level) = levels.properties.as_mut().and_then(|levels| levels.remove("medium")) else { return };
    level.description = Some("What one level asks for. Medium is also for a change that says nothing of its risk.".to_owned());
    levels.properties = None;
    levels.additional_properties = Some(JSONSchemaPropsOrBool::Schema(Box::new(level)));
    // More than there are, so that one too many is refused by the rule that names them.
    levels.max_properties = Some(8);
    let known = ValidationRule {
        rule: "self.all(name, name in ['low', 'medium', 'high', 'critical'])".to_owned(),
        message: Some("spec.levels: levels are low, medium, high and critical".to_owned()),
        ..ValidationRule::default()
    };
    levels.x_kubernetes_validations = Some(vec![known]);
}

/// Parts that are explained elsewhere: their checks stay, their words do not.
const REPEATED: [(&str, &[&str]); 7] = [
    ("guards.yaml", &["spec", "dependents", "signals"]),
    // As in clusterriskpolicies.yaml.
    ("riskpolicies.yaml", &["spec", "rules"]),
    ("riskpolicies.yaml", &["spec", "freezes"]),
    // Kubernetes' own words, as for every kind that has conditions.
    ("guards.yaml", &["status", "conditions"]),
    ("changes.yaml", &["status", "conditions"]),
    ("clusterriskpolicies.yaml", &["status", "conditions"]),
    ("riskpolicies.yaml", &["status", "conditions"]),
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
    let more = match &mut schema.additional_properties {
        Some(JSONSchemaPropsOrBool::Schema(more)) => Some(more.as_mut()),
        _ => None,
    };
    for inner in properties.chain(items).chain(more) {
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
