//! Recording and dividing.

use rstest::rstest;
use serde_json::json;

use super::*;
use crate::traffic::route::RouteError;

#[rstest]
#[case::one_percent(10, &[("checkout", 1)], &[("checkout", 99), ("checkout-candidate", 1)])]
#[case::half(500, &[("checkout", 1)], &[("checkout", 1), ("checkout-candidate", 1)])]
#[case::a_thousandth(1, &[("checkout", 7)], &[("checkout", 999), ("checkout-candidate", 1)])]
#[case::everything(1000, &[("checkout", 3)], &[("checkout", 0), ("checkout-candidate", 1)])]
#[case::nothing(0, &[("checkout", 3)], &[("checkout", 1), ("checkout-candidate", 0)])]
#[case::beside_another(50, &[("legacy", 50), ("checkout", 50)], &[("legacy", 20), ("checkout", 19), ("checkout-candidate", 1)])]
#[case::unequal(50, &[("legacy", 90), ("checkout", 10)], &[("legacy", 180), ("checkout", 19), ("checkout-candidate", 1)])]
#[case::switched_off(50, &[("legacy", 4), ("checkout", 0)], &[("legacy", 1), ("checkout", 0), ("checkout-candidate", 0)])]
#[case::largest_weight(1, &[("checkout", 1_000_000)], &[("checkout", 999), ("checkout-candidate", 1)])]
fn given_the_users_weights_when_divided_then_smallest_whole_numbers_with_the_same_shares(
    #[case] weight: u32,
    #[case] before: &[(&str, u64)],
    #[case] after: &[(&str, u64)],
) {
    let route = route(&[refs(before)]);
    assert_eq!(weights(&after_split(&route, &recorded(&route), weight), 0), named(after));
}

/// 999,983 is a prime: only factor 1 keeps it within 1,000,000.
#[rstest]
#[case::too_small_a_part(50, &[("legacy", 999_983), ("checkout", 3)], &[("legacy", 999_983), ("checkout", 3), ("checkout-candidate", 0)])]
#[case::rounded_down(500, &[("legacy", 999_983), ("checkout", 3)], &[("legacy", 999_983), ("checkout", 2), ("checkout-candidate", 1)])]
// Factors 1 to 5 fit: 1 and 2 give nothing, 3 gives 1 of 21 (asked: 1.05), 4 and 5 give 1 of 28 and 35.
#[case::best_factor(50, &[("legacy", 199_999), ("checkout", 7)], &[("legacy", 599_997), ("checkout", 20), ("checkout-candidate", 1)])]
fn given_weights_too_large_to_be_exact_when_divided_then_the_candidate_gets_a_little_less(
    #[case] weight: u32,
    #[case] before: &[(&str, u64)],
    #[case] after: &[(&str, u64)],
) {
    let route = route(&[refs(before)]);
    assert_eq!(weights(&after_split(&route, &recorded(&route), weight), 0), named(after));
}

#[test]
fn given_several_rules_when_divided_then_only_those_that_name_the_service_change() {
    let mirror =
        json!([{"name": "checkout", "kind": "ServiceImport", "group": "multicluster.x-k8s.io", "port": 80, "weight": 1}]);
    let elsewhere = json!([
    {"name": "checkout", "namespace": "other", "port": 80, "weight": 1},
    {"name": "checkout", "group": "x.example", "port": 80, "weight": 1}
    ]);
    let mut route = route(&[refs(&[("cart", 1)]), refs(&[("checkout", 1)]), mirror, elsewhere, json!([])]);
    route["spec"]["rules"].as_array_mut().unwrap().push(json!({"filters": [{"type": "RequestRedirect"}]}));
    let records = recorded(&route);
    assert_eq!(records.iter().map(|record| record.index).collect::<Vec<_>>(), [1]);
    let divided = after_split(&route, &records, 100);
    for rule in [0, 2, 3, 4, 5] {
        assert_eq!(divided["spec"]["rules"][rule], route["spec"]["rules"][rule], "rule {rule}");
    }
    assert_eq!(weights(&divided, 1), named(&[("checkout", 9), ("checkout-candidate", 1)]));
}

#[test]
fn given_the_service_named_in_full_when_divided_then_it_is_the_same_service() {
    let full = json!([{"name": "checkout", "kind": "Service", "group": "", "namespace": "shop", "port": 80}]);
    let route = route(&[full]);
    let divided = after_split(&route, &recorded(&route), 500);
    assert_eq!(divided["spec"]["rules"][0]["backendRefs"][1]["namespace"], "shop");
}

#[test]
fn given_an_entry_with_filters_and_fields_no_build_knows_when_divided_then_the_candidates_is_a_copy() {
    let filters = json!([{"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "x", "value": "y"}]}}]);
    let entry = json!({"name": "checkout", "port": 8443, "weight": 1, "filters": filters, "fieldOf2031": {"a": 1.5}});
    let route = route(&[json!([entry])]);
    let divided = after_split(&route, &recorded(&route), 500);
    let mut expected = entry.clone();
    expected["name"] = json!("checkout-candidate");
    assert_eq!(divided["spec"]["rules"][0]["backendRefs"], json!([entry, expected]));
}

#[test]
fn given_a_rule_that_names_the_service_twice_when_divided_then_each_entry_has_a_candidate_of_its_own() {
    let [plain, tls] = [80, 443].map(|port| json!({"name": "checkout", "port": port, "weight": 2}));
    let route = route(&[json!([plain, backend("legacy", 4), tls])]);
    let records = recorded(&route);
    let divided = after_split(&route, &records, 250);
    let entries = divided["spec"]["rules"][0]["backendRefs"].as_array().unwrap();
    let seen: Vec<_> = entries
        .iter()
        .map(|e| (e["name"].as_str().unwrap(), e["port"].as_u64().unwrap(), e["weight"].as_u64().unwrap()))
        .collect();
    let expected = [
        ("checkout", 80, 3),
        ("legacy", 80, 8),
        ("checkout", 443, 3),
        ("checkout-candidate", 80, 1),
        ("checkout-candidate", 443, 1),
    ];
    assert_eq!(seen, expected);
    assert_eq!(after_restore(&divided, &records), route);
}

#[test]
fn given_a_grpc_route_when_divided_then_it_is_like_an_http_route() {
    let mut route = route(&[refs(&[("checkout", 1)])]);
    route["kind"] = json!("GRPCRoute");
    route["spec"]["rules"][0]["matches"] = json!([{"method": {"service": "shop.Checkout"}}]);
    let divided = after_split(&route, &recorded(&route), 500);
    assert_eq!(weights(&divided, 0), named(&[("checkout", 1), ("checkout-candidate", 1)]));
}

#[test]
fn given_a_divided_route_when_divided_again_alike_then_nothing_is_written() {
    let route = route(&[refs(&[("checkout", 1)])]);
    let records = recorded(&route);
    let divided = after_split(&route, &records, 50);
    assert_eq!(split(&divided, OURS, &records, permille(50)), Ok(None));
}

#[test]
fn given_a_reading_that_is_old_when_the_split_arrives_then_the_api_server_refuses_it() {
    let read = route(&[refs(&[("checkout", 1)])]);
    let patch = split(&read, OURS, &recorded(&read), permille(50)).unwrap().unwrap();
    let mut edited = read.clone();
    edited["spec"]["rules"][0]["backendRefs"][0]["port"] = json!(81);
    assert!(try_apply(&edited, &patch).is_err());
    let mut remade = read.clone();
    remade["metadata"]["uid"] = json!("u-2");
    assert!(try_apply(&remade, &patch).is_err());
    assert!(try_apply(&read, &patch).is_ok());
}

#[test]
fn given_a_route_that_someone_reverted_when_divided_then_our_entry_is_back() {
    let original = route(&[refs(&[("legacy", 1), ("checkout", 1)])]);
    let records = recorded(&original);
    let divided = after_split(&original, &records, 200);
    assert_eq!(record(&original, OURS, &records).unwrap(), records);
    assert_eq!(after_split(&original, &records, 200), divided);
}

#[test]
fn given_a_filter_the_user_changed_meanwhile_when_divided_then_the_candidate_has_it_too() {
    let original = route(&[refs(&[("checkout", 1)])]);
    let records = recorded(&original);
    let mut edited = after_split(&original, &records, 50);
    edited["spec"]["rules"][0]["backendRefs"][0]["filters"] = json!([{"type": "URLRewrite"}]);
    let divided = after_split(&edited, &records, 100);
    assert_eq!(divided["spec"]["rules"][0]["backendRefs"][1]["filters"], json!([{"type": "URLRewrite"}]));
    assert_eq!(weights(&divided, 0), named(&[("checkout", 9), ("checkout-candidate", 1)]));
}

#[test]
fn given_only_our_entry_left_when_divided_then_the_service_is_back_beside_it() {
    let original = route(&[refs(&[("checkout", 1)])]);
    let divided = after_split(&route(&[refs(&[("checkout-candidate", 5)])]), &recorded(&original), 100);
    assert_eq!(weights(&divided, 0), named(&[("checkout", 9), ("checkout-candidate", 1)]));
}

#[test]
fn given_full_weight_and_our_entry_removed_when_divided_then_the_zero_left_behind_is_not_the_users() {
    let records = recorded(&route(&[refs(&[("checkout", 1)])]));
    for left in [&[("checkout", 0)][..], &[("checkout", 0), ("checkout-candidate", 0)]] {
        let divided = after_split(&route(&[refs(left)]), &records, 1000);
        assert_eq!(weights(&divided, 0), named(&[("checkout", 0), ("checkout-candidate", 1)]));
    }
}

#[test]
fn given_a_route_that_cannot_be_divided_then_the_refusal_says_what_to_do() {
    let none = route(&[refs(&[("cart", 1)])]);
    let mut many = vec![("cart", 1); 15];
    many.push(("checkout", 1));
    let full = route(&[refs(&many)]);
    let bad = route(&[json!([{"name": "checkout", "weight": -1}])]);
    let refusals = [
        record(&none, OURS, &[]).unwrap_err(),
        split(&full, OURS, &recorded(&full), Weight::ZERO).unwrap_err(),
        record(&bad, OURS, &[]).unwrap_err(),
    ];
    insta::assert_snapshot!(refusals.map(|refusal| refusal.to_string()).join("\n"), @r#"
    no rule of HTTPRoute shop sends traffic to Service checkout: name the Service in the backendRefs of a rule, or take the route out of spec.traffic.routes of the Guard
    HTTPRoute shop has no room for the candidate: rule 0 has 16 backendRefs, the candidate needs 1 more, and the Gateway API accepts 16: take backends out of the rule, or give the Service a rule of its own
    HTTPRoute shop cannot be read at /spec/rules/0/backendRefs/0: this is not as the Gateway API defines it; please report it with the route
    "#);
    let empty = json!({"kind": "HTTPRoute", "metadata": {"name": "shop"}, "spec": {}});
    assert!(matches!(record(&empty, OURS, &[]), Err(RouteError::NoTraffic { .. })));
}
