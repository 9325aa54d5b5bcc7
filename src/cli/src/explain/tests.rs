//! The explanation as people read it, and how a name is found.

use rstest::rstest;

use super::{build::Explanation, resolve, text};
use crate::{
    cluster::Snapshot,
    error::USAGE,
    facts, fixtures as fix,
    screen::ansi,
    words::{self, width},
};
use firebreak_api::{Change, change::Phase};

fn page(change: &Change, to: usize) -> String {
    ansi::text(&text::lines(&Explanation::new(change, fix::now()), to, &fix::look()), false)
}

#[rstest]
#[case("held", fix::held())]
#[case("judging_healthy", fix::healthy())]
#[case("harm_rising", fix::harm_rising())]
#[case("waiting", fix::waiting())]
#[case("taken_back", fix::rolled_back())]
#[case("cold", fix::cold())]
#[case("slow_at_once", fix::slow_at_once())]
#[case("checked", fix::checked())]
#[case("promoted", fix::promoted())]
fn given_a_change_when_explained_then_these_words(#[case] name: &str, #[case] change: Change) {
    insta::assert_snapshot!(format!("explain_{name}"), page(&change, 100));
}

/// Two people are asked, one has answered, everything is as long as it gets.
fn asked() -> Change {
    let mut change = fix::waiting();
    let long = |text: &str| text.repeat(40).chars().take(1000).collect::<String>();
    change.spec.plan.approval_at.clear();
    change.spec.plan.approval = serde_json::from_value(serde_json::json!(
        {"at": [100], "count": 2, "groups": ["release-managers", "site-reliability"], "expiresAfter": "4h"}))
    .unwrap();
    let approved =
        serde_json::json!({"by": "ann@example.com", "stage": 5, "at": "2026-07-01T12:08:40Z", "until": "2026-07-01T16:08:40Z"});
    change.status.as_mut().unwrap().approvals = vec![serde_json::from_value(approved).unwrap()];
    for claim in ["summary", "author", "ai-agents", "reviewed-by", "change-url"] {
        change.spec.claims.annotations.insert(format!("firebreak.dev/{claim}"), long("as long as it gets "));
    }
    change
}

#[test]
fn given_a_change_that_waits_for_people_when_explained_then_the_decision_fits_one_screen() {
    for (name, change) in [("decide", fix::waiting()), ("decide_longest", asked())] {
        let page = page(&change, 100);
        let decision = page.split("\n\n").next().unwrap();
        assert!(decision.lines().count() <= 30, "{decision}");
        assert!(decision.lines().all(|line| width(line) <= 100), "{decision}");
        insta::assert_snapshot!(name, decision);
    }
}

/// Whoever may let it pass a freeze is asked with the same page.
#[test]
fn given_a_freeze_that_lets_exceptions_through_when_explained_then_the_decision_is_laid_out() {
    let mut change = fix::waiting();
    let status = change.status.as_mut().unwrap();
    status.waiting = Some(firebreak_api::change::Waiting {
        reason: firebreak_engine::gates::FROZEN_UNLESS_APPROVED.to_owned(),
        message: "freeze audit is in force until 2026-07-01 18:00 Europe/Zurich: it stays at 50 % until then, and is judged all along. It \
                  goes on by itself then; kubectl firebreak approve GUARD --reason '...' lets it through this window (it takes 1 human), kubectl \
                  firebreak abort GUARD takes it back"
            .to_owned(),
        since: fix::now(),
    });
    let page = page(&change, 100);
    insta::assert_snapshot!("decide_freeze", page.split("\n\n").next().unwrap());
    let event = firebreak_api::brief::Brief::of(&change, fix::now(), "").unwrap().event();
    assert!(event.starts_with("ASKED: may it pass the freeze that is in force? 1 human"), "{event}");
    change.status.as_mut().unwrap().waiting.as_mut().unwrap().reason = firebreak_engine::gates::FROZEN.to_owned();
    assert!(firebreak_api::brief::Brief::of(&change, fix::now(), "").is_none(), "nobody can let it pass");
}

#[test]
fn given_a_change_that_waits_for_people_when_told_in_an_event_then_nothing_of_it_is_cut_off() {
    let event = firebreak_api::brief::Brief::of(&asked(), fix::now(), "").unwrap().event();
    assert!(event.len() <= 1000 && event.lines().count() == 9, "{} bytes: {event}", event.len());
    for row in
        ["APPROVE: kubectl firebreak approve checkout -n shop --reason '...'", "ABORT: kubectl firebreak abort checkout -n shop"]
    {
        assert!(event.lines().any(|line| line == row), "{event}");
    }
}

#[test]
fn given_a_change_that_waits_for_nobody_when_explained_then_nobody_is_asked() {
    for change in [fix::held(), fix::healthy(), fix::promoted()] {
        assert!(firebreak_api::brief::Brief::of(&change, fix::now(), "").is_none());
    }
}

#[test]
fn given_a_change_when_explained_for_machines_then_this_structure() {
    let mut explanation = Explanation::new(&fix::harm_rising(), fix::now());
    explanation.curve.as_mut().unwrap().points.truncate(2);
    insta::assert_yaml_snapshot!("explain_structured", explanation);
}

#[test]
fn given_little_room_or_a_poor_terminal_when_explained_then_the_curves_are_drawn_all_the_same() {
    let explanation = Explanation::new(&fix::harm_rising(), fix::now());
    let page = ansi::text(&text::lines(&explanation, 72, &fix::look().ascii()), false);
    let drawn = page.split("CURVE").nth(1).unwrap().split("BLAST").next().unwrap();
    assert!(page.is_ascii(), "{page}");
    insta::assert_snapshot!("explain_curve_ascii", drawn);
}

#[test]
fn given_no_memory_or_one_of_another_version_when_explained_then_all_but_the_curve() {
    for memory in [None, Some("!!".to_owned())] {
        let mut change = fix::harm_rising();
        change.status.as_mut().unwrap().memory = memory;
        let page = page(&change, 100);
        assert!(!page.contains("CURVE") && page.contains("NUMBERS"), "{page}");
    }
}

#[rstest]
fn given_any_phase_when_explained_then_no_line_is_too_wide_and_a_command_fits(
    #[values(
        Phase::Held,
        Phase::Preparing,
        Phase::Progressing,
        Phase::Baking,
        Phase::Promoting,
        Phase::RollingBack,
        Phase::RolledBack
    )]
    phase: Phase,
) {
    let text = page(&fix::in_phase(phase), 80);
    assert!(text.contains("\nDO "), "{text}");
    // Commands are never broken: they are to be copied.
    let wide: Vec<&str> = text.lines().filter(|line| width(line) > 80 && !line.contains("kubectl")).collect();
    assert!(wide.is_empty(), "{wide:?}");
}

#[rstest]
fn given_a_phase_in_which_an_abort_does_nothing_when_explained_then_none_is_offered(
    #[values(Phase::Promoting, Phase::RollingBack, Phase::Promoted)] phase: Phase,
) {
    let text = page(&fix::in_phase(phase), 80);
    assert!(!text.contains("abort"), "{text}");
}

#[test]
fn given_evidence_when_explained_then_the_chance_is_that_of_a_harmless_release() {
    // exp(-3.2) = 0.0408, rounded up: a bound stays a bound.
    assert_eq!(words::chance(3.2, 0.0).unwrap(), "4.1 %");
    assert_eq!(words::chance(4.605_17, 0.0).unwrap(), "1 %");
    assert_eq!(words::chance(7.0, 0.0).unwrap(), "0.1 %");
    assert_eq!(words::chance(20.0, 0.0).unwrap(), "0.01 %");
    // At its threshold, ln(1/(0.9 beta)), safety evidence means beta.
    assert_eq!(words::chance((1.0_f64 / 0.045).ln(), 0.005).unwrap(), "5 %");
    assert_eq!(words::chance(0.0, 0.0), None);
    assert_eq!(words::chance(-3.0, 0.0), None);
    assert_eq!(words::chance(f64::NAN, 0.0), None);
}

#[rstest]
#[case(Some("checkout"))]
#[case(Some("guard/checkout"))]
#[case(Some("gd/checkout"))]
#[case(Some("checkout-bcdfghjkmn-1"))]
#[case(Some("change/checkout-bcdfghjkmn-1"))]
#[case(None)]
fn given_a_name_when_it_is_a_guard_or_a_change_then_the_change(#[case] name: Option<&str>) {
    let snapshot = fix::snapshot(vec![fix::healthy()]);
    assert_eq!(facts::name(resolve(&snapshot, name, "shop").unwrap()), "checkout-bcdfghjkmn-1");
}

#[rstest]
#[case(
    Some("chekout"),
    "no Guard and no Change chekout in namespace shop. Guards there: checkout. Changes there: checkout-bcdfghjkmn-1"
)]
#[case(Some("deploy/checkout"), "write guard/checkout or change/checkout")]
#[case(Some("change/checkout"), "no Guard and no Change checkout")]
fn given_a_wrong_name_when_explained_then_it_names_what_there_is(#[case] name: Option<&str>, #[case] words: &str) {
    let error = resolve(&fix::snapshot(vec![fix::healthy()]), name, "shop").unwrap_err();
    assert!(error.to_string().contains(words), "{error}");
    assert_eq!(error.exit_code(), USAGE);
}

#[test]
fn given_an_empty_namespace_when_explained_then_it_says_where_to_look() {
    let error = resolve(&Snapshot::default(), None, "shop").unwrap_err();
    assert!(error.to_string().contains("kubectl firebreak status -A"), "{error}");
}

/// Whatever the phase: a command that is printed is taken as it stands.
#[rstest::rstest]
#[case(fix::healthy())]
#[case(fix::waiting())]
#[case(fix::rolled_back())]
fn given_a_change_when_explained_then_each_act_that_takes_a_reason_is_printed_with_one(#[case] change: Change) {
    let explanation = Explanation::new(&change, fix::now());
    let words = explanation.outcome.iter().chain(explanation.commands.iter().map(|one| &one.command));
    for text in words {
        let takes =
            ["approve", "promote", "retry", "clear"].iter().any(|verb| text.contains(&format!("kubectl firebreak {verb} ")));
        assert!(!takes || text.contains("--reason '...'"), "{text}");
    }
}

#[test]
fn given_a_change_that_rolls_back_when_explained_then_now_says_so_and_nothing_of_needs() {
    let text = page(&fix::in_phase(Phase::RollingBack), 100);
    assert!(text.contains("NOW       on its way back: step 1 of 2"), "{text}");
    assert!(!text.contains("nothing but its needs"), "{text}");
}
