//! Taking the candidate's weight away.

use rstest::rstest;
use serde_json::json;

use super::*;

#[rstest]
#[case::divided(&[("legacy", 20), ("checkout", 19), ("checkout-candidate", 1)], &[("legacy", 20), ("checkout", 20), ("checkout-candidate", 0)])]
#[case::full(&[("checkout", 0), ("checkout-candidate", 1)], &[("checkout", 1), ("checkout-candidate", 0)])]
#[case::edited(&[("checkout", 5), ("new", 3), ("checkout-candidate", 4)], &[("checkout", 9), ("new", 3), ("checkout-candidate", 0)])]
#[case::only_ours_left(&[("checkout-candidate", 4)], &[("checkout", 4)])]
#[case::above_the_limit(&[("checkout", 1_000_000), ("checkout-candidate", 1)], &[("checkout", 1_000_000), ("checkout-candidate", 0)])]
#[case::dead(&[("checkout", 0), ("checkout-candidate", 0)], &[("checkout", 50), ("checkout-candidate", 0)])]
fn given_a_candidate_with_weight_when_zeroed_then_the_service_carries_its_whole_share(
    #[case] before: &[(&str, u64)],
    #[case] after: &[(&str, u64)],
) {
    let records = [RuleRecord { index: 0, backend_refs: refs(&[("checkout", 50)]).to_string() }];
    let zeroed = after_zero(&route(&[refs(before)]), &records);
    assert_eq!(weights(&zeroed, 0), named(after));
    assert_eq!(zero(&zeroed, OURS, &records), None, "again");
}

#[rstest]
#[case::no_entry_of_ours(&[("checkout", 1)])]
#[case::at_zero_already(&[("checkout", 1), ("checkout-candidate", 0)])]
#[case::drained_by_the_user(&[("legacy", 1), ("checkout", 0), ("checkout-candidate", 0)])]
fn given_nothing_to_take_when_zeroed_then_nothing_is_written(#[case] before: &[(&str, u64)]) {
    assert_eq!(zero(&route(&[refs(before)]), OURS, &[]), None);
}

#[test]
fn given_a_route_changed_since_it_was_read_when_zeroed_then_only_names_matter() {
    let original = route(&[refs(&[("checkout", 1)])]);
    let divided = after_split(&original, &recorded(&original), 50);
    let patch = zero(&divided, OURS, &[]).unwrap();
    insta::assert_yaml_snapshot!(patch, @r#"
    - op: test
      path: /spec/rules/0/backendRefs/1/name
      value: checkout-candidate
    - op: test
      path: /spec/rules/0/backendRefs/0/name
      value: checkout
    - op: add
      path: /spec/rules/0/backendRefs/1/weight
      value: 0
    - op: add
      path: /spec/rules/0/backendRefs/0/weight
      value: 20
    "#);
    let mut edited = divided.clone();
    edited["metadata"]["uid"] = json!("u-2");
    edited["spec"]["rules"][0]["backendRefs"][1]["weight"] = json!(700);
    edited["spec"]["rules"][0]["backendRefs"][1]["filters"] = json!([{"type": "URLRewrite"}]);
    assert_eq!(weights(&try_apply(&edited, &patch).unwrap(), 0), named(&[("checkout", 20), ("checkout-candidate", 0)]));
    edited["spec"]["rules"][0]["backendRefs"].as_array_mut().unwrap().swap(0, 1);
    assert!(try_apply(&edited, &patch).is_err(), "the Service would have been zeroed");
}

#[test]
fn given_a_route_that_split_would_refuse_when_zeroed_then_it_is_zeroed() {
    let mut odd = route(&[refs(&[("checkout", 3), ("checkout-candidate", 1)]), refs(&[("cart", 1)])]);
    odd["spec"]["rules"][0]["backendRefs"][1]["weight"] = json!("many");
    odd["spec"]["rules"].as_array_mut().unwrap().push(json!({"backendRefs": "none"}));
    assert!(split(&odd, OURS, &[], permille(1)).is_err());
    let broken = [RuleRecord { index: 0, backend_refs: "not JSON".to_owned() }];
    assert_eq!(weights(&after_zero(&odd, &broken), 0), named(&[("checkout", 3), ("checkout-candidate", 0)]));
    assert_eq!(zero(&json!({"spec": 1}), OURS, &[]), None);
}
