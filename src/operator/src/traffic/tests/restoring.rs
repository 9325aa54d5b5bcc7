//! Giving a route back.

use rstest::rstest;
use serde_json::json;

use super::*;

#[test]
fn given_any_weight_when_restored_then_the_route_is_what_it_was_letter_for_letter() {
    let absent = json!([{"name": "checkout", "port": 80}, {"name": "legacy", "port": 80, "weight": 4}]);
    let original = route(&[refs(&[("legacy", 50), ("checkout", 50)]), absent]);
    let records = recorded(&original);
    for weight in [0, 1, 50, 333, 1000] {
        let restored = after_restore(&after_split(&original, &records, weight), &records);
        assert_eq!(restored.to_string(), original.to_string());
    }
}

#[test]
fn given_none_of_our_entries_when_restored_then_nothing_is_written() {
    let original = route(&[refs(&[("checkout", 50)])]);
    let records = recorded(&original);
    assert_eq!(restore(&original, OURS, &records), Ok(None));
    let rewritten = route(&[refs(&[("checkout", 100)])]);
    assert_eq!(restore(&rewritten, OURS, &records), Ok(None), "the user's own scale");
    assert_eq!(restore(&route(&[]), OURS, &records), Ok(None));
}

/// The user wrote 50 : 50; at 5 % the route says 20 : 19 + 1.
#[rstest]
#[case::another_backend_evenly(&[("legacy", 40), ("checkout", 19), ("checkout-candidate", 1)], &[("legacy", 100), ("checkout", 50)])]
#[case::a_backend_added(&[("legacy", 20), ("new", 2), ("checkout", 19), ("checkout-candidate", 1)], &[("legacy", 50), ("new", 5), ("checkout", 50)])]
#[case::a_backend_removed(&[("checkout", 19), ("checkout-candidate", 1)], &[("checkout", 50)])]
#[case::unevenly(&[("legacy", 20), ("checkout", 40), ("checkout-candidate", 1)], &[("legacy", 20), ("checkout", 41)])]
#[case::drained(&[("legacy", 20), ("checkout", 0), ("checkout-candidate", 0)], &[("legacy", 20), ("checkout", 0)])]
#[case::only_ours_left(&[("checkout-candidate", 1)], &[("checkout", 50)])]
#[case::our_entry_removed(&[("legacy", 20), ("checkout", 19)], &[("legacy", 20), ("checkout", 19)])]
fn given_weights_the_user_changed_meanwhile_when_restored_then_the_shares_are_the_users(
    #[case] edited: &[(&str, u64)],
    #[case] after: &[(&str, u64)],
) {
    let original = route(&[refs(&[("legacy", 50), ("checkout", 50)])]);
    let records = recorded(&original);
    assert_eq!(weights(&after_restore(&route(&[refs(edited)]), &records), 0), named(after));
}

#[test]
fn given_a_filter_the_user_changed_meanwhile_when_restored_then_it_stays_and_the_weights_are_the_recorded() {
    let original = route(&[refs(&[("legacy", 50), ("checkout", 50)])]);
    let records = recorded(&original);
    let mut edited = after_split(&original, &records, 50);
    edited["spec"]["rules"][0]["backendRefs"][1]["filters"] = json!([{"type": "URLRewrite"}]);
    let mut expected = original.clone();
    expected["spec"]["rules"][0]["backendRefs"][1]["filters"] = json!([{"type": "URLRewrite"}]);
    assert_eq!(after_restore(&edited, &records), expected);
}

#[test]
fn given_a_service_at_zero_and_a_filter_the_user_changed_when_restored_then_the_weights_are_the_recorded() {
    let original = route(&[refs(&[("legacy", 50), ("checkout", 0)])]);
    let records = recorded(&original);
    let edit = |mut route: Value| {
        route["spec"]["rules"][0]["backendRefs"][0]["filters"] = json!([{"type": "URLRewrite"}]);
        route
    };
    let edited = edit(after_split(&original, &records, 50));
    assert_eq!(after_restore(&edited, &records), edit(original));
}

#[test]
fn given_rules_added_removed_and_moved_meanwhile_when_restored_then_each_gets_its_own_record() {
    let rules = [refs(&[("checkout", 1)]), refs(&[("checkout", 100)]), refs(&[("legacy", 2), ("checkout", 2)])];
    let original = route(&rules);
    let records = recorded(&original);
    let divided = after_split(&original, &records, 50);
    let with_rules = |order: &[Option<usize>], from: &Value| {
        let mut route = from.clone();
        let rule = |at: &Option<usize>| {
            at.map_or_else(|| json!({"backendRefs": refs(&[("checkout", 7)])}), |at| from["spec"]["rules"][at].clone())
        };
        route["spec"]["rules"] = order.iter().map(rule).collect();
        route
    };
    for order in [
        &[None, Some(0), Some(1), Some(2)][..],
        &[Some(0), None, Some(1), Some(2)],
        &[None, Some(1), None, Some(2)],
        &[Some(0), Some(2)],
        &[Some(2), Some(0), Some(1)],
    ] {
        let restored = after_restore(&with_rules(order, &divided), &records);
        assert_eq!(restored, with_rules(order, &original), "{order:?}");
    }
}

#[test]
fn given_a_rule_without_a_record_when_restored_then_smallest_whole_numbers() {
    let divided = route(&[refs(&[("legacy", 20), ("checkout", 19), ("checkout-candidate", 1)])]);
    let broken = [RuleRecord { index: 0, backend_refs: "not JSON".to_owned() }];
    for records in [&[][..], &broken] {
        assert_eq!(weights(&after_restore(&divided, records), 0), named(&[("legacy", 1), ("checkout", 1)]));
    }
}

#[test]
fn given_the_users_edits_recorded_when_restored_then_they_are_back_letter_for_letter() {
    let original = route(&[refs(&[("legacy", 50), ("checkout", 50)])]);
    let records = recorded(&original);
    // A GitOps tool writes its new version over our entry, in its own scale.
    let rewritten = route(&[refs(&[("checkout", 3)]), refs(&[("legacy", 70), ("checkout", 30)])]);
    let records = record(&rewritten, OURS, &records).unwrap();
    let divided = after_split(&rewritten, &records, 333);
    assert_eq!(record(&divided, OURS, &records).unwrap(), records);
    assert_eq!(after_restore(&divided, &records).to_string(), rewritten.to_string());
}
