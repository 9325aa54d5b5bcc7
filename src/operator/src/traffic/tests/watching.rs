//! What a route says.

use rstest::rstest;
use serde_json::json;

use super::*;
use crate::traffic::route::{Contended, candidate_share, other_manager};

#[rstest]
#[case::no_entry(&[&[("checkout", 1)][..]], None)]
#[case::five_percent(&[&[("legacy", 20), ("checkout", 19), ("checkout-candidate", 1)][..]], Some(50.0))]
#[case::largest_rule(&[&[("checkout", 19), ("checkout-candidate", 1)][..], &[("checkout", 1), ("checkout-candidate", 1)][..]], Some(500.0))]
#[case::one_rule_reverted(&[&[("checkout", 19), ("checkout-candidate", 1)][..], &[("checkout", 1)][..]], Some(50.0))]
#[case::zeroed(&[&[("checkout", 20), ("checkout-candidate", 0)][..]], Some(0.0))]
#[case::dead(&[&[("checkout", 0), ("checkout-candidate", 0)][..]], Some(0.0))]
#[case::only_ours_left(&[&[("legacy", 20), ("checkout-candidate", 1)][..]], Some(1000.0))]
fn given_a_route_then_the_largest_share_of_the_services_own_traffic(
    #[case] rules: &[&[(&str, u64)]],
    #[case] expected: Option<f64>,
) {
    let rules: Vec<_> = rules.iter().map(|entries| refs(entries)).collect();
    assert_eq!(candidate_share(&route(&rules), OURS).map(|share| share.permille()), expected);
}

#[test]
fn given_managed_fields_then_the_other_manager_that_wrote_the_rules_last() {
    let entry = |manager: &str, time: &str, fields: Value| json!({"manager": manager, "operation": "Update", "time": time, "fieldsV1": fields});
    let rules = json!({"f:spec": {"f:rules": {}}});
    let mut route = route(&[]);
    assert_eq!(other_manager(&route, Contended::Rules), None);
    route["metadata"]["managedFields"] = json!([
        entry("helm", "2026-01-01T00:00:00Z", rules.clone()),
        entry("argocd-controller", "2026-01-02T00:00:00Z", rules.clone()),
        entry("firebreak", "2026-01-03T00:00:00Z", rules),
        entry("traefik", "2026-01-04T00:00:00Z", json!({"f:status": {}})),
        entry("kubectl", "2026-01-05T00:00:00Z", json!({"f:spec": {"f:hostnames": {}}})),
    ]);
    assert_eq!(other_manager(&route, Contended::Rules).as_deref(), Some("argocd-controller"));
    assert_eq!(other_manager(&route, Contended::Selector), None);
}
