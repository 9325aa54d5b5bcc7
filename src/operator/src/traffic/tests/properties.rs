//! What holds for every route, whatever its user does to it meanwhile (I1, I2, I8).

use proptest::{prelude::*, sample::Index};
use serde_json::json;

use super::*;
use crate::traffic::route::candidate_share;

/// Weights as people and tools write them, and the ones that hurt.
fn any_weight() -> impl Strategy<Value = Option<u64>> {
    prop_oneof![
        Just(None),
        (0_u64..=100).prop_map(Some),
        (0_u64..=1_000_000).prop_map(Some),
        prop::sample::select(vec![0, 1, 999_983, 1_000_000]).prop_map(Some),
    ]
}

fn any_entry(name: impl Strategy<Value = &'static str>) -> impl Strategy<Value = Value> {
    let place = prop::sample::select(vec![
        json!({}),
        json!({"group": "", "kind": "Service"}),
        json!({"namespace": "shop"}),
        json!({"namespace": "other"}),
        json!({"group": "x.example", "kind": "Bucket"}),
    ]);
    let rest = prop::sample::select(vec![
        json!({}),
        json!({"filters": [{"type": "URLRewrite", "urlRewrite": {"hostname": "x"}}]}),
        json!({"fieldOf2031": {"deep": [1.5, null, "ä"]}}),
    ]);
    (name, place, rest, any_weight(), 1_u16..4).prop_map(|(name, place, rest, weight, port)| {
        let mut entry = json!({"name": name, "port": port});
        let map = entry.as_object_mut().unwrap();
        for extra in [place, rest] {
            map.extend(extra.as_object().unwrap().clone());
        }
        if let Some(weight) = weight {
            map.insert("weight".to_owned(), weight.into());
        }
        entry
    })
}

/// `backendRefs` that may name the Service never, once or more often.
fn any_refs() -> impl Strategy<Value = Value> {
    let name = prop::sample::select(vec!["checkout", "checkout", "legacy", "cart"]);
    prop::collection::vec(any_entry(name), 1..5).prop_map(Value::from)
}

/// The route as the API server gives it, with the default weight; no two rules have the same entries.
fn served(mut route: Value) -> Value {
    for (nth, rule) in route["spec"]["rules"].as_array_mut().unwrap().iter_mut().enumerate() {
        complete(&mut rule["backendRefs"], nth);
    }
    route
}

fn complete(refs: &mut Value, mark: usize) {
    for entry in refs.as_array_mut().unwrap() {
        entry["weight"] = json!(weight_of(entry));
        entry["mark"] = json!(mark);
    }
}

/// As [`any_refs`], for a rule that appears meanwhile. One whose weights are all 0 would be taken for the rest of ours
/// if the record has the same entries.
fn any_live_refs() -> impl Strategy<Value = Value> {
    let served = (any_refs(), 100_usize..).prop_map(|(mut refs, mark)| {
        complete(&mut refs, mark);
        refs
    });
    served.prop_filter("sends requests", |refs| refs.as_array().unwrap().iter().any(|entry| weight_of(entry) > 0))
}

/// A route at least one rule of which names the Service.
fn any_route() -> impl Strategy<Value = Value> {
    let sure = any_weight().prop_map(|weight| json!([{"name": "checkout", "port": 80, "weight": weight.unwrap_or(1)}]));
    (prop::collection::vec(any_refs(), 0..4), sure, any::<Index>()).prop_map(|(mut rules, sure, at)| {
        rules.insert(at.index(rules.len() + 1), sure);
        route(&rules)
    })
}

/// What someone does to the route while a Change runs.
#[derive(Debug, Clone)]
enum Event {
    /// The operator reads the route and sets a weight.
    Split(u32),
    /// A rollback begins.
    Zero,
    /// A GitOps tool writes the user's version again.
    Revert,
    /// The user adds a rule.
    AddRule(Index, Value),
    /// The user removes a rule.
    RemoveRule(Index),
    /// The user changes a field of an entry of a rule.
    EditEntry(Index, Index),
    /// The user rewrites a rule.
    RewriteRule(Index, Value),
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0_u32..=1000).prop_map(Event::Split),
        1 => Just(Event::Zero),
        1 => Just(Event::Revert),
        1 => (any::<Index>(), any_live_refs()).prop_map(|(at, refs)| Event::AddRule(at, refs)),
        1 => any::<Index>().prop_map(Event::RemoveRule),
        1 => (any::<Index>(), any::<Index>()).prop_map(|(rule, entry)| Event::EditEntry(rule, entry)),
        1 => (any::<Index>(), any_live_refs()).prop_map(|(rule, refs)| Event::RewriteRule(rule, refs)),
    ]
}

fn is_ours(entry: &Value, name: &str) -> bool {
    entry["name"] == name
        && entry["kind"].as_str().is_none_or(|kind| kind == "Service")
        && entry["namespace"].as_str().is_none_or(|namespace| namespace == "shop")
}

fn weight_of(entry: &Value) -> u64 {
    entry["weight"].as_u64().unwrap_or(1)
}

fn rules_of(route: &Value) -> &Vec<Value> {
    route["spec"]["rules"].as_array().unwrap()
}

/// A rule's entries but the candidate's, the Service's carrying the candidate's too: what each backend gets.
fn totals(rule: &Value) -> Vec<u64> {
    let entries = rule["backendRefs"].as_array().unwrap();
    let mut candidates = entries.iter().filter(|entry| is_ours(entry, OURS.candidate)).map(weight_of);
    let own = entries.iter().filter(|entry| !is_ours(entry, OURS.candidate));
    own.map(|entry| weight_of(entry) + if is_ours(entry, OURS.service) { candidates.next().unwrap_or(0) } else { 0 }).collect()
}

/// Whether two lists are the same but for a factor, as rationals.
fn same_shares(a: &[u64], b: &[u64]) -> bool {
    let (sum_a, sum_b): (u64, u64) = (a.iter().sum(), b.iter().sum());
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a * sum_b == b * sum_a) && (sum_a == 0) == (sum_b == 0)
}

/// The route without its `backendRefs`, and with the entries' fields but weights.
fn all_but_weights(route: &Value) -> Value {
    let mut route = route.clone();
    for rule in route["spec"]["rules"].as_array_mut().unwrap() {
        let entries = rule["backendRefs"].as_array_mut().unwrap();
        entries.retain(|entry| !is_ours(entry, OURS.candidate));
        for entry in entries {
            entry.as_object_mut().unwrap().remove("weight");
        }
    }
    route
}

/// What every divided route has to be.
fn assert_divided(original: &Value, divided: &Value, weight: u32) -> Result<(), TestCaseError> {
    prop_assert_eq!(all_but_weights(original), all_but_weights(divided));
    for (before, after) in rules_of(original).iter().zip(rules_of(divided)) {
        prop_assert!(same_shares(&totals(before), &totals(after)), "{before} became {after}");
        let entries = after["backendRefs"].as_array().unwrap();
        prop_assert!(entries.iter().all(|entry| weight_of(entry) <= 1_000_000));
        let of = |name: &'static str| entries.iter().filter(move |entry| is_ours(entry, name));
        prop_assert_eq!(of(OURS.candidate).count(), of(OURS.service).count());
        let largest = before["backendRefs"].as_array().unwrap().iter().map(weight_of).max().unwrap();
        for (service, candidate) in of(OURS.service).zip(of(OURS.candidate)) {
            let (got, all) = (weight_of(candidate), weight_of(candidate) + weight_of(service));
            prop_assert!(got * 1000 <= all * u64::from(weight), "{got} of {all} is above {weight}");
            prop_assert!((got + 1) * 1000 > all * u64::from(weight), "{got} of {all} could be more");
            if largest <= 1000 {
                prop_assert_eq!(got * 1000, all * u64::from(weight), "exact where the limit allows");
            }
            let mut copy = service.clone();
            copy["name"] = json!(OURS.candidate);
            copy["weight"] = json!(got);
            let mut candidate = candidate.clone();
            candidate["weight"] = json!(got);
            prop_assert_eq!(copy, candidate);
        }
    }
    let share = candidate_share(divided, OURS).unwrap().permille();
    prop_assert!(share <= f64::from(weight));
    Ok(())
}

/// The user's own version and the live one, after an event; both told the same edit.
fn happens(event: &Event, users: &mut Value, live: &mut Value, records: &[RuleRecord]) {
    let mut edit = |change: &dyn Fn(&mut Vec<Value>)| {
        for route in [&mut *users, &mut *live] {
            change(route["spec"]["rules"].as_array_mut().unwrap());
        }
    };
    match event {
        Event::Split(weight) => *live = after_split(live, records, *weight),
        Event::Zero => *live = after_zero(live, records),
        Event::Revert => *live = users.clone(),
        Event::AddRule(at, refs) => edit(&|rules| rules.insert(at.index(rules.len() + 1), json!({"backendRefs": refs}))),
        Event::RemoveRule(at) => edit(&|rules| {
            let at = at.index(rules.len());
            let last = rules.iter().filter(|rule| names_us(rule)).count() == 1;
            if !(last && names_us(&rules[at])) {
                rules.remove(at);
            }
        }),
        Event::EditEntry(rule, entry) => edit(&|rules| {
            let rule = rule.index(rules.len());
            let own = totals(&rules[rule]).len();
            rules[rule]["backendRefs"][entry.index(own)]["edited"] = json!(true);
        }),
        Event::RewriteRule(rule, refs) => edit(&|rules| {
            let rule = rule.index(rules.len());
            let last = rules.iter().filter(|rule| names_us(rule)).count() == 1;
            if !(last && names_us(&rules[rule])) {
                rules[rule]["backendRefs"] = refs.clone();
            }
        }),
    }
}

fn names_us(rule: &Value) -> bool {
    rule["backendRefs"].as_array().unwrap().iter().any(|entry| is_ours(entry, OURS.service))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn given_any_route_when_divided_then_every_backend_keeps_its_share_and_the_candidate_gets_no_more_than_asked(
        original in any_route(), sequence in prop::collection::vec(0_u32..=1000, 1..5),
    ) {
        let records = recorded(&original);
        let mut live = original.clone();
        for weight in sequence {
            live = after_split(&live, &records, weight);
            assert_divided(&original, &live, weight)?;
            prop_assert_eq!(&live, &after_split(&original, &records, weight), "from any split the same");
            prop_assert_eq!(split(&live, OURS, &records, permille(weight)), Ok(None), "again");
            prop_assert_eq!(&record(&live, OURS, &records).unwrap(), &records);
        }
        prop_assert_eq!(after_restore(&live, &records).to_string(), original.to_string());
        prop_assert_eq!(restore(&original, OURS, &records), Ok(None));
    }

    #[test]
    fn given_any_divided_route_when_zeroed_then_the_candidate_gets_nothing_and_nobody_else_notices(
        original in any_route(), weight in 0_u32..=1000,
    ) {
        let records = recorded(&original);
        let live = after_split(&original, &records, weight);
        let zeroed = after_zero(&live, &records);
        prop_assert_eq!(&after_zero(&live, &[]), &zeroed, "without a record too");
        assert_divided(&original, &zeroed, 0)?;
        prop_assert_eq!(zero(&zeroed, OURS, &records), None);
        prop_assert_eq!(after_restore(&zeroed, &records).to_string(), original.to_string());
    }

    #[test]
    fn given_any_edits_meanwhile_when_recorded_before_each_step_then_restoring_gives_the_users_version_letter_for_letter(
        original in any_route().prop_map(served), events in prop::collection::vec(any_event(), 1..10), weight in 0_u32..=1000,
    ) {
        let (mut users, mut live) = (original.clone(), original);
        let mut records = recorded(&live);
        for event in &events {
            happens(event, &mut users, &mut live, &records);
            records = record(&live, OURS, &records).unwrap();
        }
        let divided = after_split(&live, &records, weight);
        assert_divided(&users, &divided, weight)?;
        assert_divided(&users, &after_zero(&divided, &records), 0)?;
        prop_assert_eq!(after_restore(&divided, &records).to_string(), users.to_string());
        prop_assert_eq!(after_restore(&live, &records).to_string(), users.to_string());
    }

    #[test]
    fn given_any_edits_meanwhile_when_recorded_at_the_start_only_then_the_shares_and_fields_are_the_users_all_the_same(
        original in any_route().prop_map(served), events in prop::collection::vec(any_event(), 1..10), weight in 0_u32..=1000,
    ) {
        let (mut users, mut live) = (original.clone(), original);
        let records = recorded(&live);
        for event in &events {
            happens(event, &mut users, &mut live, &records);
        }
        assert_divided(&users, &after_split(&live, &records, weight), weight)?;
        let restored = after_restore(&live, &records);
        prop_assert_eq!(all_but_weights(&restored), all_but_weights(&users));
        for (restored, wanted) in rules_of(&restored).iter().zip(rules_of(&users)) {
            prop_assert!(same_shares(&totals(restored), &totals(wanted)), "{wanted} came back as {restored}");
        }
        prop_assert_eq!(candidate_share(&restored, OURS), None);
    }

    #[test]
    fn given_any_route_that_was_mangled_when_zeroed_then_the_candidate_gets_nothing(
        rules in prop::collection::vec(prop::collection::vec(
            any_entry(prop::sample::select(vec!["checkout", "checkout-candidate", "legacy"])), 0..6).prop_map(Value::from), 0..4),
    ) {
        let mangled = route(&rules);
        let zeroed = after_zero(&mangled, &[]);
        prop_assert_eq!(candidate_share(&zeroed, OURS).map_or(0.0, |share| share.permille()), 0.0);
        for (before, after) in rules_of(&mangled).iter().zip(rules_of(&zeroed)) {
            let sum = |rule: &Value| rule["backendRefs"].as_array().unwrap().iter().map(weight_of).sum::<u64>();
            prop_assert!(sum(after) <= sum(before) && (sum(after) == 0) == (sum(before) == 0), "requests of {before} get lost");
        }
    }
}
