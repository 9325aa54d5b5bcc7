//! What the chart lets the operator do is what its calls need, and no more.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use serde_json::Value;

/// Verbs by resource, and the calls that need them. Every watched kind also needs `get`, for people who read the log.
const NEEDED: [(&str, &str); 20] = [
    ("firebreak.dev/guards", "get list watch patch"), // its finalizer
    ("firebreak.dev/guards/status", "patch"),
    ("firebreak.dev/changes", "get list watch create patch delete"), // begun; its finalizer; forgotten beyond the limit
    ("firebreak.dev/changes/status", "update"),                      // replaced, guarded by the resourceVersion
    ("firebreak.dev/interventions", "get list watch create patch delete"), // tried dry; given to its Change, for which some ask delete
    ("firebreak.dev/interventions/status", "patch"),                       // answered
    ("firebreak.dev/clusterriskpolicies", "get list watch"),
    ("firebreak.dev/clusterriskpolicies/status", "patch"), // whether it can be used; the last good spec
    ("firebreak.dev/riskpolicies", "get list watch"),
    ("firebreak.dev/riskpolicies/status", "patch"),
    ("/namespaces", "get"),                                     // labels, for the rules
    ("apps/deployments", "get list watch patch"),               // held, resumed, marks
    ("apps/deployments/finalizers", "update"),                  // ownership with blockOwnerDeletion at the hand-over
    ("apps/replicasets", "get list watch create patch delete"), // handed over and taken over: the same
    ("/services", "get list watch create patch delete"),        // pinned; the candidate's made and removed
    ("gateway.networking.k8s.io/httproutes", "get list watch patch"),
    ("gateway.networking.k8s.io/grpcroutes", "get list watch patch"),
    ("/pods", "get list watch"),
    ("discovery.k8s.io/endpointslices", "get list watch"),
    ("events.k8s.io/events", "create patch"),
];

fn granted() -> BTreeMap<String, BTreeSet<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../charts/firebreak/templates/rbac.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    let plain: String = text.lines().filter(|line| !line.contains("{{")).fold(String::new(), |text, line| text + line + "\n");
    let role: Value = serde_yaml_ng::from_str(plain.split("---\n").next().unwrap()).unwrap();
    assert_eq!(role["kind"], "ClusterRole");
    let list = |rule: &Value, field: &str| -> Vec<String> {
        rule[field].as_array().unwrap().iter().map(|value| value.as_str().unwrap().to_owned()).collect()
    };
    let mut granted: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for rule in role["rules"].as_array().unwrap() {
        for group in list(rule, "apiGroups") {
            for resource in list(rule, "resources") {
                granted.entry(format!("{group}/{resource}")).or_default().extend(list(rule, "verbs"));
            }
        }
    }
    granted
}

#[test]
fn given_the_chart_when_its_role_is_read_then_it_grants_what_the_operator_calls_and_no_more() {
    let needed: BTreeMap<String, BTreeSet<String>> =
        NEEDED.iter().map(|(resource, verbs)| ((*resource).to_owned(), verbs.split(' ').map(str::to_owned).collect())).collect();
    assert_eq!(granted(), needed);
}

#[test]
fn given_the_chart_when_what_it_lets_the_operator_read_of_secrets_is_looked_at_then_it_is_get_alone_and_only_where_asked_for() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../charts/firebreak");
    let text = std::fs::read_to_string(folder.join("templates/secrets.yaml")).unwrap();
    assert!(text.lines().nth(1).unwrap().contains("if .Values.secrets.read"), "all of it is only there where it is asked for");
    let rules = text.split("rules:\n").nth(1).unwrap().split("---").next().unwrap();
    let rules: Value = serde_yaml_ng::from_str(rules).unwrap();
    assert_eq!(rules, serde_json::json!([{"apiGroups": [""], "resources": ["secrets", "configmaps"], "verbs": ["get"]}]));
    let values: Value = serde_yaml_ng::from_str(&std::fs::read_to_string(folder.join("values.yaml")).unwrap()).unwrap();
    assert_eq!(values["secrets"], serde_json::json!({"read": false, "namespaces": []}));
}
