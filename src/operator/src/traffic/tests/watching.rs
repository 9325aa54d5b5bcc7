//! What a route says, and the share that pods alone give.

use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;

use super::*;
use crate::traffic::{
    pods::pods_for_share,
    route::{candidate_share, other_manager},
};

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
    assert_eq!(other_manager(&route), None);
    route["metadata"]["managedFields"] = json!([
        entry("helm", "2026-01-01T00:00:00Z", rules.clone()),
        entry("argocd-controller", "2026-01-02T00:00:00Z", rules.clone()),
        entry("firebreak", "2026-01-03T00:00:00Z", rules),
        entry("traefik", "2026-01-04T00:00:00Z", json!({"f:status": {}})),
        entry("kubectl", "2026-01-05T00:00:00Z", json!({"f:spec": {"f:hostnames": {}}})),
    ]);
    assert_eq!(other_manager(&route).as_deref(), Some("argocd-controller"));
}

#[rstest]
#[case::none(10, 0, 10, 0)]
#[case::one_of_eleven_is_more_but_the_least(10, 50, 10, 1)]
#[case::five_percent(19, 50, 20, 1)]
#[case::half(10, 500, 10, 10)]
#[case::just_below(9, 499, 10, 8)]
#[case::full(3, 1000, 7, 7)]
#[case::never_more_than_full(100, 900, 20, 20)]
#[case::no_stable_pods(0, 500, 4, 1)]
#[case::scaled_to_nothing(0, 500, 0, 0)]
fn given_stable_pods_and_a_weight_then_the_most_candidate_pods_within_it(
    #[case] stable: u32,
    #[case] weight: u32,
    #[case] full: u32,
    #[case] expected: u32,
) {
    assert_eq!(pods_for_share(stable, permille(weight), full), expected);
}

proptest! {
    #[test]
    fn given_any_size_then_one_pod_more_would_be_above_the_weight(stable in 0..u32::MAX, weight in 1_u32..1000, full in 1..u32::MAX) {
        let n = pods_for_share(stable, permille(weight), full);
        let within = |n: u64| n * 1000 <= u64::from(weight) * (u64::from(stable) + n);
        prop_assert!(n <= full && (n == 1 || within(n.into())));
        prop_assert!(n == full || !within(u64::from(n) + 1));
    }
}
