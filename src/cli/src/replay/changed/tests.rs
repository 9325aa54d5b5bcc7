//! Replays under another policy as people read them, and what is not claimed.

use firebreak_engine::{Setup, risk::Level};
use firebreak_sim::setup;
use rstest::rstest;

use super::*;
use crate::{error::USAGE, fixtures as fix};

fn medium() -> Setup {
    setup(Level::Medium, 1)
}

fn replayed(setup: &Setup, failing: (u64, u64), plan: Plan) -> Changed {
    let change = fix::recorded(setup.clone(), failing, 300);
    Changed::of(&change, &setup.plan, &plan, "its own policy with other settings".to_owned())
}

fn text(changed: &Changed) -> String {
    changed.text(100, Timestamp::from_millisecond(1_800_000_400_000).unwrap(), &TimeZone::UTC)
}

#[rstest]
#[case("stricter_proof", (1, 1), |plan| Plan { beta: 0.001, min_bake_seconds: 20.0, ..plan })]
#[case("looser_proof", (1, 1), |plan| Plan { beta: 0.4, min_bake_seconds: 2.0, ..plan })]
#[case("stricter_alpha", (9, 1), |plan| Plan { alpha: 1e-6, ..plan })]
#[case("looser_alpha", (9, 1), |plan| Plan { alpha: 0.2, ..plan })]
#[case("another_margin", (9, 1), |plan| Plan { margin: 5.0, ..plan })]
#[case("other_stages", (1, 1), |plan| Plan { stages: vec![Weight::percent(1), Weight::percent(5), Weight::FULL], ..plan })]
fn given_a_changed_policy_when_replayed_then_these_words(
    #[case] name: &str,
    #[case] failing: (u64, u64),
    #[case] other: fn(Plan) -> Plan,
) {
    let setup = medium();
    insta::assert_snapshot!(name, text(&replayed(&setup, failing, other(setup.plan.clone()))));
}

#[test]
fn given_a_changed_policy_when_replayed_for_machines_then_this_structure() {
    let setup = medium();
    let mut changed = replayed(&setup, (9, 1), Plan { alpha: 0.2, beta: 0.001, ..setup.plan.clone() });
    changed.decisions.truncate(4);
    insta::assert_yaml_snapshot!("structured", changed);
}

#[test]
fn given_a_policy_that_says_the_same_when_replayed_then_nothing_is_different() {
    for failing in [(1, 1), (9, 1), (60, 1)] {
        let setup = medium();
        let changed = replayed(&setup, failing, setup.plan.clone());
        assert!(changed.decisions.len() >= 4 && changed.differences.is_empty(), "{changed:?}");
        assert!(changed.decisions.iter().all(|one| one.then == Then::Same && one.could_go_on_since.is_none()), "{changed:?}");
        assert!(text(&changed).contains("No recorded decision would have been different."), "{}", text(&changed));
    }
}

#[test]
fn given_a_record_without_its_bases_or_its_memory_when_replayed_then_it_says_what_cannot_be_told() {
    let setup = medium();
    let mut change = fix::recorded(setup.clone(), (9, 1), 300);
    let status = change.status.as_mut().unwrap();
    status.memory = None;
    status.decisions.iter_mut().for_each(|decision| decision.basis = None);
    let plan = Plan { alpha: 0.2, ..setup.plan.clone() };
    let changed = Changed::of(&change, &setup.plan, &plan, "another".to_owned());
    assert!(changed.decisions.iter().all(|one| one.then == Then::NotKept), "{changed:?}");
    assert_eq!(changed.harm_proved, None);
    let text = text(&changed);
    assert!(text.contains("cannot be computed") && text.contains("is not kept with this Change"), "{text}");
}

#[rstest]
#[case(1.3, "for example --margin 1.25")]
#[case(7.0, "for example --margin 5")]
fn given_a_margin_between_the_rungs_when_asked_then_it_says_which_can_be(#[case] margin: f64, #[case] words: &str) {
    let error = check_margin(1.4, margin).unwrap_err();
    assert!(error.to_string().contains(words) && error.to_string().contains("its own, 1.4"), "{error}");
    assert_eq!(error.exit_code(), USAGE);
    assert!(check_margin(1.4, 1.4).is_ok() && check_margin(1.4, 2.0).is_ok());
}
