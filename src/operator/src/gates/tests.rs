//! Who has a place, who is next, and which freezes are open.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::sync::Arc;

use firebreak_api::in_force::Named;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::fake;

fn limits(of: &Value) -> Limits {
    serde_json::from_value(of.clone()).unwrap()
}

/// A Change `namespace/name` of the policy bank.
fn entrant(name: &str, level: RiskLevel, of: &Value) -> Entrant {
    let (namespace, change) = name.split_once('/').unwrap();
    Entrant {
        key: Key { namespace: namespace.to_owned(), change: change.to_owned() },
        scope: Scope::Of(Some("bank".to_owned())),
        level: Some(level),
        workload: Some((namespace.to_owned(), change.to_owned())),
        limits: limits(of),
    }
}

fn medium(name: &str, of: &Value) -> Entrant {
    entrant(name, RiskLevel::Medium, of)
}

fn around(held: &[Entrant]) -> Around {
    Around { listed: true, held: held.to_vec(), groups: Arc::default() }
}

/// What a Change is told: none where it got a place.
fn ask(places: &Places, entrant: &Entrant, since: i64) -> Option<(u32, u32, String)> {
    let told = places.ask(entrant, Millis(since), &around(&[])).err();
    told.map(|queued| (queued.position, queued.of, queued.limit))
}

#[test]
fn given_a_limit_of_two_when_three_ask_in_one_moment_then_two_have_a_place_and_the_third_is_told_why_not() {
    let (places, two) = (Places::default(), json!({"cluster": 2}));
    assert_eq!(ask(&places, &medium("a/one", &two), 1), None);
    assert_eq!(ask(&places, &medium("b/two", &two), 2), None);
    let (position, of, limit) = ask(&places, &medium("a/three", &two), 3).unwrap();
    assert_eq!((position, of), (1, 1));
    assert_eq!(limit, "2 under way in the cluster, and policy bank lets 2 (limits.cluster): a/one, b/two");
    assert_eq!(ask(&places, &medium("a/one", &two), 1), None, "who has a place keeps it");
    places.leave(&medium("b/two", &two).key);
    assert_eq!(ask(&places, &medium("a/three", &two), 3), None);
}

/// One place comes free; who waits, since when, and who gets it.
#[rstest]
#[case::oldest_first(&["a/run"], &[("c/late", 9), ("b/early", 2)], "b/early")]
#[case::fewest_under_way_first(&["a/run"], &[("a/early", 1), ("b/late", 9)], "b/late")]
#[case::by_name_at_last(&["x/run"], &[("b/two", 5), ("b/one", 5)], "b/one")]
#[case::of_one_namespace_the_oldest(&["a/run"], &[("a/late", 7), ("a/early", 3)], "a/early")]
fn given_waiters_when_a_place_comes_free_then_the_order_says_who_gets_it(
    #[case] under_way: &[&str],
    #[case] waiters: &[(&str, i64)],
    #[case] next: &str,
) {
    let (places, limit) = (Places::default(), json!({"cluster": under_way.len() + 1}));
    let leaves = medium("z/leaves", &limit);
    assert_eq!(ask(&places, &leaves, 0), None);
    under_way.iter().for_each(|name| assert_eq!(ask(&places, &medium(name, &limit), 0), None));
    waiters.iter().for_each(|(name, since)| assert!(ask(&places, &medium(name, &limit), *since).is_some()));
    places.leave(&leaves.key);
    for (name, since) in waiters.iter().filter(|(name, _)| *name != next) {
        let (position, of, _) = ask(&places, &medium(name, &limit), *since).unwrap();
        assert_eq!((position, of), (2, 2), "{name} is behind {next}");
    }
    let since = waiters.iter().find(|(name, _)| *name == next).unwrap().1;
    assert_eq!(ask(&places, &medium(next, &limit), since), None, "{next} is next");
}

#[rstest]
#[case::namespace(json!({"namespace": 1}), medium("a/two", &json!({"namespace": 1})), Some("in namespace a"))]
#[case::another_namespace(json!({"namespace": 1}), medium("b/two", &json!({"namespace": 1})), None)]
#[case::level(json!({"levels": {"high": 1}}), entrant("b/two", RiskLevel::High, &json!({"levels": {"high": 1}})), Some("limits.levels.high"))]
#[case::another_level(json!({"levels": {"high": 1}}), medium("b/two", &json!({"levels": {"high": 1}})), None)]
fn given_one_under_way_when_another_asks_then_only_a_limit_that_both_are_in_keeps_it_out(
    #[case] of: Value,
    #[case] asks: Entrant,
    #[case] words: Option<&str>,
) {
    let places = Places::default();
    assert_eq!(ask(&places, &entrant("a/one", RiskLevel::High, &of), 0), None);
    let told = ask(&places, &asks, 1);
    assert_eq!(told.is_some(), words.is_some(), "{told:?}");
    assert!(words.is_none_or(|words| told.unwrap().2.contains(words)));
}

#[test]
fn given_changes_of_another_policy_when_a_limit_is_asked_then_they_do_not_count() {
    let (places, one) = (Places::default(), json!({"cluster": 1}));
    let other = Entrant { scope: Scope::Of(Some("start-up".to_owned())), ..medium("a/one", &one) };
    assert_eq!(ask(&places, &other, 0), None);
    assert_eq!(ask(&places, &medium("a/two", &one), 1), None);
}

#[test]
fn given_a_first_in_the_queue_that_its_namespace_keeps_out_when_one_behind_it_fits_then_that_one_does_not_wait() {
    let (places, of) = (Places::default(), json!({"cluster": 2, "namespace": 1}));
    assert_eq!(ask(&places, &medium("a/run", &of), 0), None);
    assert!(ask(&places, &medium("a/kept-out", &of), 1).is_some());
    assert_eq!(ask(&places, &medium("b/late", &of), 9), None);
}

#[test]
fn given_one_that_waits_for_something_else_when_a_place_is_free_then_it_does_not_stand_in_the_way() {
    let (places, one) = (Places::default(), json!({"cluster": 1}));
    let (runs, first, second) = (medium("a/runs", &one), medium("b/first", &one), medium("c/second", &one));
    assert_eq!(ask(&places, &runs, 0), None);
    assert!(ask(&places, &first, 1).is_some());
    assert_eq!(ask(&places, &second, 2).unwrap().0, 2);
    places.stands(&first, false);
    assert_eq!(ask(&places, &second, 2).unwrap().0, 1);
    places.stands(&runs, false);
    assert_eq!(ask(&places, &second, 2), None);
    assert_eq!(places.waiting(), 0);
}

#[test]
fn given_a_start_when_not_every_change_has_said_where_it_stands_then_those_count_as_under_way() {
    let (places, two) = (Places::default(), json!({"cluster": 2}));
    let mine = medium("a/mine", &two);
    let silent = |name: &str| Entrant { level: None, limits: Limits::default(), ..medium(name, &two) };
    let held = around(&[mine.clone(), silent("b/one"), silent("c/two")]);
    let queued = places.ask(&mine, Millis(1), &held).unwrap_err();
    assert!(queued.limit.contains("b/one, c/two"), "{queued:?}");
    places.stands(&silent("b/one"), false);
    assert_eq!(places.ask(&mine, Millis(1), &held), Ok(()));
}

#[test]
fn given_changes_that_are_not_listed_yet_when_a_place_is_asked_for_then_there_is_none_unless_nothing_is_limited() {
    let places = Places::default();
    let unlisted = || Around { listed: false, ..around(&[]) };
    assert!(places.ask(&medium("a/one", &json!({"cluster": 9})), Millis(0), &unlisted()).is_err());
    assert_eq!(places.ask(&medium("a/two", &json!({})), Millis(0), &unlisted()), Ok(()));
}

#[test]
fn given_guards_that_name_dependents_when_a_group_is_limited_then_all_that_are_joined_count() {
    let named = |namespace: &str, name: &str, dependents: Value| -> Guard {
        let mut guard = fake::guard(name);
        guard.metadata.namespace = Some(namespace.to_owned());
        guard.spec.dependents = serde_json::from_value(dependents).unwrap();
        guard
    };
    let errors = json!([{"name": "errors", "preset": "HTTP"}]);
    let guards = [
        named("shop", "cart", json!([{"name": "payments", "namespace": "bank", "signals": errors}])),
        named("mail", "sender", json!([{"name": "payments", "namespace": "bank", "signals": errors}])),
        named("shop", "search", json!([])),
    ];
    let groups = Arc::new(Groups::of(guards.iter()));
    let (places, one) = (Places::default(), json!({"dependencyGroup": 1}));
    let ask = |name: &str| places.ask(&medium(name, &one), Millis(0), &Around { groups: Arc::clone(&groups), ..around(&[]) });
    assert_eq!(ask("shop/cart"), Ok(()));
    assert!(ask("mail/sender").unwrap_err().limit.contains("limits.dependencyGroup"), "joined through payments");
    assert!(ask("bank/payments").is_err());
    assert_eq!(ask("shop/search"), Ok(()), "nobody joins it");
}

fn effective(freezes: &Value, own: &Value) -> Effective {
    let level = |level: Level| serde_json::to_value(firebreak_api::plan::level(None, level)).unwrap();
    let levels = json!({"low": level(Level::Low), "medium": level(Level::Medium), "high": level(Level::High), "critical": level(Level::Critical)});
    let cluster = json!({"timeZone": "Europe/Zurich", "levels": levels, "freezes": freezes, "limits": {"namespace": 3}});
    Effective {
        cluster: Some(Named { name: "bank".to_owned(), spec: serde_json::from_value(cluster).unwrap() }),
        own: Some(Named { name: "team".to_owned(), spec: serde_json::from_value(own.clone()).unwrap() }),
    }
}

#[test]
fn given_freezes_of_both_policies_when_asked_at_a_moment_then_those_that_are_open_for_the_level_with_their_ends_in_words() {
    let policy = effective(
        &json!([
            {"name": "weekend", "schedule": "0 17 * * 5", "duration": "62h", "running": "Finish"},
            {"name": "audit", "from": "2026-12-01T00:00:00Z", "until": "2026-12-31T00:00:00Z", "levels": ["high"], "exception": "Approval"},
        ]),
        &json!({"clusterPolicy": "bank", "freezes": [{"name": "inventory", "from": "2026-12-05T00:00:00Z", "until": "2026-12-05T12:00:00Z"}]}),
    );
    let calendars = Calendars::default();
    let open = |level: RiskLevel, at: &str| -> Vec<(String, String, bool)> {
        let frozen = frozen(&calendars, &policy, Some(level), at.parse().unwrap());
        frozen.into_iter().map(|one| (one.name, one.until_words, one.exception)).collect()
    };
    let row = |name: &str, until: &str, exception| (name.to_owned(), format!("{until} Europe/Zurich"), exception);
    let weekend = row("weekend", "2026-12-07 07:00", false);
    assert_eq!(open(RiskLevel::Low, "2026-12-04T15:59:59Z"), []);
    assert_eq!(open(RiskLevel::Low, "2026-12-04T16:00:00Z"), std::slice::from_ref(&weekend));
    let inventory = row("team/inventory", "2026-12-05 13:00", false);
    assert_eq!(open(RiskLevel::High, "2026-12-05T06:00:00Z"), [weekend, row("audit", "2026-12-31 01:00", true), inventory]);
    assert_eq!(open(RiskLevel::High, "2026-12-07T06:00:00Z"), [row("audit", "2026-12-31 01:00", true)]);
    // A clock that was set back asks of a time before the answer.
    assert_eq!(open(RiskLevel::Low, "2026-12-03T06:00:00Z"), []);
}

#[test]
fn given_a_namespaces_own_limit_when_it_is_looser_then_the_clusters_holds_and_that_is_said() {
    let own = |namespace: u32| effective(&json!([]), &json!({"clusterPolicy": "bank", "limits": {"namespace": namespace}}));
    assert_eq!((own(1).limits().namespace, own(9).limits().namespace), (Some(1), Some(3)));
    assert_eq!(own(1).ignored(), [] as [String; 0]);
    assert_eq!(own(9).ignored(), ["limits.namespace 9 is looser than 3 of the cluster's policy"]);
}
